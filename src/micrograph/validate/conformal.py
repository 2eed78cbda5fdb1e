"""Intervals that hold whatever the errors look like: split conformal prediction (arXiv:1612.01474, arXiv:2306.06342).

A score is the signed error of a number over a width that is told by other columns. Scores of simulations that nothing
was learned from are kept as quantiles; the interval of a new number holds what a new score of their kind would be.
Rows of one frame are not independent, frames are: each frame counts once, however many rows it has, and the frame to
come counts too, as the worst. So of frames like those that were simulated the stated share of rows lies inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.core.units import worded

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Levels whose quantiles are kept, and that of the columns in the tables.
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
LEVEL = 0.9
#: How strongly powers are drawn to 1, over the weight of all errors.
_PRIOR = 1e-3
#: Rows with one of these flags are given no interval: they are cut, unlike what was simulated, or no measurement.
DOUBTFUL = int(Flag.EDGE | Flag.OUT_OF_DOMAIN | Flag.NO_FIT | Flag.BAD_FRAME)


def frame_weights(frame: NDArray[np.intp]) -> Array:
    """Return the weight of each row (N,) of frames that all count alike: one over the rows of its frame."""
    _, place, number = np.unique(frame, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / number[place], np.float64)


def upper(scores: Array, frame: NDArray[np.intp], share: float) -> float:
    """Return the least value under which the score of a row of a new frame lies with probability `share` or more.

    `scores` (N,) are of rows of the frames with the numbers `frame` (N,). It is the quantile of all of them and of one
    frame more whose scores are infinite; infinite where the frames are too few. With one row a frame it is the split
    conformal quantile, the ``ceil((n + 1) share)``-th smallest of n.
    """
    weights = frame_weights(frame)
    order = np.argsort(scores, kind="stable")
    cumulated = np.cumsum(weights[order])
    place = int(np.searchsorted(cumulated, share * (weights.sum() + 1) * (1 - 1e-12)))
    return float(scores[order[place]]) if place < len(order) else float("inf")


def fitted_powers(errors: Array, features: Array, weights: Array) -> Array:
    """Return (1 + F,): log of a factor, and the powers of `features` (N, F) whose product is like the error's size.

    Likeliest widths of errors that are Laplace-distributed: a convex problem, with a weak prior of 1 on each power.
    """
    from scipy.optimize import minimize

    logs = np.column_stack([np.ones(len(errors)), np.log(features)])
    size, weights, start = np.abs(errors), weights / weights.sum(), np.ones(logs.shape[1])
    start[0] = np.log(max(float(weights @ (size * np.exp(-logs[:, 1:].sum(axis=1)))), 1e-30))
    prior = np.append(0.0, np.full(logs.shape[1] - 1, _PRIOR))

    def loss(powers: Array) -> tuple[float, Array]:
        told, off = logs @ powers, powers - start
        ratio = size * np.exp(-np.clip(told, -60, 60))
        return float(weights @ (ratio + told) + prior @ off**2 / 2), logs.T @ (weights * (1 - ratio)) + prior * off

    return np.asarray(minimize(loss, start, jac=True, method="BFGS").x, np.float64)


@dataclass(frozen=True)
class Conformal:
    """The intervals of one column, as they were measured: ``value + width * low .. value + width * high``.

    The width is ``exp(powers[0])`` times the columns `scale`, each not under its `floors`, to their `powers`. `low` and
    `high` hold for each group of rows the quantiles of the score at `LEVELS`; groups are parted by `edges` of column
    `by`. No end lies under `least`. What is not finite could not be measured.
    """

    table: str
    column: str
    scale: tuple[str, ...]
    powers: tuple[float, ...]
    floors: tuple[float, ...]
    by: str
    edges: tuple[float, ...]
    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]
    least: float = -np.inf
    levels: tuple[float, ...] = LEVELS

    def width(self, table: DataFrame) -> Array:
        """Return the width (N,) of the rows of a table; NaN where a column that tells it is missing in a row."""
        return widths(table, self.scale, self.powers, self.floors)

    def ends(self, table: DataFrame, level: float = LEVEL) -> tuple[Array, Array]:
        """Return the ends (N,) of the rows' intervals at one of the `levels`; NaN where a row is given none."""
        place, group = self.levels.index(level), groups(table, self.by, self.edges)
        value, width = table[self.column].to_numpy(float), self.width(table)
        low, high = (np.asarray(side)[group, place] for side in (self.low, self.high))
        given = told(table) & np.isfinite(value) & np.isfinite(width) & np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            ends = (np.maximum(value + width * side, self.least) for side in (low, high))
            first, last = (np.where(given, end, np.nan) for end in ends)
        return first, last

    def added(self, table: DataFrame) -> DataFrame:
        """Return the table with the columns of the ends beside the others."""
        low, high = self.ends(table)
        return table.assign(**{self.names[0]: low, self.names[1]: high})

    @property
    def names(self) -> tuple[str, str]:
        """Names of the columns of the ends."""
        return names_of(self.column)

    def columns(self, unit: str) -> tuple[Column, Column]:
        """Return what the columns of the ends promise."""
        about = f"end of the {100 * LEVEL:.0f} % interval of {self.column}, measured on simulations"
        return Column(self.names[0], unit, f"lower {about}"), Column(self.names[1], unit, f"upper {about}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, ``None`` for what is not finite."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Conformal:
        """Return what `as_dict` wrote."""
        sides = {side: tuple(_numbers(group, sign) for group in values[side]) for side, sign in _SIGNS.items()}
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        least = -np.inf if values["least"] is None else values["least"]
        return cls(**(plain | sides | {"least": least}))


def names_of(column: str) -> tuple[str, str]:
    """Return the names of the columns of the ends of a column's intervals."""
    return worded(column, f"low{100 * LEVEL:.0f}"), worded(column, f"high{100 * LEVEL:.0f}")


_SIGNS = {"low": -1.0, "high": 1.0}


def told(table: DataFrame) -> NDArray[np.bool_]:
    """Return which rows (N,) are given an interval: those without one of the `DOUBTFUL` flags."""
    if "flags" not in table:
        return np.ones(len(table), bool)
    return np.asarray((table["flags"].to_numpy(np.int64) & DOUBTFUL) == 0)


def widths(table: DataFrame, scale: Sequence[str], powers: Sequence[float], floors: Sequence[float]) -> Array:
    """Return ``exp(powers[0])`` times the columns `scale`, each not under its floor, to their powers (N,)."""
    logs = np.full(len(table), powers[0])
    for name, power, floor in zip(scale, powers[1:], floors, strict=True):
        logs += power * np.log(np.maximum(table[name].to_numpy(float), floor))
    return np.asarray(np.exp(logs))


def groups(table: DataFrame, by: str, edges: Sequence[float]) -> NDArray[np.intp]:
    """Return the group (N,) of each row: how many `edges` its column `by` reaches; all 0 without a column."""
    if not by:
        return np.zeros(len(table), np.intp)
    return np.asarray(np.searchsorted(np.asarray(edges), table[by].to_numpy(float), side="right"), np.intp)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _numbers(values: Sequence[float | None], sign: float) -> tuple[float, ...]:
    return tuple(sign * np.inf if value is None else float(value) for value in values)
