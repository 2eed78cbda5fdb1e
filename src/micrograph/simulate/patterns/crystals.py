"""Crystals to learn from: known structure types of made-up materials, worn, or random ones; as atoms or as patterns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from micrograph.simulate.patterns.diffraction import Beam, Camera, Reflections, excited, reflections, zone_rotation
from micrograph.simulate.ranges import Range
from micrograph.structures.prototypes import COMPOUND, ELEMENTAL, PROTOTYPES, Wear, random_material, worn
from micrograph.structures.space_groups import random_crystal

Array = NDArray[np.float64]
Peaks = NDArray[np.float32]

#: The answer for anything else.
OTHER = "other"
STRUCTURES = (*ELEMENTAL, *COMPOUND, OTHER)
PATTERNS = (*ELEMENTAL, OTHER)
#: Random crystals with fewer atoms in their primitive cell may be one of the known types.
_LEAST_ATOMS = 3
#: Two zone axes are at least this far apart.
_APART_DEG = 12.0


def materials(fold: int | None) -> tuple[int, ...]:
    """Return the atomic numbers of the elements to learn from (`fold` None) or to be judged by (0): never both."""
    return tuple(z for z in range(3, 84) if (z % 3 != 0) == (fold is None))


@dataclass(frozen=True)
class CrystalSampler:
    """Random crystals, `other` of them (a share) of random space groups.

    Ranges: atoms in a block, displacement_A (1-sigma per axis), shares of vacancies and of substituted atoms, patterns
    of one crystal, mistilt_deg of each, thickness_nm, counts in a pattern, voltage_kV. `elements` are those of its
    materials; `types`, where given, are the structure types instead of all known ones.
    """

    elements: tuple[int, ...] = field(default_factory=lambda: materials(None))
    other: float = 0.3
    atoms: Range = (60.0, 400.0)
    displacement_A: Range = (0.0, 0.08)
    vacancies: Range = (0.0, 0.45)
    substituted: Range = (0.0, 0.10)
    patterns: tuple[int, int] = (1, 5)
    mistilt_deg: Range = (0.0, 3.0)
    thickness_nm: Range = (4.0, 25.0)
    counts: Range = (4e3, 1e5)
    voltage_kV: Range = (80.0, 300.0)
    pixel_per_nm: Range = (0.09, 0.15)
    clusters: float = 0.15
    types: tuple[str, ...] = ()

    @cached_property
    def symbols(self) -> list[str]:
        """Symbols of the elements."""
        return [chemical_symbols[z] for z in self.elements]

    def cell(self, rng: np.random.Generator, known: tuple[str, ...]) -> tuple[str, Atoms]:
        """Return the structure type, or 'other', and one cell of a new material."""
        if rng.random() < self.other:
            return OTHER, random_other(rng)
        name = str(rng.choice(self.types or known))
        chosen = tuple(str(one) for one in rng.choice(self.symbols, PROTOTYPES[name].species, replace=False))
        return (name if name in known else OTHER), random_material(name, chosen, rng)

    def structure(self, rng: np.random.Generator) -> tuple[str, Atoms]:
        """Return the structure type and a worn block of it; some are single cells, some clusters without a period."""
        name, cell = self.cell(rng, (*ELEMENTAL, *COMPOUND))
        if rng.random() < 0.1:
            return name, cell
        vacancies, displacement, substituted, atoms = (
            float(rng.uniform(*limits))
            for limits in (self.vacancies, self.displacement_A, self.substituted, self.atoms)
        )
        cluster = rng.random() < self.clusters
        block = worn(
            cell, round(2 * atoms) if cluster else round(atoms), Wear(displacement, vacancies, substituted), rng
        )
        block.pbc = not cluster
        if cluster:
            block.cell[:] = 0.0
        return name, block

    def diffracted(self, rng: np.random.Generator) -> tuple[str, list[Peaks]]:
        """Return the structure type and the spots of several zones, rows (gx, gy, 0, counts), as a camera sees them."""
        name, cell = self.cell(rng, ELEMENTAL)
        camera = Camera(
            pixel_per_nm=float(rng.uniform(*self.pixel_per_nm)),
            counts=float(np.exp(rng.uniform(*np.log(self.counts)))),
            background=float(rng.uniform(0.1, 0.5)),
        )
        voltage = float(rng.uniform(*self.voltage_kV))
        found = reflections(
            cell,
            0.62 * camera.side_px * camera.pixel_per_nm,
            voltage_kV=voltage,
            thermal_nm=float(rng.uniform(0.004, 0.013)),
        )
        zones = random_zones(cell, int(rng.integers(self.patterns[0], self.patterns[1] + 1)), rng)
        beam = Beam(voltage, float(rng.uniform(*self.thickness_nm)), float(rng.uniform(1, 8)))
        return name, [self._spots(found, cell, zone, beam, camera, rng) for zone in zones]

    def turned(self, cell: Atoms, zone: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Return a rotation that brings a zone axis to the beam, mistilted at random and turned about the beam."""
        tilt = self.mistilt_deg[0] + (self.mistilt_deg[1] - self.mistilt_deg[0]) * float(np.sqrt(rng.random()))
        return zone_rotation(cell, zone, tilt, *rng.uniform(0, 360, 2))

    def _spots(
        self,
        found: Reflections,
        cell: Atoms,
        zone: NDArray[np.intp],
        beam: Beam,
        camera: Camera,
        rng: np.random.Generator,
    ) -> Peaks:
        return camera_spots(excited(found, self.turned(cell, zone, rng), beam), camera, rng)


