"""Fold over many micrographs of one metal: shares of its constituents, sizes of its particles, its denuded zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.metallography.microstructure import FRAMES, OBJECTS, PARTICLES, PHASES, WIDTHS
from micrograph.features.objects.distributions import describe
from micrograph.track.gather import Gather, Gathered

Array = NDArray[np.float64]
_SEED = 17
_UNCOUNTED = int(Flag.EDGE | Flag.BAD_FRAME)

SUMMARY = (
    Column("class", "", "constituent"),
    Column("fraction", "", "share of the area of all frames", "fraction_sigma"),
    Column("fraction_low", "", "lower end of its 95 % interval"),
    Column("fraction_high", "", "upper end of its 95 % interval"),
    Column("objects", "", "objects of this constituent in all frames"),
    Column("frames", "", "frames that count"),
)
SIZES = (
    Column("quantity", "", "'diameter of the particles', 'width of the denuded zone', or 'distance to a particle'"),
    Column("number", "", "particles, or frames with a network"),
    Column("mean_nm", "nm", "weighted mean"),
    Column("mean_low_nm", "nm", "lower end of its 95 % interval"),
    Column("mean_high_nm", "nm", "upper end of its 95 % interval"),
    Column("sd_nm", "nm", "standard deviation between particles, or frames"),
    Column("median_nm", "nm", "weighted median"),
    Column("median_low_nm", "nm", "lower end of its 95 % interval"),
    Column("median_high_nm", "nm", "upper end of its 95 % interval"),
    Column("p10_nm", "nm", "a tenth lies below"),
    Column("p90_nm", "nm", "a tenth lies above"),
    Column("density_per_nm2", "nm^-2", "number of particles per area of all frames", "density_sigma_per_nm2"),
)
#: What the stage 'objects' and this fold promise, by table.
ANSWERS: Mapping[str, tuple[Column, ...]] = {
    "objects": OBJECTS,
    "phases": PHASES,
    "particles": PARTICLES,
    "widths": WIDTHS,
    "frames": FRAMES,
    "sizes": SIZES,
    "summary": SUMMARY,
}
_OF_FRAMES = ("t_s", "seen_nm2", "denuded_nm", "denuded_sigma_nm", "clear_nm", "clear_sigma_nm", "flags")
_OF_ROWS = ("class", "fraction", "fraction_sigma", "fraction_low", "fraction_high", "objects")
_OF_PARTICLES = ("diameter_nm", "weight", "flags")


@dataclass(frozen=True)
class Micrographs:
    """Many micrographs of one metal as one: every frame is another place."""

    def start(self) -> tuple[Gathered, Gathered]:
        """Return the state before the first frame."""
        return self._rows.start(), self._particles.start()

    def step(self, state: tuple[Gathered, Gathered], tables: Mapping[str, pd.DataFrame]) -> tuple[Gathered, Gathered]:
        """Return the state after one more frame with the tables 'frames', 'phases' and 'particles'."""
        return self._rows.step(state[0], tables), self._particles.step(state[1], tables)

    def result(self, state: tuple[Gathered, Gathered]) -> dict[str, pd.DataFrame]:
        """Return the tables 'summary' (a row a constituent) and 'sizes'."""
        frames = self._rows.frames(state[0])
        return {
            "sizes": _sizes(self._particles.table(state[1], "particles"), frames),
            "summary": _summary(self._rows.table(state[0], "phases"), frames),
        }

    @property
    def _rows(self) -> Gather:
        return Gather(("phases",), _OF_ROWS, _OF_FRAMES)

    @property
    def _particles(self) -> Gather:
        return Gather(("particles",), _OF_PARTICLES, _OF_FRAMES)


def _summary(rows: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    names = [column for one in SUMMARY for column in (one.name, one.sigma) if column]
    found = []
    for name in dict.fromkeys(rows["class"].astype(str)) if len(rows) else ():
        mine = rows[rows["class"] == name]
        area = frames.set_index("frame")["seen_nm2"].reindex(mine["frame"]).to_numpy(float)
        found.append({"class": name, **_pooled(mine, area / area.sum()), "frames": len(mine)})
    return pd.DataFrame(found, columns=names)


def _pooled(mine: pd.DataFrame, weight: Array) -> dict[str, float]:
    """Return the share over all frames; its error is the larger of that within frames and of the scatter of frames."""
    value, sigma = (mine[name].to_numpy(float) for name in ("fraction", "fraction_sigma"))
    mean = float(weight @ value)
    number = len(mine)
    if number == 1:
        low, high = (float(mine[name].iloc[0]) for name in ("fraction_low", "fraction_high"))
        return {"fraction": mean, "fraction_sigma": float(sigma[0]), "fraction_low": low, "fraction_high": high,
                "objects": int(mine["objects"].sum())}  # fmt: skip
    within = float(np.sqrt(np.sum((weight * sigma) ** 2)))
    between = float(np.sqrt(np.sum(weight**2 * (value - mean) ** 2) * number / (number - 1)))
    error = max(within, between)
    return {
        "fraction": mean,
        "fraction_sigma": error,
        "fraction_low": max(mean - 1.96 * error, 0.0),
        "fraction_high": min(mean + 1.96 * error, 1.0),
        "objects": int(mine["objects"].sum()),
    }


def _sizes(particles: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the distribution of the particles' diameters, and of the frames' widths of the denuded zone."""
    whole = (particles["flags"].to_numpy(np.int64) & _UNCOUNTED) == 0
    weight = np.where(whole, particles["weight"].to_numpy(float), 0.0)
    area = float(frames["seen_nm2"].sum()) if len(frames) else 0.0
    density = float(weight.sum()) / area if area else np.nan
    rows = [
        {
            **_described("diameter of the particles", particles["diameter_nm"].to_numpy(float), weight),
            "density_per_nm2": density,
            "density_sigma_per_nm2": _density_sigma(particles["frame"].to_numpy(np.int64), weight, frames, density),
        }
    ]
    for quantity, column in (("width of the denuded zone", "denuded"), ("distance to a particle", "clear")):
        value, sigma = (frames[f"{column}{end}"].to_numpy(float) for end in ("_nm", "_sigma_nm"))
        row = _described(quantity, value, np.isfinite(value).astype(float))
        known = np.isfinite(value)
        if known.sum() == 1:
            row |= _alone(float(value[known][0]), float(sigma[known][0]))
        rows.append(row)
    return pd.DataFrame(rows, columns=[column for one in SIZES for column in (one.name, one.sigma) if column])


