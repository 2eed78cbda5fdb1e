"""What all frames of molecules say together: shares, couplings, temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag

Array = NDArray[np.float64]

SUMMARY = (
    Column("name", "", "what it is"),
    Column("value", "", "weighted mean over the frames that count", sigma="value_sigma"),
    Column("value_low", "", "lower end of its 95 % interval"),
    Column("value_high", "", "upper end of its 95 % interval"),
    Column("frames", "", "frames that count"),
)
#: What the summary tells, column of 'frames' -> name.
_TOLD_OF = {
    "share_down": "share of molecules that are down",
    "coupling": "coupling of rotations (kT)",
    "temperature": "temperature (kT over the coupling)",
    "polar_coupling": "cost of unlike polarity (kT)",
}


@dataclass(frozen=True)
class OrderFold:
    """Fold of the numbers of all frames: weighted means."""

    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False})

    def start(self) -> tuple[int, Mapping[str, Array]]:
        """Return the state before the first frame."""
        return 0, {}

    def step(
        self, state: tuple[int, Mapping[str, Array]], tables: Mapping[str, pd.DataFrame]
    ) -> tuple[int, Mapping[str, Array]]:
        """Return the state after one more frame."""
        frames = tables["frames"]
        if not len(frames) or int(frames["flags"].iloc[0]) & self.ignore:
            return state
        sums = dict(state[1])
        for name in _TOLD_OF:
            value, sigma = float(frames[name].iloc[0]), float(frames[f"{name}_sigma"].iloc[0])
            if np.isfinite(value) and sigma > 0:
                sums[name] = sums.get(name, np.zeros(4)) + np.array([1, value, value**2, sigma**2]) / sigma**2
        return state[0] + 1, sums

    def result(self, state: tuple[int, Mapping[str, Array]]) -> dict[str, pd.DataFrame]:
        """Return the table 'summary'."""
        columns = [name for column in SUMMARY for name in (column.name, column.sigma) if name]
        rows = []
        for name, (weight, first, second, frames) in state[1].items():
            mean = first / weight
            chi = max(second - mean**2 * weight, 0.0) / max(frames - 1, 1)
            sigma = float(np.sqrt(max(1.0, chi if frames > 2 else 1.0) / weight))
            rows.append(
                {
                    "name": _TOLD_OF[name], "value": mean, "value_sigma": sigma, "value_low": mean - 1.96 * sigma,
                    "value_high": mean + 1.96 * sigma, "frames": state[0],
                }
            )  # fmt: skip
        return {"summary": pd.DataFrame(rows, columns=columns)}
