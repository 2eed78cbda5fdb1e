"""Hidden Markov chains over tracks: likelihood, expected changes, smoothed states. Irregular times, gaps, any lengths.

All tracks step together: the n-th observations of all tracks are one matrix product, so many short tracks cost no more
than one long one. Products are scaled at every step (Rabiner 1989, doi:10.1109/5.18626).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Intervals whose lengths differ by less than this part are taken as equal.
_SAME = 1e-3
#: The least likelihood of an observation, so that no track is impossible.
_LEAST = 1e-9


@dataclass(frozen=True)
class Tracks:
    """N tracks of up to T observations, padded: likelihood (N, T, K) of each state, ones where nothing was seen.

    length: (N,) observations of each track; step: (N, T) number of the kind of interval before an observation,
    `times_s` (M,) their lengths. start: (K,) chances of the states at the first observation of a track.
    """

    likelihood: Array
    length: Index
    step: Index
    times_s: Array
    start: Array

    @classmethod
    def of(cls, times_s: Sequence[ArrayLike], likelihoods: Sequence[ArrayLike], states: int) -> Tracks:
        """Return tracks from each one's times (n,), rising, and likelihoods (n, K) of what was seen in each state.

        A frame in which the object was missed is simply left out. Raises `BadInput` where shapes or times do not fit.
        """
        times = [np.asarray(t, dtype=np.float64).reshape(-1) for t in times_s]
        seen = [np.asarray(each, dtype=np.float64).reshape(-1, states) for each in likelihoods]
        for t, each in zip(times, seen, strict=True):
            if len(t) != len(each) or not (np.diff(t) > 0).all() or not np.isfinite(each).all() or (each < 0).any():
                raise BadInput("A track needs a likelihood, zero or more, of every state at every time, times rising.")
        keep = [i for i, t in enumerate(times) if len(t)]
        times, seen = [times[i] for i in keep], [seen[i] for i in keep]
        length = np.array([len(t) for t in times], dtype=np.intp)
        most = int(length.max(initial=0))
        likelihood, gaps = np.ones((len(times), most, states)), np.zeros((len(times), most))
        for row, (t, each) in enumerate(zip(times, seen, strict=True)):
            top = np.maximum(each.max(axis=1, keepdims=True), 1e-300)
            likelihood[row, : len(t)] = np.maximum(each / top, _LEAST)
            gaps[row, 1 : len(t)] = np.diff(t)
        lengths, step = _kinds(gaps)
        share = likelihood[np.arange(most) < length[:, None]].reshape(-1, states)
        begin = (share / share.sum(axis=1, keepdims=True)).mean(axis=0) if len(share) else np.full(states, 1 / states)
        return cls(likelihood, length, step, lengths, begin)

    @property
    def states(self) -> int:
        """Number of states, K."""
        return int(self.likelihood.shape[2])

    @property
    def intervals(self) -> int:
        """Number of intervals between observations of one track."""
        return int((self.length - 1).sum())

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Which of the (N, T) places hold an observation."""
        return np.asarray(np.arange(self.likelihood.shape[1]) < self.length[:, None])

    @property
    def usual_interval_s(self) -> float:
        """The commonest time between observations, NaN where there is none."""
        used = self.step[:, 1:][self.inside[:, 1:]]
        return float(self.times_s[np.bincount(used).argmax()]) if len(used) else float("nan")

    def naive_changes(self) -> Array:
        """Return how often (K, K) the likeliest state of one observation is followed by that of the next."""
        best = self.likelihood.argmax(axis=2)
        both = self.inside[:, 1:]
        counts = np.zeros((self.states, self.states))
        np.add.at(counts, (best[:, :-1][both], best[:, 1:][both]), 1.0)
        return counts

    def naive_visits(self) -> Array:
        """Return how many intervals (K,) begin in each likeliest state."""
        return np.asarray(self.naive_changes().sum(axis=1))


@dataclass(frozen=True)
class Expected:
    """What the tracks say under a chain.

    posterior: (N, T, K); transfers: (M, K, K) expected pairs of ends by kind of interval; changes: (K, K) expected
    jumps in the time observed; visits: (K,) intervals that begin in a state; occupancy: (K,) expected observations of
    a state; independent: so many independent looks at the shares are the tracks worth.
    """

    posterior: Array
    transfers: Array
    changes: Array
    visits: Array
    occupancy: Array
    independent: float
    log_likelihood: float


def log_likelihood(tracks: Tracks, generator: Array) -> tuple[float, Array]:
    """Return the log likelihood of `tracks` under `generator` (K, K), and its derivative by each element (K, K)."""
    from scipy.linalg import expm

    chances = np.stack([expm(generator * t) for t in tracks.times_s]) if len(tracks.times_s) else np.zeros((0, 0, 0))
    _, transfers, value = _forward_backward(tracks, chances)
    slope = np.zeros_like(generator)
    for t, chance, pairs in zip(tracks.times_s, chances, transfers, strict=True):
        slope += _pulled_back(generator, t, pairs / np.maximum(chance, 1e-300))
    return value, slope


