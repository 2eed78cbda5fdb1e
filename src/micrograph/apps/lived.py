"""The report of a live run: that of `analyze`, from the tables on disk and the frames that are still there."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps import jobs
from micrograph.core import Flag, Prediction, Recording
from micrograph.run import LazyTables, Result, suitably_binned
from micrograph.run.finishing import RECORD
from micrograph.run.record import key_of, write_json
from micrograph.run.streaming import is_usable

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.live.board import Row
    from micrograph.live.engine import Engine
    from micrograph.live.source import Arrival, Complain, Opened, Source

#: Columns of 'frames' that tell the moment of a frame; pictures show them.
_MOMENT = ("t_s", "temperature_C", "temperature_set_C")


@dataclass
class Remembering:
    """A source that is passed on as it is, and a watcher: keeps what the report of the run will need.

    opened: what the frames share; first: the first frame that came, by which they are binned; usable: the first that
    was analysed, which reports show, with its number. Two frames at most are kept.
    """

    source: Source
    opened: Opened | None = None
    first: Arrival | None = None
    usable: Arrival | None = None
    look_back: Callable[[int], NDArray[Any] | None] = lambda number: None

    @property
    def recording(self) -> Recording | None:
        """The recording that is played again, where it is one."""
        found = getattr(self.source, "recording", None)
        return found if isinstance(found, Recording) else None

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        """Open the source."""
        self.opened = self.source.open(stop, complain)
        return self.opened

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        """Yield what the source yields."""
        for arrival in self.source.arrivals(done, stop, complain):
            self.first = self.first or arrival
            yield arrival

    def watch(self, row: Row) -> None:
        """Look at a finished frame: the first usable one is kept."""
        if self.usable is None and self.first is not None and Flag.BAD_FRAME not in row.flags:
            image = self.look_back(row.index)
            if image is not None:
                moment = _moments(row.tables["frames"]).get(row.index, {})
                self.usable = replace(self.first, number=row.index, data=image, known=moment)


def report_live(
    engine: Engine, seen: Remembering, record: dict[str, Any], progress: jobs.Advance = jobs.silent
) -> Path:
    """Write the report of a run that has ended beside its tables, as `analyze` does, and return the page.

    Pictures of frames come from the recording that was played again, else from those that were kept for looking back:
    of a long run its newest frames, which run.json then says among its warnings.
    """
    tables = LazyTables(engine.folder)
    recording = _recording(engine, seen, tables)
    if recording.indices[0] > int(tables.head("frames", 1)["frame"].iloc[0]):
        record["warnings"].append(
            f"The movie shows frames {recording.indices[0]} to {recording.indices[-1]}, which were kept: "
            "give a larger --ring to keep more."
        )
    binning = _binning(engine, seen, recording)
    fitting = recording.binned(binning)
    record["key"]["input"] = _input(engine, seen, fitting, tables)
    write_json(engine.folder / RECORD, record)

    def preview() -> Prediction | None:
        return _preview(engine, seen, recording, binning)

    result = Result(engine.recipe, fitting, engine.folder, record, tables, preview)
    return jobs.write_all(result, progress)


def _recording(engine: Engine, seen: Remembering, tables: LazyTables) -> Recording:
    """Return the frames of the run that can still be read, not binned yet."""
    frames = tables["frames"]
    numbers = [int(number) for number in frames["frame"]]
    if seen.recording is not None:
        return seen.recording[: seen.recording.indices.index(numbers[-1]) + 1]
    assert seen.opened is not None
    opened, image = seen.opened, engine.board.image
    kept = numbers[bisect.bisect_left(numbers, True, key=lambda number: image(number) is not None) :]
    moments = _moments(frames)

    def read(index: int) -> NDArray[Any]:
        """Return a frame; in place of one that was lost the one before it."""
        there = image(kept[bisect.bisect_right(kept, index) - 1])
        return np.zeros(opened.shape, opened.dtype) if there is None else there

    indices = range(kept[0], kept[-1] + 1) if kept else range(numbers[-1], numbers[-1] + 1)
    return Recording(read, indices, opened.calibration, opened.shape, opened.dtype, opened.name, {},
                     lambda index: moments.get(index, {}))  # fmt: skip


def _input(engine: Engine, seen: Remembering, fitting: Recording, tables: LazyTables) -> dict[str, Any]:
    """Return what run.json says of the input: as of a file where it was one, without digest of a stream."""
    if seen.recording is not None:
        found: dict[str, Any] = key_of(engine.recipe, fitting, engine.predict, {})["input"]
        return found
    numbers = tables.columns("frames", ("frame",))["frame"]
    return {
        "name": fitting.name,
        "digest": None,
        "frames": [int(numbers.iloc[0]), int(numbers.iloc[-1]) + 1, 1],
        "shape": list(fitting.shape),
        "calibration": asdict(fitting.calibration),
    }


def _moments(frames: DataFrame) -> dict[int, dict[str, float]]:
    """Return what the table 'frames' says of the moment of each frame."""
    known = [name for name in _MOMENT if name in frames]
    rows = frames[known].to_dict("records")
    return {int(number): {str(k): v for k, v in row.items()} for number, row in zip(frames["frame"], rows, strict=True)}


def _binning(engine: Engine, seen: Remembering, recording: Recording) -> int:
    """Return how far the frames were binned, which the first one that came decides."""
    first = recording.read(recording.indices[0]) if seen.first is None else seen.first.data
    image, calibration = np.asarray(first, np.float32), recording.calibration
    still = Recording(lambda index: image, range(1), calibration, image.shape)
    fitting = suitably_binned(engine.recipe, still, engine.predict, engine.settings.bin)
    return fitting.calibration.binning // calibration.binning


def _preview(engine: Engine, seen: Remembering, recording: Recording, binning: int) -> Prediction | None:
    """Return the prediction of the first usable frame, else of the first usable one that is still kept."""
    if seen.usable is not None:
        one = seen.usable
        number = one.number
        recording = Recording(lambda index: one.data, range(number, number + 1), recording.calibration, recording.shape,
                              recording.dtype, known=lambda index: one.known)  # fmt: skip
    usable = (frame for frame in recording.binned(binning) if is_usable(frame))
    frame = next(usable, None)
    return None if frame is None else engine.predict(frame)
