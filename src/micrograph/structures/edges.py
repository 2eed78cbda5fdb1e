"""Holes and edges cut into a layer, along zigzag or armchair rows or at random."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.structures.layer import Array, Index, part_of, points_of
from micrograph.structures.sites import columns

Mask = NDArray[np.bool_]

EDGES = ("random", "zigzag", "armchair")

#: Columns closer than this multiple of the usual distance to the nearest column count as neighbours.
_NEIGHBOUR = 1.35


def with_holes(
    atoms: Atoms,
    radius_nm: float,
    rng: np.random.Generator,
    *,
    edge: str = "random",
    count: int = 1,
) -> Atoms:
    """Cut `count` holes of about `radius_nm` at random places of the layer.

    A 'random' hole has a smooth irregular rim; those of 'zigzag' and 'armchair' are hexagons whose sides (`radius_nm`
    from the middle) follow such rows. Columns that lost neighbours and keep fewer than two go too. Empty sites count as
    columns. Raises `BadInput` for another `edge`.
    """
    points = points_of(atoms)
    keep = np.ones(len(points), dtype=bool)
    for _ in range(count if len(points) else 0):
        middle = rng.uniform(points.min(axis=0), points.max(axis=0))
        keep &= ~_in_hole(points, middle, radius_nm, edge, rng)
    return part_of(atoms, _without_dangling(points, keep))


def with_edge(atoms: Atoms, rng: np.random.Generator, *, edge: str = "random") -> Atoms:
    """Cut off all that lies beyond a straight line through the inner half of the layer.

    The line follows zigzag or armchair rows, one of the equivalent directions by lot, or any direction. Columns that
    lost neighbours and keep fewer than two go too. Raises `BadInput` for another `edge`.
    """
    points = points_of(atoms)
    if not len(points):
        return part_of(atoms, np.ones(0, dtype=bool))
    low, high = points.min(axis=0), points.max(axis=0)
    through = rng.uniform(low + (high - low) / 4, high - (high - low) / 4)
    keep = (points - through) @ _normals(points, edge, rng)[0] < 0
    return part_of(atoms, _without_dangling(points, keep))


def _in_hole(points: Array, middle: Array, radius_nm: float, edge: str, rng: np.random.Generator) -> Mask:
    away = points - middle
    if edge != "random":
        return np.asarray((away @ _normals(points, edge, rng).T < radius_nm).all(axis=1))
    angle = np.arctan2(away[:, 0], away[:, 1])
    lobes = np.arange(1, 5)
    size, phase = rng.normal(0, 0.15 / lobes), rng.uniform(0, 2 * np.pi, len(lobes))
    rim = 1 + np.cos(np.outer(angle, lobes) + phase) @ size
    return np.asarray(np.hypot(away[:, 0], away[:, 1]) < radius_nm * rim)


def _normals(points: Array, edge: str, rng: np.random.Generator) -> Array:
    """Return the six unit vectors (y, x) at right angles to edges of the kind, from a random one on."""
    if edge not in EDGES:
        raise BadInput(f"The edge is '{edge}', which is not known: take one of {', '.join(EDGES)}.")
    if edge == "random":
        start = float(rng.uniform(0, 2 * np.pi))
    else:
        start = _bond_angle(points) + np.pi / 3 * int(rng.integers(6)) + (np.pi / 6 if edge == "armchair" else 0.0)
    angle = start + np.pi / 3 * np.arange(6)
    return np.column_stack([np.sin(angle), np.cos(angle)])


def _bond_angle(points: Array) -> float:
    """Return the direction of the bonds (radian, towards rows from +x), up to a sixth of a turn."""
    start, end = _bonds(points)
    y, x = (points[end] - points[start]).T
    return float(np.angle(np.exp(6j * np.arctan2(y, x)).sum()) / 6)


def _bonds(points: Array) -> tuple[Index, Index]:
    """Return the pairs of places of neighbouring columns, each pair once."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    if len(points) < 2:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    distance, _ = tree.query(points, [2])
    usual = float(np.median(distance))
    first, second = tree.query_pairs(_NEIGHBOUR * usual, output_type="ndarray").T
    return first, second


def _without_dangling(points: Array, keep: Mask) -> Mask:
    """Return `keep` (N,) without atoms in columns that lost neighbours and have fewer than two left."""
    column = columns(points)
    _, first = np.unique(column, return_index=True)
    start, end = _bonds(points[first])
    count = len(first)
    before = np.bincount(start, minlength=count) + np.bincount(end, minlength=count)
    left = keep[first]
    while True:
        both = left[start] & left[end]
        now = np.bincount(start[both], minlength=count) + np.bincount(end[both], minlength=count)
        dangling = left & (now < before) & (now < 2)
        if not dangling.any():
            return left[column]
        left &= ~dangling
