"""Checks of surface lattices: the cell and its error, missing and added atoms, noise, multislice images; speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.features.lattices.bravais import cells_of, reduction
from micrograph.features.lattices.subtraction import lattice_components
from micrograph.features.levelling import Levelling
from micrograph.simulate.scanning.lattice_images import LATTICES
from micrograph.simulate.scanning.surfaces import SurfaceImages
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import clopper_pearson, share_interval
from micrograph.validate.lattices.lattice_type_checks import NOISE
from micrograph.validate.shared import Shared, one_by_one
from micrograph.validate.timing import frame_seconds
from micrograph.validate.trials import Trial, exposures

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = NDArray[np.float64]

#: A cell is right if it is the true one but for this share of a cell; a place, if it lies as near over sqrt(area).
RIGHT = 0.06
_NEAR = 0.35
_VECTORS = ("a_y_nm", "a_x_nm", "b_y_nm", "b_x_nm")
#: Areas (nm^2) of the cells that multislice images show along the beam, and where their references are.
_HEXAGON = np.sqrt(3) / 2
MULTISLICE: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "WSe2": (_HEXAGON * 0.3282**2, ("tmd_wse2_0", "tmd_wse2_1")),
    "MoS2": (_HEXAGON * 0.3160**2, ("tmd_mos2_0", "tmd_mos2_1")),
    "MoSe2": (_HEXAGON * 0.3289**2, ("tmd_mose2_0",)),
    "SrTiO3": (0.3905**2, ("srtio3_001",)),
    "Si": (0.5431**2 / np.sqrt(8), ("silicon_110",)),
}


@dataclass(frozen=True)
class Seen:
    """One image: its sample, the frame's row, the places that differ, and the cell of a classical search (px)."""

    sample: Sample
    row: Series
    odd: DataFrame
    classical: Array | None

    @property
    def true_cell(self) -> Array:
        """Reduced cell (2, 2) in px."""
        names = ("a_y_px", "a_x_px", "b_y_px", "b_x_px")
        cell = np.array([self.sample.params[name] for name in names]).reshape(2, 2)
        return np.asarray(reduction(cell) @ cell)

    @property
    def cell(self) -> Array:
        """The cell that was found (2, 2) in px; NaN where none was."""
        return np.array([self.row[name] for name in _VECTORS], float).reshape(2, 2) / self.sample.pixel_nm

    @property
    def kind(self) -> str:
        """Type of the true lattice, and how many atoms its cell has."""
        return f"{LATTICES[int(self.sample.params['type'])]} with {self.sample.params['atoms']:.0f}"

    def matched(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which true places were found, and which found ones are true, each at most once; islands apart."""
        from scipy.optimize import linear_sum_assignment

        sites, odd = self.sample.sites, self.odd[self.odd["class"] != "island"]
        found, real = np.zeros(len(sites), bool), np.zeros(len(odd), bool)
        if not len(sites) or not len(odd):
            return found, real
        away = np.hypot(
            sites.y_nm[:, None] - odd["y_nm"].to_numpy(float), sites.x_nm[:, None] - odd["x_nm"].to_numpy(float)
        )
        reach = _NEAR * np.sqrt(abs(np.linalg.det(self.true_cell)) / self.sample.params["atoms"])
        same = sites.label[:, None] == odd["class"].to_numpy(str)
        cost = np.where(same & (away < reach * self.sample.pixel_nm), away, 1e6)
        rows, columns = linear_sum_assignment(cost)
        good = cost[rows, columns] < 1e6
        found[rows[good]], real[columns[good]] = True, True
        return found, real


def is_right(cell: Array | None, true: Array) -> bool:
    """Tell whether a cell (2, 2) spans the true lattice, whichever of its vectors it names."""
    if cell is None or not np.isfinite(cell).all():
        return False
    order = cell @ np.linalg.inv(true)
    whole = np.rint(order)
    return bool(abs(abs(np.linalg.det(whole)) - 1) < 1e-6 and np.abs(order - whole).max() < RIGHT)


@dataclass(frozen=True)
class Surfaces:
    """So many images of a sampler's kind; `name` says of which kind in the names of checks."""

    name: str
    sampler: SurfaceImages
    images: int

    def seen(self, analyser: Analyser, rng: np.random.Generator) -> list[Seen]:
        """Return what was found in each image; the same images are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: _seen(self.sampler(draw), analyser))
        return _FOUND.found(self.name, analyser, rng, find)


_FOUND: Shared[list[Seen]] = Shared()


def _seen(sample: Sample, analyser: Analyser) -> Seen:
    tables = analyser(sample.image, sample.pixel_nm)
    reciprocal = lattice_components(np.asarray(Levelling()(sample.image), float))
    classical = None if reciprocal is None else np.asarray(np.linalg.inv(reciprocal).T)
    return Seen(sample, tables["frames"].iloc[0], tables["objects"], classical)


def cell_found(trial: Surfaces, *, at_least: float) -> Check:
    """Build the check: share of images whose unit cell is right, neither a part nor a multiple of it.

    Baseline: the two Fourier components whose sums and differences explain most.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = trial.seen(analyser, rng)
        right = [is_right(one.cell, one.true_cell) for one in seen]
        plain = float(np.mean([is_right(one.classical, one.true_cell) for one in seen]))
        wrong = [one.kind for one, good in zip(seen, right, strict=True) if not good]
        detail = f"{len(seen)} images; wrong: {', '.join(sorted(wrong)) or 'none'}"
        return Measurement.of(clopper_pearson(sum(right), len(right)), limit=1.0, baseline=plain, detail=detail)

    return Check(f"unit cell, {trial.name}", measure, at_least, ">=", data=trial.name)


def cell_coverage(trial: Surfaces, *, at_least: float) -> Check:
    """Build the check: share of true sides and angles inside the 95 % intervals, where the cell is right."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        inside = []
        for one in trial.seen(analyser, rng):
            if is_right(one.cell, one.true_cell):
                true = cells_of(one.true_cell[None] * one.sample.pixel_nm, np.zeros((1, 4, 4))).size[0]
                found = [float(one.row[name]) for name in ("a_nm", "b_nm", "gamma_deg")]
                sigma = [float(one.row[name]) for name in ("a_sigma_nm", "b_sigma_nm", "gamma_sigma_deg")]
                inside += list(np.abs(np.array(found) - true) <= 1.96 * np.array(sigma))
        return Measurement.of(clopper_pearson(sum(inside), len(inside)), limit=0.95, detail=f"{len(inside)} numbers")

    return Check(f"sides and angles inside their 95 % interval, {trial.name}", measure, at_least, ">=", data=trial.name)


def odd_places_found(trial: Surfaces, *, at_least: float) -> Check:
    """Build the check: share of missing and added atoms that are found, where the cell is right."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        matched = [one.matched()[0] for one in trial.seen(analyser, rng) if is_right(one.cell, one.true_cell)]
        hits, all_of = [int(one.sum()) for one in matched], [len(one) for one in matched]
        return Measurement.of(share_interval(hits, all_of, rng), limit=1.0, detail=f"{sum(all_of)} places")

    return Check(f"missing and added atoms found, {trial.name}", measure, at_least, ">=", data=trial.name)


def odd_places_true(trial: Surfaces, *, at_least: float) -> Check:
    """Build the check: share of what is called missing or added that is, where the cell is right."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        matched = [one.matched()[1] for one in trial.seen(analyser, rng) if is_right(one.cell, one.true_cell)]
        hits, all_of = [int(one.sum()) for one in matched], [len(one) for one in matched]
        return Measurement.of(share_interval(hits, all_of, rng), limit=1.0, detail=f"{sum(all_of)} places")

    return Check(f"missing and added atoms true, {trial.name}", measure, at_least, ">=", data=trial.name)


def multislice_cells(*, at_least: float, repeats: int = 6, dose_e_per_A2: float = 1e5) -> Check:
    """Build the check: share of multislice images of crystals whose cell has the right area, within 3 %."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right, wrong = [], []
        for crystal, (area, names) in MULTISLICE.items():
            trial = Trial(names, dose_e_per_A2, repeats=repeats)
            for images in exposures(trial, rng).values():
                for image in images:
                    row = analyser(image, trial.pixel_nm)["frames"].iloc[0]
                    right.append(abs(float(row["cell_nm2"]) / area - 1) < 0.03)
                    wrong += [] if right[-1] else [f"{crystal} {float(row['cell_nm2']):.4f} for {area:.4f} nm^2"]
        detail = f"{len(right)} images; most often wrong: {max(set(wrong), key=wrong.count, default='none')}"
        return Measurement.of(clopper_pearson(sum(right), len(right)), limit=1.0, detail=detail)

    return Check("unit cell, multislice", measure, at_least, ">=")


def nothing_told(*, at_least: float, images: int = 40) -> Check:
    """Build the check: share of images without a lattice (noise, disordered spots, steps) that have none told."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told: list[bool] = []
        wrong = []
        for kind, draw in (NOISE | {"steps": _steps}).items():
            rows = [analyser(draw(160, rng), 0.05)["frames"].iloc[0] for _ in range(images)]
            told += [not np.isfinite(row["a_nm"]) for row in rows]
            wrong += [kind for row in rows if np.isfinite(row["a_nm"])]
        detail = f"{len(told)} images; most often wrong: {max(set(wrong), key=wrong.count, default='none')}"
        return Measurement.of(clopper_pearson(sum(told), len(told)), limit=1.0, detail=detail)

    return Check("no lattice told", measure, at_least, ">=")


def _steps(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a stepped surface without atoms."""
    y, x = np.indices((side, side)) / side
    turn = rng.uniform(0, 2 * np.pi)
    height = np.floor((np.cos(turn) * y + np.sin(turn) * x) * rng.uniform(2, 6)) * 0.3
    return np.asarray(height + rng.normal(0, 0.03, height.shape), np.float32)


def seconds_a_frame(sampler: SurfaceImages, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels, on one core."""

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = replace(sampler, side_px=512)(rng)
        return sample.image, sample.pixel_nm

    return frame_seconds(draw, frames=8, at_most_s=at_most_s)
