"""What a running experiment gives: frames as they arrive, with their numbers, and a word when something is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from micrograph.core import Calibration


@dataclass(frozen=True)
class Arrival:
    """One frame as it came: its number at the source, its pixels (H, W), and when it was complete.

    received_s: by `time.monotonic`. `known` is what was recorded with it, by column name: ``t_s``, ``temperature_C``.
    """

    number: int
    data: NDArray[Any]
    received_s: float
    known: Mapping[str, float] = field(default_factory=dict)


#: Called with one sentence for the user: a source that was lost, a file that cannot be read, a frame that came twice.
Complain = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A source whose first frame is known: what all its frames share.

    lossless: frames wait at the source (files), so that a slow analysis may take its time and none is ever dropped
    unless asked for; otherwise (a camera) what is not taken in time is lost.
    """

    name: str
    calibration: Calibration
    shape: tuple[int, int]
    dtype: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lossless: bool = True


class Source(Protocol):
    """Where frames come from: a folder that is being written, a stream, a recording that is played again."""

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Wait for the first frame and return what it tells; ``None`` if `stop` was set before."""
        ...

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield the frames as they come, each number once, until the source ends or `stop` is set.

        ``done(number)`` says whether a frame is in the results already (an analysis that was stopped goes on): such a
        frame is not read. Faults of the source (gone, unreadable, out of order) are told to `complain`, and the source
        goes on by itself when it is back.
        """
        ...
