"""Columns as the beam sees them: atoms projected along z, merged, and named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from micrograph.core import Sites

#: Atoms closer than this in projection form one column.
COLUMN_NM = 0.03


def labelled(positions_nm: NDArray[np.float64], numbers: NDArray[np.intp], labels: Sequence[str] | NDArray[np.str_]) -> Atoms:
    """Return ASE atoms (angstrom) at `positions_nm` (N, 3) as (x, y, z) with the array 'label'; number 0 is an empty site."""
    atoms = Atoms(numbers=numbers, positions=np.asarray(positions_nm, float) * 10.0)
    atoms.set_array("label", np.asarray(labels, dtype="U8"))
    return atoms


def sites_of(atoms: Atoms) -> Sites:
    """Return the columns of `atoms` along z with their labels; positions count from the atoms' origin.

    Atoms that carry the array 'label' keep it, one site a label group; others are merged within `COLUMN_NM` and named by
    their element, or 'atom' where a column mixes elements.
    """
    y_x = atoms.positions[:, [1, 0]] / 10.0
    group = _columns(y_x)
    first = np.unique(group, return_index=True)[1]
    count = len(first)
    total = np.bincount(group, minlength=count)
    y = np.bincount(group, y_x[:, 0], count) / np.maximum(total, 1)
    x = np.bincount(group, y_x[:, 1], count) / np.maximum(total, 1)
    if "label" in atoms.arrays:
        return Sites(y, x, atoms.arrays["label"][first].astype(np.str_))
    numbers = atoms.get_atomic_numbers()
    symbols = np.array([chemical_symbols[n] for n in numbers[first]], dtype=np.str_)
    mixed = np.zeros(count, dtype=bool)
    np.logical_or.at(mixed, group, numbers != numbers[first][group])
    return Sites(y, x, np.where(mixed, "atom", symbols))


def _columns(y_x: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the column number of every point (N, 2), numbered by first appearance along the array."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if len(y_x) == 0:
        return np.zeros(0, np.intp)
    pairs = cKDTree(y_x).query_pairs(COLUMN_NM, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(y_x),) * 2)
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.intp)


def lattice_points(
    cell_nm: NDArray[np.float64], size_nm: tuple[float, float], margin_nm: float, shift_nm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the lattice points (N, 2) as (x, y) of `cell_nm` (rows a, b) whose cells may reach the field and its margin."""
    height, width = size_nm
    corners = np.array([[x, y] for x in (-margin_nm, width + margin_nm) for y in (-margin_nm, height + margin_nm)])
    index = (corners - shift_nm) @ np.linalg.inv(cell_nm)
    low, high = np.floor(index.min(axis=0)).astype(int) - 1, np.ceil(index.max(axis=0)).astype(int) + 1
    i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1), indexing="ij")
    return np.stack([i.ravel(), j.ravel()], axis=1) @ cell_nm + shift_nm


def within(points: NDArray[np.float64], size_nm: tuple[float, float], margin_nm: float) -> NDArray[np.bool_]:
    """Return which points (N, 2+) as (x, y, ...) lie in the field of `size_nm` (h, w) or its margin."""
    height, width = size_nm
    inside_x = (points[:, 0] > -margin_nm) & (points[:, 0] < width + margin_nm)
    return np.asarray(inside_x & (points[:, 1] > -margin_nm) & (points[:, 1] < height + margin_nm))


def hexagonal_cell(a_nm: float, rotation_deg: float, strain: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the cell (rows a, b at 120 degrees) turned by `rotation_deg`, then strained by the 2 x 2 matrix 1 + strain."""
    angle = np.deg2rad(rotation_deg + np.array([0.0, 120.0]))
    cell = a_nm * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return cell if strain is None else cell @ (np.eye(2) + strain).T
