"""Crystals whose structure type is known, of materials that were not learned from, and classical ways to name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.diffraction.pattern_vector import pattern_vector
from micrograph.features.diffraction.spots import Spots
from micrograph.features.layers.surroundings import FIRST, find_pairs, structure_table
from micrograph.simulate.patterns.crystals import CrystalSampler, materials, random_zones
from micrograph.simulate.patterns.diffraction import Beam, Camera, reflections, saed
from micrograph.structures.prototypes import COMPOUND, ELEMENTAL, PROTOTYPES, Wear, element, random_material, worn

Array = NDArray[np.float64]

#: Structure types that are never learned from.
UNSEEN = tuple(name for name in PROTOTYPES if name not in (*ELEMENTAL, *COMPOUND))
#: Orders of the bond-orientational invariants of the baseline (Steinhardt, doi:10.1103/PhysRevB.28.784).
_ORDERS = (4, 6, 8, 10)
#: Elements that `ase` calls hexagonal close packed and which are not, or stack otherwise.
_NOT_HCP = {"Se", "Te", "La", "Pr", "Nd", "Ce"}


@dataclass(frozen=True)
class Case:
    """One crystal: its true structure type ('' for none of the known ones) and what is recorded of it."""

    name: str
    recording: Recording


def random_cell(name: str, rng: np.random.Generator) -> Atoms:
    """Return a cell of an unseen material: half of the time a real element of that structure, where there is one."""
    real = [
        found[1]
        for z in materials(0)
        if (found := element(_symbol(z))) is not None and found[0] == name and _symbol(z) not in _NOT_HCP
    ]
    if real and rng.random() < 0.5:
        return real[int(rng.integers(len(real)))]
    symbols = rng.choice([_symbol(z) for z in materials(0)], PROTOTYPES[name].species, replace=False)
    return random_material(name, tuple(map(str, symbols)), rng)


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])


@dataclass(frozen=True)
class StructureTrial:
    """Blocks of 100 to 400 sites with displacements (angstrom, 1-sigma per axis) and a share of vacancies."""

    name: str
    displacement_A: float = 0.06
    vacancies: float = 0.25
    number: int = 440
    known: tuple[str, ...] = (*ELEMENTAL, *COMPOUND)

    def cases(self, rng: np.random.Generator, names: Sequence[str] | None = None) -> list[Case]:
        """Return as many cases of every structure type, or of those in `names`."""
        chosen = tuple(names or self.known)
        return [self.case(chosen[i % len(chosen)], rng) for i in range(self.number)]

    def case(self, name: str, rng: np.random.Generator) -> Case:
        """Return one case of a structure type."""
        wear = Wear(self.displacement_A, self.vacancies)
        block = worn(random_cell(name, rng), int(rng.integers(100, 401)), wear, rng)
        table = structure_table(block.positions, block.numbers, np.asarray(block.cell))
        recording = Recording([table].__getitem__, range(1), Calibration(content="structure"), table.shape)
        return Case(name if name in self.known else "", recording)


@dataclass(frozen=True)
class PatternTrial:
    """Selected-area patterns of several zones of a crystal, as images of one camera."""

    name: str
    zones: int = 3
    mistilt_deg: float = 3.0
    counts: float = 1e4
    number: int = 240
    known: tuple[str, ...] = ELEMENTAL

    def cases(self, rng: np.random.Generator, names: Sequence[str] | None = None) -> list[Case]:
        """Return as many cases of every structure type, or of those in `names`."""
        chosen = tuple(names or self.known)
        return [self.case(chosen[i % len(chosen)], rng) for i in range(self.number)]

    def case(self, name: str, rng: np.random.Generator) -> Case:
        """Return one case of a structure type."""
        cell = random_cell(name, rng)
        camera = Camera(pixel_per_nm=float(rng.uniform(0.10, 0.14)), counts=self.counts)
        beam = Beam(200.0, float(rng.uniform(5, 20)), float(rng.uniform(2, 6)))
        found = reflections(cell, 0.62 * camera.side_px * camera.pixel_per_nm)
        sampler = replace(CrystalSampler(), mistilt_deg=(0.0, self.mistilt_deg))
        zones = random_zones(cell, self.zones, rng)
        images = [saed(found, sampler.turned(cell, zone, rng), beam, camera, rng) for zone in zones]
        recording = Recording(images.__getitem__, range(len(images)), Calibration(), images[0].shape)
        return Case(name if name in self.known else "", recording)


def bond_order(table: NDArray[np.float32]) -> Array:
    """Return Steinhardt's invariants of the first shell and the coordination, means over the atoms."""
    from scipy.special import eval_legendre

    pairs = find_pairs(table, reach=2.0)
    length = np.linalg.norm(pairs.vector, axis=1)
    inside = length < FIRST * pairs.nearest_A
    unit, centre = pairs.vector[inside] / length[inside, None], pairs.centre[inside]
    found = []
    for one in np.unique(centre):
        mine = unit[centre == one]
        cosines = np.clip(mine @ mine.T, -1, 1)
        found.append([np.sqrt(max(0.0, float(eval_legendre(order, cosines).mean()))) for order in _ORDERS])
    return np.append(np.mean(found, axis=0), len(centre) / max(1, pairs.centres) / 24)


@dataclass(frozen=True)
class Templates:
    """Vectors (T, F) of ideal crystals with their names (T,): the nearest one gives the name."""

    vectors: Array
    names: tuple[str, ...]

    def nearest(self, vector: Array) -> str:
        """Return the name of the template nearest to a vector."""
        return self.names[int(np.argmin(np.linalg.norm(self.vectors - vector, axis=1)))]


def structure_templates(rng: np.random.Generator, each: int = 4) -> Templates:
    """Return the bond order of ideal crystals of one element; compounds cannot be told from these by bonds alone."""
    made = [
        (name, bond_order(structure_table(cell.positions, cell.numbers, np.asarray(cell.cell))))
        for name in ELEMENTAL
        for cell in (random_material(name, ("Cu",), rng) for _ in range(each))
    ]
    return Templates(np.array([vector for _, vector in made]), tuple(name for name, _ in made))


def pattern_templates(zones: int, rng: np.random.Generator, each: int = 24) -> Templates:
    """Return the vectors of patterns without noise, of materials that are learned from."""
    sampler = CrystalSampler(other=0.0, patterns=(zones, zones), counts=(1e6, 1.1e6), mistilt_deg=(0.0, 1e-3))
    names, vectors = [], []
    for name in ELEMENTAL:
        for _ in range(each):
            _, peaks = replace(sampler, types=(name,)).diffracted(rng)
            names.append(name)
            vectors.append(pattern_vector([Spots(one[:, :2].astype(float), one[:, 3].astype(float)) for one in peaks]))
    return Templates(np.array(vectors, dtype=float), tuple(names))
