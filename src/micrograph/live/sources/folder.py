"""A folder into which a running experiment writes its frames, one file each."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from micrograph.core import Calibration
from micrograph.live.source import Arrival, Complain, Opened
from micrograph.live.sources.complaints import Rationed
from micrograph.live.sources.files import Image, unlike
from micrograph.live.sources.gatan import GatanNames, is_gatan
from micrograph.live.sources.lineup import Lineup, Taken, Waits
from micrograph.live.sources.numbered import NumberedNames

#: Seconds between two looks while files come, and when none has come for `_QUIET_S`.
_BUSY_POLL_S, _POLL_S, _QUIET_S = 0.02, 0.05, 5.0


@dataclass
class FolderSource:
    """Frames from the files of a folder, each once and in order, as soon as they are complete.

    A file is complete when it can be read and its size and time of change have stayed for ``waits.settle_s``. One that
    cannot be read is left out, with a word, when it has not changed for ``waits.patience_s``; a frame that is missing
    is waited for as long. The source ends when nothing has come for `idle_s` after the first frame, never where that is
    ``None``. Values that `given` knows win over those of the files.
    """

    folder: Path
    given: Calibration = field(default_factory=Calibration)
    waits: Waits = field(default_factory=Waits)
    idle_s: float | None = None
    _lineup: Lineup | None = None
    _first: Taken | None = None
    _opened: Opened | None = None
    _suffix: str = ""

    @property
    def counts(self) -> Counter[str]:
        """Files that were left out so far, by the reason: unreadable, late, twice, unlike."""
        return Counter() if self._lineup is None else self._lineup.counts

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Wait for the first frame that can be read; ``None`` if `stop` was set before."""
        say = Rationed(complain)
        names = self._named(stop)
        if names is None:
            return None
        self._lineup = Lineup(names, self.given, self.waits, self._refuses)
        first = self._next(self._lineup, lambda number: False, stop, say)
        if first is None:
            return None
        self._first, self._suffix = first, first.path.suffix.lower()
        image = first.image
        calibration = image.calibration
        if isinstance(names, GatanNames):
            calibration = calibration.with_known(frame_time_s=self._timed(names, calibration, stop))
        shape = image.data.shape[0], image.data.shape[1]
        name = self.folder.resolve().name
        self._opened = Opened(name, calibration, shape, image.data.dtype.name, image.metadata, lossless=True)
        return self._opened

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield the frames in order until `stop` is set or nothing has come for `idle_s`."""
        lineup, say = self._lineup, Rationed(complain)
        if lineup is None:
            return
        found, self._first = self._first, None
        while found is not None and not stop.is_set():
            if not done(found.number):
                known = lineup.names.known(found.key)
                yield Arrival(found.number, found.image.data, found.image.received_s, known)
            found = self._next(lineup, done, stop, say)
        say.settle()

    def _named(self, stop: threading.Event) -> NumberedNames | GatanNames | None:
        """Return how the frames are named, once the first file or folder of hours is there."""
        while not stop.is_set():
            if is_gatan(self.folder):
                return GatanNames(self.folder)
            numbered = NumberedNames(self.folder)
            with contextlib.suppress(OSError):  # the folder is away for now: the next look may find it
                if any(True for _ in numbered.listed()):
                    return NumberedNames(self.folder)
            stop.wait(_POLL_S)
        return None

    def _timed(self, names: GatanNames, calibration: Calibration, stop: threading.Event) -> float | None:
        """Return the time between frames: what is known, else as many a second as the first second holds."""
        names.frame_time_s = calibration.frame_time_s
        until = time.monotonic() + self.waits.patience_s
        rate = None
        while names.frame_time_s is None and rate is None and time.monotonic() < until and not stop.is_set():
            rate = names.rate()
            if rate is None:
                stop.wait(_POLL_S)
        if rate is not None and rate > 1:
            names.frame_time_s = 1 / rate
        return names.frame_time_s

    def _next(self, lineup: Lineup, done: Callable[[int], bool], stop: threading.Event, say: Rationed) -> Taken | None:
        """Return the next frame that is not done, once it is complete; ``None`` at the end."""
        while not stop.is_set():
            lineup.look(say)
            taken = lineup.take(done, say)
            if taken is not None:
                return taken
            quiet = time.monotonic() - lineup.active_s
            if not lineup and self._opened is not None and self.idle_s is not None and quiet > self.idle_s:
                return None
            stop.wait(_BUSY_POLL_S if quiet < _QUIET_S else _POLL_S)
        return None

    def _refuses(self, path: Path, image: Image | None) -> str:
        """Return why a file does not belong to the recording: by its kind and, once it is read, by its image."""
        if self._suffix and path.suffix.lower() != self._suffix:
            return f"{path.name} is no {self._suffix} file like the first frame: it is left out."
        if image is None or self._opened is None:
            return ""
        shape, pixel = image.data.shape, image.calibration.pixel_nm
        return unlike(path.name, shape, image.data.dtype.name, pixel, self._opened)