def _described(quantity: str, values: Array, weight: Array) -> dict[str, object]:
    told = vars(describe(values, np.random.default_rng(_SEED), weight))
    told.pop("effective_number")
    number = told.pop("number")
    return {"quantity": quantity, "number": number, **{f"{name}_nm": value for name, value in told.items()}}


def _alone(value: float, sigma: float) -> dict[str, float]:
    """Return the interval of a single frame's median, from its own error."""
    low, high = value - 1.96 * sigma, value + 1.96 * sigma
    return {"mean_low_nm": low, "mean_high_nm": high, "median_low_nm": low, "median_high_nm": high}


def _density_sigma(frame: NDArray[np.int64], weight: Array, frames: pd.DataFrame, density: float) -> float:
    """Return the 1-sigma of the number per area: the larger of counting and of the scatter between frames."""
    area = frames["seen_nm2"].to_numpy(float)
    if not len(area) or not np.isfinite(density):
        return float("nan")
    counting = float(np.sqrt(np.sum(weight**2))) / float(area.sum())
    if len(area) < 2:
        return counting
    at = np.searchsorted(frames["frame"].to_numpy(np.int64), frame)
    each = np.bincount(at, weight, len(area))
    scatter = float(np.sqrt(np.sum((each - density * area) ** 2) * len(area) / (len(area) - 1))) / float(area.sum())
    return max(counting, scatter)
