"""What surrounds the atoms of a crystal, on average, as one vector: the same for every size, turn and vacancy share.

Vacancies thin out the pairs of every distance alike, and the triples of every angle: so the shapes of both
distributions stay, and the crystal behind 40 % vacancies can still be named. Lengths are in units of the distance of
nearest neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]

#: Reach of pairs, first and second shell, in distances of nearest neighbours; bins of distance and of angle.
REACH, FIRST, SECOND = 3.0, 1.28, 1.8
_DISTANCES, _ANGLES = 56, 30
#: Atoms whose surroundings are looked at, at most; atoms (as counted by the cell) that a small crystal is repeated to.
MOST_CENTRES = 500
#: Length of the vector of `surroundings`.
FEATURES = 2 * _DISTANCES + 2 * _ANGLES + 1
_LEAST_ATOMS = 6


@dataclass(frozen=True)
class Pairs:
    """Vectors (P, 3) in angstrom from `centre` (P,) to neighbours, whether `like` it is (P,), and nearest distance."""

    vector: Array
    centre: NDArray[np.intp]
    like: NDArray[np.bool_]
    nearest_A: float
    centres: int


def structure_table(positions: Array, numbers: NDArray[Any], cell: Array | None) -> NDArray[np.float32]:
    """Return a structure as one array (3 + N, 4): three rows of the cell (zeros where not periodic), then the atoms.

    Rows are x, y, z in angstrom and the atomic number (0 in the rows of the cell).
    """
    table = np.zeros((3 + len(positions), 4), np.float32)
    table[:3, :3] = 0.0 if cell is None else cell
    table[3:, :3], table[3:, 3] = positions, numbers
    return table


def surroundings(table: NDArray[Any]) -> NDArray[np.float32]:
    """Return the vector (FEATURES,) of a structure (see `structure_table`).

    It holds the distribution of pair distances, that of pairs of one element, the angles between bonds in the first and
    second shell, and the coordination relative to density. Raises `BadInput` for fewer than six atoms around.
    """
    pairs = find_pairs(table)
    length = np.linalg.norm(pairs.vector, axis=1) / pairs.nearest_A
    edges = np.linspace(0.8, REACH, _DISTANCES + 1)
    weight = 1 / np.maximum(length, 0.5) ** 2
    every = _smooth(np.histogram(length, edges, weights=weight)[0])
    same = _smooth(np.histogram(length[pairs.like], edges, weights=weight[pairs.like])[0])
    total = max(float(every.sum()), 1e-9)
    angles = [_angles(pairs, length, reach) for reach in (FIRST, SECOND)]
    shell = float((length < FIRST).sum()) / max(len(length), 1)
    return np.concatenate([10 * every / total, 10 * same / total, *angles, [20 * shell]]).astype(np.float32)


def find_pairs(table: NDArray[Any], reach: float = REACH) -> Pairs:
    """Return all pairs up to `reach` nearest-neighbour distances around at most `MOST_CENTRES` atoms."""
    from scipy.spatial import cKDTree

    positions, numbers = table[3:, :3].astype(float), np.round(table[3:, 3]).astype(int)
    cell = table[:3, :3].astype(float)
    periodic = abs(np.linalg.det(cell)) > 1e-6
    if periodic:
        guess = 1.8 * (abs(np.linalg.det(cell)) / len(positions)) ** (1 / 3)
        nearest = _nearest(*_shell(positions, cell, 2.5 * guess))
        around, owner = _shell(positions, cell, (reach + 0.05) * nearest)
        centres = np.arange(len(positions))
    else:
        around, owner = positions, np.arange(len(positions))
        nearest = _nearest(around, owner)
        centres = _inner(positions, reach * nearest)
    if len(around) < _LEAST_ATOMS:
        raise BadInput(
            f"The structure has {len(around)} atoms: at least {_LEAST_ATOMS}, or a periodic cell, are needed."
        )
    if len(centres) > MOST_CENTRES:
        centres = centres[np.linspace(0, len(centres) - 1, MOST_CENTRES).astype(int)]
    near = cKDTree(around).query_ball_point(positions[centres], (reach + 0.02) * nearest)
    counts = [len(one) for one in near]
    other = np.concatenate([np.asarray(one, np.intp) for one in near])
    which = np.repeat(np.arange(len(centres)), counts)
    vector = around[other] - positions[centres][which]
    keep = np.einsum("pi,pi->p", vector, vector) > 1e-4
    vector, which, other = vector[keep], which[keep], other[keep]
    like = numbers[owner[other]] == numbers[centres[which]]
    return Pairs(vector, which, like, nearest, len(centres))


def _nearest(around: Array, owner: NDArray[np.intp]) -> float:
    """Return the median distance of the nearest neighbour; `around` begins with the atoms themselves."""
    from scipy.spatial import cKDTree

    own = around[: int(owner.max()) + 1]
    found = np.asarray(cKDTree(around).query(own, k=[2])[0], float)
    found = found[np.isfinite(found)]
    return float(np.median(found)) if len(found) else 1.0


def _shell(positions: Array, cell: Array, reach: float) -> tuple[Array, NDArray[np.intp]]:
    """Return atoms and their images up to `reach` beyond the cell, the atoms first, and whose images they are."""
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    fractional = fractional - np.floor(fractional)
    positions[:] = fractional @ cell
    margin = reach * np.linalg.norm(inverse, axis=0)
    low, high = np.floor(-margin).astype(int), np.ceil(1 + margin).astype(int)
    shifts = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind="stable")]
    images = (fractional[None] + shifts[:, None]).reshape(-1, 3)
    owner = np.tile(np.arange(len(positions)), len(shifts))
    keep = ((images > -margin - 1e-9) & (images < 1 + margin + 1e-9)).all(axis=1)
    keep[: len(positions)] = True
    return images[keep] @ cell, owner[keep]


def _inner(positions: Array, reach: float) -> NDArray[np.intp]:
    """Return the atoms of a cluster that are farthest from its surface: those `reach` inside it, an eighth at least."""
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    inside = distance <= max(float(distance.max()) - reach, float(np.quantile(distance, 0.125)))
    return np.flatnonzero(inside)


def _angles(pairs: Pairs, length: Array, reach: float) -> Array:
    """Return the distribution of the cosines between bonds of one atom that are shorter than `reach`."""
    inside = length < reach
    unit = pairs.vector[inside] / np.linalg.norm(pairs.vector[inside], axis=1, keepdims=True)
    centre = pairs.centre[inside]
    counts = np.bincount(centre, minlength=pairs.centres)
    most = int(counts.max()) if len(counts) else 0
    if most < 2:
        return np.zeros(_ANGLES)
    padded = np.zeros((pairs.centres, most, 3))
    place = np.arange(len(centre)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded[centre, place] = unit
    cosine = np.einsum("cai,cbi->cab", padded, padded)
    real = np.arange(most)[None] < counts[:, None]
    both = real[:, :, None] & real[:, None, :] & ~np.eye(most, dtype=bool)[None]
    found = _smooth(np.histogram(cosine[both], np.linspace(-1.0001, 1.0001, _ANGLES + 1))[0].astype(float))
    return np.asarray(10 * found / max(float(found.sum()), 1e-9))


def _smooth(counts: Array) -> Array:
    """Return counts spread over neighbouring bins as 1 : 2 : 1."""
    padded = np.pad(counts, 1)
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])
