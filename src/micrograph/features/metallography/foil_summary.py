"""What all frames of a foil say together: densities of lines, precipitates and voids, sizes, swelling, with intervals.

Lengths of lines are projected. Lines of random direction are 4/pi times as long in space, so the density per volume is
``(4 / pi) * length / (area * thickness)``, which is what the count of intersections with random test lines gives too
(2 N / (L t), Ham 1961, Hirsch et al. 1965). Bodies that touch the upper or left border do not count, those that touch
only the others do (unbiased frame, Gundersen 1977); sizes and volumes come from whole ones, each weighted by 1 over the
chance that one of its size is whole. A density scatters from field to field by Poisson's law of its objects (lines: of
the effective number (sum l)^2 / sum l^2), and by more where four frames or more show more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.metallography.foil_tables import BODIES, LINES
from micrograph.features.objects.distributions import Described, describe, histogram
from micrograph.features.objects.selection import RAREST
from micrograph.features.summary import interval

Array = NDArray[np.float64]

#: Mean length of lines of random direction over that of their projection.
IN_SPACE = 4 / np.pi
_PER_M2, _PER_M3 = 1e18, 1e27
_SEED = 17
#: Frames from which the scatter between frames counts.
_FIELDS = 4

#: What table 'summary' promises.
FOIL_SUMMARY = (
    Column("name", "", "dislocation, precipitate or void"),
    Column("count", "", "lines, or bodies that count, in all frames"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
    Column("density_per_nm2", "nm^-2", "number per area", sigma="density_sigma_per_nm2"),
    Column("density_sigma_per_nm2", "nm^-2", "1-sigma of the density"),
    Column("density_low_per_nm2", "nm^-2", "lower end of its 95 % interval"),
    Column("density_high_per_nm2", "nm^-2", "upper end of its 95 % interval"),
    Column("density_per_m3", "m^-3", "number per volume of the foil, where its thickness is given"),
    Column("density_low_per_m3", "m^-3", "lower end of its 95 % interval"),
    Column("density_high_per_m3", "m^-3", "upper end of its 95 % interval"),
    Column("mean_diameter_nm", "nm", "mean equivalent diameter of whole bodies"),
    Column("mean_diameter_low_nm", "nm", "lower end of its 95 % interval"),
    Column("mean_diameter_high_nm", "nm", "upper end of its 95 % interval"),
    Column("area_nm2", "nm^2", "analysed area of all frames"),
    Column("frames", "", "frames that count"),
)
#: What table 'line_density' promises.
LINE_DENSITY = (
    Column("length_nm", "nm", "projected length of all lines"),
    Column("length_low_nm", "nm", "lower end of its 95 % interval"),
    Column("length_high_nm", "nm", "upper end of its 95 % interval"),
    Column("length_per_nm", "nm^-1", "projected length per area"),
    Column("length_per_nm_low", "nm^-1", "lower end of its 95 % interval"),
    Column("length_per_nm_high", "nm^-1", "upper end of its 95 % interval"),
    Column("density_per_m2", "m^-2", "length in space per volume: 4/pi times the projected, over the thickness"),
    Column("density_low_per_m2", "m^-2", "lower end of its 95 % interval"),
    Column("density_high_per_m2", "m^-2", "upper end of its 95 % interval"),
    Column("crossings", "", "places where lines cross"),
    Column("thickness_nm", "nm", "thickness of the foil that was given"),
)
#: What table 'swelling' promises.
SWELLING = (
    Column("name", "", "precipitate or void"),
    Column("volume_per_nm", "nm", "volume of bodies (balls of their diameter) per area"),
    Column("volume_share", "", "share of the foil's volume, where its thickness is given"),
    Column("volume_share_low", "", "lower end of its 95 % interval"),
    Column("volume_share_high", "", "upper end of its 95 % interval"),
    Column("swelling_percent", "%", "of voids: volume they add over that of the matrix, f / (1 - f)"),
    Column("swelling_low_percent", "%", "lower end of its 95 % interval"),
    Column("swelling_high_percent", "%", "upper end of its 95 % interval"),
)
#: What table 'size_bins' promises.
SIZE_BINS = (
    Column("name", "", "precipitate or void"),
    Column("low_nm", "nm", "lower edge of the bin"),
    Column("high_nm", "nm", "upper edge of the bin"),
    Column("number", "", "whole bodies in the bin"),
    Column("share", "", "share of all, each weighted by 1 over the chance that one of its size is whole"),
    Column("share_low", "", "lower end of its 95 % Wilson interval"),
    Column("share_high", "", "upper end of its 95 % Wilson interval"),
)


@dataclass(frozen=True)
class Seen:
    """Running state: of each frame its area and counts by name; sums of lengths; diameters (nm) and weights by name."""

    areas: tuple[float, ...] = ()
    counts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    doubts: Mapping[str, float] = field(default_factory=dict)
    lengths: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frame_lengths: tuple[float, ...] = ()
    crossings: int = 0
    sizes: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FoilDensities:
    """Fold of the frames of a foil: densities, sizes, swelling; thickness_nm: of the foil, for what is per volume."""

    thickness_nm: float | None = None
    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False})

    def __post_init__(self) -> None:
        """Refuse a foil without thickness."""
        if self.thickness_nm is not None and not self.thickness_nm > 0:
            raise ValueError(f"thickness_nm is {self.thickness_nm:g}, a foil is thicker than 0 nm.")

    def start(self) -> Seen:
        """Return the state before the first frame."""
        return Seen()

    def step(self, state: Seen, tables: Mapping[str, pd.DataFrame]) -> Seen:
        """Return the state after one more frame; one that is out of domain adds nothing."""
        frames, objects, lines = tables["frames"], tables["objects"], tables["lines"]
        if len(frames) == 0 or (frames["flags"].to_numpy(np.int64)[0] & self.ignore):
            return state
        row = frames.iloc[0]
        counts, doubts, sizes = dict(state.counts), dict(state.doubts), dict(state.sizes)
        for kind in BODIES:
            mine = objects[objects["class"].to_numpy(str) == kind]
            counted = mine["score"].to_numpy(float)[mine["counted"].to_numpy(np.int64) == 1]
            counts[kind] = (*counts.get(kind, ()), float(len(counted)))
            doubts[kind] = doubts.get(kind, 0.0) + float((counted * (1 - counted)).sum())
            sizes[kind] = (*sizes.get(kind, ()), _whole(mine, float(row["height_nm"]), float(row["width_nm"])))
        length = lines["length_nm"].to_numpy(float)
        counts[LINES] = (*counts.get(LINES, ()), float(len(lines)))
        variance = float(row["line_length_sigma_nm"]) ** 2
        sums = (float(length.sum()), float((length**2).sum()), variance)
        return Seen(
            (*state.areas, float(row["area_nm2"])),
            counts,
            doubts,
            (state.lengths[0] + sums[0], state.lengths[1] + sums[1], state.lengths[2] + sums[2]),
            (*state.frame_lengths, sums[0]),
            state.crossings + int(row["crossings"]),
            sizes,
        )

    def result(self, state: Seen) -> dict[str, pd.DataFrame]:
        """Return the tables 'summary', 'line_density', 'swelling' and 'size_bins'."""
        sizes = {kind: _joined(state.sizes.get(kind, ())) for kind in BODIES}
        described = {
            kind: describe(values[:, 0], np.random.default_rng(_SEED), values[:, 1]) for kind, values in sizes.items()
        }
        summary = [self._counted(kind, state, described.get(kind)) for kind in (LINES, *BODIES)]
        swelling = [self._swollen(kind, state, sizes[kind]) for kind in BODIES]
        return {
            "summary": _table(summary, FOIL_SUMMARY),
            "line_density": _table([self._line_density(state)], LINE_DENSITY),
            "swelling": _table(swelling, SWELLING),
            "size_bins": _binned(sizes),
        }

    def _counted(self, kind: str, state: Seen, sizes: Described | None) -> list[object]:
        """Return one row of the table 'summary'."""
        if not state.areas:  # nothing was looked at: nothing is known, not even that there is none
            return [kind, 0.0, *[np.nan] * (len(FOIL_SUMMARY) - 4), 0.0, 0]
        each = np.array(state.counts.get(kind, ()))
        areas, number = np.array(state.areas), float(each.sum())
        scatter = scatter_of(each, areas)
        low, high = interval(number, state.doubts.get(kind, 0.0) + (scatter - 1) * max(number, 1.0))
        area = float(areas.sum())
        volume = area * (np.nan if self.thickness_nm is None else self.thickness_nm) / _PER_M3
        sigma = np.sqrt(max(number, 0.0) * scatter + state.doubts.get(kind, 0.0))
        mean = (np.nan, np.nan, np.nan) if sizes is None else (sizes.mean, sizes.mean_low, sizes.mean_high)
        return [
            kind, number, low, high, number / area, sigma / area, low / area, high / area,
            number / volume, low / volume, high / volume, *mean, area, len(areas),
        ]  # fmt: skip

    def _line_density(self, state: Seen) -> list[object]:
        """Return the row of the table 'line_density'."""
        if not state.areas:
            return [np.nan] * len(LINE_DENSITY)
        total, square, variance = state.lengths
        low, high = compound(total, square, scatter_of(_per_mean(state), np.array(state.areas)), variance)
        area = float(sum(state.areas)) or np.nan
        thickness = np.nan if self.thickness_nm is None else self.thickness_nm
        ends = (total, low, high)
        per_area = [value / area for value in ends]
        per_volume = [IN_SPACE * value / thickness * _PER_M2 for value in per_area]
        return [*ends, *per_area, *per_volume, state.crossings, thickness]

    def _swollen(self, kind: str, state: Seen, sizes: Array) -> list[object]:
        """Return one row of the table 'swelling'."""
        volumes = sizes[:, 1] * np.pi / 6 * sizes[:, 0] ** 3
        total = float(volumes.sum())
        low, high = compound(total, float((volumes**2).sum()), 1.0, 0.0)
        area = float(sum(state.areas)) or np.nan
        thickness = np.nan if self.thickness_nm is None else self.thickness_nm
        shares = [min(value / (area * thickness), 0.999) for value in (total, low, high)]
        swelling = [100 * share / (1 - share) if kind == "void" else np.nan for share in shares]
        return [kind, total / area, *shares, *swelling]


def compound(total: float, square: float, scatter: float = 1.0, variance: float = 0.0) -> tuple[float, float]:
    """Return the 95 % interval of a sum of lengths or volumes whose number follows Poisson's law.

    total, square: sum of the lengths and of their squares; scatter: variance over Poisson's; variance: of measuring.
    The interval is Garwood's of the effective number ``total^2 / square`` of equal pieces.
    """
    if total <= 0 or square <= 0:
        return 0.0, np.nan
    number = total**2 / square
    doubt = (scatter - 1) * number + variance * (number / total) ** 2
    low, high = interval(number, doubt)
    return low / number * total, high / number * total


def scatter_of(counts: Array, areas: Array) -> float:
    """Return the variance of counts between frames over Poisson's, at least 1; 1 for fewer than four frames."""
    if len(counts) < _FIELDS or counts.sum() <= 0:
        return 1.0
    expected = counts.sum() * areas / areas.sum()
    return float(max(1.0, ((counts - expected) ** 2 / expected).sum() / (len(counts) - 1)))


