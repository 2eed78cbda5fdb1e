"""How many components spectra hold: counts weighted so that their noise is white, and the law of its singular values.

Rows and columns of counts (N, E) are scaled so that the noise has variance 1 in the mean of every row and column
(Keenan and Kotula, doi:10.1002/sia.1657; Landa et al., doi:10.1137/21M1456807). Singular values of pure noise then end
at ``sqrt(N) + sqrt(E)`` (Marchenko and Pastur), whatever the spectra are; what lies above is signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The largest eigenvalue of noise lies above the edge by this many of its own spreads in one of about 10,000 cases.
_SPREADS = 4.5
#: Rounds of weighting, and of gain, which needs the components and they it.
_ROUNDS, _GAINS = 6, 3


@dataclass(frozen=True)
class Weights:
    """Counts ``d / sqrt(row * column)`` have noise of variance 1; row (N,), column (E,), which sums to 1."""

    row: Array
    column: Array

    def weighted(self, counts: NDArray[np.floating]) -> Array:
        """Return counts (N, E) with white noise."""
        return np.asarray(counts / np.sqrt(self.row)[:, None] / np.sqrt(self.column))


@dataclass(frozen=True)
class Components:
    """What is told from noise: `number` of components, of which so many were `detected`; singular values (all), the
    `edge` where those of noise end.

    gain: variance of a value over its mean, 1 for counts; scores (N, number) and parts (number, E), both of the
    weighted counts: ``weighted = scores @ parts``; weights.
    """

    number: int
    detected: int
    values: Array
    edge: float
    gain: float
    scores: Array
    parts: Array
    weights: Weights

    def clearness(self) -> float:
        """Return how much of the weakest component detected one spectrum has (rms), over the noise of its score."""
        rows, columns = self.scores.shape[0], len(self.weights.column)
        ratio = columns / rows
        above = self.values[self.detected - 1] ** 2 / rows / self.gain - 1 - ratio
        return float(np.sqrt(max(above + np.sqrt(max(above**2 - 4 * ratio, 0.0)), 0.0) / 2))

    def smoothed(self, number: int | None = None) -> Array:
        """Return the counts (N, E) that the first components make: without the noise that lies outside of them."""
        kept = self.number if number is None else number
        low = self.scores[:, :kept] @ self.parts[:kept]
        return np.asarray(low * np.sqrt(self.weights.row)[:, None] * np.sqrt(self.weights.column))


def noise_weights(variance: NDArray[np.floating]) -> Weights:
    """Return the weights for which noise of this variance (N, E), such as the counts themselves, is white."""
    column = variance.sum(axis=0, dtype=float)
    column = column / max(column.sum(), 1e-300)
    row = np.ones(len(variance))
    for _ in range(_ROUNDS):
        safe = np.maximum(column, 1e-300)
        row = np.maximum((variance / safe).mean(axis=1, dtype=float), 1e-300)
        column = (variance / row[:, None]).mean(axis=0, dtype=float)
    total = float(column.sum())
    return Weights(row * total, np.maximum(column / total, 1e-300))


def find_components(
    counts: NDArray[np.floating], most: int = 12, number: int | None = None, gain: float | None = None
) -> Components:
    """Return the components of counts (N, E), with no empty row or column.

    The gain is measured where it is not given: the middle of the singular values of noise must lie where Marchenko and
    Pastur have it.
    `number` takes so many instead of those that are told from noise (at least 1, at most `most`).
    """
    from scipy.linalg import eigh

    weights, white, gram = _whitened(counts)
    tall = len(gram) == white.shape[1]
    values, vectors = eigh(gram)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    found, gain, edge = _told(values, counts.shape, most, gain)
    kept = max(found, number or 0)
    parts = vectors[:, :kept].T if tall else (white.T @ vectors[:, :kept] / np.sqrt(values[:kept])).T
    chosen = found if number is None else number
    return Components(chosen, found, np.sqrt(values), float(np.sqrt(edge)), gain, white @ parts.T, parts, weights)


def detected(counts: NDArray[np.floating], most: int = 12, gain: float | None = None) -> int:
    """Return how many components `find_components` would find in counts (N, E), without making them."""
    from scipy.linalg import eigvalsh

    values: Array = np.clip(eigvalsh(_whitened(counts)[2])[::-1], 0, None).astype(float)
    return _told(values, counts.shape, most, gain)[0]


def _whitened(counts: NDArray[np.floating]) -> tuple[Weights, Array, Array]:
    """Return the weights of counts (N, E), the counts with white noise, and the smaller of their two Gram matrices."""
    weights = noise_weights(np.clip(counts, 0, None))
    white = weights.weighted(counts)
    return weights, white, white.T @ white if white.shape[0] >= white.shape[1] else white @ white.T


def _told(values: Array, shape: tuple[int, ...], most: int, known: float | None) -> tuple[int, float, float]:
    """Return how many eigenvalues (falling) are told from noise, the gain, and the largest that noise makes."""
    rows, columns = shape
    found, gain = 1, 1.0 if known is None else known
    edge = noise_edge(rows, columns)
    for _ in range(_GAINS):
        if known is None and len(values) > found + 4:
            gain = float(np.median(values[found:]) / _median_of_noise(rows, columns))
        found = int(np.clip((values > gain * edge).sum(), 1, most))
    return found, gain, gain * edge


def noise_edge(rows: int, columns: int) -> float:
    """Return what the largest eigenvalue of white noise (rows, columns) hardly ever exceeds (by Johnstone)."""
    tall, wide = np.sqrt(rows), np.sqrt(columns)
    centre, spread = (tall + wide) ** 2, (tall + wide) * (1 / tall + 1 / wide) ** (1 / 3)
    return float(centre + _SPREADS * spread)


def _median_of_noise(rows: int, columns: int) -> float:
    """Return the median of the eigenvalues of white noise: of Marchenko's and Pastur's law, times the longer side."""
    longer, shorter = max(rows, columns), min(rows, columns)
    ratio = shorter / longer
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    angle = np.linspace(0, np.pi, 4001)
    place = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    density = np.sin(angle) ** 2 / np.maximum(place, 1e-12)
    share = np.cumsum(density)
    return float(longer * np.interp(0.5, share / share[-1], place))


@dataclass(frozen=True)
class Binning:
    """How places and channels were taken together: blocks of `places` x `places`, about `channels` channels.

    rows: number (line * across + column, of the blocks) of each used row; starts: first channel of each column.
    """

    places: int
    channels: int
    rows: NDArray[np.intp]
    starts: NDArray[np.intp]


#: Blocks of places and stretches of channels at which components are looked for: signals that spread wide stand out.
_PLACES, _CHANNELS = (1, 2, 3, 4, 6, 8), (1, 2, 4)
#: Places are taken together until a spectrum shows the weakest component so many times above its noise.
_CLEAR = 1.5
#: At least so many spectra and channels are left, and so many counts in a channel of all spectra together.
LEAST_ROWS, _LEAST_COLUMNS, _LEAST_COUNTS = 16, 16, 30.0
#: Neighbouring channels whose noise is alike by more than this share a detector's spread: they are taken together.
_ALIKE = 0.06


def binned(cube: NDArray[np.floating], places: int, channels: int) -> tuple[NDArray[np.floating], Binning]:
    """Return counts (N, E) of a cube (Y, X, E) at a binning, without empty spectra; sparse channels are merged."""
    rows = [np.arange(0, size, places) for size in cube.shape[:2]]
    blocks = cube if places == 1 else np.add.reduceat(np.add.reduceat(cube, rows[0], axis=0), rows[1], axis=1)
    flat = blocks.reshape(-1, cube.shape[2])
    total = flat.sum(axis=0, dtype=float)
    starts = channel_starts(total, channels, _LEAST_COUNTS)
    table = np.add.reduceat(flat, starts, axis=1) if len(starts) < flat.shape[1] else flat
    used = np.flatnonzero(table.sum(axis=1) > 0)
    return table[used], Binning(places, channels, used, starts)


def channel_starts(total: Array, together: int, least: float) -> NDArray[np.intp]:
    """Return where stretches of channels begin: `together` channels each, more where they hold less than `least`."""
    starts, held, wide = [0], 0.0, 0
    for number, value in enumerate(total):
        if wide >= together and held >= least:
            starts.append(number)
            held, wide = 0.0, 0
        held, wide = held + max(float(value), 0.0), wide + 1
    if held < least and len(starts) > 1:
        starts.pop()
    return np.asarray(starts, np.intp)


def components_of_cube(
    cube: NDArray[np.floating], most: int = 8, number: int | None = None
) -> tuple[Components, Binning, NDArray[np.floating]]:
    """Return the components of a cube (Y, X, E), at the finest binning that shows the most of them, and its counts.

    Where noise is alike in neighbouring channels (the spread of a camera), channels are taken together until it is not.
    """
    best: tuple[Components, Binning, NDArray[np.floating]] | None = None
    finest = 1
    for channels in (*_CHANNELS, 8):
        counts, plan = binned(cube, 1, channels)
        if len(plan.starts) < _LEAST_COLUMNS and best is not None:
            break
        best = (find_components(counts, most, number), plan, counts)
        finest = channels
        if _alike(best[0], counts) < _ALIKE:
            break
    assert best is not None
    gain = best[0].gain  # the same at any binning, and best known where most channels are noise
    told = {(1, finest): best[0].detected}
    for places in _PLACES:
        for channels in (finest * one for one in _CHANNELS):
            counts, plan = binned(cube, places, channels)
            if len(counts) >= LEAST_ROWS and len(plan.starts) >= _LEAST_COLUMNS and (places, channels) not in told:
                told[places, channels] = detected(counts, most, gain)
    seen = max(told.values())
    clearest = -1.0
    for places in sorted({one for one, _ in told if max(told[key] for key in told if key[0] == one) == seen}):
        channels = min(one for key, one in told if key == places and told[places, one] == seen)
        counts, plan = binned(cube, places, channels)
        found = find_components(counts, most, number, gain)
        if (clear := found.clearness()) > clearest:
            best, clearest = (found, plan, counts), clear
        if clear >= _CLEAR:
            break
    return best


def _alike(found: Components, counts: NDArray[np.floating]) -> float:
    """Return how alike the noise of neighbouring channels is: the correlation of what the components leave."""
    rest = found.weights.weighted(counts) - found.scores @ found.parts
    return float((rest[:, 1:] * rest[:, :-1]).mean() / max(float((rest**2).mean()), 1e-300))
