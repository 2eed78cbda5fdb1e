"""A source with a log beside it: what a holder was told and measured joins every frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput, Recording
from micrograph.io import read_log, with_log
from micrograph.live.source import Arrival, Complain, Opened, Source

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass
class LoggedSource:
    """The frames of `source` with what the log at `path` says of them (see `micrograph.io.with_log`).

    begins_s: the time of the log at frame 0. A log that grows is read again; of frames that it does not cover (yet)
    nothing is recorded. What the source itself knows of a frame wins.
    """

    source: Source
    path: Path
    begins_s: float = 0.0
    _opened: Opened | None = None
    _stamp: tuple[int, int] = (-1, -1)
    _log: DataFrame | None = None

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Open the source; raises `BadInput` where the log gives times and the source has no frame time."""
        self._opened = self.source.open(stop, complain)
        log = read_log(self.path)
        if self._opened is not None and "frame" not in log and self._opened.calibration.frame_time_s is None:
            raise BadInput("The log gives times, but the source has no frame time: give it with --frame-time.")
        return self._opened

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield what the source yields, with what the log says."""
        for arrival in self.source.arrivals(done, stop, complain):
            self._renew(complain)
            yield replace(arrival, known={**self._known(arrival.number), **arrival.known})

    def _renew(self, complain: Complain) -> None:
        """Read the log again where it has changed; one that cannot be read just now stays as it was."""
        try:
            status = self.path.stat()
            stamp = status.st_size, status.st_mtime_ns
            if stamp != self._stamp:
                self._log, self._stamp = read_log(self.path), stamp
        except (OSError, BadInput) as error:
            complain(f"The log cannot be read ({error}): what it said before still counts.")

    def _known(self, number: int) -> Mapping[str, float]:
        """Return what the log says of a frame, nothing where it does not cover it."""
        opened, log = self._opened, self._log
        if opened is None or log is None:
            return {}
        still = Recording(np.empty, range(number, number + 1), opened.calibration, opened.shape)
        try:
            logged = with_log(still, log, self.begins_s)
        except BadInput:
            return {}
        return {} if logged.known is None else logged.known(number)
