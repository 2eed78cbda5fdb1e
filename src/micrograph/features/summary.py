"""What all frames say together: how many of each class or defect, per area, with the counting error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.core import Column, Flag

#: What the summary promises, in order.
SUMMARY = (
    Column("name", "", "class of a point or name of a defect"),
    Column("count", "", "expected number: the sum of the scores"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
    Column("density_per_nm2", "nm^-2", "number over the analysed area", sigma="density_sigma_per_nm2"),
    Column("density_sigma_per_nm2", "nm^-2", "1-sigma of the density"),
    Column("density_low_per_nm2", "nm^-2", "lower end of its 95 % interval"),
    Column("density_high_per_nm2", "nm^-2", "upper end of its 95 % interval"),
    Column("area_nm2", "nm^2", "analysed area of all frames: clean ground near columns"),
    Column("frames", "", "frames that count"),
)


@dataclass(frozen=True)
class Counts:
    """Running state of `ArealDensity`: frames and area seen; expected number and doubt by name."""

    frames: int = 0
    area_nm2: float = 0.0
    number: Mapping[str, float] = field(default_factory=dict)
    doubt: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ArealDensity:
    """Fold of the tables 'objects', 'defects' and 'frames' into one row a class and a defect name.

    A row weighs its score p: the expected number is the sum of p, its doubt the sum of p (1 - p). Rows that are cut by
    the border, lie on contaminated ground or come from a frame outside the model's domain do not count. Intervals are
    95 % (Garwood's for the count, widened by the doubt). `always` lists names that are reported even when none is seen.
    """

    always: tuple[str, ...] = field(default=(), metadata={"setting": False})
    ignore: int = field(
        default=int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False}
    )

    def start(self) -> Counts:
        """Return the state before the first frame."""
        return Counts()

    def step(self, state: Counts, tables: Mapping[str, pd.DataFrame]) -> Counts:
        """Return the state after one frame with the given tables; a frame that is flagged adds nothing."""
        frames = tables["frames"]
        if len(frames) == 0 or (frames["flags"].to_numpy(np.int64)[0] & self.ignore):
            return state
        number, doubt = dict(state.number), dict(state.doubt)
        for table, column in (("objects", "class"), ("defects", "name")):
            rows = tables.get(table)
            if rows is None or len(rows) == 0:
                continue
            clean = (rows["flags"].to_numpy(np.int64) & self.ignore) == 0
            p = np.clip(rows["score"].to_numpy(float)[clean], 0.0, 1.0)
            for name in np.unique(rows[column].to_numpy(str)[clean]):
                mine = p[rows[column].to_numpy(str)[clean] == name]
                number[str(name)] = number.get(str(name), 0.0) + float(mine.sum())
                doubt[str(name)] = doubt.get(str(name), 0.0) + float((mine * (1 - mine)).sum())
        area = float(frames["area_nm2"].iloc[0])
        return Counts(state.frames + 1, state.area_nm2 + area, number, doubt)

    def result(self, state: Counts) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`SUMMARY`), one row a name: first those of `always`, then the others by name."""
        names = list(self.always) + sorted(set(state.number) - set(self.always))
        rows = [self._row(name, state) for name in names]
        return {"summary": pd.DataFrame(rows, columns=[column.name for column in SUMMARY])}

    def _row(self, name: str, state: Counts) -> list[object]:
        number, doubt = state.number.get(name, 0.0), state.doubt.get(name, 0.0)
        low, high = interval(number, doubt)
        area = state.area_nm2 if state.area_nm2 > 0 else np.nan
        sigma = np.sqrt(max(number, 0.0) + doubt)
        return [
            name, number, low, high, number / area, sigma / area, low / area, high / area, state.area_nm2, state.frames,
        ]  # fmt: skip


def interval(number: float, doubt: float = 0.0, level: float = 0.95) -> tuple[float, float]:
    """Return Garwood's exact Poisson interval of an expected `number`, widened by the variance `doubt` of the calls."""
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    low = float(gammaincinv(number, tail)) if number > 0.01 else 0.0
    high = float(gammaincinv(number + 1, 1 - tail))
    widen = float(np.sqrt((number + 1 + doubt) / (number + 1)))
    return max(number - (number - low) * widen, 0.0), number + (high - number) * widen
