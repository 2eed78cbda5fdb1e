"""How much a detector's values scatter: gain, readout and correlation, from the residuals of a model.

The variance of a pixel is ``gain * lambda + readout_variance``, a straight line in the expected value `lambda`. For
electrons counted one by one the gain is 1 and the readout variance 0; a detector whose zero lies at `z` has the readout
variance ``r^2 - gain * z``, which may be negative (the photon-transfer method, doi:10.1117/3.725073).
Images that were interpolated or filtered hold noise that is correlated between pixels: its spectral density at low
frequency, where columns live, exceeds the mean over all frequencies. Their ratio multiplies every covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Side in pixels of the tiles that are kept or left out as a whole when the noise is measured.
TILE = 8


@dataclass(frozen=True)
class NoiseModel:
    """Variance at expected value v: ``gain * v + readout_variance``; `correlation` multiplies covariances."""

    gain: float
    readout_variance: float
    correlation: float = 1.0

    def variance(self, expected: Image, least: float = 1e-12) -> Image:
        """Return the variance (H, W) at the expected values, not below `least`."""
        line = np.float32(self.gain) * expected + np.float32(self.readout_variance)
        return np.asarray(np.maximum(line, np.float32(least)), dtype=np.float32)


def measure_noise(
    residual: Image, expected: Image, valid: NDArray[np.bool_] | None, parameters: float
) -> tuple[NoiseModel, NDArray[np.bool_]]:
    """Return the noise line through squared residuals (H, W) of a fit with so many `parameters`, and ordinary tiles.

    Weighted least squares; tiles of 8 x 8 pixels whose scatter lies far above the others' (columns that the model
    lacks, dirt) are left out. The gain is not negative, and the variance nowhere below 2 % of its mean.
    """
    square = residual * residual
    count = _tiles(np.ones_like(square) if valid is None else valid.astype(np.float32))
    scale = count.sum() / max(count.sum() - parameters, 0.1 * count.sum())
    mean = float(square.mean(dtype=np.float64)) * residual.size / max(count.sum(), 1.0)
    low, centre = float(expected.min()), float(expected.mean(dtype=np.float64))
    line, good = (0.0, mean), count > 0
    for _ in range(3):
        variance = np.maximum(np.float32(line[0]) * expected + np.float32(line[1]), np.float32(0.02 * mean + 1e-30))
        chi = _tiles(square / variance) / np.maximum(count, 1)
        good = _without_outliers(chi, count)
        line = _line(square, expected, variance, good, valid)
        line = _allowed(line, low, centre)
    return NoiseModel(gain=float(line[0] * scale), readout_variance=float(line[1] * scale)), good


def ordinary_pixels(good: NDArray[np.bool_], shape: tuple[int, int]) -> Image:
    """Return ones (H, W) in good tiles, zeros in others; a rest beyond the last whole tile goes with its neighbour."""
    row = np.minimum(np.arange(shape[0]) // TILE, good.shape[0] - 1)
    column = np.minimum(np.arange(shape[1]) // TILE, good.shape[1] - 1)
    return np.asarray(good.astype(np.float32)[row[:, None], column])


def _tiles(image: Image) -> Array:
    """Return sums over tiles; pixels beyond the last whole tile do not count."""
    height, width = (max(n // TILE, 1) for n in image.shape)
    side_y, side_x = (min(n, TILE) for n in image.shape)
    cut = image[: height * side_y, : width * side_x]
    return np.asarray(cut.reshape(height, side_y, width * side_x).sum(1).reshape(height, width, side_x).sum(2), float)


def _without_outliers(chi: Array, count: Array) -> NDArray[np.bool_]:
    """Return which tiles have an ordinary reduced chi-square."""
    seen = count > 0.5 * count.max()
    if not seen.any():
        return np.asarray(seen)
    middle = np.median(chi[seen])
    spread = 1.4826 * np.median(np.abs(chi[seen] - middle))
    return np.asarray(seen & (chi <= middle + 5 * spread + 1e-12))


def _line(
    square: Image, expected: Image, variance: Image, good: NDArray[np.bool_], valid: NDArray[np.bool_] | None
) -> tuple[float, float]:
    """Return slope and intercept of the weighted least-squares line of `square` over `expected` in good tiles."""
    weight = 1 / variance
    weight *= weight
    if valid is not None:
        weight = weight * valid
    first = weight * expected
    each = (weight, first, first * expected, weight * square, first * square)
    s0, s1, s2, t0, t1 = (float(_tiles(np.asarray(image, np.float32))[good].sum()) for image in each)
    determinant = s0 * s2 - s1 * s1
    if determinant <= 1e-9 * s0 * s2 or not np.isfinite(determinant):
        return 0.0, t0 / max(s0, 1e-300)
    return (s0 * t1 - s1 * t0) / determinant, (s2 * t0 - s1 * t1) / determinant


def _allowed(line: tuple[float, float], low: float, centre: float) -> tuple[float, float]:
    """Return the line with its slope not negative and its value at the lowest expectation not below 2 % of the mean."""
    slope, intercept = line
    mean = max(slope * centre + intercept, 0.0)
    if slope < 0:
        return 0.0, mean
    if slope * low + intercept < 0.02 * mean and centre > low:
        slope = 0.98 * mean / (centre - low)
        return slope, mean - slope * centre
    return slope, intercept


def measure_correlation(whitened: Image, sigma_px: float) -> float:
    """Return the spectral density of whitened residuals (H, W) near frequency zero over its mean; 1 for white noise.

    The fit itself takes the noise out of the residuals at the frequencies of the columns (sigma `sigma_px`), so the
    density is read beyond them and continued as a Gaussian in frequency. Values below 1, or not significantly above,
    give 1.
    """
    import scipy.fft

    height, width = whitened.shape
    power = np.abs(scipy.fft.rfft2(whitened)) ** 2
    power[:, 0] = 0
    square = (np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None, :] ** 2).astype(np.float32)
    start, stop = (2.4 / (2 * np.pi * sigma_px)) ** 2, 0.25
    if start > 0.6 * stop:
        return 1.0
    rings = np.linspace(start, stop, 13)
    edges = np.clip(((square - start) * (12 / (stop - start))).astype(np.int32) + 1, 0, 13)
    edges[square < start] = 0
    number = np.bincount(edges.ravel(), minlength=14)[1:13]
    total = np.bincount(edges.ravel(), power.ravel(), minlength=14)[1:13]
    if number.min() < 10 or total.min() <= 0:
        return 1.0
    beyond = square >= start
    mean = float(power[beyond].mean(dtype=np.float64))
    density, middle = np.log(total / number), (rings[1:] + rings[:-1]) / 2
    weight = number / number.sum()
    offset = middle - weight @ middle
    slope = float(weight @ (offset * density) / (weight @ offset**2))
    error = float(1 / np.sqrt(number.sum() * (weight @ offset**2)))
    if slope > -4 * error:
        return 1.0
    at_zero = float(np.exp(weight @ density - slope * (weight @ middle)))
    return max(1.0, at_zero / _mean_density(at_zero, slope, start, mean))


def _mean_density(at_zero: float, slope: float, start: float, beyond: float) -> float:
    """Return the mean density over all frequencies: measured beyond ``start``, the Gaussian's below."""
    area = np.pi * start
    below = at_zero * np.pi * (1 - np.exp(slope * start)) / -slope
    return float(below + (1 - area) * beyond)
