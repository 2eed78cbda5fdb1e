"""2H monolayers of transition-metal dichalcogenides with dopants, substitutions and vacancies.

Columns of two chalcogens are named by what is in them: 'Se2' full, 'Se1' one missing, 'Se0' both missing, 'SSe' mixed,
'S1' the other chalcogen alone. Empty metal sites are 'vac_W'. Empty sites stay as atoms of number 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from micrograph.core import BadInput
from micrograph.structures.layer import (
    MARGIN_NM,
    Index,
    Size,
    copy_of,
    deformation,
    hexagonal_cell,
    inside,
    lattice_points,
    layer,
)


@dataclass(frozen=True)
class Material:
    """Metal and chalcogen, lattice constant and distance between the two chalcogen planes (nm)."""

    metal: str
    chalcogen: str
    a_nm: float
    thickness_nm: float


#: Lattice constants and chalcogen planes of the bulk 2H crystals (selenides: Schutte 1987,
#: doi:10.1016/0022-4596(87)90057-0 and Bronsema 1986, doi:10.1002/zaac.19865400904).
MATERIALS = {
    "MoS2": Material("Mo", "S", 0.3160, 0.317),
    "WS2": Material("W", "S", 0.3153, 0.314),
    "MoSe2": Material("Mo", "Se", 0.3288, 0.334),
    "WSe2": Material("W", "Se", 0.3282, 0.334),
}


def material(name: str) -> Material:
    """Return the material called `name`; raise `BadInput` if it is not known."""
    if name not in MATERIALS:
        raise BadInput(f"The material is '{name}', which is not known: take one of {', '.join(MATERIALS)}.")
    return MATERIALS[name]


def tmd(
    name: str,
    size_nm: Size,
    *,
    rotation_deg: float = 0.0,
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shift_nm: tuple[float, float] = (0.0, 0.0),
    margin_nm: float = MARGIN_NM,
) -> Atoms:
    """Return a perfect monolayer over the field `size_nm` (h, w) and its margin; labels such as 'W' and 'Se2'.

    At rotation 0 a zigzag row runs along x; the rotation is counter-clockwise; strain is (exx, eyy, exy) and follows
    it; shift (y, x) moves a metal away from the origin. Rows: metals first, then the chalcogens in pairs of lower and
    upper atom. Raises `BadInput` for a material not in `MATERIALS`.
    """
    made = material(name)
    cell = hexagonal_cell(made.a_nm) @ deformation(rotation_deg, strain)
    metal = lattice_points(cell, size_nm, margin_nm, np.asarray(shift_nm))
    chalcogen = metal + cell.sum(axis=0) / 3
    metal, chalcogen = metal[inside(metal, size_nm, margin_nm)], chalcogen[inside(chalcogen, size_nm, margin_nm)]
    count = [len(metal), 2 * len(chalcogen)]
    return layer(
        np.concatenate([metal, np.repeat(chalcogen, 2, axis=0)]),
        made.thickness_nm / 2 * np.concatenate([np.zeros(count[0]), np.tile([-1.0, 1.0], len(chalcogen))]),
        np.repeat([atomic_numbers[made.metal], atomic_numbers[made.chalcogen]], count),
        np.repeat([made.metal, f"{made.chalcogen}2"], count),
        material=name,
    )


def with_dopants(atoms: Atoms, element: str, rate: float, rng: np.random.Generator) -> Atoms:
    """Put `element` on each metal site with probability `rate`; sites that are doped or empty already stay."""
    number = _number(element)
    changed = copy_of(atoms)
    chosen = _drawn(_metals(atoms), rate, rng)
    changed.numbers[chosen] = number
    changed.arrays["label"][chosen] = element
    return changed


def with_metal_vacancies(atoms: Atoms, rate: float, rng: np.random.Generator) -> Atoms:
    """Empty each metal site with probability `rate`: number 0, label 'vac_W'."""
    changed = copy_of(atoms)
    chosen = _drawn(_metals(atoms), rate, rng)
    changed.numbers[chosen] = 0
    changed.arrays["label"][chosen] = f"vac_{_of(atoms).metal}"
    return changed


def with_chalcogen_vacancies(
    atoms: Atoms, rate: float, rng: np.random.Generator, *, double_fraction: float = 0.15
) -> Atoms:
    """Empty each full chalcogen column with probability `rate`, of both atoms in the given share, else of one."""
    changed = copy_of(atoms)
    lower = _drawn(_full_columns(atoms), rate, rng)
    both = rng.random(len(lower)) < double_fraction
    upper_goes = rng.random(len(lower)) < 0.5
    changed.numbers[lower[both | ~upper_goes]] = 0
    changed.numbers[lower[both | upper_goes] + 1] = 0
    return _columns_named(changed, lower)


def with_chalcogen_substitutions(
    atoms: Atoms, element: str, rate: float, rng: np.random.Generator, *, double_fraction: float = 0.15
) -> Atoms:
    """Put `element` into each full chalcogen column with probability `rate`, on both places in the given share."""
    number = _number(element)
    changed = copy_of(atoms)
    lower = _drawn(_full_columns(atoms), rate, rng)
    both = rng.random(len(lower)) < double_fraction
    upper_changes = rng.random(len(lower)) < 0.5
    changed.numbers[lower[both | ~upper_changes]] = number
    changed.numbers[lower[both | upper_changes] + 1] = number
    return _columns_named(changed, lower)


def _of(atoms: Atoms) -> Material:
    if "material" not in atoms.info:
        raise BadInput("These atoms do not come from tmd(): start from tmd('WSe2', size_nm) or another material.")
    return material(str(atoms.info["material"]))


def _number(element: str) -> int:
    if element not in chemical_symbols[1:]:
        raise BadInput(f"The element is '{element}', which is not a chemical symbol: write it like 'V' or 'Se'.")
    return int(atomic_numbers[element])


def _metals(atoms: Atoms) -> Index:
    return np.flatnonzero(atoms.arrays["label"] == _of(atoms).metal)


def _full_columns(atoms: Atoms) -> Index:
    """Return the rows of the lower atoms of full columns; the upper atom is in the next row."""
    return np.flatnonzero(atoms.arrays["label"] == f"{_of(atoms).chalcogen}2")[::2]


def _drawn(rows: Index, rate: float, rng: np.random.Generator) -> Index:
    if not 0 <= rate <= 1:
        raise BadInput(f"The rate is {rate}: it is the share of sites and must lie between 0 and 1.")
    return rows[rng.random(len(rows)) < rate]


def _columns_named(atoms: Atoms, lower: Index) -> Atoms:
    """Write the labels of the columns whose lower atoms are in the rows `lower` from what is in them."""
    host = _of(atoms).chalcogen
    for row in lower:
        atoms.arrays["label"][row : row + 2] = _column_name(atoms.numbers[row : row + 2], host)
    return atoms


def _column_name(numbers: Index, host: str) -> str:
    present = sorted(chemical_symbols[number] for number in numbers if number)
    if len(set(present)) == 2:
        return "".join(present)
    return f"{present[0] if present else host}{len(present)}"
