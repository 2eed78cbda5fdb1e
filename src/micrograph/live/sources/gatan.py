"""Gatan in situ recordings: Hour_00/Minute_00/Second_00/NAME_Hour_00_Minute_00_Second_00_Frame_0000.dm4."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from micrograph.live.sources.files import SUFFIXES
from micrograph.live.sources.numbered import Key

_FOLDER = re.compile(r"(Hour|Minute|Second)_(\d+)$")
_FRAME = re.compile(r"Hour_(\d+)_Minute_(\d+)_Second_(\d+)_Frame_(\d+)$")
_LEVELS = ("Hour", "Minute", "Second")


def is_gatan(folder: Path) -> bool:
    """Tell whether a folder holds, or is about to hold, a Gatan in situ recording."""
    return any(each.name.startswith("Hour_") and each.is_dir() for each in folder.glob("Hour_*"))


@dataclass
class GatanNames:
    """Frames by hour, minute, second and place within the second; numbered in running order.

    Files that are missing within a second, and whole seconds that are missing where `frame_time_s` is known, keep their
    numbers. Only the two newest seconds are looked at often.
    """

    folder: Path
    frame_time_s: float | None = None
    unnumbered: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _newest: list[Path] = field(default_factory=list)
    _begins: tuple[int, int] | None = None
    _last: Key | None = None

    def fresh(self) -> Iterator[tuple[Key, Path]]:
        """Yield names not given before: those in the newest seconds and in seconds that began meanwhile."""
        if self._newest:
            second = self._newest[-1]
            for place in (second.parent, second.parent.parent, self.folder):
                self._newest += [each for each in self._seconds(place, newest=True) if each not in self._newest]
        for second in self._newest[:]:
            yield from self._frames(second)
        del self._newest[:-2]

    def listed(self) -> Iterator[tuple[Key, Path]]:
        """Yield all names not given before; `OSError` where the folder cannot be listed."""
        os.stat(self.folder)
        seconds = list(self._seconds(self.folder))
        for second in seconds:
            yield from self._frames(second)
        self._newest = seconds[-2:]

    def forget(self, path: Path) -> None:
        """Give a name again when it is there again."""
        self._names.discard(path.name)

    def rate(self) -> float | None:
        """Return the frames per second in the first second, once the next has begun and where it has several."""
        seconds = [each for _, each in zip(range(2), self._seconds(self.folder), strict=False)]
        if len(seconds) < 2:
            return None
        places = [int(found[4]) for name in os.listdir(seconds[0]) if (found := _FRAME.search(Path(name).stem))]
        return max(places, default=0) + 1.0

    def follows(self, last: Key | None, key: Key) -> bool:
        """Tell whether `key` comes right after `last`, be it in the next second."""
        if last is None:
            return key[-1] == 0
        if last[:3] == key[:3]:
            return key[3] == last[3] + 1
        apart = _second(key) - _second(last)
        return key[3] == 0 and last[3] + 1 >= self._fewest and apart <= math.ceil(self.frame_time_s or 1.0)

    def number(self, key: Key) -> int:
        """Return the number of a frame that comes after those that have passed."""
        return self._first_of(key) + key[3]

    def passed(self, key: Key) -> None:
        """Go on to the frames after `key`."""
        self._begins, self._last = (_second(key), self._first_of(key)), key

    def known(self, key: Key) -> Mapping[str, float]:
        """Return the time of the frame since the recording began."""
        return {"t_s": _second(key) + key[3] * (self.frame_time_s or 0.0)}

    def between(self, last: Key, key: Key) -> str:
        """Return in words what is missing between two frames."""
        return f"Frames between {_words(last)} and {_words(key)} are missing"

    def _first_of(self, key: Key) -> int:
        """Return the number of the first frame in the second of `key`."""
        if self._begins is None or self._last is None:
            return 0
        apart = _second(key) - self._begins[0]
        filled = max(self._last[3] + 1, self._fewest) + max(0, apart - 1) * self._fewest
        return self._begins[1] + (filled if apart else 0)

    @property
    def _fewest(self) -> int:
        """Frames that a second holds at least."""
        return 0 if self.frame_time_s is None else math.floor(1 / self.frame_time_s + 1e-6)

    def _seconds(self, place: Path, *, newest: bool = False) -> Iterator[Path]:
        """Yield the folders of seconds below `place`, or that of the newest alone, in order of time."""
        level = 0 if place == self.folder else _LEVELS.index(place.name.split("_")[0]) + 1
        if level == len(_LEVELS):
            yield place
            return
        try:
            inside = [(int(found[2]), name) for name in os.listdir(place) if (found := _FOLDER.match(name))]
        except OSError:
            return
        for _, name in sorted(inside)[-1:] if newest else sorted(inside):
            yield from self._seconds(place / name, newest=newest)

    def _frames(self, second: Path) -> Iterator[tuple[Key, Path]]:
        try:
            names = [name for name in os.listdir(second) if name not in self._names]
        except OSError:
            return
        for name in names:
            self._names.add(name)
            stem, suffix = os.path.splitext(name)
            found = _FRAME.search(stem)
            if suffix.lower() in SUFFIXES and not name.startswith((".", "~")):
                if found is None:
                    self.unnumbered.add(name)
                else:
                    yield tuple(int(part) for part in found.groups()), second / name


def _second(key: Key) -> int:
    return (key[0] * 60 + key[1]) * 60 + key[2]


def _words(key: Key) -> str:
    return f"{key[0]:02d}:{key[1]:02d}:{key[2]:02d} frame {key[3]}"
