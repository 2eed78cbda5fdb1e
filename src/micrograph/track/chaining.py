"""Particles that join to chains: who touches whom, how many chains there are, and the order of the kinetics.

A number that falls by one with each joining is a pure death process: of first order if each one dies at the same rate
k, of second order if each pair does (rate k n^2). Its exact likelihood, of all waiting times between the frames, tells
the orders apart far better than curves fitted to the number do. Bonds that a frame misses make the number seen too
high; they are hidden states of the same likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from micrograph.core import BadInput, Column
from micrograph.track.timeline import Array, Index, position_columns

CHAINS = (
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "its time"),
    Column("particles", "", "particles seen"),
    Column("free", "", "particles that touch no other"),
    Column("chains", "", "groups of two or more that touch"),
    Column("groups", "", "free particles and chains together"),
    Column("bonds", "", "pairs that touch"),
    Column("largest", "", "particles in the largest group"),
)
#: Chance of a number that no missed bond explains, such as two particles that only seem to touch.
_STRAY = 1e-3
#: Steps of time that differ by this share count as equal.
_ALIKE = 1e-3
#: Twice the loss of log-likelihood at the ends of a 95 % interval (one parameter).
_LOSS = 3.841


@dataclass(frozen=True)
class Order:
    """The order (1 or 2) of a decay, its rate constant with the 95 % interval, by how much the other order is worse.

    k in 1/s for order 1 and 1/s per particle for order 2. missed: share of the joinings that a frame misses.
    """

    order: int
    k: float
    k_low: float
    k_high: float
    delta_aic: float
    missed: float


def contacts(tracks: pd.DataFrame, factor: float = 1.15, least_frames: int = 3) -> pd.DataFrame:
    """Return which particles touch and since when: ``track, other, first_frame, last_frame``.

    tracks: ``track, frame, y_nm, x_nm`` and ``equivalent_diameter_nm`` or ``area_nm2``. Particles touch where their
    centres are closer than `factor` times the mean of their diameters; contacts seen in fewer than `least_frames`
    frames are passing ones.
    """
    from scipy.spatial import cKDTree

    places, sizes = tracks[list(position_columns(tracks))].to_numpy(float), _diameters(tracks)
    number = tracks["track"].to_numpy(np.int64)
    found = []
    for frame, rows in _by_frame(tracks):
        place, size, own = places[rows], sizes[rows], number[rows]
        pairs = cKDTree(place).query_pairs(factor * float(size.max()), output_type="ndarray")
        apart = np.hypot(*(place[pairs[:, 0]] - place[pairs[:, 1]]).T)
        near = pairs[apart < factor * 0.5 * (size[pairs[:, 0]] + size[pairs[:, 1]])]
        found.append(np.column_stack([np.sort(own[near], axis=1), np.full(len(near), frame)]))
    every = np.concatenate([np.empty((0, 3), np.int64), *found])
    seen = pd.DataFrame(every, columns=["track", "other", "frame"]).groupby(["track", "other"])["frame"]
    table = seen.agg(first_frame="min", last_frame="max", number="size").reset_index()
    return table[table["number"] >= least_frames].drop(columns="number").reset_index(drop=True)


def _diameters(rows: pd.DataFrame) -> Array:
    if "equivalent_diameter_nm" in rows:
        return rows["equivalent_diameter_nm"].to_numpy(float)
    if "area_nm2" not in rows:
        raise BadInput("Particles without equivalent_diameter_nm or area_nm2 have no size: give one of the columns.")
    return np.asarray(2 * np.sqrt(rows["area_nm2"].to_numpy(float) / np.pi))


def chains_table(tracks: pd.DataFrame, bonds: pd.DataFrame, lasting: bool = True) -> pd.DataFrame:
    """Return the number of free particles, chains and groups in every frame (`CHAINS`).

    bonds: as `contacts` gives them. A bond holds from its first frame to its last, or, where bonds are `lasting`, to
    the end of the movie, so that frames which miss it do not break the chain.
    """
    number = tracks["track"].to_numpy(np.int64)
    times = tracks["t_s"].to_numpy(float) if "t_s" in tracks else np.full(len(tracks), np.nan)
    both = bonds[["track", "other"]].to_numpy(np.int64)
    first, last = bonds["first_frame"].to_numpy(), bonds["last_frame"].to_numpy()
    found = []
    for frame, rows in _by_frame(tracks):
        own = number[rows]
        pairs = both[(first <= frame) & (lasting | (last >= frame))]
        pairs = pairs[np.isin(pairs, own).all(axis=1)]
        size = _group_sizes(own, pairs) if len(pairs) else np.ones(len(own), np.int64)
        alone = int((size == 1).sum())
        row = [frame, float(times[rows[0]]), len(own), alone, len(size) - alone, len(size), len(pairs)]
        found.append([*row, int(size.max(initial=0))])
    return pd.DataFrame(found, columns=[column.name for column in CHAINS])


def _by_frame(tracks: pd.DataFrame) -> Iterator[tuple[int, Index]]:
    """Yield each frame's number and its rows, in order."""
    frame = tracks["frame"].to_numpy(np.int64)
    order = np.argsort(frame, kind="stable")
    known, begin = np.unique(frame[order], return_index=True)
    yield from zip(known.tolist(), np.split(order, begin[1:]), strict=False)  # no rows: one empty piece


