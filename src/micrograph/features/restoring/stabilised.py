"""Noise of one image, measured in it, and the transform after which it is the same everywhere.

A pixel that expects v counts has the variance ``gain * v + offset`` (see `features.columns.noise`). The generalised
Anscombe transform (doi:10.1109/TIP.2012.2202675) makes that 1; its inverse is the exact unbiased one in closed form
(doi:10.1109/TIP.2010.2056693).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.noise import NoiseModel, measure_noise, ordinary_pixels

Image = NDArray[np.float32]
#: Below this share of the variance the part that grows with the counts is taken as none.
_NO_GAIN = 1e-3
#: Groups of pixels of like brightness through whose noise a line is drawn.
_BINS = 24
#: High-pass filter of four vanishing moments (Daubechies), and the low-pass beside it.
_LOW = np.array([0.2303778, 0.7148466, 0.6308808, -0.0279838, -0.1870348, 0.0308414, 0.0328830, -0.0105974])
_HIGH = _LOW[::-1] * np.array([1, -1, 1, -1, 1, -1, 1, -1])


@dataclass(frozen=True)
class Stabiliser:
    """The transform for noise of variance ``gain * v + offset``, and back; `gain` 0 stands for even noise."""

    gain: float
    offset: float

    @staticmethod
    def of(noise: NoiseModel, image: Image) -> Stabiliser:
        """Return the transform for the `noise` of `image`."""
        reach = float(np.ptp(image))
        if noise.gain * reach <= _NO_GAIN * abs(noise.readout_variance) or noise.gain <= 0:
            spread = float(noise.variance(np.array([image.mean()], np.float32))[0])
            return Stabiliser(0.0, max(spread, 1e-30))
        return Stabiliser(noise.gain, noise.readout_variance)

    def __call__(self, image: Image) -> Image:
        """Return the image (...) with noise of variance 1."""
        if not self.gain:
            return np.asarray(image / np.sqrt(self.offset), np.float32)
        inside = self.gain * image + (0.375 * self.gain**2 + self.offset)
        return np.asarray(2 / self.gain * np.sqrt(np.maximum(inside, 0)), np.float32)

    def back(self, mean: Image, variance: Image | float = 0.0) -> Image:
        """Return the counts whose stabilised noisy values have this `mean`, known with this `variance`."""
        if not self.gain:
            return np.asarray(mean * np.sqrt(self.offset), np.float32)
        return np.asarray(self.gain * (_unbiased(mean) + np.float32(0.25) * variance) - self.offset / self.gain, "f4")

    def slope(self, mean: Image) -> Image:
        """Return by how many counts the answer moves for one unit of `mean`."""
        if not self.gain:
            return np.full_like(mean, np.sqrt(self.offset))
        return np.asarray(self.gain * 0.5 * np.maximum(mean, _LEAST), np.float32)

    def variance(self, mean: Image) -> Image:
        """Return the variance of stabilised values about their `mean`: 1, but less where hardly an electron is counted.

        Where noise that does not grow with the counts is there as well, it is 1 everywhere.
        """
        if not self.gain or abs(self.offset) > 0.2 * self.gain**2:
            return np.ones_like(mean)
        return np.asarray(np.interp(mean, *_poisson_variances()), np.float32)

    def expected(self, counts: Image) -> Image:
        """Return the mean of the stabilised values of pixels that expect so many counts: the inverse of `back`."""
        if not self.gain:
            return np.asarray(counts / np.sqrt(self.offset), np.float32)
        electrons = counts / self.gain + self.offset / self.gain**2
        top = 2 * np.sqrt(max(float(electrons.max()), 0.0) + 1) + 1
        grid = np.linspace(_LEAST, top, max(2000, int(50 * top)), dtype=np.float32)
        return np.asarray(np.interp(electrons, _unbiased(grid), grid), np.float32)


@functools.cache
def _poisson_variances() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and variances of stabilised Poisson counts."""
    from scipy.stats import poisson

    expected = np.linspace(0.02, 12, 200)[:, None]
    counts = np.arange(60)
    share, values = poisson.pmf(counts, expected), 2 * np.sqrt(counts + 0.375)
    mean = (share * values).sum(axis=1)
    return mean, (share * values**2).sum(axis=1) - mean**2