def expected(tracks: Tracks, generator: Array) -> Expected:
    """Return smoothed states and expected numbers of changes under `generator` (K, K)."""
    from scipy.linalg import expm

    chances = np.stack([expm(generator * t) for t in tracks.times_s]) if len(tracks.times_s) else np.zeros((0, 0, 0))
    posterior, transfers, value = _forward_backward(tracks, chances)
    pulled = np.zeros_like(generator)
    for t, chance, pairs in zip(tracks.times_s, chances, transfers, strict=True):
        pulled += _pulled_back(generator, t, pairs / np.maximum(chance, 1e-300))
    off = ~np.eye(len(generator), dtype=bool)
    seen = posterior[tracks.inside]
    occupancy = seen.sum(axis=0) if len(seen) else np.zeros(tracks.states)
    leave = float(-np.diag(generator) @ occupancy) / max(float(occupancy.sum()), 1e-300)
    spell = 1 / max(leave, 1e-300)
    total = float((tracks.times_s * transfers.sum(axis=(1, 2))).sum()) if len(transfers) else 0.0
    return Expected(
        posterior=posterior,
        transfers=transfers,
        changes=np.where(off, generator * pulled, 0.0),
        visits=transfers.sum(axis=(0, 2)) if len(transfers) else np.zeros(tracks.states),
        occupancy=occupancy,
        independent=min(len(tracks.length) + 0.5 * total / spell, float(len(seen))),
        log_likelihood=value,
    )


def smoothed(tracks: Tracks, generator: Array) -> list[Array]:
    """Return the chances (n, K) of the states at every observation of each track, given all its other frames too."""
    found = expected(tracks, generator).posterior
    return [found[row, :count] for row, count in enumerate(tracks.length.tolist())]


def likeliest(tracks: Tracks, generator: Array) -> list[Index]:
    """Return the likeliest sequence of states (n,) of each track (Viterbi, doi:10.1109/TIT.1967.1054010)."""
    from scipy.linalg import expm

    logs = [np.log(np.maximum(expm(generator * t), 1e-300)) for t in tracks.times_s]
    found = []
    for row, count in enumerate(tracks.length.tolist()):
        seen = np.log(tracks.likelihood[row, :count])
        score, back = np.log(np.maximum(tracks.start, 1e-300)) + seen[0], np.zeros((count, tracks.states), np.intp)
        for n in range(1, count):
            ways = score[:, None] + logs[tracks.step[row, n]]
            back[n] = ways.argmax(axis=0)
            score = ways.max(axis=0) + seen[n]
        path = np.zeros(count, np.intp)
        path[-1] = score.argmax()
        for n in range(count - 1, 0, -1):
            path[n - 1] = back[n, path[n]]
        found.append(path)
    return found


def _forward_backward(tracks: Tracks, chances: Array) -> tuple[Array, Array, float]:
    """Return posterior (N, T, K), expected pairs of ends (M, K, K) by kind of interval, and the log likelihood."""
    count, most, states = tracks.likelihood.shape
    ahead, scale = np.zeros((count, most, states)), np.ones((count, most))
    for n in range(most):
        live = tracks.inside[:, n]
        if n == 0:
            now = tracks.start * tracks.likelihood[:, 0]
        else:
            now = np.einsum("ni,nij->nj", ahead[:, n - 1], chances[tracks.step[:, n]]) * tracks.likelihood[:, n]
        scale[:, n] = np.where(live, np.maximum(now.sum(axis=1), 1e-300), 1.0)
        ahead[:, n] = now / scale[:, n, None]
    behind = np.ones((count, most, states))
    transfers = np.zeros((len(tracks.times_s), states, states))
    for n in range(most - 1, 0, -1):
        live = tracks.inside[:, n]
        arrives = tracks.likelihood[:, n] * behind[:, n] / scale[:, n, None]
        steps = chances[tracks.step[:, n]]
        pairs = ahead[:, n - 1, :, None] * steps * arrives[:, None, :]
        np.add.at(transfers, tracks.step[live, n], pairs[live])
        behind[:, n - 1] = np.where(live[:, None], np.einsum("nij,nj->ni", steps, arrives), 1.0)
    posterior = ahead * behind
    posterior /= np.maximum(posterior.sum(axis=2, keepdims=True), 1e-300)
    return posterior, transfers, float(np.log(scale[tracks.inside]).sum())


def _pulled_back(generator: Array, time_s: float, weight: Array) -> Array:
    """Return the derivative (K, K) by the generator of the sum of ``weight * expm(generator * time_s)``."""
    from scipy.linalg import expm

    count = len(generator)
    block = np.zeros((2 * count, 2 * count))
    block[:count, :count] = block[count:, count:] = generator.T * time_s
    block[:count, count:] = weight * time_s
    return np.asarray(expm(block)[:count, count:])


def _kinds(gaps: Array) -> tuple[Array, Index]:
    """Return the lengths (M,) of the intervals that occur and the number (N, T) of each interval's kind."""
    used = np.unique(gaps[gaps > 0])
    if len(used) == 0:
        return np.zeros(0), np.zeros(gaps.shape, np.intp)
    group = np.cumsum(np.r_[False, np.diff(used) > _SAME * used[1:]])
    lengths = np.array([used[group == g].mean() for g in range(int(group[-1]) + 1)])
    step = np.searchsorted((lengths[1:] + lengths[:-1]) / 2, gaps)
    return lengths, np.asarray(step, np.intp)
