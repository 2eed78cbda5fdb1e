"""Particles of gold with the number of atoms in every column: HAADF images whose only noise is counting, and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import Calibration
from micrograph.simulate import Microscope, Scan, adf, cross_section_A2, expose
from micrograph.structures import columns, roughened, seen_along, wulff_particle

Array = NDArray[np.float64]

#: The microscope of the HAADF images.
HAADF = Microscope(voltage_kV=300.0, convergence_mrad=25.0, inner_mrad=60.0, outer_mrad=200.0, source_fwhm_nm=0.06)
_THERMAL_NM = 0.006
#: Gauss's law in as many equal parts: scatter is drawn from their middles.
_LEVELS = 9
#: Radius of a column's cell at most, and distance from which there is vacuum (nm).
_CELL_NM, _VACUUM_NM = 0.16, 0.3


@dataclass(frozen=True)
class HeightScene:
    """An image (H, W) with what is known of it: columns at ``place_nm`` (K, 2) as (y, x) of ``atoms`` (K,) atoms.

    electrons: that one atom sends to the detector (HAADF); scatter: relative scatter from column to column; known: what
    a log of the microscope says ('defocus_nm').
    """

    image: NDArray[np.float32]
    calibration: Calibration
    place_nm: Array
    atoms: NDArray[np.intp]
    electrons: float = np.nan
    scatter: float = 0.0
    known: dict[str, float] = field(default_factory=dict)

    def plain(self) -> NDArray[np.intp]:
        """Return the numbers (K,) that a classical way gives, told where the columns are.

        HAADF: what a column's Voronoi cell holds above the vacuum, over the true intensity of one atom.
        """
        from scipy.spatial import cKDTree

        pixel = self.calibration.pixel_nm
        assert pixel is not None
        rows, columns = np.indices(self.image.shape)
        grid = np.stack([rows.ravel(), columns.ravel()], axis=1) * pixel
        distance, owner = map(np.asarray, cKDTree(self.place_nm).query(grid))
        near = distance < _CELL_NM
        values = self.image.ravel() - float(np.median(self.image.ravel()[distance > _VACUUM_NM]))
        held = np.bincount(owner[near], values[near], len(self.place_nm))
        return np.clip(np.rint(held / self.electrons), 0, None).astype(np.intp)


#: Makes one scene a call.
Scenes = Callable[[np.random.Generator], HeightScene]


def columns_of(atoms: Atoms) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Return places (K, 2) in nm as (y, x), numbers of atoms (K,), and the column of every atom."""
    points = atoms.positions[:, 1::-1] / 10.0
    column = columns(points)
    number = np.bincount(column)
    place = np.stack([np.bincount(column, points[:, axis]) / number for axis in (0, 1)], axis=1)
    return place, number.astype(np.intp), column


def rough_particle(
    diameter_nm: float, field_nm: float, rng: np.random.Generator, zone_axis: tuple[int, int, int] = (1, 1, 0)
) -> Atoms:
    """Return a rough gold particle, cut by a support, turned at random about its zone axis, amid a field."""
    corner = rng.uniform(0, 1, 3)
    contact = ((1, 1, 1), float(rng.uniform(0.2, 1.0)))
    atoms = wulff_particle(diameter_nm, centre=(corner[0], corner[1], corner[2]), contact=contact)
    atoms = seen_along(roughened(atoms, rng, share=0.03), zone_axis, turn_deg=float(rng.uniform(0, 360)))
    middle = (atoms.positions[:, :2].max(axis=0) + atoms.positions[:, :2].min(axis=0)) / 2
    atoms.positions[:, :2] += 5 * field_nm - middle
    return atoms


@dataclass(frozen=True)
class HaadfParticles:
    """HAADF images of gold particles of up to some 15 atoms a column, by the linear model.

    electrons: that one atom sends to the detector; scatter: relative 1-sigma from column to column; pixel_nm;
    zone_axis: along the beam.
    """

    electrons: float
    scatter: float = 0.0
    pixel_nm: float = 0.018
    diameter_nm: tuple[float, float] = (3.6, 4.5)
    zone_axis: tuple[int, int, int] = (1, 1, 0)

    def __call__(self, rng: np.random.Generator) -> HeightScene:
        """Return one image."""
        diameter = float(rng.uniform(*self.diameter_nm))
        side = round((diameter + 1.0) / self.pixel_nm)
        atoms = rough_particle(diameter, side * self.pixel_nm, rng, self.zone_axis)
        place, number, column = columns_of(atoms)
        fraction = self._fraction(atoms, column, len(number), side, rng)
        dose = self.electrons / float(cross_section_A2([79], HAADF)[0])
        image = expose(fraction, Scan(dose_e_per_A2=dose), self.pixel_nm, rng)
        calibration = Calibration(pixel_nm=self.pixel_nm)
        return HeightScene(image, calibration, place, number, self.electrons, self.scatter)

    def _fraction(
        self, atoms: Atoms, column: NDArray[np.intp], number: int, side: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the share of the beam (H, W) that is detected; columns are brighter or darker by their scatter."""
        from scipy.special import ndtri

        if not self.scatter:
            return adf(atoms, HAADF, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
        middles = ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS)
        middles /= middles.std()
        level = rng.integers(_LEVELS, size=number)[column]
        total = np.zeros((side, side), np.float32)
        for one in np.unique(level):
            seen = adf(atoms[level == one], HAADF, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
            total += np.float32(1 + self.scatter * middles[one]) * seen
        return total
