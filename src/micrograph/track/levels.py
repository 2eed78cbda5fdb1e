"""Stages of a series of measured values: runs with one mean, between change points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Column
from micrograph.track.counts import Stage
from micrograph.track.timeline import Array

#: First and last frames (T,), or times, of the values of a series.
Ends = tuple[NDArray[Any], NDArray[Any]]
LEVELS = (
    Column("name", "", "what changes: 'edge velocity (nm/s)', 'count'"),
    Column("first_frame", "", "first frame of the stage"),
    Column("last_frame", "", "last frame of the stage"),
    Column("start_s", "s", "time of the first frame"),
    Column("end_s", "s", "time of the last frame"),
    Column("value", "", "mean over the stage, in the unit that the name gives"),
    Column("value_low", "", "lower end of its 95 % interval"),
    Column("value_high", "", "upper end of its 95 % interval"),
)


def level_stages(
    values: ArrayLike, sigma: ArrayLike | None = None, *, penalty: float | None = None, least: int = 2
) -> list[Stage]:
    """Return the stages of a series of measured values (T,), of `least` values or more.

    sigma: (T,) 1-sigma of each, in any common unit; without it all count the same. How far neighbours scatter sets the
    true size of the noise. Change points minimise the weighted squares plus `penalty` for each (``None``: 3 log(T)),
    by dynamic programming (Jackson et al. 2005, doi:10.1109/LSP.2001.838216). Raises `BadInput` for values that are
    not finite and sigmas that are not positive.
    """
    series = np.asarray(values, dtype=float)
    error = np.ones_like(series) if sigma is None else np.asarray(sigma, dtype=float)
    if series.ndim != 1 or error.shape != series.shape or not np.isfinite(series).all():
        raise BadInput("A series of values must be one row of finite numbers: leave out frames that have none.")
    if not (np.isfinite(error) & (error > 0)).all():
        raise BadInput("The 1-sigma of a value must be greater than zero: leave the sigmas out if they are unknown.")
    if len(series) == 0:
        return []
    noise = _noise(series, error)
    weight = 1 / (error * noise) ** 2
    price = 3 * np.log(max(len(series), 2)) if penalty is None else penalty
    cuts = _cuts(series, weight, float(price), max(least, 1))
    found = []
    for first, stop in zip([0, *cuts], [*cuts, len(series)], strict=True):
        part, own = series[first:stop], weight[first:stop]
        mean, wide = float(np.average(part, weights=own)), 1.96 / float(np.sqrt(own.sum()))
        found.append(Stage(first, stop - 1, mean, mean - wide, mean + wide))
    return found


def levels_table(name: str, frame: Ends, t_s: Ends, found: list[Stage]) -> pd.DataFrame:
    """Return stages of a series whose values were measured from and to the given frames and times as `LEVELS`."""
    rows = [
        [name, int(frame[0][s.first]), int(frame[1][s.last]), t_s[0][s.first], t_s[1][s.last], s.mean, s.low, s.high]
        for s in found
    ]
    return pd.DataFrame(rows, columns=[column.name for column in LEVELS])


def _noise(series: Array, error: Array) -> float:
    """Return the noise in units of `error`, from neighbours, which a few steps do not disturb."""
    if len(series) < 4:
        return 1.0
    apart = np.abs(np.diff(series)) / np.hypot(error[1:], error[:-1])
    return float(max(np.median(apart) / 0.6745, 1e-9 * (1 + np.abs(series).max()) / error.min(), 1e-12))


def _cuts(series: Array, weight: Array, price: float, least: int) -> list[int]:
    """Return where the stages begin, the first left out."""
    centred = series - np.average(series, weights=weight)
    sums = np.zeros((3, len(series) + 1))
    for row, power in enumerate((0, 1, 2)):
        sums[row, 1:] = np.cumsum(weight * centred**power)
    best = np.full(len(series) + 1, np.inf)
    best[0] = -price
    origin = np.zeros(len(series) + 1, np.int64)
    for stop in range(least, len(series) + 1):
        start = np.arange(0, stop - least + 1)
        mass, first, second = (sums[row, stop] - sums[row, start] for row in range(3))
        cost = best[start] + second - first**2 / mass + price
        k = int(np.argmin(cost))
        best[stop], origin[stop] = cost[k], start[k]
    cuts: list[int] = []
    stop = len(series)
    while (stop := int(origin[stop])) > 0:
        cuts.append(stop)
    return cuts[::-1]
