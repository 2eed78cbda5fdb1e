"""What many frames say together: how many tubes of which (n, m), how many are metallic, and their mean diameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.core import Column, Flag
from micrograph.features.summary import interval

#: What the summary promises.
CENSUS = (
    Column("name", "", "all tubes, metallic or semiconducting ones, or a tube (n,m)"),
    Column("count", "", "expected number: the sum of the probabilities"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
    Column("share", "", "share of all tubes"),
    Column("diameter_nm", "nm", "mean diameter, each tube weighted by its probability", sigma="diameter_sigma_nm"),
    Column("frames", "", "frames that count"),
)
_GROUPS = ("tubes", "metallic", "semiconducting")


@dataclass(frozen=True)
class Counted:
    """Running sums by name: probability, its doubt p (1 - p), and probability times diameter and its square."""

    frames: int = 0
    sums: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Census:
    """Fold of 'objects' and 'candidates' into one row a name. Frames and tubes that are doubted do not count."""

    ignore: int = field(default=int(Flag.NO_FIT | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False})

    def start(self) -> Counted:
        """Return the state before the first frame."""
        return Counted()

    def step(self, state: Counted, tables: Mapping[str, pd.DataFrame]) -> Counted:
        """Return the state after one more frame with the tables 'frames', 'objects' and 'candidates'."""
        frames, objects, candidates = (tables[name] for name in ("frames", "objects", "candidates"))
        if len(frames) == 0 or frames["flags"].to_numpy(np.int64)[0] & self.ignore:
            return state
        sums = dict(state.sums)
        for row in objects.to_dict("records"):
            if int(row["flags"]) & self.ignore:
                continue
            diameter, metallic = float(row["diameter_nm"]), float(row["metallic_p"])
            shares = {"tubes": 1.0, "metallic": metallic, "semiconducting": 1 - metallic}
            own = candidates[candidates["id"] == row["id"]]
            shares |= {f"({n},{m})": float(p) for n, m, p in zip(own["n"], own["m"], own["p"], strict=True)}
            for name, p in shares.items():
                old = sums.get(name, (0.0, 0.0, 0.0, 0.0))
                new = (p, p * (1 - p), p * diameter, p * diameter**2)
                sums[name] = tuple(a + b for a, b in zip(old, new, strict=True))  # type: ignore[assignment]
        return Counted(state.frames + 1, sums)

    def result(self, state: Counted) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`CENSUS`): the groups, then the tubes, the commonest first."""
        tubes = sorted(set(state.sums) - set(_GROUPS), key=lambda name: -state.sums[name][0])
        names = [*_GROUPS, *(name for name in tubes if state.sums[name][0] >= 0.01)]
        columns = ["name", "count", "count_low", "count_high", "share", "diameter_nm", "diameter_sigma_nm", "frames"]
        return {"summary": pd.DataFrame([self._row(name, state) for name in names], columns=columns)}

    def _row(self, name: str, state: Counted) -> list[object]:
        number, doubt, first, second = state.sums.get(name, (0.0, 0.0, 0.0, 0.0))
        low, high = interval(number, doubt)
        share = number / state.sums["tubes"][0] if state.sums else np.nan
        mean = first / number if number > 0 else np.nan
        sigma = np.sqrt(max(second / number - mean**2, 0.0) / (number - 1)) if number > 1 else np.nan
        return [name, number, low, high, share, mean, sigma, state.frames]
