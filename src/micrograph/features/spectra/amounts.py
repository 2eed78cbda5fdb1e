"""How many counts of known endmembers each spectrum holds, with errors; and spectra without cosmic rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Line = NDArray[np.float32]

#: A spike lies so many standard deviations above its neighbours.
_SPIKE = 10.0
#: Channels of so many counts show how wide the noise is; with fewer of them than the second, single counts do.
_CLEAR, _LEAST = 5.0, 8
#: Rounds in which the variance follows from the fit, and the share of the mean spectrum below which it never falls.
_ROUNDS, _FLOOR = 3, 0.02


@dataclass(frozen=True)
class Amounts:
    """Counts (N, K) of each endmember and their 1-sigma; misfit (N,): chi-square a channel, 1 where explained."""

    counts: Array
    sigma: Array
    misfit: Array


def amounts_of(spectra: NDArray[np.floating], ends: Array, gain: float = 1.0) -> Amounts:
    """Return the counts >= 0 of endmembers (K, E), sums 1, in spectra (N, E), by least squares with Poisson's variance.

    gain: variance of a value over its mean.
    """
    number, channels = ends.shape
    total = np.maximum(spectra.sum(axis=1, keepdims=True, dtype=float), 1e-12)
    mean = np.maximum(ends.mean(axis=0), 1e-9)
    pairs = (ends[:, None] * ends[None]).reshape(number**2, channels)
    variance = total * mean
    counts = np.zeros((len(spectra), number))
    for _ in range(_ROUNDS):
        weight = 1.0 / variance
        normal = (weight @ pairs.T).reshape(-1, number, number)
        counts = _non_negative(normal, (spectra * weight) @ ends.T)
        variance = np.maximum(counts @ ends, _FLOOR * total * mean)
    inverse = np.linalg.pinv(normal, hermitian=True)
    sigma = np.sqrt(gain * np.einsum("nkk->nk", inverse).clip(0))
    fitted = counts @ ends
    share = (fitted / variance).sum(axis=1) * max(channels - number, 1) / channels  # below 1 where the floor holds
    misfit = ((spectra - fitted) ** 2 / variance).sum(axis=1) / gain / np.maximum(share, 1e-9)
    return Amounts(counts, sigma, misfit)


def _non_negative(normal: Array, right: Array) -> Array:
    """Return x (N, K) >= 0 of ``normal @ x = right``: what comes out negative is taken out, one at a time."""
    number = right.shape[1]
    inside = np.ones(right.shape, bool)
    identity = np.eye(number)
    found = np.zeros_like(right)
    for _ in range(number):
        both = inside[:, :, None] & inside[:, None, :]
        scale = np.maximum(np.einsum("nkk->nk", normal).max(axis=1), 1e-300)[:, None, None]
        system = np.where(both, normal, 0.0) + identity * (~inside)[:, :, None] * scale + 1e-12 * scale * identity
        found = np.linalg.solve(system, np.where(inside, right, 0.0)[..., None])[..., 0]
        lowest = found.argmin(axis=1)
        negative = found[np.arange(len(found)), lowest] < 0
        if not negative.any():
            break
        inside[negative, lowest[negative]] = False
    return np.clip(found, 0, None)


def without_spikes(line: NDArray[np.floating], times: float = _SPIKE) -> tuple[NDArray[np.float32], int]:
    """Return a line of spectra (X, E) without cosmic rays, and how many values were replaced.

    A cosmic ray stands far above its neighbours both along the spectrum (median of five) and along the line (of three).
    """
    line = np.asarray(line, np.float32)
    if line.shape[1] < 5:
        return line, 0
    level = _median_of_five(line)
    if len(line) >= 3:
        around = np.concatenate([line[1:2], line, line[-2:-1]])
        level = np.maximum(level, _middle(around[:-2], line, around[2:]))
    unit = noise_unit(line)
    spike = line > level + times * np.sqrt(unit * np.maximum(level, unit))
    return np.where(spike, level, line), int(spike.sum())


def _middle(a: Line, b: Line, c: Line) -> Line:
    """Return the median of three."""
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _median_of_five(line: Line) -> Line:
    """Return the medians over five channels along spectra (X, E), mirrored at both ends."""
    wide = np.pad(line, ((0, 0), (2, 2)), mode="reflect")
    a, b, c, d, e = (wide[:, k : k + line.shape[1]] for k in range(5))
    low, high = np.maximum(np.minimum(a, b), np.minimum(d, e)), np.minimum(np.maximum(a, b), np.maximum(d, e))
    return _middle(c, low, high)


def noise_unit(line: NDArray[np.floating]) -> float:
    """Return the variance over the mean of a line of spectra (X, E), from second differences: 1 for counts."""
    second = (line[:, 2:] - 2 * line[:, 1:-1] + line[:, :-2]).astype(float)
    spread = (np.median(np.abs(second), axis=0) / 0.6745) ** 2 / 6
    level = np.median(line[:, 1:-1], axis=0)
    count = _one_count(line)
    clear = (level > _CLEAR * count) & (spread > 0)
    measured = float(np.median(spread[clear] / level[clear])) if clear.sum() >= _LEAST else 0.0
    return max(measured, count) or 1.0


def _one_count(line: NDArray[np.floating]) -> float:
    """Return what one count reads as where all values are multiples of it, 0 where they are not."""
    some = line.ravel()[:: max(1, line.size // 4096)]
    values = np.unique(some[some > 0])
    if not values.size:
        return 1.0
    least = 1.0 if (values == np.round(values)).all() else float(values[0])
    return least if np.abs(values / least - np.round(values / least)).max() < 1e-3 else 0.0
