"""Numbers and densities against time or temperature, with Poisson's intervals, and the stages between change points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Column, Flag
from micrograph.features.summary import interval
from micrograph.track.timeline import Array, timeline

COUNTS = (
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "its time"),
    Column("name", "", "class of a point or name of a defect"),
    Column("count", "", "expected number: the sum of the scores"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
)
STAGES = (
    Column("name", "", "class of a point or name of a defect"),
    Column("first_frame", "", "first frame of the stage"),
    Column("last_frame", "", "last frame of the stage"),
    Column("count", "", "mean number in a frame"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
)
#: Rows that are cut, unsure or outside the model's domain do not count.
_DOUBT = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)


def counts_table(points: pd.DataFrame, frames: pd.DataFrame, names: Sequence[str] = ()) -> pd.DataFrame:
    """Return the number of points of every class in every frame (`COUNTS`), frames without any included.

    points: rows with ``frame``, ``class`` or ``name``, and where known ``score`` and ``flags``; frames: ``frame, t_s``
    and, where known, ``temperature_C`` and ``area_nm2``, which give the columns ``temperature_C`` and
    ``density_per_nm2, density_low_per_nm2, density_high_per_nm2``. `names` are listed even where never seen. Each row
    weighs its score; intervals are Garwood's, for the mean that a frame's number was drawn from, widened by the doubt.
    Of a frame that is out of domain or bad as a whole (``flags`` of `frames`) nothing is known: its numbers are NaN.
    """
    column = next((name for name in ("class", "name") if name in points), None)
    if column is None:
        raise BadInput("Points without the column 'class' or 'name' cannot be counted by name: give one.")
    time = timeline(points.iloc[:0], frames)
    sure = (points["flags"].to_numpy(np.int64) & _DOUBT) == 0 if "flags" in points else np.ones(len(points), bool)
    kind = points[column].to_numpy(str)
    p = np.clip(points["score"].to_numpy(float), 0, 1) if "score" in points else np.ones(len(points))
    at = time.position(points)
    unknown = _is_unknown(frames, time.number)
    pieces = []
    for name in [*names, *sorted(set(kind.tolist()) - set(names))]:
        mine = sure & (kind == name)
        number = np.bincount(at[mine], p[mine], len(time))
        doubt = np.bincount(at[mine], (p * (1 - p))[mine], len(time))
        low, high = np.array([interval(*pair) for pair in zip(number, doubt, strict=True)]).reshape(-1, 2).T
        number, low, high = (np.where(unknown, np.nan, one) for one in (number, low, high))
        values = (time.number, time.t_s, name, number, low, high)
        pieces.append(pd.DataFrame(dict(zip((c.name for c in COUNTS), values, strict=True))))
    table = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=[c.name for c in COUNTS])
    return _with_surroundings(table, frames)


def _is_unknown(frames: pd.DataFrame, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which of the frames (T,) are flagged as a whole, so that what they show is no number."""
    if "flags" not in frames:
        return np.zeros(len(numbers), bool)
    flags = frames.drop_duplicates("frame").set_index("frame")["flags"].reindex(numbers).fillna(0).to_numpy(np.int64)
    return np.asarray(flags & int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME) != 0)


def _with_surroundings(table: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with temperature and density where the frames know them."""
    row = frames.drop_duplicates("frame").set_index("frame").reindex(table["frame"])
    if "temperature_C" in row:
        table["temperature_C"] = row["temperature_C"].to_numpy()
    if "area_nm2" in row:
        area = np.where(row["area_nm2"].to_numpy(float) > 0, row["area_nm2"].to_numpy(float), np.nan)
        for ending in ("", "_low", "_high"):
            table[f"density{ending}_per_nm2"] = table[f"count{ending}"].to_numpy(float) / area
    return table


@dataclass(frozen=True)
class Stage:
    """Values ``first .. last`` of a series (both included) share one mean, with its 95 % interval."""

    first: int
    last: int
    mean: float
    low: float
    high: float


def stages(counts: ArrayLike, *, penalty: float | None = None, least: int = 2) -> list[Stage]:
    """Return the stages of a series of counts (T,): runs with one mean, of `least` values or more.

    Change points minimise the Poisson deviance plus `penalty` for each of them, by PELT (Killick, Fearnhead and Eckley
    2012, doi:10.1080/01621459.2012.737745). The default penalty is 3 log(T), times the overdispersion of the
    series where neighbouring counts scatter more than Poisson's law says. Raises `BadInput` for counts that are
    negative or not finite.
    """
    series = np.asarray(counts, dtype=float)
    if series.ndim != 1 or not np.isfinite(series).all() or (series < 0).any():
        raise BadInput("A series of counts must be one row of finite numbers, zero or greater.")
    if len(series) == 0:
        return []
    excess = _overdispersion(series)
    price = 3 * np.log(max(len(series), 2)) * excess if penalty is None else penalty
    cuts = _pelt(series, float(price), max(least, 1))
    found = []
    for first, stop in zip([0, *cuts], [*cuts, len(series)], strict=True):
        total, number = float(series[first:stop].sum()), stop - first
        low, high = interval(total, (excess - 1) * (total + 1))
        found.append(Stage(first, stop - 1, total / number, low / number, high / number))
    return found


def stages_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the stages (`STAGES`) of every name in a table of counts over time; unknown counts are left out."""
    rows = []
    for name, group in counts[counts["count"].notna()].groupby("name", sort=False):
        ordered = group.sort_values("frame")
        frame = ordered["frame"].to_numpy(np.int64)
        for stage in stages(ordered["count"].to_numpy(float)):
            rows.append([name, frame[stage.first], frame[stage.last], stage.mean, stage.low, stage.high])
    return pd.DataFrame(rows, columns=[column.name for column in STAGES])


def _overdispersion(series: Array) -> float:
    """Return by how much neighbouring counts scatter more than Poisson's law says, 1 at least."""
    if len(series) < 8:
        return 1.0
    apart = np.diff(series) ** 2 / np.maximum(series[1:] + series[:-1], 1.0)
    return float(max(np.median(apart) / 0.455, 1.0))


def _pelt(series: Array, penalty: float, least: int) -> list[int]:
    """Return where the stages begin, the first left out."""
    sums = np.concatenate([[0.0], np.cumsum(series)])
    best = np.full(len(series) + 1, np.inf)
    best[0] = -penalty
    origin = np.zeros(len(series) + 1, np.int64)
    open_: Array = np.array([0])
    for stop in range(least, len(series) + 1):
        if stop - least >= least:
            open_ = np.append(open_, stop - least)
        start = open_.astype(np.int64)
        cost = best[start] + _deviance(sums[stop] - sums[start], (stop - start).astype(float)) + penalty
        k = int(np.argmin(cost))
        best[stop], origin[stop] = cost[k], start[k]
        open_ = start[cost - penalty <= best[stop]]
    cuts: list[int] = []
    stop = len(series)
    while (stop := int(origin[stop])) > 0:
        cuts.append(stop)
    return cuts[::-1]


def _deviance(total: Array, number: Array) -> Array:
    """Return twice the negative log-likelihood of runs at their own mean, without what is the same for all."""
    mean = np.maximum(total / number, 1e-12)
    return np.asarray(2 * (total - total * np.log(mean)))
