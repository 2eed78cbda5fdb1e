"""What a running analysis shows: the newest rows, what all frames say so far, counters, notes and fired triggers."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.live.counters import Counters
from micrograph.live.shown import State
from micrograph.live.source import Opened
from micrograph.run.parts import joined

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.run.recipe import Recipe, Tables

log = logging.getLogger(__name__)
#: Rows of so many newest frames are kept for the page; those of older ones are read from the disk.
RECENT = 256


@dataclass(frozen=True)
class Row:
    """One finished frame: its tables and flags, and when it had come (`time.monotonic`)."""

    index: int
    tables: Tables
    flags: Flag
    received_s: float


class Board:
    """What the page shows of a running analysis, see `micrograph.live.shown.Shown`; safe between threads.

    `look_back` returns the pixels of a kept frame, `read_rows` the tables of an older one from the disk; `waiting`
    tells how many frames wait.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.counters = Counters()
        self.look_back: Callable[[int], NDArray[Any] | None] = lambda frame: None
        self.read_rows: Callable[[int], Tables | None] = lambda frame: None
        self.waiting: Callable[[], int] = lambda: 0
        self.paused = threading.Event()
        #: The HTML report, once it is written.
        self.report: Path | None = None
        self._recipe = recipe
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._notes: deque[str] = deque(maxlen=200)
        self._fired: deque[Mapping[str, Any]] = deque(maxlen=1000)
        self._recent: deque[Row] = deque(maxlen=RECENT)
        self._frames: list[DataFrame] = []
        self._over_time: Tables = {}
        self._running = True

    # --- what the engine tells ----------------------------------------------------------------------------------------

    def opened(self, opened: Opened) -> None:
        """Take note of the source."""
        with self._lock:
            self._opened = opened

    def note(self, sentence: str) -> None:
        """Tell the user something; what was just told is not repeated."""
        with self._lock:
            if self._notes and self._notes[-1] == sentence:
                return
            self._notes.append(sentence)
        log.warning(sentence)

    def fire(self, what: Mapping[str, Any]) -> None:
        """Show that a trigger fired."""
        with self._lock:
            self._fired.append(what)

    def earlier(self, frames: DataFrame) -> None:
        """Show the rows of table 'frames' of an earlier run that goes on."""
        with self._lock:
            self._frames.append(frames)

    def row(self, row: Row) -> None:
        """Show a finished frame."""
        with self._lock:
            self._recent.append(row)
            self._frames.append(row.tables["frames"])
            if len(self._frames) > 2 * RECENT:
                self._frames = [joined([{"frames": one} for one in self._frames])["frames"]]

    def over_time(self, tables: Tables) -> None:
        """Show what all frames so far say together."""
        with self._lock:
            self._over_time = tables

    def ended(self) -> None:
        """No more will come."""
        with self._lock:
            self._running = False

    def pause(self, on: bool) -> None:
        """Take no more frames for now, or go on: files wait meanwhile, what a camera gives is dropped."""
        (self.paused.set if on else self.paused.clear)()

    # --- what the page asks -------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where things stand now."""
        with self._lock:
            opened, notes, fired, running = self._opened, tuple(self._notes), tuple(self._fired), self._running
            known = self._frames
            span = (int(known[0]["frame"].iloc[0]), int(known[-1]["frame"].iloc[-1])) if known else None
        return State(
            recipe=self._recipe.name,
            title=self._recipe.title,
            source="" if opened is None else opened.name,
            frames=span,
            running=running,
            pixel_nm=None if opened is None else opened.calibration.pixel_nm,
            shape=None if opened is None else opened.shape,
            counters={**self.counters.shown(), "waiting": self.waiting()},
            units={
                f"{table}.{name}": column.unit
                for table, columns in self._recipe.task.answers.items()
                for column in columns
                for name in (column.name, column.sigma)
                if name and column.unit
            },
            notes=notes,
            fired=fired,
            paused=self.paused.is_set() if running else None,
            report=self.report is not None,
        )

    def image(self, frame: int) -> NDArray[Any] | None:
        """Return the pixels (H, W) of a frame, ``None`` where they are not kept."""
        return self.look_back(frame)

    def table(self, name: str, frame: int | None = None) -> DataFrame:
        """Return a table, or its rows of one frame; without a frame, a table of single frames is that of the newest."""
        import pandas as pd

        with self._lock:
            recent, frames, over_time = list(self._recent), list(self._frames), self._over_time
        if name == "frames":
            found = joined([{"frames": one} for one in frames])["frames"] if frames else pd.DataFrame()
        elif name in over_time:
            found = over_time[name]
        else:
            return self._of_frame(name, frame, recent)
        return found[found["frame"] == frame] if frame is not None and "frame" in found else found

    def _of_frame(self, name: str, frame: int | None, recent: list[Row]) -> DataFrame:
        import pandas as pd

        rows = [row for row in recent if frame is None or row.index == frame]
        tables = rows[-1].tables if rows else None if frame is None else self.read_rows(frame)
        return tables[name] if tables is not None and name in tables else pd.DataFrame()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that there are."""
        return tuple(self._recipe.task.answers)
