"""Sets of classes that hold the true one: split conformal prediction of the probabilities of a frame's classes.

The score of a frame is what all classes together have that are likelier than the true one (arXiv:2006.02544, without
random ties): sets are the likeliest classes, as many as simulations needed to hold the truth as often as stated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Column
from micrograph.validate.claims import Drawn, Held, Rows, Tables
from micrograph.validate.conformal import LEVEL, LEVELS, told, upper

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Name of the column that says which classes are in a set.
_NAMES = (f"in_set{100 * LEVEL:.0f}",)


def likelier(probability: Array) -> Array:
    """Return, for each class (K,), the probability of all classes before it in the order of their probabilities."""
    order = np.argsort(-probability, kind="stable")
    before = np.empty(len(probability))
    before[order] = np.cumsum(probability[order]) - probability[order]
    return before


@dataclass(frozen=True)
class Sets:
    """Which classes of a frame are in its set: those with at most `most` (of the level) before them.

    `table` has one row a class, its probability in `column`.
    """

    table: str
    column: str
    most: tuple[float, ...]
    levels: tuple[float, ...] = LEVELS

    def inside(self, table: DataFrame, level: float = LEVEL) -> NDArray[np.bool_]:
        """Return which rows of a frame's table are in its set; of a doubted frame, all."""
        most = self.most[self.levels.index(level)]
        before = likelier(table[self.column].to_numpy(float))
        return np.asarray((before <= most) | ~told(table))

    def added(self, table: DataFrame) -> DataFrame:
        """Return the table of one frame with the column that says which rows are in the set."""
        return table.assign(**{self.names[0]: self.inside(table)})

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the column."""
        return _NAMES

    def columns(self, unit: str) -> tuple[Column, ...]:
        """Return what the column promises."""
        about = f"whether it is in the set that holds the true class with {100 * LEVEL:.0f} %, measured on simulations"
        return (Column(self.names[0], unit, about),)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, ``None`` for what is not finite."""
        most = [value if np.isfinite(value) else None for value in self.most]
        return {**asdict(self), "most": most, "levels": list(self.levels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sets:
        """Return what `as_dict` wrote."""
        most = tuple(np.inf if value is None else float(value) for value in values["most"])
        return cls(values["table"], values["column"], most, tuple(values["levels"]))


@dataclass(frozen=True)
class Choice:
    """The class of a frame: `truth` tells which row (N,) of the table of its classes is the true one, at most one."""

    table: str
    column: str
    truth: Callable[[Any, Tables], NDArray[np.bool_]]

    def __str__(self) -> str:
        """Name the choice as the screen shows it."""
        return f"{self.table}.{self.column}"

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the column of its sets."""
        return _NAMES

    @property
    def unit(self) -> str:
        """In what the size of a set is told."""
        return "classes"

    def judged(self, drawn: Drawn, tables: Tables) -> Rows:
        """Return the classes of the frame of a draw, none where the frame is doubted or no class is the true one."""
        table = tables[self.table]
        true = np.asarray(self.truth(drawn.truth, tables), bool)
        known = int(true.any())
        if not known or not told(table).all():
            return Rows(table.iloc[:0], np.empty(0), known)
        return Rows(table, true.astype(float), known)

    def measured(self, draws: list[Rows]) -> Sets:
        """Return the sets that independent draws support."""
        scores = np.array([self._before(rows) for rows in draws if len(rows.truth)])
        if not len(scores):
            raise BadInput("Not one of the draws has a class that is known: draw more, or others.")
        return Sets(self.table, self.column, tuple(upper(scores, np.arange(len(scores)), level) for level in LEVELS))

    def held(self, rows: Rows, *, plain: bool = False) -> Held:
        """Return whether the set of a frame holds the true class, and its size; of its probabilities, if `plain`."""
        (name,) = self.names
        if not len(rows.truth) or not (plain or name in rows.table):
            return Held(np.empty(0), np.empty(0))
        before = likelier(rows.table[self.column].to_numpy(float))
        inside = before < LEVEL if plain else rows.table[name].to_numpy(bool)
        return Held(inside[rows.truth > 0].astype(float), np.array([float(inside.sum())]))

    def _before(self, rows: Rows) -> float:
        return float(likelier(rows.table[self.column].to_numpy(float))[rows.truth > 0][0])