def _group_sizes(own: Index, pairs: Index) -> Index:
    """Return how many particles each connected group holds."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    order = np.sort(own)
    first, second = np.searchsorted(order, pairs).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(len(own),) * 2)
    return np.bincount(connected_components(graph, directed=False)[1]).astype(np.int64)


def kinetic_order(times_s: ArrayLike, counts: ArrayLike) -> Order:
    """Return whether the number (T,) of particles or groups at times (T,) s falls by first- or second-order kinetics.

    Any joining lowers the number by one. Frames may see too many (missed bonds): the share is found along with k.
    Raises `BadInput` for times that do not increase, for numbers that are no counts and for fewer than 3 of them.
    """
    times, seen = np.asarray(times_s, float), np.asarray(counts, float)
    if times.shape != seen.shape or times.ndim != 1 or len(times) < 3 or not (np.diff(times) > 0).all():
        raise BadInput("A decay needs three numbers or more at times that increase: give both rows alike.")
    if not np.isfinite(seen).all() or (seen < 0).any() or (seen != np.round(seen)).any():
        raise BadInput("A decay is followed by whole numbers, zero or greater: counts of particles or groups.")
    hidden = _Hidden.of(times, seen.astype(np.int64))
    decays = [_fitted(hidden, order) for order in (1, 2)]
    best = 0 if decays[0].worth >= decays[1].worth else 1
    found = decays[best]
    low, high = found.interval()
    return Order(best + 1, found.k, low, high, 2 * (found.worth - decays[1 - best].worth), found.missed)


@dataclass(frozen=True)
class _Hidden:
    """What does not change while a law is fitted.

    kind (T - 1,): which of the `spans` (s) lies between two frames; number (N,): numbers that there may truly be;
    extra, bonds (T, N): how many more are seen in each frame, how many joinings there have been; log_ways (T, N): to
    miss as many, -inf where there are none; clean: no number ever rises, so nothing is hidden.
    """

    kind: list[int]
    spans: Array
    number: Index
    extra: Array
    bonds: Array
    log_ways: Array
    clean: bool

    @classmethod
    def of(cls, times: Array, seen: Index) -> _Hidden:
        from scipy.special import gammaln

        steps = np.diff(times)
        _, kind = np.unique(np.round(np.log(steps) / _ALIKE), return_inverse=True)
        spans = np.bincount(kind, steps) / np.bincount(kind)
        clean = not (np.diff(seen) > 0).any()
        spare = 0 if clean else int(max(8, 0.1 * seen.max()))
        number = np.arange(max(int(seen.min()) - spare, 0), int(seen.max()) + 1)
        extra = (seen[:, None] - number).astype(float)
        bonds = np.tile(np.maximum(int(seen[0]) - number, 0).astype(float), (len(seen), 1))
        some = np.clip(extra, 0, bonds)
        ways = gammaln(bonds + 1) - gammaln(some + 1) - gammaln(bonds - some + 1)
        ways = np.where((extra >= 0) & (extra <= bonds), ways, -np.inf)
        return cls(kind.tolist(), spans, number, extra, bonds, ways, clean)

    def emitted(self, missed: float) -> Array:
        """Return the chance (T, N) to see what was seen, by the true number."""
        if self.clean:
            return np.where(self.extra == 0, 1.0, 0.0)
        some = np.clip(self.extra, 0, self.bonds)
        chance = np.exp(self.log_ways + some * np.log(missed) + (self.bonds - some) * np.log1p(-missed))
        return np.asarray(chance * (1 - _STRAY) + _STRAY * 0.5 ** (np.abs(self.extra) + 1))

    def worth(self, order: int, k: float, missed: float) -> float:
        """Return the log-likelihood of the numbers seen."""
        rate = k * self.number.astype(float) ** order
        if self.number[0] > 0 and not self.clean:
            rate[0] = 0.0
        moves = [_moved(rate, float(span)) for span in self.spans]
        seen = self.emitted(missed)
        chance, total = seen[0], 0.0
        for one, now in zip([-1, *self.kind], seen, strict=True):
            chance = moves[one] @ chance * now if one >= 0 else now
            weight = float(chance.sum())
            if not weight > 0:
                return -1e12
            total += float(np.log(weight))
            chance = chance / weight
        return total


@dataclass(frozen=True)
class _Decay:
    """A decay of one order: its likeliest rate constant and share of missed bonds, and their log-likelihood."""

    hidden: _Hidden
    order: int
    k: float
    missed: float
    worth: float

    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % profile-likelihood interval of k."""
        from scipy.optimize import brentq

        def lost(log_k: float) -> float:
            return 2 * (self.worth - self.hidden.worth(self.order, float(np.exp(log_k)), self.missed)) - _LOSS

        middle, ends = float(np.log(self.k)), []
        for side in (-1.0, 1.0):
            reach = 0.1
            while lost(middle + side * reach) < 0 and reach < 10:
                reach *= 2
            at = brentq(lost, middle, middle + side * reach, xtol=1e-3) if reach < 10 else side * np.inf
            ends.append(float(np.exp(at)))
        return ends[0], ends[1]


