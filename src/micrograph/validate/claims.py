"""Numbers that a recipe claims, beside their truth on simulations that nothing was learned from; their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording, Sampler
from micrograph.core.units import unit_of
from micrograph.validate.checks import Analyser, Progress
from micrograph.validate.conformal import (
    LEVELS,
    Conformal,
    fitted_powers,
    frame_weights,
    groups,
    names_of,
    told,
    upper,
    widths,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.core import Column

Array = NDArray[np.float64]
Tables = Mapping[str, "DataFrame"]

#: First number of the random streams from which intervals are measured: no training and no check begins with it.
SEED = 20_311
#: 90 % of a normal distribution lie within so many of its 1-sigmas.
_NORMAL = 1.6449
#: Part of the frames from which widths are fitted; quantiles of the scores come from the others.
_FOR_WIDTHS = 0.3
#: Columns that tell a width do not go below this share of the rows.
_FLOOR = 0.01


@dataclass(frozen=True)
class Drawn:
    """A simulated recording, and whatever tells the truth about it."""

    recording: Recording
    truth: Any


#: Draws one recording; all randomness comes from the generator.
Draw = Callable[[np.random.Generator], Drawn]


@dataclass(frozen=True)
class Rows:
    """Rows of a claim in one draw, those that are given an interval and whose truth is known: (N,) each.

    `table` has the columns that the claim names and the ends as they were stated; `known` is how many rows have a
    truth, with an interval or without.
    """

    table: DataFrame
    truth: Array
    known: int


@dataclass(frozen=True)
class Held:
    """Of the rows of one draw that have an interval: whether it holds the truth (0 or 1), and its width, (N,)."""

    inside: Array
    width: Array


class Stated(Protocol):
    """What was measured of a claim: columns beside those of its table, and what they promise."""

    @property
    def table(self) -> str:
        """Name of the table."""
        ...

    @property
    def column(self) -> str:
        """Name of the column that is claimed."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns beside it."""
        ...

    def added(self, table: DataFrame) -> DataFrame:
        """Return the table of one frame with these columns."""
        ...

    def columns(self, unit: str) -> tuple[Column, ...]:
        """Return what these columns promise."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        ...


class Claimed(Protocol):
    """What can be claimed: a number with its interval (`Claim`), or a class with its set (`choices.Choice`)."""

    @property
    def table(self) -> str:
        """Name of the table."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that state its interval or set."""
        ...

    @property
    def unit(self) -> str:
        """In what the width of an interval, or the size of a set, is told."""
        ...

    def judged(self, drawn: Drawn, tables: Tables) -> Rows:
        """Return the rows that count."""
        ...

    def measured(self, draws: list[Rows]) -> Stated:
        """Return what independent draws support."""
        ...

    def held(self, rows: Rows, *, plain: bool = False) -> Held:
        """Return what the stated intervals of rows hold; if `plain`, what the recipe's own errors would give."""
        ...


@dataclass(frozen=True)
class Claim:
    """A number that a recipe states in the rows of a table of single frames.

    `truth` gives, for what tells the truth of a draw and the tables found on it, the true values (N,) of the rows, NaN
    where there is none. The interval's width follows powers, fitted once, of the columns `scale`: 1-sigmas, sizes,
    whatever makes errors larger. Rows are parted by `edges` of column `by`, and each part has quantiles of its own.
    `sigma`: the recipe's own 1-sigma column; no end of an interval lies under `least`.
    """

    table: str
    column: str
    truth: Callable[[Any, Tables], Array]
    scale: tuple[str, ...] = ()
    by: str = ""
    edges: tuple[float, ...] = ()
    sigma: str = ""
    least: float = -np.inf

    def __str__(self) -> str:
        """Name the number as the screen shows it."""
        return f"{self.table}.{self.column}"

    @property
    def names(self) -> tuple[str, str]:
        """Names of the columns of the ends of its intervals."""
        return names_of(self.column)

    @property
    def unit(self) -> str:
        """In what the width of an interval is told."""
        return unit_of(self.column)

    def judged(self, drawn: Drawn, tables: Tables) -> Rows:
        """Return the rows that are given an interval and whose truth is known."""
        table = tables[self.table]
        if self.column not in table:  # a frame that shows nothing
            return Rows(table.iloc[:0], np.empty(0), 0)
        truth = np.asarray(self.truth(drawn.truth, tables), np.float64)
        if truth.shape != (len(table),):
            raise BadInput(f"The truth of {self} has the shape {truth.shape}, the table {len(table)} rows.")
        known = np.isfinite(truth) & np.isfinite(table[self.column].to_numpy(float))
        keep = known & told(table)
        named = (self.column, *self.scale, self.by, self.sigma, *self.names)
        columns = [name for name in dict.fromkeys(named) if name and name in table]
        return Rows(table.loc[keep, columns].reset_index(drop=True), truth[keep], int(known.sum()))

    def measured(self, draws: list[Rows]) -> Conformal:
        """Return the intervals that independent draws support: widths from the first, quantiles from the others."""
        first = round(_FOR_WIDTHS * len(draws)) if self.scale else 0
        floors, powers = _told_widths(self, draws[:first]) if self.scale else ((), (0.0,))
        table, truth, frame = _pooled(draws[first:])
        score = (truth - table[self.column].to_numpy(float)) / widths(table, self.scale, powers, floors)
        group, known = groups(table, self.by, self.edges), np.isfinite(score)
        parts = [known & (group == one) for one in range(len(self.edges) + 1)]
        low, high = (tuple(_quantiles(sign, score[mine], frame[mine]) for mine in parts) for sign in (-1.0, 1.0))
        return Conformal(
            self.table, self.column, self.scale, powers, floors, self.by, self.edges, low, high, self.least
        )

    def held(self, rows: Rows, *, plain: bool = False) -> Held:
        """Return what the stated intervals of rows hold; if `plain`, those of the recipe's own 1-sigma."""
        if (self.sigma if plain else self.names[0]) not in rows.table:
            return Held(np.empty(0), np.empty(0))
        if plain:
            value, sigma = (rows.table[name].to_numpy(float) for name in (self.column, self.sigma))
            low, high = value - _NORMAL * sigma, value + _NORMAL * sigma
        else:
            low, high = (rows.table[name].to_numpy(float) for name in self.names)
        given = np.isfinite(low) & np.isfinite(high)
        return Held(((low <= rows.truth) & (rows.truth <= high))[given].astype(float), (high - low)[given])


