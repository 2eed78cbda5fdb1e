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

    `structure` is 'SrTiO3' or a file (CIF and what else ASE reads). Raises `BadInput` where no vectors of the lattice
    are at right angles to the axis and to each other.
    """
    atoms = cubic_perovskite() if str(structure) == "SrTiO3" else _read(Path(structure))
    axis = zone_axis_of(zone_axis)
    if atoms.cell.rank != 3:
        raise BadInput(f"The structure '{structure}' has no unit cell: a crystal is needed.")
    cell = np.asarray(atoms.cell)
    index = np.array([i for i in product(range(-_MOST, _MOST + 1), repeat=3) if any(i)])
    vectors = index @ cell
    length = np.linalg.norm(vectors, axis=1)
    along = axis @ cell
    across = np.flatnonzero(np.abs(vectors @ along) <= _SQUARE * length * np.linalg.norm(along))
    across = across[np.argsort(length[across], kind="stable")]
    for second in across:
        for first in across[length[across] <= length[second] * (1 + 1e-6)]:
            if abs(vectors[first] @ vectors[second]) <= _SQUARE * length[first] * length[second]:
                return _filled_cell(atoms, np.array([vectors[first], vectors[second], along]))
    raise BadInput(
        f"'{structure}' has no lattice vectors at right angles to [{zone_axis}] and to each other: choose another axis."
    )


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
