"""Random two-dimensional crystals: any Bravais lattice with one to four columns a cell."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.structures.sites import labelled, lattice_points, within

_COMMON = (5, 6, 7, 8, 13, 14, 16, 22, 23, 26, 28, 29, 31, 34, 38, 40, 41, 42, 47, 48, 50, 52, 56, 57, 72, 74, 78, 79, 82)


def random_crystal(
    size_nm: tuple[float, float], rng: np.random.Generator, *, nearest_nm: float = 0.125, margin_nm: float = 0.6
) -> Atoms:
    """Return a crystal seen along an axis: random oblique to square cell, 1-4 columns at least `nearest_nm` apart.

    Columns hold one to six atoms of one element, the elements of a crystal within a factor of about three in number.
    """
    cell, basis = _cell_and_basis(rng, nearest_nm)
    points = lattice_points(cell, size_nm, margin_nm, rng.uniform(0, 0.5, 2))
    heavy = int(rng.choice(_COMMON))
    numbers = [int(rng.choice([z for z in _COMMON if heavy / 3.2 <= z <= heavy])) for _ in basis]
    xy = (points[:, None, :] + basis @ cell).reshape(-1, 2)
    z = np.tile(numbers, len(points))
    keep = within(xy, size_nm, margin_nm)
    xy, z = xy[keep], z[keep]
    return labelled(np.c_[xy, np.zeros(len(xy))], z, ["atom"] * len(xy))


def _cell_and_basis(rng: np.random.Generator, nearest_nm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a cell (rows a, b; nm) and fractional coordinates (n, 2) without two columns closer than `nearest_nm`."""
    for _ in range(200):
        a = rng.uniform(0.2, 0.6)
        ratio = 1.0 if rng.random() < 0.5 else rng.uniform(1.0, 1.7)
        gamma = np.deg2rad(rng.choice([90.0, 120.0, rng.uniform(65, 115)]))
        turn = rng.uniform(0, 2 * np.pi)
        cell = a * np.array(
            [[np.cos(turn), np.sin(turn)], [ratio * np.cos(turn + gamma), ratio * np.sin(turn + gamma)]]
        )
        count = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.15, 0.15]))
        basis = rng.choice([0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4], (count, 2)) if rng.random() < 0.6 else rng.random((count, 2))
        images = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        offset = (basis[:, None, None] - basis[None, :, None] + images) @ cell
        distance = np.hypot(offset[..., 0], offset[..., 1])
        if distance[distance > 1e-9].min() >= nearest_nm and len(np.unique(basis, axis=0)) == count:
            return cell, basis
    return 0.25 * np.eye(2), np.zeros((1, 2))
