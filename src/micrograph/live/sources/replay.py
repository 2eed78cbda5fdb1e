"""A recording played again as if it were being taken: at its own pace, at another, or as fast as possible."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from micrograph.core import BadInput, Recording
from micrograph.live.source import Arrival, Complain, Opened

#: How fast a recording is played: as it was taken, as fast as it can be read, or so many times its own pace.
Speed = Literal["own", "fastest"] | float


@dataclass(frozen=True)
class ReplaySource:
    """The frames of a recording with their own numbers; none is lost, however slow the analysis.

    Raises `BadInput` where the recording does not know its frame time and is to be played at a pace.
    """

    recording: Recording
    speed: Speed = "own"

    def __post_init__(self) -> None:
        """Check that there are frames, and a frame time where one is needed."""
        if not len(self.recording):
            raise BadInput(f"{self.recording.name} holds no frames: there is nothing to play.")
        if self.speed != "fastest" and self.recording.calibration.frame_time_s is None:
            raise BadInput(
                f"{self.recording.name} does not say its frame time, so it cannot be played at its own pace: give it, "
                "for example '0.5 s', or play it as fast as possible."
            )

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Return what the recording says of itself; ``None`` if `stop` was set before."""
        found = self.recording
        if stop.is_set():
            return None
        shape = found.shape[-2], found.shape[-1]
        return Opened(found.name, found.calibration, shape, found.dtype, found.metadata, lossless=True)

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield the frames that are not done, each when its time has come; one that cannot be read is left out."""
        pace = self._pace_s()
        began, first = time.monotonic(), None
        for index in self.recording.indices:
            if done(index):
                continue
            if stop.is_set():
                return
            first = index if first is None else first
            try:
                data = self.recording.read(index)
            except BadInput as error:
                complain(f"{error} It is left out.")
                continue
            if stop.wait(max(0.0, began + (index - first) * pace - time.monotonic())):
                return
            known = {} if self.recording.known is None else self.recording.known(index)
            yield Arrival(index, data, time.monotonic(), known)

    def _pace_s(self) -> float:
        """Return the seconds from one frame to the next."""
        own = self.recording.calibration.frame_time_s
        if self.speed == "fastest" or own is None:
            return 0.0
        return own if self.speed == "own" else own / self.speed
