"""Monolayers of transition-metal dichalcogenides (2H): MoS2, WS2, MoSe2, WSe2, with vacancies and dopants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.structures.sites import hexagonal_cell, labelled, lattice_points, within


@dataclass(frozen=True)
class Dichalcogenide:
    """A material: metal, chalcogen, lattice constant and height of the chalcogens above the metals (nm)."""

    metal: str
    chalcogen: str
    a_nm: float
    height_nm: float


#: Lattice constants: Schutte 1987, doi:10.1016/0022-4596(87)90057-0 (W) and Bronsema 1986 (Mo).
MATERIALS = {
    "MoS2": Dichalcogenide("Mo", "S", 0.3160, 0.156),
    "WS2": Dichalcogenide("W", "S", 0.3153, 0.157),
    "MoSe2": Dichalcogenide("Mo", "Se", 0.3288, 0.167),
    "WSe2": Dichalcogenide("W", "Se", 0.3282, 0.168),
}


def material_of(name: str) -> Dichalcogenide:
    """Return the material called `name`; refuse one that is not known."""
    if name not in MATERIALS:
        raise BadInput(f"The material is '{name}': known are {', '.join(MATERIALS)}.")
    return MATERIALS[name]


def tmd(
    name: str,
    size_nm: tuple[float, float],
    *,
    rotation_deg: float = 0.0,
    strain: NDArray[np.float64] | None = None,
    shift_nm: tuple[float, float] = (0.0, 0.0),
    margin_nm: float = 0.6,
) -> Atoms:
    """Return a monolayer over a field of `size_nm` (h, w) from the origin and a margin; labels as 'W' and 'Se2'.

    Atoms come metal by metal, then chalcogens in pairs (lower, upper) of one column.
    """
    material = material_of(name)
    cell = hexagonal_cell(material.a_nm, rotation_deg, strain)
    metal = lattice_points(cell, size_nm, margin_nm, np.asarray(shift_nm, float))
    chalcogen = metal + np.array([1 / 3, 2 / 3]) @ cell
    metal, chalcogen = (points[within(points, size_nm, margin_nm)] for points in (metal, chalcogen))
    pairs = np.repeat(chalcogen, 2, axis=0)
    height = np.tile([-material.height_nm, material.height_nm], len(chalcogen))
    positions = np.concatenate([np.c_[metal, np.zeros(len(metal))], np.c_[pairs, height]])
    z_metal, z_chalcogen = atomic_numbers[material.metal], atomic_numbers[material.chalcogen]
    numbers = np.concatenate([np.full(len(metal), z_metal), np.full(len(pairs), z_chalcogen)])
    labels = [material.metal] * len(metal) + [f"{material.chalcogen}2"] * len(pairs)
    return labelled(positions, numbers, labels)


def _metals(atoms: Atoms, name: str) -> NDArray[np.intp]:
    return np.flatnonzero(atoms.arrays["label"] == material_of(name).metal)


def with_dopants(atoms: Atoms, name: str, element: str, rate: float, rng: np.random.Generator) -> Atoms:
    """Put `element` on every metal site of the material `name` with probability `rate`."""
    copy: Atoms = atoms.copy()
    sites = _metals(copy, name)
    chosen = sites[rng.random(len(sites)) < rate]
    copy.numbers[chosen] = atomic_numbers[element]
    copy.arrays["label"][chosen] = element
    return copy


def with_metal_vacancies(atoms: Atoms, name: str, rate: float, rng: np.random.Generator) -> Atoms:
    """Empty every metal site with probability `rate`; the site stays, with number 0 and label 'vac_W'."""
    copy: Atoms = atoms.copy()
    sites = _metals(copy, name)
    chosen = sites[rng.random(len(sites)) < rate]
    copy.numbers[chosen] = 0
    copy.arrays["label"][chosen] = f"vac_{material_of(name).metal}"
    return copy


def with_chalcogen_vacancies(
    atoms: Atoms, name: str, rate: float, rng: np.random.Generator, *, double: float = 0.15
) -> Atoms:
    """Take one chalcogen out of a column with probability `rate`, both in the share `double` of these."""
    copy: Atoms = atoms.copy()
    element = material_of(name).chalcogen
    lower = _full_columns(copy, element)
    hit = rng.random(len(lower)) < rate
    both = hit & (rng.random(len(lower)) < double)
    single = hit & ~both
    top = rng.random(len(lower)) < 0.5
    copy.numbers[lower[single] + top[single]] = 0
    copy.numbers[np.r_[lower[both], lower[both] + 1]] = 0
    for offset in (0, 1):
        copy.arrays["label"][lower[single] + offset] = f"{element}1"
        copy.arrays["label"][lower[both] + offset] = f"{element}0"
    return copy


def with_chalcogen_substitutions(atoms: Atoms, name: str, element: str, rate: float, rng: np.random.Generator) -> Atoms:
    """Replace one chalcogen of a full column by `element` with probability `rate`; the label joins both, as 'SSe'."""
    copy: Atoms = atoms.copy()
    host = material_of(name).chalcogen
    lower = _full_columns(copy, host)
    chosen = lower[rng.random(len(lower)) < rate]
    copy.numbers[chosen] = atomic_numbers[element]
    label = "".join(sorted((host, element)))
    copy.arrays["label"][chosen] = label
    copy.arrays["label"][chosen + 1] = label
    return copy


def _full_columns(atoms: Atoms, element: str) -> NDArray[np.intp]:
    """Return the rows of the lower atoms of full chalcogen columns (the upper atom is the next row)."""
    return np.flatnonzero(atoms.arrays["label"] == f"{element}2")[::2]
