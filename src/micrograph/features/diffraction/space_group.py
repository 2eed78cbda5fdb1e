"""Which space groups a list of peaks in three dimensions allows: conventional cell, absent reflections, posterior.

Friedel's law leaves the eleven Laue classes; screw axes and glide planes leave what is systematically absent. Groups
with the same absences in the same class cannot be told apart by these: they keep equal shares, but for what the spread
of the intensities says of a centre of symmetry.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.reciprocal import Reciprocal, order_of
from micrograph.structures.space_groups import Operations, operations, point_group_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Laue class of every point group.
LAUE_OF = {
    name: laue
    for laue, names in {
        "-1": ("1", "-1"), "2/m": ("2", "m", "2/m"), "mmm": ("222", "mm2", "mmm"), "4/m": ("4", "-4", "4/m"),
        "4/mmm": ("422", "4mm", "-42m", "4/mmm"), "-3": ("3", "-3"), "-3m": ("32", "3m", "-3m"),
        "6/m": ("6", "-6", "6/m"), "6/mmm": ("622", "6mm", "-6m2", "6/mmm"), "m-3": ("23", "m-3"),
        "m-3m": ("432", "-43m", "m-3m"),
    }.items()
    for name in names
}  # fmt: skip
#: Point groups with a centre of symmetry.
CENTRIC = frozenset(LAUE_OF.values())
#: Probability that a reflection that is absent is listed all the same (multiple scattering, noise).
_FALSE = 2e-3
#: What absences say is taken as this share of what it would be if reflections were independent.
_TEMPER = 0.6
#: A list that holds a larger share of the reflections within reach is taken as whole.
_WHOLE = 0.75
#: Mean |E^2 - 1| half-way between crystals with and without a centre, and its width (measured on random crystals).
_WILSON, _WILSON_WIDTH = 0.75, 0.07


@dataclass(frozen=True)
class Candidate:
    """A space group with its probability, the number of absences that it explains, and of peaks that it forbids."""

    number: int
    probability: float
    explained: int
    forbidden: int


def candidates(found: Reciprocal, rotations: Index, laue: str) -> list[Candidate]:
    """Return the space groups of a Laue class that fit, likeliest first; their probabilities add up to one."""
    nodes, seen = _nodes(found)
    bases = list(_conventional(found.direct_nm, rotations, laue))
    centre = _centre_evidence(found)
    rows = []
    for number in _groups_of(laue):
        fits = [fit for basis in bases if (fit := _fit(operations(number), basis, rotations, nodes, seen)) is not None]
        if fits:
            best = max(fits)
            rows.append((number, best[0] + (centre if point_group_of(number) in CENTRIC else 0.0), best[1], best[2]))
    if not rows:
        return []
    score = np.array([row[1] for row in rows])
    share = np.exp(score - score.max())
    share /= share.sum()
    made = [Candidate(row[0], float(p), row[2], row[3]) for row, p in zip(rows, share, strict=True)]
    return sorted(made, key=lambda one: -one.probability)


@functools.cache
def _groups_of(laue: str) -> tuple[int, ...]:
    return tuple(number for number in range(1, 231) if LAUE_OF[point_group_of(number)] == laue)


def _nodes(found: Reciprocal) -> tuple[Index, NDArray[np.bool_]]:
    """Return the reflections (M, 3), one of each opposite pair, that could have been seen, and which were.

    All within reach where the list fills it; else those in the zones of which there are six or more peaks.
    """
    length = np.linalg.norm(found.index @ found.basis, axis=1)
    reach = float(np.quantile(length, 0.98))
    most = np.floor(reach * np.linalg.norm(found.direct_nm, axis=1) + 1e-9).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    index = index[(np.linalg.norm(index @ found.basis, axis=1) <= reach) & index.any(axis=1)]
    h, k, m = index.T
    index = index[(h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (m > 0))))]
    known = {tuple(one) for one in found.index.tolist()} | {tuple(one) for one in (-found.index).tolist()}
    seen = np.array([tuple(one) in known for one in index.tolist()])
    if seen.mean() < _WHOLE:
        covered = _covered(index, seen)
        index, seen = index[covered], seen[covered]
    return index, seen


def _covered(index: Index, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which reflections lie in zones that were recorded: planes with six or more peaks, not all in a row."""
    steps = np.array([u for u in product(range(-4, 5), repeat=3) if np.gcd.reduce(u) == 1 and u > (0, 0, 0)])
    within = index @ steps.T == 0
    counts = within[seen].sum(axis=0)
    covered = np.zeros(len(index), bool)
    for zone in np.argsort(-counts)[:40]:
        mine = index[within[:, zone] & seen]
        share = counts[zone] / max(1, within[:, zone].sum())
        if counts[zone] >= 6 and share > 0.25 and np.linalg.matrix_rank(mine) == 2:
            covered |= within[:, zone]
    return covered | seen


def _fit(
    group: Operations, basis: Index, rotations: Index, nodes: Index, seen: NDArray[np.bool_]
) -> tuple[float, int, int] | None:
    """Return log likelihood, absences explained and peaks forbidden; ``None`` where cell or axes do not fit."""
    identity = np.all(group.rotations == np.eye(3, dtype=int), axis=(1, 2))
    if round(float(np.linalg.det(basis))) != identity.sum():
        return None
    shifts = basis.T @ group.translations[identity].T
    if np.abs(shifts - np.round(shifts)).max() > 1e-3 or not _same_axes(group, basis, rotations):
        return None
    absent = _absent(group, nodes @ basis.T)
    forbidden, explained = int((absent & seen).sum()), int((absent & ~seen).sum())
    allowed, missing = int((~absent).sum()), int((~absent & ~seen).sum())
    rate = np.clip((missing + 0.5) / (allowed + 1.0), 0.01, 0.6)
    score = forbidden * np.log(_FALSE) + missing * np.log(rate) + (allowed - missing) * np.log(1 - rate)
    return _TEMPER * float(score), explained, forbidden


