"""The engine: frames from a source through decoding, the model and the features, side by side, into tables on disk.

The same stages as `micrograph.run.analyze`, each in a thread of its own with a bounded line before it. What all frames
say together is folded beside them (`micrograph.live.folding`), so that a slow summary never delays a row.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import BadInput, Flag, Frame, Prediction, Recording
from micrograph.core.frame import binned
from micrograph.live.board import Board, Row
from micrograph.live.folding import Folding
from micrograph.live.ledger import Ledger
from micrograph.live.ring import Ring
from micrograph.live.source import Arrival, Opened, Source
from micrograph.live.waiting import Policy, Waiting
from micrograph.run.analyze import LazyTables, RunSettings
from micrograph.run.binning import suitably_binned
from micrograph.run.finishing import RECORD, keep_images, record_of, write_over_time, write_tables
from micrograph.run.record import Tally, key_for, read_json, write_json
from micrograph.run.streaming import Predict, check_promises, frame_tables, predicted, require_calibration
from micrograph.run.trusting import trusted

if TYPE_CHECKING:
    from micrograph.run.recipe import Recipe, Tables

#: Rows that may wait to be folded.
_ROWS = 256
#: With a full disk the rows that wait are tried again after so many seconds.
_RETRY_S = 1.0
#: Where the binning that the first frame decided is kept for a run that goes on.
_BINNING = "binning.json"


@dataclass(frozen=True)
class LiveSettings:
    """How to run live; what is ``None`` is chosen by the source, `bin` by the objects.

    waiting: frames that may wait before each stage, few where old ones are dropped, so that rows are never late; ring:
    newest frames kept as they came, for looking back; part_frames: see `RunSettings`; resume: go on with an earlier run
    in the same folder.
    """

    policy: Policy | None = None
    waiting: int | None = None
    ring: int = 256
    bin: int | None = None
    part_frames: int = RunSettings.part_frames
    resume: bool = False


#: Told of every frame whose rows are on disk, in order.
Watcher = Callable[[Row], object]


@dataclass
class Engine:
    """One running analysis into `folder`. `run` blocks; `stop` and the board may be used from any thread.

    A watcher that fails is told of on the board and never stops the analysis.
    """

    recipe: Recipe
    source: Source
    predict: Predict
    folder: Path
    settings: LiveSettings = field(default_factory=LiveSettings)
    watchers: tuple[Watcher, ...] = ()

    def __post_init__(self) -> None:
        """Make what the threads share."""
        self.recipe, self._doubts = trusted(self.recipe, self.predict)
        self.board = Board(self.recipe)
        self.stop = threading.Event()
        self._failure: BaseException | None = None
        self._ring: Ring | None = None

    def run(self) -> dict[str, Any] | None:
        """Work until the source ends or `stop` is set, write the final tables and return the run record.

        ``None`` when not one frame came. Raises `BadInput` and its like for what the user must put right.
        """
        began = time.perf_counter()
        try:
            opened = self.source.open(self.stop, self.board.note)
            if opened is None:
                return None
            self.board.opened(opened)
            work = self._prepared(opened)
            with contextlib.closing(work.folding):
                self._side_by_side(work)
                return self._finished(work, time.perf_counter() - began) if work.ledger.frames else None
        finally:
            self.board.ended()

    def keep_frames(self, path: Path) -> list[int]:
        """Write the newest frames as they came to a .npy file (N, H, W) and return their numbers."""
        return [] if self._ring is None else self._ring.write(path)

    def close(self) -> None:
        """Let go of the frames that were kept for looking back."""
        if self._ring is not None:
            self._ring.close()

    def _prepared(self, opened: Opened) -> _Work:
        """Check that the recipe can work with this source, and open ledger and ring."""
        require_calibration(self.recipe, opened.calibration)
        if self.recipe.learner is not None and not getattr(self.predict, "digest", None):
            raise BadInput(
                f"Recipe '{self.recipe.name}' learns from a whole recording: analyse one first, and give the model "
                "that it leaves with --weights."
            )
        given = {"name": opened.name, "shape": list(opened.shape), "calibration": asdict(opened.calibration)}
        plan = {"part_frames": self.settings.part_frames, "bin": self.settings.bin}
        key = key_for(self.recipe, self.predict, given, plan)
        ledger = Ledger(self.folder, key, self.settings.part_frames, resume=self.settings.resume)
        ring = Ring(self.folder / ".ring.npy", self.settings.ring, opened.shape, opened.dtype)
        self._ring = ring
        folding = Folding(self.recipe.summary, self.board.over_time, ledger.read)
        work = _Work(opened, ledger, ring, folding, key, self.settings)
        known = read_json(ledger.parts_folder / _BINNING)
        work.binning = None if known is None else int(known["binning"])
        folding.earlier()
        for tables in ledger.read():
            self.board.earlier(tables["frames"])
        self.board.look_back, self.board.waiting = ring.frame, work.waiting
        self.board.read_rows = ledger.rows
        return work

    def _side_by_side(self, work: _Work) -> None:
        """Let the stages run until all frames that came are done; raise what broke one of them."""
        stages = (
            (self._decode, work.decoded),
            (self._infer, work.seen),
            (self._measure, work.rows),
            (self._fold, None),
        )
        threads = [threading.Thread(target=self._stage, args=(stage, work, behind)) for stage, behind in stages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _stage(self, stage: Callable[[_Work], None], work: _Work, behind: Waiting[Any] | None) -> None:
        """Run one stage to its end and close the line behind it; one that breaks ends all."""
        try:
            stage(work)
        except BaseException as error:
            self._failure = self._failure or error
            self.stop.set()
            work.close()
        finally:
            if behind is not None:
                behind.close()

    def _decode(self, work: _Work) -> None:
        """Take frames from the source, keep them as they came, and line them up for the model."""
        counters, last = self.board.counters, None
        for arrival in self.source.arrivals(work.ledger.done, self.stop, self.board.note):
            counters.count("received")
            if last is not None and arrival.number > last + 1:
                counters.count("lost", arrival.number - last - 1)
            last = arrival.number
            work.ring.add(arrival.number, arrival.data)
            while self.board.paused.is_set() and work.opened.lossless and not self.stop.is_set():
                self.stop.wait(0.05)
            if self.board.paused.is_set():
                counters.count("dropped")
            else:
                counters.count("dropped", len(work.decoded.put((self._frame(arrival, work), arrival.received_s))))

    def _frame(self, arrival: Arrival, work: _Work) -> Frame:
        """Return the frame as the model takes it: float32, binned as far as the first frame's objects allow."""
        image, calibration = np.asarray(arrival.data, np.float32), work.opened.calibration
        if work.binning is None:
            still = Recording(lambda index: image, range(1), calibration, image.shape)
            chosen = suitably_binned(self.recipe, still, self.predict, self.settings.bin)
            work.binning = chosen.calibration.binning // calibration.binning
            work.notes = tuple(map(str, chosen.metadata.get("notes", ())))
            write_json(work.ledger.parts_folder / _BINNING, {"binning": work.binning})
        if work.binning > 1:
            image, calibration = binned(image, work.binning), calibration.binned(work.binning)
        return Frame(image, arrival.number, calibration, arrival.known)

    def _infer(self, work: _Work) -> None:
        """Let the model look at each frame."""
        for frame, received in work.decoded:
            (prediction,) = predicted([frame], self.predict)
            work.seen.put((frame, prediction, received))

    def _measure(self, work: _Work) -> None:
        """Measure, write the rows, and tell those who watch."""
        checked = False
        for frame, prediction, received in work.seen:
            tables, flags = frame_tables(self.recipe, frame, prediction)
            if Flag.BAD_FRAME in flags:
                self.board.counters.count("bad")
            elif not checked:
                check_promises(self.recipe, tables)
                checked = True
            if not self._written(work.ledger, frame.index, tables, prediction):
                return
            row = Row(frame.index, tables, flags, received)
            self.board.counters.written(received)
            self.board.row(row)
            self._tell(row)
            if work.rows.put(row):
                work.folding.miss()
                self.board.note("The summary cannot keep up: it leaves frames out until the end, when it takes all.")

    def _written(self, ledger: Ledger, index: int, tables: Tables, prediction: Prediction | None) -> bool:
        """Write images and rows of one frame, waiting while the disk is full; ``False`` when stopped meanwhile."""
        while True:
            try:
                if prediction is not None:
                    keep_images(ledger.parts_folder, ledger.frames, prediction, self.recipe.images)
                ledger.write(index, tables)
                return True
            except OSError as error:
                reason = error.strerror or str(error)
                self.board.note(f"The rows of frame {index} cannot be written ({reason}): they wait until they can.")
            if self.stop.wait(_RETRY_S):
                return False

    def _tell(self, row: Row) -> None:
        for watcher in self.watchers:
            try:
                watcher(row)
            except Exception as error:
                self.board.note(f"A watcher failed at frame {row.index} ({error}): the analysis goes on.")

    def _fold(self, work: _Work) -> None:
        """Fold the rows of each frame into what all say together; show it as often as its cost allows."""
        for row in work.rows:
            if Flag.BAD_FRAME not in row.flags:
                work.folding.step(row.tables)
            work.folding.refresh()

    def _finished(self, work: _Work, seconds: float) -> dict[str, Any]:
        """Write the final tables and the run record, as an analysis of a file leaves them."""
        over_time = work.folding.result()
        check_promises(self.recipe, over_time, final=True)
        self.board.over_time(over_time)
        parts, tally = work.ledger.close(), Tally()
        for part in parts:
            tally.add(part.read()["frames"])
        rows = write_tables(self.recipe, self.folder, parts) | write_over_time(self.recipe, self.folder, over_time)
        record = record_of(self.recipe, self.predict, work.key, tally, rows, (*work.notes, *self._doubts))
        record["source"] = work.opened.metadata.get("path") and str(work.opened.metadata["path"])
        record["seconds"] = round(seconds, 3)
        record["live"] = self.board.counters.record()
        write_json(self.folder / RECORD, record)
        written = LazyTables(self.folder)
        self.board.read_rows = lambda frame: {
            name: written.of_frame(name, frame) for name in rows if name not in over_time
        }
        work.ledger.forget()
        return record


class _Work:
    """What the stages of one run share: ledger, ring, the lines between them, and the fold."""

    def __init__(
        self,
        opened: Opened,
        ledger: Ledger,
        ring: Ring,
        folding: Folding,
        key: Mapping[str, Any],
        settings: LiveSettings,
    ) -> None:
        self.opened, self.ledger, self.ring, self.folding, self.key = opened, ledger, ring, folding, key
        policy: Policy = settings.policy or ("all" if opened.lossless else "newest")
        size = settings.waiting or (8 if policy == "all" else 2)
        self.decoded: Waiting[tuple[Frame, float]] = Waiting(size, policy)
        self.seen: Waiting[tuple[Frame, Prediction | None, float]] = Waiting(1 if policy == "newest" else size)
        self.rows: Waiting[Row] = Waiting(_ROWS, "newest")
        self.binning: int | None = None
        self.notes: tuple[str, ...] = ()

    def waiting(self) -> int:
        """Return how many frames wait for the model or to be measured."""
        return len(self.decoded) + len(self.seen)

    def close(self) -> None:
        """Take nothing more anywhere."""
        for line in (self.decoded, self.seen, self.rows):
            line.close()