def _fitted(hidden: _Hidden, order: int) -> _Decay:
    """Return the likeliest decay of that order."""
    from scipy.optimize import minimize, minimize_scalar

    start = float(np.log(_first_rate(hidden, order)))
    if hidden.clean:
        one = minimize_scalar(
            lambda v: -hidden.worth(order, float(np.exp(v)), 0.0),
            bounds=(start - 1, start + 1),
            method="bounded",
            options={"xatol": 2e-3},
        )
        return _Decay(hidden, order, float(np.exp(one.x)), 0.0, -float(one.fun))

    def loss(v: Array) -> float:
        return -hidden.worth(order, float(np.exp(v[0])), float(1 / (1 + np.exp(-v[1]))))

    simplex = np.array([[start, -3.5], [start + 0.15, -3.5], [start, -2.8]])
    options: Any = {"xatol": 0.02, "fatol": 0.02, "maxfev": 80, "initial_simplex": simplex}
    two = minimize(loss, np.asarray(simplex[0]), method="Nelder-Mead", options=options)
    missed = float(1 / (1 + np.exp(-two.x[1])))
    return _Decay(hidden, order, float(np.exp(two.x[0])), missed, -float(two.fun))


def _first_rate(hidden: _Hidden, order: int) -> float:
    """Return the rate constant that the lowest numbers so far and the time that passed at them tell."""
    low = np.minimum.accumulate(hidden.extra[:, 0] + hidden.number[0])
    passed = float(np.sum(0.5 * (low[1:] ** order + low[:-1] ** order) * hidden.spans[hidden.kind]))
    return max(float(low[0] - low[-1]), 0.5) / max(passed, 1e-300)


def _moved(rate: Array, span: float) -> Array:
    """Return the chances (after, before) of a pure death process over a span of time, by uniformisation."""
    most = float(rate.max()) * span
    if most > 40:
        half = _moved(rate, span / 2)
        return half @ half
    terms = int(most + 7 * np.sqrt(most) + 12)
    down = rate * span / most if most > 0 else np.zeros_like(rate)
    drops = np.zeros((len(rate), terms + 1))
    drops[:, 0] = 1.0
    weight, total = np.exp(-most), np.exp(-most) * drops
    for term in range(1, terms + 1):
        fallen = np.zeros_like(drops)
        fallen[1:, 1:] = drops[:-1, :-1]
        drops = (1 - down)[:, None] * drops + down[:, None] * fallen
        weight *= most / term
        total += weight * drops
    before = np.repeat(np.arange(len(rate)), terms + 1)
    after = before - np.tile(np.arange(terms + 1), len(rate))
    moved = np.zeros((len(rate), len(rate)))
    inside = after >= 0
    moved[after[inside], before[inside]] = total.ravel()[inside]
    return moved
