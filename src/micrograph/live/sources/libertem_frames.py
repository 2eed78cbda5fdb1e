"""The frames of a LiberTEM data set or live acquisition, in order, as a source of the engine.

LiberTEM-live: https://libertem.github.io/LiberTEM-live/; LiberTEM: https://doi.org/10.21105/joss.02006
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.live.source import Arrival, Complain, Opened

#: Frames that may wait between LiberTEM and the engine.
_WAITING = 64
_POLL_S = 0.1


@dataclass
class LibertemSource:
    """What `context` reads of `dataset`: one of its data sets, or an acquisition of a LiberTEM-live connection.

    Frames are numbered along the scan, row by row; they come a partition at a time, as LiberTEM cuts them, and are put
    in order. `calibration` is that of the images: LiberTEM knows none. A live acquisition counts as a camera (a slow
    analysis drops the oldest frames unless its policy is 'all'), a data set as files. It can be read once.
    """

    context: Any
    dataset: Any
    calibration: Calibration = field(default_factory=Calibration)
    name: str = "LiberTEM"

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Return what the frames share; ``None`` if `stop` was set before; raises `BadInput` if they are no images."""
        if stop.is_set():
            return None
        shape = tuple(int(side) for side in self.dataset.shape.sig)
        if len(shape) != 2:
            raise BadInput(f"The frames of {self.name} have {len(shape)} axes: images (H, W) were expected.")
        lossless = not hasattr(self.dataset, "start_acquisition")
        dtype = np.dtype(self.dataset.dtype).name
        return Opened(self.name, self.calibration, (shape[0], shape[1]), dtype, lossless=lossless)

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield the frames in order until LiberTEM has read all or `stop` is set; raises `BadInput` where it fails."""
        line = _Line(stop)
        reader = threading.Thread(target=self._read, args=(line,), name="libertem", daemon=True)
        reader.start()
        try:
            for number, image in line:
                if not done(number):
                    yield Arrival(number, image, time.monotonic())
        finally:
            line.closed.set()
            reader.join()
        if line.failure is not None:
            raise BadInput(f"LiberTEM stopped reading {self.name} ({line.failure}).") from line.failure

    def _read(self, line: _Line) -> None:
        """Let LiberTEM read all frames into `line`."""
        token = next(_TOKENS)
        _LINES[token] = line
        try:
            self.context.run_udf(dataset=self.dataset, udf=_handover_udf(token))
        except Exception as error:
            line.failure = None if line.over else error
        finally:
            del _LINES[token]
            line.ended.set()


class _Line:
    """Frames between LiberTEM, whose partitions end in any order, and the engine."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._queue: queue.Queue[tuple[int, NDArray[Any]]] = queue.Queue(_WAITING)
        self.closed, self.ended = threading.Event(), threading.Event()
        self.failure: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether no more frames are wanted."""
        return self._stop.is_set() or self.closed.is_set()

    def put(self, number: int, image: NDArray[Any]) -> None:
        """Put a frame in line, waiting for room; raises `_Enough` when no more are wanted."""
        while not self.over:
            try:
                self._queue.put((number, image), timeout=_POLL_S)
                return
            except queue.Full:
                continue
        raise _Enough

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the frames in the order of their numbers; what comes early is held back."""
        early: dict[int, NDArray[Any]] = {}
        due = 0
        while not self.over:
            try:
                number, image = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                if self.ended.is_set() and self._queue.empty():
                    break
                continue
            early[number] = image
            while due in early:
                yield due, early.pop(due)
                due += 1
        if not self.over:
            yield from sorted(early.items())


class _Enough(Exception):
    """The analysis was stopped."""


#: The lines that are being filled, by number: a UDF is copied and sent to other processes, a line cannot be.
_LINES: dict[int, _Line] = {}
_TOKENS = itertools.count()


def _hand_over(token: int, numbers: NDArray[np.int64], images: NDArray[Any]) -> None:
    """Put the frames of one partition in line and let go of them; runs where the analysis runs."""
    for place, number in enumerate(numbers):
        image, images[place] = images[place], None
        if image is not None:
            _LINES[token].put(int(number), image)


def _handover_udf(token: int) -> Any:
    """Return a UDF whose frames go into line `token` when LiberTEM merges a partition; nothing is kept."""
    try:
        from libertem.udf import UDF  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise BadInput("Frames of LiberTEM need LiberTEM: install it with  pip install libertem-live.") from error

    class HandoverUDF(UDF):  # type: ignore[misc, unused-ignore]
        """Passes frames on."""

        def get_result_buffers(self) -> dict[str, Any]:
            """Declare the number and the pixels of each frame."""
            return {"number": self.buffer(kind="nav", dtype="int64"), "image": self.buffer(kind="nav", dtype="object")}

        def process_frame(self, frame: NDArray[Any]) -> None:
            """Copy one frame, whose memory LiberTEM uses again."""
            place = tuple(int(k) for k in self.meta.coordinates[0])
            self.results.number[:] = np.ravel_multi_index(place, tuple(self.meta.dataset_shape.nav))
            self.results.image[0] = np.array(frame)

        def merge(self, dest: Any, src: Any) -> None:
            """Hand the frames of a partition over."""
            _hand_over(self.params.token, src.number, src.image)

    return HandoverUDF(token=token)
