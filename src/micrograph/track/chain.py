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
    most, states = tracks.likelihood.shape[1:]
    if most < 2:
        first = tracks.start * tracks.likelihood
        total = first.sum(axis=2, keepdims=True)
        return first / total, np.zeros((len(chances), states, states)), float(np.log(total).sum())
    ahead, behind, steps, value = _swept(tracks, chances)
    posterior = ahead * behind
    posterior /= np.maximum(posterior.sum(axis=2, keepdims=True), 1e-300)
    pairs = ahead[:, :-1, :, None] * steps * behind[:, 1:, None, :]
    live = tracks.inside[:, 1:]
    seen = pairs[live].reshape(-1, states * states)
    seen /= np.maximum(seen.sum(axis=1, keepdims=True), 1e-300)
    kind = tracks.step[:, 1:][live] == np.arange(len(chances))[:, None]
    return posterior, (kind.astype(float) @ seen).reshape(-1, states, states), value


def _swept(tracks: Tracks, chances: Array) -> tuple[Array, Array, Array, float]:
    """Return the sweeps forward and backward (N, T, K), the steps (N, T - 1, K, K), and the log likelihood.

    A step is the matrix of chances times the likelihood of what follows. Steps are taken in blocks: products within
    all blocks at once, then from block to block, so that long tracks cost the square root of their length in turns.
    """
    count, most, states = tracks.likelihood.shape
    steps = np.broadcast_to(np.eye(states), (count, most - 1, states, states)).copy()
    live = tracks.inside[:, 1:]
    steps[live] = chances[tracks.step[:, 1:][live]] * tracks.likelihood[:, 1:][live][:, None, :]
    size = max(round(float(np.sqrt(most - 1))), 1)
    blocks = -(-(most - 1) // size)
    padded = np.broadcast_to(np.eye(states), (count, blocks * size, states, states)).copy()
    padded[:, : most - 1] = steps
    parts = padded.reshape(count, blocks, size, states, states)
    onward, log_scale = _products(parts)
    back, _ = _products(parts[:, :, ::-1].swapaxes(-1, -2))
    first = tracks.start * tracks.likelihood[:, 0]
    value = float(np.log(first.sum(axis=1)).sum() + log_scale.sum())
    entering, leaving = np.empty((count, blocks, states)), np.empty((count, blocks, states))
    now, then = first / first.sum(axis=1, keepdims=True), np.ones((count, states))
    for block in range(blocks):
        entering[:, block] = now
        now = np.einsum("ni,nij->nj", now, onward[:, block, -1])
        total = np.maximum(now.sum(axis=1, keepdims=True), 1e-300)
        now, value = now / total, value + float(np.log(total).sum())
        leaving[:, -1 - block] = then
        then = np.einsum("ni,nij->nj", then, back[:, -1 - block, -1])
        then = then / np.maximum(then.sum(axis=1, keepdims=True), 1e-300)
    ahead = np.einsum("nbi,nblij->nblj", entering, onward).reshape(count, -1, states)[:, : most - 1]
    behind = np.einsum("nbi,nblij->nblj", leaving, back)[:, :, ::-1].reshape(count, -1, states)[:, : most - 1]
    ahead = np.concatenate([first[:, None] / first.sum(axis=1)[:, None, None], ahead], axis=1)
    return ahead, np.concatenate([behind, np.ones((count, 1, states))], axis=1), steps, value


def _products(parts: Array) -> tuple[Array, Array]:
    """Return the products (N, B, L, K, K) of the first 1 .. L matrices of each block, scaled, and the last one's log
    scale (N, B).
    """
    found, log_scale = np.empty_like(parts), np.zeros(parts.shape[:2])
    now = np.broadcast_to(np.eye(parts.shape[-1]), found[:, :, 0].shape)
    for place in range(parts.shape[2]):
        now = now @ parts[:, :, place]
        total = np.maximum(now.max(axis=(2, 3), keepdims=True), 1e-300)
        found[:, :, place] = now = now / total
        log_scale += np.log(total[:, :, 0, 0])
    return found, log_scale


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
