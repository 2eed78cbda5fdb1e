"""Random two-dimensional crystals: any Bravais lattice with one to four columns in its cell."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.structures.layer import MARGIN_NM, Array, Size, hexagonal_cell, inside, lattice_points, layer, turn

#: Closest distance (nm) of two columns, just below the Si [110] dumbbell.
NEAREST_NM = 0.13

#: Heaviest and lightest column of a crystal differ at most by this factor in atomic number.
_CONTRAST = 3.0

#: Highest area of a cell per column (nm^2), so that a field is not nearly empty.
_ROOM_NM2 = 0.16

#: Special positions in a cell, where most columns of real crystals sit.
_SPECIAL = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)


def random_lattice_2d(size_nm: Size, rng: np.random.Generator, *, margin_nm: float = MARGIN_NM) -> Atoms:
    """Return a random crystal over the field `size_nm` (h, w) and its margin; all labels 'atom'.

    The lattice is oblique, rectangular, centred, square or hexagonal, in any direction, with 1 to 4 columns at least
    `NEAREST_NM` apart. Each column of the cell is one atom of an element from 6 to 82, all within a factor of 3.
    """
    cell, basis = _cell(rng)
    cell = cell @ turn(float(rng.uniform(0, 360)))
    corner = lattice_points(cell, size_nm, margin_nm, rng.random(2) @ cell)
    points = (corner[:, None, :] + basis @ cell).reshape(-1, 2)
    heaviest = np.exp(rng.uniform(np.log(12), np.log(82)))
    numbers = np.exp(rng.uniform(np.log(max(6.0, heaviest / _CONTRAST)), np.log(heaviest), len(basis)))
    keep = inside(points, size_nm, margin_nm)
    return layer(points[keep], 0.0, np.tile(np.rint(numbers), len(corner))[keep], "atom")


def _cell(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a random cell (rows a, b as (y, x), nm) and the columns (n, 2) in it as fractions of a and b."""
    while True:
        cell = _bravais(str(rng.choice(["oblique", "rectangular", "centred", "square", "hexagonal"])), rng)
        count = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.15, 0.15]))
        basis = rng.choice(_SPECIAL, (count, 2)) if rng.random() < 0.6 else rng.random((count, 2))
        roomy = abs(np.linalg.det(cell)) <= _ROOM_NM2 * count
        if roomy and _closest(cell, basis) >= NEAREST_NM:
            return cell, basis


def _bravais(system: str, rng: np.random.Generator) -> Array:
    a = float(np.exp(rng.uniform(np.log(0.2), np.log(0.6))))
    if system == "square":
        return np.diag([a, a])
    if system == "hexagonal":
        return hexagonal_cell(a)
    b = a * rng.uniform(1.05, 1.8)
    if system == "rectangular":
        return np.diag([b, a])
    if system == "centred":
        return np.array([[0.0, a], [b / 2, a / 2]])
    angle = np.deg2rad(rng.uniform(65, 88))
    return np.array([[0.0, a], [-b * np.sin(angle), b * np.cos(angle)]])


def _closest(cell: Array, basis: Array) -> float:
    """Return the shortest distance between two columns of the endless crystal."""
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2), axis=-1).reshape(-1, 2)
    offset = (basis[:, None, None] - basis[None, :, None] + images) @ cell
    distance = np.hypot(offset[..., 0], offset[..., 1])
    same = np.eye(len(basis), dtype=bool)[..., None] & (images == 0).all(axis=1)
    return float(distance[~same].min())