def camera_spots(shown: Reflections, camera: Camera, rng: np.random.Generator) -> Peaks:
    """Return the spots that stand out in a pattern without making its image: (gx, gy, 0, counts).

    Places are as uncertain as counting makes them, and 0.1 px more; spots weaker than the noise of the diffuse light,
    or behind the stop, are missing.
    """
    g = shown.g_per_nm[:, :2]
    edge = camera.pixel_per_nm * camera.side_px / 2
    length = np.linalg.norm(g, axis=1)
    inside = (np.abs(g) < edge).all(axis=1)
    total = shown.intensity[inside].sum()
    expected = camera.counts * (1 - camera.background) * shown.intensity / max(total, 1e-12)
    counts = rng.poisson(np.minimum(expected, 1e9)).astype(float)
    reach = 2.5 / camera.pixel_per_nm
    diffuse = camera.counts * camera.background / (2 * np.pi * reach**2 + 0.02 * camera.side_px**2)
    under = 41 * diffuse * (np.exp(-length / 2.5) + 0.02)
    hidden = length < 0.04 * camera.side_px * camera.pixel_per_nm
    seen = inside & ~hidden & (counts > 6 * np.sqrt(under) + 6)
    sigma = camera.pixel_per_nm * (
        camera.spot_px * np.sqrt(1 + under[seen] / counts[seen]) / np.sqrt(counts[seen]) + 0.1
    )
    place = g[seen] + rng.normal(size=(int(seen.sum()), 2)) * sigma[:, None]
    place = place + rng.normal(0, 0.2 * camera.pixel_per_nm, 2)
    order = np.argsort(-counts[seen])[:150]
    return np.column_stack([place, np.zeros(len(place)), counts[seen]])[order].astype(np.float32)


def random_other(rng: np.random.Generator) -> Atoms:
    """Return a cell of a random space group that is none of the known structure types."""
    while True:
        crystal = random_crystal(int(rng.integers(1, 231)), rng)
        if _primitive_atoms(crystal) >= _LEAST_ATOMS:
            return crystal


def _primitive_atoms(crystal: Atoms) -> float:
    """Return the number of atoms in the primitive cell: those of the cell by its translations."""
    basis = crystal.get_scaled_positions()  # type: ignore[no-untyped-call]
    numbers = crystal.numbers
    translations = 0
    for shift in basis[numbers == numbers[0]] - basis[0]:
        difference = (basis + shift)[:, None] - basis[None]
        off = np.abs(difference - np.round(difference)).max(axis=-1)
        translations += bool(((off < 1e-3) & (numbers[:, None] == numbers[None])).any(axis=1).all())
    return len(basis) / max(1, translations)


def random_zones(cell: Atoms, number: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return different zone axes [uvw] of a crystal with indices up to 2: the shorter the axis, the more likely."""
    index = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    index = index[(np.gcd.reduce(index, axis=1) == 1)]
    vectors = index @ np.asarray(cell.cell)
    length = np.linalg.norm(vectors, axis=1)
    weight = (length / length.min()) ** -3.0
    chosen: list[int] = []
    for place in rng.choice(len(index), size=len(index), replace=False, p=weight / weight.sum()):
        cosine = np.abs(vectors[chosen] @ vectors[place]) / (length[chosen] * length[place])
        if (cosine < np.cos(np.deg2rad(_APART_DEG))).all():
            chosen.append(int(place))
        if len(chosen) == number:
            break
    return [index[place] for place in chosen]
