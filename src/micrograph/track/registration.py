"""How far one cloud of points lies from another that shows most of the same points: first by voting, then by matching.

Voting: the displacements of all pairs of points, in a histogram, peak where the clouds coincide. Matching: the mean
over mutual nearest neighbours with Tukey's biweight (Beaton and Tukey 1974, doi:10.1080/00401706.1974.10489171), which
points that come, go or move on their own do not shift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from micrograph.track.timeline import Array, Index

#: A shift is believed if so many matches arise by chance less often than this, over all shifts that were tried.
_CHANCE = 1e-3
#: At most so many pairs of points vote.
_VOTES = 2_000_000
#: Largest scatter of matches, along one axis, as a share of the tolerance (a half if they fill it evenly).
_NARROW = 0.38
#: Tukey's constant: 95 % efficient for Gaussian errors.
_TUKEY = 4.685


@dataclass(frozen=True)
class Cloud:
    """Points of one frame: place (N, 2) [y, x] nm, variance (N, 2) nm^2 (zeros where unknown)."""

    place: Array
    variance: Array
    tree: Any = field(repr=False)

    @classmethod
    def of(cls, place: Array, variance: Array | None = None) -> Cloud:
        """Return the cloud of `place` (N, 2)."""
        from scipy.spatial import cKDTree

        known = np.zeros_like(place) if variance is None else np.nan_to_num(variance)
        return cls(place, known, cKDTree(place))

    def __len__(self) -> int:
        """Number of places."""
        return len(self.place)


@dataclass(frozen=True)
class Search:
    """Where to look: shifts up to `most_nm` (2,) along y and x; points match within `tolerance_nm`; field (2,) nm."""

    tolerance_nm: float
    most_nm: Array
    field_nm: Array


@dataclass(frozen=True)
class Shift:
    """The second cloud lies `nm` (2,) from the first, with 1-sigma (2,), from matches that scatter along each axis."""

    nm: Array
    sigma_nm: Array
    matches: int
    scatter_nm: float


def register(first: Cloud, second: Cloud, search: Search, guess: Array, *, anywhere: bool = False) -> Shift | None:
    """Return the shift near `guess` (2,); where that fails, ``None``, or the best in reach if `anywhere` is set.

    Never raises: clouds too small or too different give ``None``.
    """
    if min(len(first), len(second)) < 2:
        return None
    near = _fine(first, second, search, guess)
    if near is not None and _believed(near, first, second, search, 1):
        return near
    if not anywhere:
        return None
    trials = int(np.prod(2 * search.most_nm / search.tolerance_nm + 1))
    found = [_fine(first, second, search, start) for start in _votes(first, second, search, guess)]
    sure = [shift for shift in found if shift is not None and _believed(shift, first, second, search, trials)]
    return max(sure, key=lambda shift: shift.matches, default=None)


def _believed(shift: Shift, first: Cloud, second: Cloud, search: Search, trials: int) -> bool:
    """Return whether the matches scatter well within the tolerance, and chance would hardly give so many.

    Matches that fill the tolerance follow the guess instead of telling where the points went.
    """
    from scipy.special import pdtrc

    expected = len(first) * len(second) * np.pi * search.tolerance_nm**2 / float(np.prod(search.field_nm))
    narrow = shift.scatter_nm < _NARROW * search.tolerance_nm
    return narrow and shift.matches >= 2 and float(pdtrc(shift.matches - 1, expected)) * trials < _CHANCE


def _votes(first: Cloud, second: Cloud, search: Search, guess: Array, peaks: int = 3) -> Iterator[Array]:
    """Yield the likeliest shifts, the best first; of those that are about as good, the one nearest to `guess`."""
    from scipy.ndimage import uniform_filter

    some = first.place[:: max(1, len(first) * len(second) // _VOTES)]
    apart = (second.place[None] - some[:, None]).reshape(-1, 2)
    half = np.ceil(search.most_nm / search.tolerance_nm).astype(int)
    cell = np.rint(apart / search.tolerance_nm).astype(int) + half
    inside = ((cell >= 0) & (cell <= 2 * half)).all(axis=1)
    shape = 2 * half + 1
    flat = np.ravel_multi_index(tuple(cell[inside].T), tuple(shape.tolist()))
    count = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(float)
    vote = uniform_filter(count, 3, mode="constant") * 9
    grid = np.moveaxis(np.indices(shape.tolist()), 0, -1).astype(float) - half
    grid *= search.tolerance_nm
    overlap = np.clip(1 - np.abs(grid) / search.field_nm, 0.05, 1).prod(axis=-1)
    chance = 9 * len(some) * len(second) * search.tolerance_nm**2 / np.prod(search.field_nm) * overlap
    merit = (vote - chance) / np.sqrt(chance + 1)
    far = np.hypot(*np.moveaxis(grid - guess, -1, 0))
    for _ in range(peaks):
        good = merit >= 0.85 * merit.max()
        place = np.unravel_index(int(np.argmin(np.where(good, far, np.inf))), merit.shape)
        yield grid[place]
        merit[tuple(slice(max(int(p) - 2, 0), int(p) + 3) for p in place)] = -np.inf


def _fine(first: Cloud, second: Cloud, search: Search, start: Array, rounds: int = 6) -> Shift | None:
    """Return the shift near `start`: matches are made and weighed anew until nothing moves."""
    shift, found = np.asarray(start, dtype=float), None
    for turn in range(rounds):
        radius = search.tolerance_nm * (1.5 if turn == 0 else 1.0)
        one, other = _matches(first, second, shift, radius)
        if len(one) < 2:
            return None
        apart = second.place[other] - first.place[one]
        found = _weighed(apart, first.variance[one] + second.variance[other], shift if turn else None)
        moved = float(np.abs(found.nm - shift).max())
        shift = found.nm
        if turn and moved < 1e-3 * search.tolerance_nm:
            break
    return found


def _matches(first: Cloud, second: Cloud, shift: Array, radius: float) -> tuple[Index, Index]:
    """Return which points are each other's nearest within `radius` when the first cloud is moved by `shift`."""
    _, there = second.tree.query(first.place + shift, distance_upper_bound=radius)
    _, back = first.tree.query(second.place - shift, distance_upper_bound=radius)
    one = np.flatnonzero(there < len(second))
    one = one[back[there[one]] == one]
    return one, there[one]


def _weighed(apart: Array, variance: Array, centre: Array | None) -> Shift:
    """Return the robust mean of displacements (M, 2) with the given variances of their errors (M, 2)."""
    middle = np.median(apart, axis=0) if centre is None or len(apart) < 8 else centre
    for _ in range(3):
        off = apart - middle
        scatter = (1.4826 * float(np.median(np.abs(off)))) ** 2
        excess = max(scatter - float(np.median(variance)), 0.1 * scatter, 1e-18)
        total = variance + excess
        reach = np.clip(1 - (off**2 / total).sum(axis=1) / (2 * _TUKEY**2), 0, None) ** 2
        weight = reach[:, None] / total
        if (weight.sum(axis=0) <= 0).any():
            break
        middle = (weight * apart).sum(axis=0) / weight.sum(axis=0)
    kept = int((reach > 0.1).sum())
    spread = (weight**2 * (apart - middle) ** 2).sum(axis=0)
    sigma = np.sqrt(spread * (kept + 1) / max(kept - 1, 1)) / np.maximum(weight.sum(axis=0), 1e-300)
    floor = 0.05 * np.sqrt(excess / max(kept, 1))
    return Shift(middle, np.maximum(sigma, floor), kept, float(np.sqrt((off**2).mean())))