def _per_mean(state: Seen) -> Array:
    """Return the lengths of the frames as numbers of effective pieces."""
    total, square, _ = state.lengths
    return np.array(state.frame_lengths) * (total / square if square > 0 else 0.0)


def _whole(bodies: pd.DataFrame, height_nm: float, width_nm: float) -> Array:
    """Return diameter and weight (N, 2) of the bodies that the border does not cut."""
    whole = bodies[(bodies["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0]
    wide = whole["feret_max_nm"].to_numpy(float)
    chance = np.clip(1 - wide / height_nm, 0, 1) * np.clip(1 - wide / width_nm, 0, 1)
    diameters = whole["equivalent_diameter_nm"].to_numpy(float)
    return np.stack([diameters, 1 / np.maximum(chance, RAREST)], axis=1)


def _joined(parts: tuple[Array, ...]) -> Array:
    return np.concatenate([np.zeros((0, 2)), *parts])


def _binned(sizes: Mapping[str, Array]) -> pd.DataFrame:
    """Return the table 'size_bins'."""
    parts = []
    for kind, values in sizes.items():
        if len(values) >= 5:
            bins = histogram(values[:, 0], None, values[:, 1]).rename(columns={"low": "low_nm", "high": "high_nm"})
            bins.insert(0, "name", kind)
            parts.append(bins)
    names = [column.name for column in SIZE_BINS]
    if not parts:
        kinds = {"name": "str", "number": "int64"}
        return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "float64")) for name in names})
    return pd.concat(parts, ignore_index=True)[names]


def _table(rows: list[list[object]], columns: tuple[Column, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.name for column in columns])