def _same_axes(group: Operations, basis: Index, rotations: Index) -> bool:
    """Return whether the rotations that were found are those of the group's Laue class in this cell."""
    inverse = np.linalg.inv(basis.T)
    found = {np.round(inverse @ rotation @ basis.T).astype(int).tobytes() for rotation in rotations}
    own = {(rotation * round(float(np.linalg.det(rotation)))).tobytes() for rotation in group.rotations}
    return found == own


def _absent(group: Operations, index: Index) -> NDArray[np.bool_]:
    """Return which reflections (M, 3) of the conventional cell a group forbids."""
    absent = np.zeros(len(index), bool)
    done = set()
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        key = (rotation.tobytes(), np.round(translation, 4).tobytes())
        if key in done or np.abs(translation - np.round(translation)).max() < 1e-3:
            continue
        done.add(key)
        kept = (index @ rotation == index).all(axis=1)
        phase = index[kept] @ translation
        absent[kept] |= np.abs(phase - np.round(phase)) > 1e-3
    return absent


def _conventional(direct_nm: Array, rotations: Index, laue: str) -> Iterator[Index]:
    """Yield conventional cells as whole numbers (3, 3) of the primitive direct vectors, in all settings of a class."""
    steps = np.array([u for u in product(range(-4, 5), repeat=3) if any(u)])
    steps = steps[np.argsort(np.linalg.norm(steps @ direct_nm, axis=1), kind="stable")]
    if laue == "-1":
        yield np.eye(3, dtype=int)
    elif laue in ("2/m", "mmm", "m-3", "m-3m"):
        order = 4 if laue == "m-3m" else 2
        axes = _axes([rotation for rotation in rotations if order_of(rotation) == order], steps)
        if laue == "2/m":
            yield from _monoclinic(axes[0], rotations, steps)
            return
        for chosen in permutations(axes):
            yield _right_handed(np.array(chosen))
    else:
        yield from _uniaxial(rotations, steps, laue)


def _axes(rotations: list[Index], steps: Index) -> list[Index]:
    """Return the shortest lattice vector along the axis of each rotation, each axis once."""
    found: list[Index] = []
    for rotation in rotations:
        axis = steps[(steps @ rotation.T == steps).all(axis=1)][0]
        if not any(np.array_equal(axis, sign * other) for other in found for sign in (1, -1)):
            found.append(axis)
    return found


def _monoclinic(axis: Index, rotations: Index, steps: Index) -> Iterator[Index]:
    two = next(rotation for rotation in rotations if order_of(rotation) == 2)
    plane = steps[(steps @ two.T == -steps).all(axis=1)]
    p = plane[0]
    q = next(one for one in plane if np.linalg.matrix_rank(np.array([p, one])) == 2)
    shorter = next(one for one in plane if any(np.array_equal(one, s) for s in (-(p + q), p - q)))
    for a, c in permutations((p, q, shorter), 2):
        yield _right_handed(np.array([a, axis, c]), flip=1)


def _uniaxial(rotations: Index, steps: Index, laue: str) -> Iterator[Index]:
    order = {"4": 4, "6": 6}.get(laue[0], 3)
    main = next(rotation for rotation in rotations if order_of(rotation) == order)
    axis = steps[(steps @ main.T == steps).all(axis=1)][0]
    turn = main if order != 6 else main @ main
    powers = [np.linalg.matrix_power(turn, k) for k in range(order if order != 6 else 3)]
    plane = steps[(steps @ sum(powers).T == 0).all(axis=1)]  # type: ignore[union-attr]
    a = plane[0]
    for sign in (1, -1):
        b = sign * np.round(a @ np.linalg.inv(turn).T).astype(int) if order == 4 else _next(a, turn)
        yield _right_handed(np.array([sign * a, sign * b if order != 4 else b, axis]), flip=2)


def _next(a: Index, turn: Index) -> Index:
    return np.asarray(np.round(a @ np.linalg.inv(turn).T).astype(int))


def _right_handed(basis: Index, flip: int = 2) -> Index:
    if np.linalg.det(basis) < 0:
        basis = basis.copy()
        basis[flip] *= -1
    return basis


def _centre_evidence(found: Reciprocal) -> float:
    """Return the logarithm of the odds for a centre of symmetry, from the spread of normalised intensities (Wilson)."""
    length = np.linalg.norm(found.index @ found.basis, axis=1)
    order = np.argsort(length)
    shells = np.array_split(order, max(1, len(order) // 40))
    spread = [np.abs(found.intensity[one] / found.intensity[one].mean() - 1).mean() for one in shells]
    return float(np.clip((np.mean(spread) - _WILSON) / _WILSON_WIDTH, -2.0, 2.0))


@functools.cache
def extinction_class(number: int) -> tuple[int, ...]:
    """Return all space groups of the same Laue class that forbid the same reflections as `number`, in any setting."""
    index = np.array(list(product(range(-4, 5), repeat=3)))
    own = _absent(operations(number), index)
    laue = LAUE_OF[point_group_of(number)]
    orders = list(permutations(range(3))) if laue in ("mmm", "m-3") else [(0, 1, 2)]
    return tuple(
        other
        for other in _groups_of(laue)
        if _laue_axes(other) == _laue_axes(number)
        and any(np.array_equal(_absent(operations(other), index[:, list(order)]), own) for order in orders)
    )


@functools.cache
def _laue_axes(number: int) -> frozenset[bytes]:
    group = operations(number)
    return frozenset((rotation * round(float(np.linalg.det(rotation)))).tobytes() for rotation in group.rotations)
