"""The smallest cell with right angles that repeats a crystal along a zone axis: what multislice propagates through."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from micrograph.core import BadInput
from micrograph.structures.crystal import _read, zone_axis_of
from micrograph.structures.layer import Array
from micrograph.structures.perovskite import cubic_perovskite

#: Multiples of the lattice vectors that are tried; how far from 90 degrees (sine) an angle may be.
_MOST, _SQUARE = 6, 2e-3


def zone_cell(structure: str | Path, zone_axis: str = "001") -> Atoms:
    """Return the cell (angstrom, edges along x, y and z) of a crystal with its zone axis along z.

    `structure` is 'SrTiO3', an element ('Si', 'Au') or a file (CIF and what else ASE reads). Raises `BadInput` where no
    vectors of the lattice are at right angles to the axis and to each other.
    """
    atoms = _crystal(structure)
    axis = zone_axis_of(zone_axis)
    if atoms.cell.rank != 3:
        raise BadInput(f"The structure '{structure}' has no unit cell: a crystal is needed.")
    cell = np.asarray(atoms.cell)
    index = np.array(list(product(range(-_MOST, _MOST + 1), repeat=3)))
    vectors = (index + _centrings(atoms)[:, None]).reshape(-1, 3) @ cell
    length = np.linalg.norm(vectors, axis=1)
    vectors, length = vectors[length > 1e-3], length[length > 1e-3]
    direction = axis @ cell / np.linalg.norm(axis @ cell)
    same = vectors @ direction > length * (1 - 1e-6)
    along = direction * length[same].min()
    across = np.flatnonzero(np.abs(vectors @ along) <= _SQUARE * length * np.linalg.norm(along))
    across = across[np.argsort(length[across], kind="stable")]
    for second in across:
        for first in across[length[across] <= length[second] * (1 + 1e-6)]:
            if abs(vectors[first] @ vectors[second]) <= _SQUARE * length[first] * length[second]:
                return _filled_cell(atoms, np.array([vectors[first], vectors[second], along]))
    raise BadInput(
        f"'{structure}' has no lattice vectors at right angles to [{zone_axis}] and to each other: choose another axis."
    )


def _centrings(atoms: Atoms) -> Array:
    """Return the translations (M, 3), in shares of the cell, that leave the crystal as it is; the first is none."""
    share = atoms.positions @ np.linalg.inv(np.asarray(atoms.cell))
    found = [np.zeros(3)]
    for other in np.flatnonzero(atoms.numbers == atoms.numbers[0])[1:]:
        shift = share[other] - share[0]
        off = (share[:, None] + shift) - share
        off -= np.round(off)
        meets = (np.abs(off).max(axis=2) < 1e-3) & (atoms.numbers[:, None] == atoms.numbers)
        if meets.any(axis=1).all():
            found.append(shift)
    return np.array(found)


def _crystal(structure: str | Path) -> Atoms:
    """Return a crystal by name, or out of a file."""
    from ase.build import bulk
    from ase.data import chemical_symbols

    if str(structure) == "SrTiO3":
        return cubic_perovskite()
    if str(structure) not in chemical_symbols[1:] or Path(structure).exists():
        return _read(Path(structure))
    for conventional in (True, False):
        try:
            found: Atoms = bulk(str(structure), cubic=conventional)
            return found
        except (ValueError, RuntimeError, NotImplementedError):
            continue
    raise BadInput(f"No crystal of the element '{structure}' is known here: give it as a file (CIF).")


def _filled_cell(atoms: Atoms, edges: Array) -> Atoms:
    """Return all atoms of the crystal in the cell of three `edges` (rows), turned to x, y and z."""
    if np.linalg.det(edges) < 0:
        edges = edges * np.array([[-1.0], [1.0], [1.0]])
    cell = np.asarray(atoms.cell)
    span = np.ceil(np.abs(edges @ np.linalg.inv(cell)).sum(axis=0)).astype(int) + 1
    shifts = np.array(list(product(*(range(-n, n + 1) for n in span)))) @ cell
    positions = (shifts[:, None] + atoms.positions).reshape(-1, 3)
    share = positions @ np.linalg.inv(edges)
    inside = ((share > -1e-4) & (share < 1 - 1e-4)).all(axis=1)
    sides = np.linalg.norm(edges, axis=1)
    numbers = np.tile(atoms.numbers, len(shifts))[inside]
    return Atoms(numbers, scaled_positions=np.clip(share[inside], 0, None), cell=sides, pbc=True)
