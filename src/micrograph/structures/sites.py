"""Columns as the beam sees them: atoms projected along z, merged, and named."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from micrograph.core import Sites
from micrograph.structures.layer import Array, Index, copy_of, points_of

#: Atoms closer than this in projection form one column.
COLUMN_NM = 0.03

_SYMBOLS = np.array(["vac", *chemical_symbols[1:]])


def sites_of(atoms: Atoms) -> Sites:
    """Return the columns of `atoms` along z; ``y_nm, x_nm`` count from the atoms' origin.

    A column has the label that its atoms share; where they differ, that of its heaviest atom (a Ti-O column of SrTiO3
    is 'Ti'). Without ``arrays['label']`` atoms are named by their element. Empty sites (number 0) keep their label
    where nothing else is in the column, and do not move its centre.
    """
    points, numbers = points_of(atoms), atoms.numbers
    label = atoms.arrays["label"] if "label" in atoms.arrays else _SYMBOLS[numbers]
    column = columns(points)
    count = int(column.max(initial=-1)) + 1
    if count == len(points):
        return Sites(points[:, 0].copy(), points[:, 1].copy(), label.copy())
    heaviest = np.lexsort((-numbers, column))[np.searchsorted(np.sort(column), np.arange(count))]
    weight = (numbers > 0) | (numbers[heaviest] == 0)[column]
    total = np.bincount(column, weight, count)
    y, x = (np.bincount(column, weight * points[:, axis], count) / total for axis in (0, 1))
    return Sites(y, x, label[heaviest])


def columns(y_x_nm: Array) -> Index:
    """Return the number of the column of every point (N, 2); columns are numbered in the order of their first point."""
    from scipy.spatial import cKDTree

    count = len(y_x_nm)
    pairs = cKDTree(y_x_nm).query_pairs(COLUMN_NM, output_type="ndarray") if count else np.empty((0, 2), np.intp)
    if not len(pairs):
        return np.arange(count)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.intp)


def random_displacements(atoms: Atoms, sigma_nm: float, rng: np.random.Generator) -> Atoms:
    """Move every column as a whole by a normal random step of `sigma_nm` along y and along x."""
    moved = copy_of(atoms)
    column = columns(points_of(atoms))
    steps = rng.normal(0.0, 10.0 * sigma_nm, (int(column.max(initial=-1)) + 1, 2))
    moved.positions[:, :2] += steps[column]
    return moved
