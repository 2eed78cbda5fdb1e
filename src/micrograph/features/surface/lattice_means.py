"""What all images of a surface say together: the mean cell, and how densely atoms are missing or added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import Column, Flag
from micrograph.features.surface.odd_places import KINDS

if TYPE_CHECKING:
    import pandas as pd

CELL = (
    Column("a_nm", "nm", "shorter vector of the reduced cell", sigma="a_sigma_nm"),
    Column("a_sigma_nm", "nm", "1-sigma, the image's bends counted"),
    Column("b_nm", "nm", "longer vector", sigma="b_sigma_nm"),
    Column("b_sigma_nm", "nm", "1-sigma"),
    Column("gamma_deg", "degree", "angle between them, 90 to 120", sigma="gamma_sigma_deg"),
    Column("gamma_sigma_deg", "degree", "1-sigma"),
    Column("cell_nm2", "nm^2", "area of the cell", sigma="cell_sigma_nm2"),
    Column("cell_sigma_nm2", "nm^2", "1-sigma"),
)
MEANS = (
    Column("frames", "", "frames with a lattice"),
    *CELL,
    Column("missing_per_nm2", "1/nm^2", "missing places per area outside islands, over all frames"),
    Column("missing_low", "1/nm^2", "lower end of its 95 % interval (Poisson)"),
    Column("missing_high", "1/nm^2", "upper end"),
    Column("added_per_nm2", "1/nm^2", "added places per area outside islands, over all frames"),
    Column("added_low", "1/nm^2", "lower end"),
    Column("added_high", "1/nm^2", "upper end"),
)
_MEASURES = ("a_nm", "b_nm", "gamma_deg", "cell_nm2")
_SIGMAS = ("a_sigma_nm", "b_sigma_nm", "gamma_sigma_deg", "cell_sigma_nm2")


def densities(counts: Mapping[str, int], area_nm2: float) -> dict[str, float]:
    """Return the density of each kind with the ends of its 95 % interval (exact, of a Poisson number)."""
    from scipy.special import gammaincinv

    found: dict[str, float] = {}
    for kind, number in counts.items():
        low = float(gammaincinv(number, 0.025)) if number else 0.0
        found |= {
            f"{kind}_per_nm2": number / area_nm2,
            f"{kind}_low": low / area_nm2,
            f"{kind}_high": float(gammaincinv(number + 1, 0.975)) / area_nm2,
        }
    return found


@dataclass(frozen=True)
class Sums:
    """Running sums over frames with a lattice: their number, cells and squares, counts, free area (nm^2)."""

    frames: int = 0
    first: tuple[float, ...] = (0.0,) * 4
    second: tuple[float, ...] = (0.0,) * 4
    own: tuple[float, ...] = (0.0,) * 4
    missing: int = 0
    added: int = 0
    free_nm2: float = 0.0


@dataclass(frozen=True)
class SurfaceMeans:
    """Fold of frames into the mean cell and the densities of missing and added places."""

    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME | Flag.NO_FIT), metadata={"setting": False})

    def start(self) -> Sums:
        """Return the state before the first frame."""
        return Sums()

    def step(self, state: Sums, tables: Mapping[str, pd.DataFrame]) -> Sums:
        """Return the state after one more frame."""
        frames = tables["frames"]
        if len(frames) == 0 or int(frames["flags"].iloc[0]) & self.ignore:
            return state
        row = frames.iloc[0]
        cell = np.array([float(row[name]) for name in _MEASURES])
        own = np.array([float(row[name]) for name in _SIGMAS])
        kinds = tables["objects"]["class"]
        missing, added = (int((kinds == kind).sum()) for kind in KINDS[:2])
        free = float(row["cells"]) * float(row["cell_nm2"]) * (1 - float(row["island_share"]))
        return Sums(
            state.frames + 1,
            tuple(np.add(state.first, cell)), tuple(np.add(state.second, cell**2)), tuple(np.add(state.own, own**2)),
            state.missing + missing, state.added + added, state.free_nm2 + free,
        )  # fmt: skip

    def result(self, state: Sums) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`MEANS`), one row; NaN before the first lattice."""
        import pandas as pd

        number = state.frames
        row: dict[str, Any] = {"frames": number} | {column.name: np.nan for column in MEANS[1:]}
        if number:
            mean = np.array(state.first) / number
            scatter = np.maximum(np.array(state.second) / number - mean**2, 0) / max(number - 1, 1)
            sigma = np.sqrt(np.maximum(scatter, np.array(state.own) / number**2))
            row |= dict(zip(_MEASURES, mean, strict=True)) | dict(zip(_SIGMAS, sigma, strict=True))
            row |= densities({KINDS[0]: state.missing, KINDS[1]: state.added}, state.free_nm2)
        return {"summary": pd.DataFrame([row])}
