"""Tables over time as curves for the page: one for each column of numbers, with its 95 % band, unit and time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.core.units import unit_of
from micrograph.live.web.pages import View, plain

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: A curve is sent with at most so many points; of a longer one the smallest and largest of each stretch are kept.
MOST_POINTS = 800
#: At most so many curves of one column, one for each class, state or name.
MOST_GROUPS = 8
#: Tables with many rows a frame: they are no curves, and may be long.
NO_CURVES = frozenset(
    [
        "objects",
        "outlines",
        "tracks",
        "defects",
        "atoms",
        "bonds",
        "boundaries",
        "averages",
        "crops",
        "traversal",
        "strain_map",
    ]
)
#: Columns that number or mark rows.
_NO_VALUES = frozenset(["frame", "t_s", "flags", "id", "track", "point", "row"])
_GROUPS = ("class", "state", "name", "label", "kind")


@dataclass(frozen=True)
class Band:
    """The names of the columns that hold the error of another: its 1-sigma, or the borders of its 95 % interval."""

    sigma: str | None = None
    low: str | None = None
    high: str | None = None


def curves(view: View) -> dict[str, Any]:
    """Return all curves, what marks lie on their axis, and which frames are flagged, as plain JSON.

    Every curve has ``x`` in seconds where times are known (``axis`` is then "s"), else the number of the frame.
    """
    frames = view.table("frames")
    clock = _clock(frames)
    found = [curve for name in view.shown.tables if name not in NO_CURVES for curve in _of_table(view, name, clock)]
    fired = [{"rule": str(row.get("rule", "")), **_moment(row, clock)} for row in view.shown.state.fired[-200:]]
    order = {"summary": 0, "frames": 1}
    found.sort(key=lambda curve: order.get(curve["table"], 2))
    return {"axis": "s" if clock else "frame", "curves": found, "fired": fired, **_frames(frames, clock)}


def band_of(column: str, names: frozenset[str]) -> Band:
    """Return the columns among `names` that hold the error of `column`: `_sigma`, `_low` and `_high` before its unit.

    >>> band_of("area_nm2", frozenset({"area_sigma_nm2"})).sigma
    'area_sigma_nm2'
    """

    def find(word: str) -> str | None:
        places = [len(column), *(k for k, letter in enumerate(column) if letter == "_")]
        return next((name for k in places if (name := f"{column[:k]}_{word}{column[k:]}") in names), None)

    return Band(find("sigma"), find("low"), find("high"))


def _clock(frames: DataFrame) -> dict[int, float] | None:
    """Return the time of each frame in seconds, ``None`` where it is not known."""
    if not {"frame", "t_s"} <= set(frames):
        return None
    known = {int(n): float(t) for n, t in zip(frames["frame"], frames["t_s"], strict=True) if np.isfinite(t)}
    return known or None


def _moment(row: Any, clock: dict[int, float] | None) -> dict[str, Any]:
    frame, time = row.get("frame"), row.get("t_s")
    if clock is None:
        time = frame
    elif time is None and frame is not None:
        time = clock.get(int(frame))
    return {"frame": plain(frame), "x": plain(time)}


def _of_table(view: View, name: str, clock: dict[int, float] | None) -> Iterator[dict[str, Any]]:
    """Yield the curves of one table; none if it does not run over time."""
    table = view.table(name)
    if not len(table) or not {"frame", "t_s"} & set(table):
        return
    by = next((column for column in _GROUPS if column in table), None)
    groups = [("", table)] if by is None else [(str(key), part) for key, part in table.groupby(by, sort=True)]
    if not 0 < len(groups) <= MOST_GROUPS:
        return
    for group, part in groups:
        x = _x_of(part, clock)
        if x is None or len(np.unique(x)) < len(x):
            return
        order = np.argsort(x, kind="stable")
        yield from _of_group(view, name, group, part.iloc[order], x[order])


def _x_of(part: DataFrame, clock: dict[int, float] | None) -> Array | None:
    if clock is None:
        return part["frame"].to_numpy(float) if "frame" in part else None
    if "t_s" in part:
        return part["t_s"].to_numpy(float)
    return np.array([clock.get(int(number), np.nan) for number in part["frame"]])


def _of_group(view: View, table: str, group: str, part: DataFrame, x: Array) -> Iterator[dict[str, Any]]:
    units, names = view.shown.state.units, frozenset(map(str, part.columns))
    bands = {name: band_of(name, names) for name in names}
    errors = {error for band in bands.values() for error in (band.sigma, band.low, band.high)}
    for column in part.columns:
        values = part[column].to_numpy()
        if column in _NO_VALUES or column in errors or values.dtype.kind not in "iuf" or not np.isfinite(values).any():
            continue
        y = values.astype(float)
        low, high = _borders(part, bands[column], y)
        keep = _thinned(y)
        yield {
            "table": table, "column": column, "group": group,
            "unit": units.get(f"{table}.{column}") or unit_of(column), "last": plain(float(y[-1])),
            "x": plain(x[keep]), "y": plain(y[keep]),
            "low": None if low is None else plain(low[keep]), "high": None if high is None else plain(high[keep]),
        }  # fmt: skip


def _borders(part: DataFrame, band: Band, y: Array) -> tuple[Array | None, Array | None]:
    """Return the borders of the 95 % interval."""
    if band.low and band.high:
        return part[band.low].to_numpy(float), part[band.high].to_numpy(float)
    if band.sigma:
        half = 1.96 * part[band.sigma].to_numpy(float)
        return y - half, y + half
    return None, None


def _thinned(y: Array) -> NDArray[np.intp]:
    """Return which points are sent: all, or the smallest and the largest of each stretch, and the ends."""
    if len(y) <= MOST_POINTS:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), MOST_POINTS // 2 + 1).astype(np.intp)
    filled = np.nan_to_num(y, nan=float(np.nanmean(y)))
    kept = {0, len(y) - 1}
    for begin, end in itertools.pairwise(edges):
        part = filled[begin:end]
        kept |= {int(begin + part.argmin()), int(begin + part.argmax())}
    return np.array(sorted(kept), np.intp)


def _frames(frames: DataFrame, clock: dict[int, float] | None) -> dict[str, Any]:
    """Return where frames lie on the axis (thinned), and the stretches of frames with a doubt."""
    if "frame" not in frames or not len(frames):
        return {"frames": [], "times": [], "flagged": []}
    rows = frames.sort_values("frame", kind="stable")
    numbers = rows["frame"].to_numpy(np.int64)
    keep = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), 2 * MOST_POINTS)).round().astype(np.intp))
    times = [clock.get(int(n)) if clock else int(n) for n in numbers[keep]]
    flags = rows["flags"].to_numpy(np.int64) if "flags" in rows else np.zeros(len(rows), np.int64)
    return {"frames": numbers[keep].tolist(), "times": times, "flagged": _stretches(numbers, flags)}


def _stretches(numbers: NDArray[np.int64], flags: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return first and last frame of the stretches that are out of domain or unusable, so many at most."""
    doubt = flags & np.int64(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)
    edges = np.flatnonzero(np.diff(doubt)) + 1
    found = []
    for begin, end in zip([0, *edges], [*edges, len(doubt)], strict=True):
        if doubt[begin]:
            words = Flag(int(doubt[begin])).words()
            found.append({"first": int(numbers[begin]), "last": int(numbers[end - 1]), "flags": words})
    return found[-MOST_POINTS:]
