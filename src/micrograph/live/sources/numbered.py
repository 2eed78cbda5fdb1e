"""Names of frames in one folder: the last digits of a name are the frame's number."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from micrograph.live.sources.files import SUFFIXES

#: What a name says of a frame's place in the recording; keys sort in the order of time.
Key = tuple[int, ...]
_DIGITS = re.compile(r"(\d+)(?!.*\d)")
#: Digits beyond which a number is a date or a hash, not the number of a frame.
_LONGEST = 18


@dataclass
class NumberedNames:
    """Frames by number. The next name is guessed from the newest, so that a huge folder is rarely listed."""

    folder: Path
    unnumbered: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _newest: tuple[int, str, str, int] | None = None

    def fresh(self) -> Iterator[tuple[Key, Path]]:
        """Yield those names not given before whose turn it is, without a look at the whole folder."""
        while self._newest is not None:
            number, before, after, width = self._newest
            name = f"{before}{number + 1:0{width}d}{after}"
            if name in self._names or not (self.folder / name).exists():
                return
            yield from self._new(name)

    def listed(self) -> Iterator[tuple[Key, Path]]:
        """Yield all names not given before; `OSError` where the folder cannot be listed."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if entry.name not in self._names]
        for name in names:
            yield from self._new(name)

    def forget(self, path: Path) -> None:
        """Give a name again when it is there again."""
        self._names.discard(path.name)

    def follows(self, last: Key | None, key: Key) -> bool:
        """Tell whether `key` comes right after `last`; numbers begin with 0."""
        return key[0] == (0 if last is None else last[0] + 1)

    def number(self, key: Key) -> int:
        """Return the frame's number."""
        return key[0]

    def passed(self, key: Key) -> None:
        """Go on to the frames after `key`: nothing to remember."""

    def known(self, key: Key) -> Mapping[str, float]:
        """Return what the name says of the frame: nothing."""
        return {}

    def between(self, last: Key, key: Key) -> str:
        """Return in words what is missing between two frames."""
        first, final = last[0] + 1, key[0] - 1
        return f"Frame {first} is missing" if first == final else f"Frames {first} to {final} are missing"

    def _new(self, name: str) -> Iterator[tuple[Key, Path]]:
        self._names.add(name)
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in SUFFIXES or name.startswith((".", "~")):
            return
        digits = _DIGITS.search(stem)
        if digits is None or len(digits[1]) > _LONGEST:
            self.unnumbered.add(name)
            return
        number = int(digits[1])
        if self._newest is None or number > self._newest[0]:
            self._newest = number, stem[: digits.start()], stem[digits.end() :] + suffix, len(digits[1])
        yield (number,), self.folder / name