@dataclass(frozen=True)
class Trust:
    """Where a recipe's claims come to be judged: `draw` makes what it was made for, `shifted` what it was not.

    frames: how many draws intervals rest on; fresh: how many others judge them; farther: how many of each shift.
    """

    draw: Draw
    claims: tuple[Claimed, ...]
    shifted: tuple[tuple[str, Draw], ...] = ()
    frames: int = 500
    fresh: int = 500
    farther: int = 100


def still(image: NDArray[Any], pixel_nm: float | None = None) -> Recording:
    """Return a recording of one image (H, W)."""
    return Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel_nm), image.shape, name="simulated")


def stills(sampler: Sampler) -> Draw:
    """Return draws of single images of a sampler; the sample tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        sample = sampler(rng)
        return Drawn(still(sample.image, sample.pixel_nm), sample)

    return draw


def passed(
    draw: Draw,
    claims: tuple[Claimed, ...],
    analyser: Analyser,
    rng: np.random.Generator,
    number: int,
    progress: Progress | None = None,
) -> list[list[Rows]]:
    """Return the rows of every claim in so many draws; ``[claim][draw]``.

    Every draw has a generator of its own, so that a shorter pass is the beginning of a longer one.
    """
    found: list[list[Rows]] = [[] for _ in claims]
    for done, own in enumerate(rng.spawn(number)):
        if progress is not None:
            progress(done, number, "simulating and analysing")
        drawn = draw(own)
        tables = analyser.frames(drawn.recording)
        for place, claim in enumerate(claims):
            found[place].append(claim.judged(drawn, tables))
    return found


def measured_intervals(
    name: str, trust: Trust, analyser: Analyser, progress: Progress | None = None
) -> tuple[Stated, ...]:
    """Return the intervals of a recipe's claims, from draws of their own random stream."""
    rng = np.random.default_rng([SEED, *name.encode()])
    found = passed(trust.draw, trust.claims, analyser, rng, trust.frames, progress)
    return tuple(claim.measured(rows) for claim, rows in zip(trust.claims, found, strict=True))


def _quantiles(sign: float, score: Array, frame: NDArray[np.intp]) -> tuple[float, ...]:
    """Return the upper (`sign` 1) or lower (-1) quantiles of scores at all levels; both tails are as probable."""
    return tuple(sign * upper(sign * score, frame, (1 + level) / 2) for level in LEVELS)


def _told_widths(claim: Claim, draws: list[Rows]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the floors of the columns that tell the width, and factor and powers."""
    table, truth, frame = _pooled(draws)
    features = table[list(claim.scale)].to_numpy(float)
    error = truth - table[claim.column].to_numpy(float)
    known = np.isfinite(features).all(axis=1) & (features > 0).all(axis=1)
    if known.sum() < 10:
        raise BadInput(f"{claim} was found {known.sum()} times with what tells its width: draw more frames.")
    floors = np.quantile(features[known], _FLOOR, axis=0)
    powers = fitted_powers(error[known], np.maximum(features[known], floors), frame_weights(frame[known]))
    return tuple(map(float, floors)), tuple(map(float, powers))


def _pooled(draws: list[Rows]) -> tuple[DataFrame, Array, NDArray[np.intp]]:
    """Return the rows of all draws one below the other, their truth, and the number of the draw of each."""
    import pandas as pd

    filled = [(place, rows) for place, rows in enumerate(draws) if len(rows.truth)]
    if not filled:
        raise BadInput("Not one of the draws has a number whose truth is known: draw more, or others.")
    table = pd.concat([rows.table for _, rows in filled], ignore_index=True)
    truth = np.concatenate([rows.truth for _, rows in filled])
    return table, truth, np.repeat([place for place, _ in filled], [len(rows.truth) for _, rows in filled])
