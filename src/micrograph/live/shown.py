"""What the page shows: a running analysis or a finished one, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class State:
    """Where things stand, small enough to be sent after every frame.

    frames: numbers of the first and the newest frame; running: whether more may come; counters: frames by their fate
    (received, done, dropped, lost, bad, waiting) and latency_ms (median), latency_p95_ms, frames_per_s;
    units: of the columns of the tables by "table.column"; notes: sentences for the user, newest last; fired: rows of
    triggers that fired (rule, frame, t_s, action, outcome), newest last; paused: whether no more frames are taken for
    now, ``None`` where that cannot be changed (a `Shown` that has a method ``pause(on)`` can be paused from the page);
    report: whether there is an HTML report (the attribute ``report`` of the `Shown` is then its path).
    """

    recipe: str
    title: str
    source: str
    frames: tuple[int, int] | None
    running: bool
    pixel_nm: float | None
    shape: tuple[int, int] | None
    counters: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fired: tuple[Mapping[str, Any], ...] = ()
    paused: bool | None = None
    report: bool = False


class Shown(Protocol):
    """A running or a finished analysis as the page sees it. All methods may be called from any thread at any time."""

    @property
    def state(self) -> State:
        """Where things stand now."""
        ...

    def image(self, frame: int) -> NDArray[Any] | None:
        """Return the pixels (H, W) of a frame, or ``None`` where they are not kept (a stream without ring buffer)."""
        ...

    def table(self, name: str, frame: int | None = None) -> pd.DataFrame:
        """Return a table, or its rows of one frame; empty where there is none (yet). Names as in the results' folder.

        'frames' has one row a frame (count, t_s, what a log told), 'summary' the curves over time, 'objects' points
        (y_nm, x_nm) or outlined ones (with table 'outlines': frame, id, point, y_nm, x_nm), 'tracks'.
        """
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that there are."""
        ...
