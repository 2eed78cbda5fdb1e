"""What lies in the beam of an HRTEM: sheets of graphene with boundaries and holes, particles along a zone axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sites
from micrograph.simulate.ranges import Range

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Axis = tuple[int, int, int]

#: What every column is called.
COLUMN = "atom"
#: First reflections of graphene (1/nm).
_GRAPHENE_PER_NM = 4.69
#: Nearest a rim (nm) that is told: farther than this a column lies inside.
FAR_NM = 10.0


@dataclass(frozen=True)
class ColumnScene:
    """A crystal over a field with its corner at the origin, and the columns that the beam sees of it.

    atoms: ASE, angstrom, the beam along +z, the crystal's middle at z = 0; columns: places, all called `COLUMN`; count
    (N,): atoms in each column; rim_nm (N,): distance to the nearest column at a hole or edge, at most `FAR_NM`;
    shown_per_nm: reflections that an image must hold to show the columns, 0 where that is not known.
    """

    atoms: Atoms
    columns: Sites
    count: NDArray[np.intp]
    rim_nm: Array
    shown_per_nm: float = 0.0

    @property
    def slice_nm(self) -> float:
        """Thickness of slices in which no two atoms of a column lie above each other."""
        return 0.18


class Scenery(Protocol):
    """Makes a random scene that covers a field of ``size_nm``."""

    def __call__(self, size_nm: float, rng: np.random.Generator) -> ColumnScene:
        """Return a scene."""
        ...


@dataclass(frozen=True)
class GrapheneSheets:
    """Sheets of graphene: single crystals or two grains that meet, with holes, vacancies, strain and displacements.

    boundaries, holed: shares of sheets with a grain boundary and with a hole; holes have hole_nm (radius); vacancies:
    share of missing atoms, up to; strain: 1-sigma of each component; displaced_nm: range of every atom's random step.
    """

    boundaries: float = 0.1
    holed: float = 0.35
    hole_nm: Range = (0.3, 0.9)
    vacancies: float = 0.006
    strain: float = 0.01
    displaced_nm: Range = (0.0, 0.015)

    def __call__(self, size_nm: float, rng: np.random.Generator) -> ColumnScene:
        """Return a sheet; the columns are its atoms."""
        from micrograph.structures import random_displacements, sites_of, with_holes, with_vacancies

        atoms = self._sheet(size_nm, rng)
        atoms = with_vacancies(atoms, rng, rate=float(rng.uniform(0, self.vacancies)))
        atoms = atoms[atoms.numbers > 0]
        if rng.random() < self.holed:
            atoms = with_holes(atoms, float(rng.uniform(*self.hole_nm)), rng, count=int(rng.integers(1, 3)))
        atoms = random_displacements(atoms, float(rng.uniform(*self.displaced_nm)), rng)
        atoms.arrays["label"] = np.full(len(atoms), COLUMN, dtype="U8")
        sites = sites_of(atoms)
        return ColumnScene(
            atoms, sites, np.ones(len(sites), np.intp), _to_rim(sites, size_nm, 0.19, 3), _GRAPHENE_PER_NM
        )

    def _sheet(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        from micrograph.structures import grain_boundary, graphene

        if rng.random() < self.boundaries:
            tilt = float(rng.choice([21.787, 27.796, 32.204, 38.213, rng.uniform(8.0, 30.0)]))
            return grain_boundary(
                size_nm, rng, tilt_deg=tilt, rotation_deg=float(rng.uniform(0, 360)), margin_nm=SHEET_MARGIN_NM
            )
        return graphene(
            size_nm,
            rotation_deg=float(rng.uniform(0, 60)),
            strain=tuple(rng.normal(0, self.strain, 3)),
            shift_nm=tuple(rng.uniform(0, 0.3, 2)),
            margin_nm=SHEET_MARGIN_NM,
        )


#: Sheets go on beyond the field by so much.
SHEET_MARGIN_NM = 1.2


@dataclass(frozen=True)
class WulffParticles:
    """One fcc particle near the middle of each field: Wulff's shape, rough surfaces, a zone axis along the beam.

    symbol, a_nm: the metal and its lattice constant. Ranges, drawn uniformly: diameter_nm (between two faces of lowest
    energy; at most 0.8 of the field), tilt_deg (about each of two axes, either way), rough (share of surface atoms
    moved), displaced_nm (random step of every column). cut: share of particles cut flat on one side, as by a support.
    zones: zone axes, all equally likely.
    """

    symbol: str = "Au"
    a_nm: float = 0.4078
    diameter_nm: Range = (1.2, 3.2)
    tilt_deg: Range = (0.0, 1.5)
    rough: Range = (0.0, 0.15)
    displaced_nm: Range = (0.0, 0.008)
    cut: float = 0.5
    zones: tuple[Axis, ...] = ((1, 1, 0), (1, 0, 0), (1, 1, 1))

    def __call__(self, size_nm: float, rng: np.random.Generator) -> ColumnScene:
        """Return a particle with its columns: each is where its atoms are on average, tilted as they are."""
        from micrograph.structures import columns, seen_along

        solid = self._solid(size_nm, rng)
        axis = self.zones[int(rng.integers(len(self.zones)))]
        turn = float(rng.uniform(0, 360))
        upright = seen_along(solid, axis, turn_deg=turn)
        _, column = np.unique(columns(upright.positions[:, 1::-1] / 10.0), return_inverse=True)
        signs = rng.choice([-1, 1], 2)
        tilt = (float(signs[0] * rng.uniform(*self.tilt_deg)), float(signs[1] * rng.uniform(*self.tilt_deg)))
        atoms = seen_along(solid, axis, turn_deg=turn, tilt_deg=tilt)
        count = np.bincount(column)
        steps = rng.normal(0, 10 * float(rng.uniform(*self.displaced_nm)), (len(count), 2))
        atoms.positions[:, :2] += steps[column]
        middle = (atoms.positions.max(axis=0) + atoms.positions.min(axis=0)) / 2
        atoms.positions -= middle
        atoms.positions[:, :2] += 10 * (size_nm / 2 + rng.uniform(-0.06, 0.06, 2) * size_nm)
        y, x = (np.bincount(column, atoms.positions[:, part] / 10.0) / count for part in (1, 0))
        sites = Sites(y, x, np.full(len(count), COLUMN, dtype="U8"))
        return ColumnScene(
            atoms, sites, count, _to_rim(sites, size_nm, 1.2 * _spacing(sites), 5), self.shown_per_nm(axis)
        )

    def shown_per_nm(self, axis: Axis) -> float:
        """Return the reflections that an image along an axis must hold: {220} along [111], {200} else."""
        return float(np.sqrt(8.0) if sorted(map(abs, axis)) == [1, 1, 1] else 2.0) / self.a_nm

    def _solid(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        from micrograph.structures import roughened, wulff_particle

        diameter = min(float(rng.uniform(*self.diameter_nm)), 0.8 * size_nm)
        centre = tuple(float(part) for part in rng.uniform(-0.5, 0.5, 3))
        contact = ((1, 1, 1), float(rng.uniform(0.0, 1.0))) if rng.random() < self.cut else None
        solid = wulff_particle(
            diameter, symbol=self.symbol, a_nm=self.a_nm, centre=(centre[0], centre[1], centre[2]), contact=contact
        )
        return roughened(solid, rng, share=float(rng.uniform(*self.rough)))


def _spacing(sites: Sites) -> float:
    """Return the usual distance of neighbouring columns (nm)."""
    from scipy.spatial import cKDTree

    if len(sites) < 2:
        return 0.3
    points = np.column_stack([sites.y_nm, sites.x_nm])
    return float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]))


def _to_rim(sites: Sites, size_nm: float, bond_nm: float, full: int) -> Array:
    """Return how far (nm) each site is from the nearest one in the field with fewer than `full` sites within a bond."""
    from scipy.spatial import cKDTree

    points = np.column_stack([sites.y_nm, sites.x_nm])
    if not len(points):
        return np.zeros(0)
    around = cKDTree(points).query_ball_point(points, bond_nm, return_length=True) - 1
    reach = 0.6
    near = ((points > -reach) & (points < size_nm + reach)).all(axis=1)
    rim = points[(around < full) & near]
    if not len(rim):
        return np.full(len(points), FAR_NM)
    return np.asarray(np.minimum(np.asarray(cKDTree(rim).query(points)[0], float), FAR_NM))
