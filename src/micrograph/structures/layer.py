"""Atoms from points and back: nm and (y, x) outside, angstrom and (x, y, z) inside ASE."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Size = float | tuple[float, float]

#: Width of the border around the asked field that is filled with atoms as well.
MARGIN_NM = 0.6

#: Characters of a label: the longest are those of empty sites ('vac_Mo').
_LABEL = "U8"


def field(size_nm: Size) -> tuple[float, float]:
    """Return the height and the width (nm) that `size_nm` stands for; one number is a square."""
    height, width = size_nm if isinstance(size_nm, tuple) else (size_nm, size_nm)
    if not (0 < height < np.inf and 0 < width < np.inf):
        raise BadInput(f"The field is {height} nm x {width} nm: both sides must be greater than zero and finite.")
    return float(height), float(width)


def layer(y_x_nm: Array, z_nm: ArrayLike, numbers: ArrayLike, label: ArrayLike, **info: Any) -> Atoms:
    """Return ASE atoms at `y_x_nm` (N, 2) and height `z_nm` with `numbers` and `label`; scalars hold for all atoms."""
    count = len(y_x_nm)
    positions = np.empty((count, 3))
    positions[:, [1, 0]] = 10.0 * y_x_nm
    positions[:, 2] = 10.0 * np.asarray(z_nm)
    atoms = Atoms(numbers=np.broadcast_to(np.asarray(numbers, dtype=int), (count,)), positions=positions, info=info)
    atoms.arrays["label"] = np.array(np.broadcast_to(np.asarray(label, dtype=_LABEL), (count,)))
    return atoms


def copy_of(atoms: Atoms) -> Atoms:
    """Return a copy of `atoms` that can be changed freely."""
    copy: Atoms = atoms.copy()  # type: ignore[no-untyped-call]
    return copy


def part_of(atoms: Atoms, which: Index | NDArray[np.bool_]) -> Atoms:
    """Return the atoms of the given rows."""
    part: Atoms = atoms[which]
    return part


def points_of(atoms: Atoms) -> Array:
    """Return the positions in projection, (N, 2) as (y, x) in nm."""
    return np.asarray(atoms.positions[:, 1::-1] / 10.0)


def inside(y_x_nm: Array, size_nm: Size, margin_nm: float) -> NDArray[np.bool_]:
    """Tell which points (N, 2) lie in the field or in its margin."""
    near = (y_x_nm >= -margin_nm) & (y_x_nm <= np.array(field(size_nm)) + margin_nm)
    return np.asarray(near.all(axis=1))


def turn(angle_deg: float) -> Array:
    """Return the matrix that turns row vectors (y, x) counter-clockwise on the screen: ``points @ turn(angle)``."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[cos, sin], [-sin, cos]])


def deformation(rotation_deg: float, strain: tuple[float, float, float]) -> Array:
    """Return the matrix for row vectors (y, x): rotation, then strain (exx, eyy, exy) along the axes of the image."""
    exx, eyy, exy = strain
    return np.asarray(turn(rotation_deg) @ np.array([[1 + eyy, exy], [exy, 1 + exx]]))


def lattice_points(cell: Array, size_nm: Size, margin_nm: float, shift: Array) -> Array:
    """Return the lattice points ``i a + j b + shift`` (N, 2) whose cells may touch the field or its margin.

    `cell` has the rows a and b as (y, x) in nm.
    """
    height, width = field(size_nm)
    corners = np.array([[y, x] for y in (-margin_nm, height + margin_nm) for x in (-margin_nm, width + margin_nm)])
    index = (corners - shift) @ np.linalg.inv(cell)
    low, high = np.floor(index.min(axis=0)).astype(int) - 1, np.ceil(index.max(axis=0)).astype(int) + 1
    i, j = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].reshape(2, -1)
    points = np.column_stack([i, j]) @ cell + shift
    reach = np.abs(cell).sum(axis=0).max()
    return np.asarray(points[inside(points, size_nm, margin_nm + reach)])


def hexagonal_cell(a_nm: float) -> Array:
    """Return the cell (rows a, b as (y, x)) with a along +x and b 60 degrees counter-clockwise of it on the screen."""
    return np.array([[0.0, a_nm], [-np.sqrt(3) / 2 * a_nm, a_nm / 2]])
