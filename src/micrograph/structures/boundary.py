"""Graphene with dislocations and grain boundaries, made from the centres of its rings.

The centres of the rings of graphene form a triangular lattice. Its Delaunay triangles are the carbons, neighbouring
triangles are bonded, and a ring has as many atoms as its centre has neighbours; so any set of centres gives a sheet in
which every carbon has three bonds (Ophus 2015, doi:10.1103/PhysRevB.92.205402).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.structures.graphene import A_NM
from micrograph.structures.layer import (
    MARGIN_NM,
    Array,
    Index,
    Size,
    field,
    hexagonal_cell,
    inside,
    lattice_points,
    turn,
)
from micrograph.structures.relax import CARBON, Network, relaxed

#: Poisson's ratio of graphene (doi:10.1126/science.1157996 uses 0.165).
_POISSON = 0.165

#: Longest side of a triangle of ring centres that makes a carbon; longer ones bridge bays of the border.
_LONGEST_NM = 2.2 * A_NM

#: Relative positions of two grains that are tried.
_TRIALS = 24

#: Ring centres of two grains closer than this become one.
_CLOSEST_NM = 0.72 * A_NM

#: Width of the rim (nm) in which rings are made and thrown away, since its border is ragged.
_RIM_NM = 0.8


def network_of_rings(centres: Array) -> tuple[Network, Index]:
    """Return the relaxed network of carbons between ring `centres` (R, 2), and the rows (N, 3) of each carbon's rings.

    The border is ragged.
    """
    from scipy.spatial import Delaunay

    triangulation = Delaunay(centres)
    corners, beside = triangulation.simplices, triangulation.neighbors
    points = centres[corners].mean(axis=1)
    first = np.repeat(np.arange(len(points)), 3)
    second = beside.ravel().astype(np.intp)
    bonds = np.column_stack([first, second])[second > first]
    side = np.hypot(*(centres[corners] - centres[np.roll(corners, 1, axis=1)]).transpose(2, 0, 1))
    compact = side.max(axis=1) < _LONGEST_NM
    return relaxed(Network(points, np.full(len(points), CARBON), bonds).part(compact)), corners[compact]


def ring_sizes(centres: Array) -> Index:
    """Return the number of atoms of the ring around each of the `centres` (R, 2)."""
    from scipy.spatial import Delaunay

    start, _ = Delaunay(centres).vertex_neighbor_vertices
    return np.diff(start)


def dislocations(
    size_nm: Size,
    places: Array,
    rng: np.random.Generator,
    *,
    rotation_deg: float = 0.0,
    margin_nm: float = MARGIN_NM,
) -> tuple[Atoms, list[tuple[str, float, float]]]:
    """Return a sheet with a dislocation, a pentagon beside a heptagon, near each of `places` (K, 2); and where.

    The Burgers vector is a lattice vector (0.246 nm), one of the six by lot. The place is midway between the two rings.
    """
    margin = margin_nm + _RIM_NM
    cell = hexagonal_cell(A_NM) @ turn(rotation_deg)
    lattice = lattice_points(cell, size_nm, margin + A_NM, rng.random(2) @ cell)
    centres = lattice.copy()
    for place in places:
        burgers = cell[0] @ turn(60.0 * int(rng.integers(6)))
        centres += _dislocation_field(lattice - place, burgers)
    sizes = ring_sizes(centres)
    network, rings = network_of_rings(centres)
    named = []
    for place in places:
        pair = [_middle(network.points, rings, _nearest(centres, place, sizes == size)) for size in (5, 7)]
        y, x = np.mean(pair, axis=0)
        named.append(("5-7", float(y), float(x)))
    return network.part(inside(network.points, size_nm, margin_nm)).atoms(), named


def _nearest(centres: Array, place: Array, among: NDArray[np.bool_]) -> int:
    distance = np.hypot(*(centres - place).T)
    return int(np.argmin(np.where(among, distance, np.inf)))


def _middle(points: Array, rings: Index, ring: int) -> Array:
    """Return the mean position of the atoms of one ring."""
    return np.asarray(points[(rings == ring).any(axis=1)].mean(axis=0))


def _dislocation_field(offset: Array, burgers: Array) -> Array:
    """Return the displacement (N, 2) at `offset` from an edge dislocation (Hirth and Lothe, Dislocations, 3-4)."""
    size = np.hypot(*burgers)
    along = burgers / size
    across = np.array([-along[1], along[0]])
    x, y = offset @ along, offset @ across
    square = x**2 + y**2 + 1e-12
    u = np.arctan2(y, x) + x * y / (2 * (1 - _POISSON) * square)
    v = -((1 - 2 * _POISSON) / (4 * (1 - _POISSON)) * np.log(square) + (x**2 - y**2) / (4 * (1 - _POISSON) * square))
    return np.asarray(size / (2 * np.pi) * (u[:, None] * along + v[:, None] * across))


def grain_boundary(
    size_nm: Size,
    rng: np.random.Generator,
    *,
    tilt_deg: float = 21.787,
    rotation_deg: float = 0.0,
    margin_nm: float = MARGIN_NM,
) -> Atoms:
    """Return two grains turned by +- `tilt_deg` / 2 against a boundary through the middle of the field, relaxed.

    At rotation 0 the boundary runs along y. 21.79 and 38.21 degrees are Sigma 7, 27.80 and 32.20 degrees Sigma 13. Of
    24 relative positions of the grains the one is taken that has the fewest rings other than 5, 6 and 7, then other
    than 6.
    """
    middle = np.array(field(size_nm)) / 2
    normal = np.array([0.0, 1.0]) @ turn(rotation_deg)
    choices = []
    for _ in range(_TRIALS):
        pair = []
        for side in (-1, 1):
            cell = hexagonal_cell(A_NM) @ turn(rotation_deg + side * tilt_deg / 2)
            points = lattice_points(cell, size_nm, margin_nm + _RIM_NM, rng.random(2) @ cell)
            pair.append(points[side * ((points - middle) @ normal) > 0])
        choices.append(_merged(np.concatenate(pair), _CLOSEST_NM))
    centres = min(choices, key=lambda trial: _oddness(trial, (trial - middle) @ normal))
    network, _ = network_of_rings(centres)
    return network.part(inside(network.points, size_nm, margin_nm)).atoms()


def _oddness(centres: Array, beyond: Array) -> tuple[int, int]:
    """Return how many rings near the boundary, from which they are `beyond` (R,) nm, are not 5 to 7 and not 6."""
    near = np.abs(beyond) < 1.2
    sizes = ring_sizes(centres[near])[np.abs(beyond[near]) < 0.7]
    return int(((sizes < 5) | (sizes > 7)).sum()), int((sizes != 6).sum())


def _merged(points: Array, reach_nm: float) -> Array:
    """Return `points` with pairs closer than `reach_nm` replaced by their middles, mutual neighbours first."""
    from scipy.spatial import cKDTree

    while True:
        distance, nearest = (np.asarray(found)[:, 0] for found in cKDTree(points).query(points, [2]))
        row = np.arange(len(points))
        pair = (nearest[nearest] == row) & (row < nearest) & (distance < reach_nm)
        if not pair.any():
            return points
        points[pair] = (points[pair] + points[nearest[pair]]) / 2
        points = np.delete(points, nearest[pair], axis=0)