#: The stabilised value of no counts at all.
_LEAST = np.float32(2 * np.sqrt(0.375))


def _unbiased(mean: Image) -> Image:
    """Return the expected electrons of Poisson noise whose stabilised values have this mean."""
    m = np.maximum(mean, _LEAST)
    root = np.float32(np.sqrt(1.5))
    value = 0.25 * m * m + 0.25 * root / m - 1.375 / (m * m) + 0.625 * root / (m * m * m) - 0.125
    return np.asarray(np.maximum(value, 0), np.float32)


def filled(image: NDArray[np.generic]) -> Image:
    """Return the image as float32 with the median in place of what is not finite."""
    data = np.asarray(image, np.float32)
    finite = np.isfinite(data)
    if finite.all():
        return data
    return np.where(finite, data, np.float32(np.median(data[finite])) if finite.any() else np.float32(0))


def estimate_noise(image: Image) -> NoiseModel:
    """Return how the noise of an image (H, W) grows with the counts, from its finest detail alone.

    What varies from pixel to pixel along both axes is noise but for a remainder of very sharp objects. Noise that is
    correlated between pixels is underestimated: `features.restoring.residual` tells.
    """
    data = filled(image)
    detail = _filtered(data - np.float32(data.mean(dtype=np.float64)), _HIGH)
    return _noise_line(detail, _filtered_halves(data), _filtered(data, _HIGH**2))


def noise_of_pair(first: Image, second: Image) -> NoiseModel:
    """Return the noise of two frames that show the same, from their difference."""
    a, b = filled(first), filled(second)
    mean = np.asarray((a + b) / 2, np.float32)
    return _noise_line((a - b) / np.float32(np.sqrt(2)), _filtered_halves(mean), mean)


def _noise_line(detail: Image, halves: tuple[Image, Image], whole: Image) -> NoiseModel:
    """Return the line through squared `detail` over the expected counts, which two independent halves tell.

    Pixels are ordered by one half and their counts read from the other: so the noise of the counts, which would make
    the line too flat, averages out.
    """
    flat, good = measure_noise(detail, whole, None, 0.0)
    ordinary = ordinary_pixels(good, (detail.shape[0], detail.shape[1])) > 0
    square = detail[ordinary].astype(float) ** 2
    if len(square) < 20 * _BINS:
        return flat
    first, second = (half[ordinary].astype(float) for half in halves)
    slopes = [_slope(square, one, other) for one, other in ((first, second), (second, first))]
    level, centre = float(square.mean()), float(first.mean())
    lowest = float(np.quantile((first + second) / 2, 0.01))
    steepest = 0.98 * level / max(centre - lowest, 1e-12)
    slope = float(np.clip(np.mean(slopes), 0.0, max(steepest, 0.0)))
    return NoiseModel(slope, level - slope * centre)


def _slope(square: NDArray[np.float64], order: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Return the slope of `square` over `counts`, from means over pixels that are alike in `order`."""
    parts = np.array_split(np.argsort(order), _BINS)
    y, x = (np.array([values[part].mean() for part in parts]) for values in (square, counts))
    weight = 1 / np.maximum(y, 0.05 * y.mean()) ** 2
    offset = x - np.average(x, weights=weight)
    power = float(weight @ offset**2)
    return float(weight @ (offset * y)) / power if power > 0 else 0.0


def _filtered(image: Image, taps: NDArray[np.float64]) -> Image:
    from scipy.ndimage import convolve1d

    return np.asarray(convolve1d(convolve1d(image, taps, axis=0, mode="mirror"), taps, axis=1, mode="mirror"), "f4")


def _filtered_halves(image: Image) -> tuple[Image, Image]:
    """Return the expected counts from each half of a chequerboard, averaged as the noise of `_filtered` detail is."""
    from scipy.ndimage import gaussian_filter

    y, x = np.indices(image.shape)
    halves = []
    for colour in (0, 1):
        mask = ((y + x) % 2 == colour).astype(np.float32)
        smooth = gaussian_filter(image * mask, 0.8) / gaussian_filter(mask, 0.8)
        halves.append(_filtered(np.asarray(smooth, np.float32), _HIGH**2))
    return halves[0], halves[1]
