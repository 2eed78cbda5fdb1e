"""The reciprocal lattice of peaks in three dimensions, the symmetry of its metric, and that of the intensities."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Peaks whose differences are looked at; a peak is on the lattice if its indices are off by less than this.
_STRONGEST, _OFF = 140, 0.15
#: With fewer of the peaks on it, it is no lattice.
_LEAST_INDEXED = 0.6
#: A rotation keeps the metric if no element of it changes by more than this share.
_METRIC = 0.012
#: A rotation keeps the intensities if pairs differ by at most this many times what opposite peaks differ by (squared).
_AGREE = 3.0
#: A list that holds a larger share of the reflections within reach is taken as whole.
_WHOLE = 0.75
#: What opposite peaks are thought to differ by, at least (mean square of the logarithm of the ratio).
_LEAST_NOISE = 0.01


@dataclass(frozen=True)
class Reciprocal:
    """A primitive reciprocal lattice: reduced basis (3, 3) in rows (1/nm), peaks on it with index (N, 3) and intensity.

    `indexed` is the share of all peaks that are on the lattice; `sigma_per_nm` the 1-sigma of a peak's place.
    """

    basis: Array
    index: Index
    intensity: Array
    indexed: float
    sigma_per_nm: float
    covariance: Array

    @property
    def direct_nm(self) -> Array:
        """Direct basis (3, 3) in rows, dual to `basis`."""
        return np.asarray(np.linalg.inv(self.basis).T)


def find_reciprocal(g: Array, intensity: Array) -> Reciprocal | None:
    """Return the lattice of most of the peaks `g` (N, 3) in 1/nm, ``None`` where they make none in three dimensions."""
    if len(g) < 8 or np.linalg.matrix_rank(g, tol=1e-3 * np.abs(g).max()) < 3:
        return None
    basis = _first_basis(g, intensity)
    if basis is None:
        return None
    for _ in range(5):
        fraction = g @ np.linalg.inv(basis)
        index = np.round(fraction).astype(int)
        on = (np.abs(fraction - index) < _OFF).all(axis=1) & index.any(axis=1)
        finer = _finer(basis, fraction[~on] - index[~on]) if (~on).sum() > max(2, 0.015 * len(g)) else None
        if finer is not None:
            basis = finer
            continue
        if on.sum() < 6 or np.linalg.matrix_rank(index[on]) < 3:
            return None
        basis = np.linalg.lstsq(index[on].astype(float), g[on], rcond=None)[0]
    if on.mean() < _LEAST_INDEXED:
        return None
    basis, change = reduced(basis)
    index = index[on] @ np.round(np.linalg.inv(change)).astype(int)
    rest = g[on] - index @ basis
    sigma = float(np.sqrt((rest**2).sum() / max(1, 3 * (len(rest) - 3))))
    covariance = np.linalg.inv(index.T.astype(float) @ index) * sigma**2
    merged, strength = _merged(index, intensity[on])
    return Reciprocal(basis, merged, strength, float(on.mean()), sigma, covariance)


def _merged(index: Index, intensity: Array) -> tuple[Index, Array]:
    """Return every index once, with the mean of its intensities."""
    unique, place = np.unique(index, axis=0, return_inverse=True)
    place = place.reshape(-1)
    return unique, np.bincount(place, intensity) / np.bincount(place)


def _first_basis(g: Array, intensity: Array) -> Array | None:
    """Return a basis on which nearly all differences of strong peaks lie."""
    best = g[np.argsort(-intensity)[:_STRONGEST]]
    shortest = float(np.linalg.norm(g, axis=1).min())
    differences = (best[:, None] - best[None]).reshape(-1, 3)
    vectors = np.vstack([g, -g, differences])
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 0.2 * shortest]
    vectors = _clusters(vectors[np.argsort(np.linalg.norm(vectors, axis=1))][:4000], 0.06 * shortest)
    return _lattice_of(vectors)


def _clusters(vectors: Array, reach: float) -> Array:
    """Return means of vectors that occur three times or more within `reach`, shortest first."""
    from scipy.spatial import cKDTree

    tree, left = cKDTree(vectors), np.ones(len(vectors), bool)
    found: list[Array] = []
    for number in range(len(vectors)):
        if not left[number] or len(found) >= 60:
            continue
        near = [one for one in tree.query_ball_point(vectors[number], 2 * reach) if left[one]]
        left[near] = False
        if len(near) >= 3:
            found.append(vectors[near].mean(axis=0))
    return np.array(found).reshape(-1, 3)


def _finer(basis: Array, rests: Array) -> Array | None:
    """Return the finer lattice that takes in the commonest of what peaks are off by (fractions of the basis)."""
    alike = np.abs((rests[:, None] - rests[None]) - np.round(rests[:, None] - rests[None])).max(axis=2) < 0.5 * _OFF
    common = int(np.argmax(alike.sum(axis=1)))
    near = rests[alike[common]] - np.round(rests[alike[common]] - rests[common])
    return _with(basis, near.mean(axis=0) @ basis) if len(near) >= 3 else None


def _lattice_of(vectors: Array) -> Array | None:
    """Return the coarsest lattice that holds the short `vectors`.

    It begins with three of them, is fitted again with every one that is on it, and takes in what does not fit.
    """
    basis, used = _three(vectors)
    if basis is None:
        return None
    far = 2.5 * float(np.linalg.norm(basis, axis=1).max())
    for vector in vectors[np.linalg.norm(vectors, axis=1) < far]:
        fraction = vector @ np.linalg.inv(basis)
        off = float(np.abs(fraction - np.round(fraction)).max())
        if off < _OFF:
            used.append(vector)
            index = np.round(np.array(used) @ np.linalg.inv(basis))
            if np.linalg.matrix_rank(index) == 3:
                basis = np.asarray(np.linalg.lstsq(index, np.array(used), rcond=None)[0], float)
        elif off > 2 * _OFF:
            finer = _with(basis, (fraction - np.round(fraction)) @ basis)
            basis = basis if finer is None else finer
    return reduced(basis)[0]


def _three(vectors: Array) -> tuple[Array | None, list[Array]]:
    """Return the basis of the first three vectors that are not (nearly) in one plane, and these."""
    chosen: list[Array] = []
    for vector in vectors:
        trial = np.array([*chosen, vector])
        volume = np.sqrt(max(0.0, float(np.linalg.det(trial @ trial.T))))
        if volume > 0.15 * np.prod(np.linalg.norm(trial, axis=1)):
            chosen.append(vector)
        if len(chosen) == 3:
            return reduced(np.array(chosen))[0], chosen
    return None, chosen


def _with(basis: Array, rest: Array) -> Array | None:
    """Return the basis of the largest cell among those in which `rest` replaces one vector, reduced."""
    trials = [np.vstack([np.delete(basis, k, axis=0), rest]) for k in range(3)]
    volumes = [abs(np.linalg.det(trial)) for trial in trials]
    whole = abs(np.linalg.det(basis))
    fitting = [(v, t) for v, t in zip(volumes, trials, strict=True) if 0.12 * whole < v < 0.9 * whole]
    return reduced(min(fitting, key=lambda one: one[0])[1])[0] if fitting else None


def reduced(basis: Array) -> tuple[Array, Index]:
    """Return the shortest basis of a lattice and the whole numbers n (3, 3) that make it: ``n @ basis``."""
    index = np.eye(3, dtype=int)
    current = basis.copy()
    steps = np.array([step for step in product((-1, 0, 1), repeat=3) if any(step)])
    for _ in range(60):
        changed = False
        for k in range(3):
            others = steps[np.abs(steps[:, k]) == 1]
            lengths = np.linalg.norm(others @ current, axis=1)
            best = int(np.argmin(lengths))
            if lengths[best] < np.linalg.norm(current[k]) * (1 - 1e-6):
                step = np.eye(3, dtype=int)
                step[k] = others[best]
                current, index, changed = step @ current, step @ index, True
        if not changed:
            break
    order = np.argsort(np.linalg.norm(current, axis=1), kind="stable")
    current, index = current[order], index[order]
    if np.linalg.det(current) < 0:
        current, index = -current, -index
    return current, index


@functools.cache
def _unimodular() -> Index:
    """Return all matrices (M, 3, 3) of -1, 0, 1 with determinant 1."""
    every = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return np.asarray(every[np.round(np.linalg.det(every)).astype(int) == 1])


def lattice_rotations(basis: Array, tolerance: float = _METRIC) -> Index:
    """Return the rotations (M, 3, 3) of the lattice of a reduced basis: ``matrix @ basis`` has the same metric."""
    metric = basis @ basis.T
    scale = np.sqrt(np.diag(metric))
    every = _unimodular()
    turned = every @ metric @ np.swapaxes(every, 1, 2)
    off = np.abs(turned - metric) / (scale[:, None] * scale[None])
    return np.asarray(every[off.max(axis=(1, 2)) < 2 * tolerance])


def intensity_rotations(found: Reciprocal, rotations: Index) -> Index:
    """Return those of the lattice's rotations that keep the intensities: a group, that of the Laue class.

    Pairs of opposite peaks, which are equally strong without absorption, say how well intensities are measured.
    """
    whole = _filled(found) > _WHOLE
    friedel = _disagreement(found, -np.eye(3, dtype=int), whole)
    noise = max(_LEAST_NOISE, friedel if np.isfinite(friedel) else _LEAST_NOISE)
    scores = np.array([_disagreement(found, rotation, whole) for rotation in rotations])
    identity = np.all(rotations == np.eye(3, dtype=int), axis=(1, 2))
    scores[identity] = 0.0
    keep = list(np.flatnonzero((scores < _AGREE * noise) | ~np.isfinite(scores)))
    while not _is_group(rotations[keep]):
        keep.remove(max(keep, key=lambda one: scores[one] if np.isfinite(scores[one]) else np.inf))
    return rotations[keep]


def _filled(found: Reciprocal) -> float:
    """Return the share of the reflections within reach that are listed."""
    length = np.linalg.norm(found.index @ found.basis, axis=1)
    reach = float(np.quantile(length, 0.95))
    possible = 4 / 3 * np.pi * reach**3 / abs(float(np.linalg.det(found.basis)))
    both = np.unique(np.vstack([found.index, -found.index]), axis=0)
    return float((np.linalg.norm(both @ found.basis, axis=1) <= reach).sum() / possible)


def _disagreement(found: Reciprocal, rotation: Index, whole: bool) -> float:
    """Return the mean square of ln(I / I') over pairs of peaks that a rotation brings to each other; NaN without any.

    Where the list is `whole`, a strong peak whose partner is missing counts as five times the weakest.
    """
    known = {tuple(one): value for one, value in zip(found.index.tolist(), found.intensity, strict=True)}
    weakest = float(np.quantile(found.intensity, 0.02))
    # Rows of the reciprocal basis turn as the rotation says, so that index h goes to h @ rotation.
    partners = (found.index @ rotation).tolist()
    inversion = np.array_equal(rotation, -np.eye(3, dtype=int))
    total, number, missing = 0.0, 0, 0
    for own, other, value in zip(found.index.tolist(), partners, found.intensity, strict=True):
        opposite = [-one for one in other]
        if own == other or (own == opposite and not inversion):
            continue
        partner = known.get(tuple(other)) if inversion else known.get(tuple(other), known.get(tuple(opposite)))
        if partner is not None:
            total, number = total + min(9.0, float(np.log(value / partner)) ** 2), number + 1
        elif whole and value > 5 * weakest:
            missing += 1
    if number + missing < 3:
        return float("nan")
    return (total + missing * float(np.log(5.0)) ** 2) / (number + missing)


def _is_group(rotations: Index) -> bool:
    known = {rotation.tobytes() for rotation in rotations}
    return all((a @ b).tobytes() in known for a in rotations for b in rotations)


#: Laue class by the number of rotations of order 2, 3, 4 and 6.
_LAUE = {
    (0, 0, 0, 0): "-1",
    (1, 0, 0, 0): "2/m",
    (3, 0, 0, 0): "mmm",
    (1, 0, 2, 0): "4/m",
    (5, 0, 2, 0): "4/mmm",
    (0, 2, 0, 0): "-3",
    (3, 2, 0, 0): "-3m",
    (1, 2, 0, 2): "6/m",
    (7, 2, 0, 2): "6/mmm",
    (3, 8, 0, 0): "m-3",
    (9, 8, 6, 0): "m-3m",
}


def order_of(rotation: Index) -> int:
    """Return the order (1, 2, 3, 4, 6) of a proper rotation by its trace."""
    return {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}[int(np.trace(rotation))]


def laue_class(rotations: Index) -> str:
    """Return the Laue class of a group of rotations; raises `KeyError` where it is none of the eleven."""
    orders = [order_of(rotation) for rotation in rotations]
    return _LAUE[tuple(orders.count(n) for n in (2, 3, 4, 6))]  # type: ignore[index]
