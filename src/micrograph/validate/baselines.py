"""Classical methods on the same images: what a network must beat to be worth its weights.

Places by the Laplacian of a Gaussian and free Gaussian fits, one atom at a time; classes by thresholds on brightness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A peak counts when it is at least this share of the median of the upper half of all peaks.
_PEAK_SHARE = 0.4
#: Peaks below this share of the highest are none, however many they are.
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Spots:
    """Fitted spots: places ``y, x`` (pixels), peak ``height`` above the background, ``sum`` of the spot; each (N,)."""

    y: Array
    x: Array
    height: Array
    sum: Array


def log_peaks(image: NDArray[np.floating], sigma_px: float) -> tuple[Index, Index]:
    """Return the pixels (N,), (N,) where minus the Laplacian of the Gaussian-smoothed image (H, W) has its peaks."""
    from scipy.ndimage import gaussian_laplace, maximum_filter

    answer = -gaussian_laplace(np.asarray(image, float), sigma_px, mode="reflect")
    side = 2 * max(1, round(sigma_px)) + 1
    peaks = (answer == maximum_filter(answer, size=side)) & (answer > _LEAST_SHARE * answer.max())
    y, x = np.nonzero(peaks & (np.ptp(image) > 0))
    if len(y) == 0:
        return y, x
    height = answer[y, x]
    upper = np.median(height[height >= np.median(height)])
    keep = height >= _PEAK_SHARE * upper
    return y[keep], x[keep]


def fit_spots(image: NDArray[np.floating], y: ArrayLike, x: ArrayLike, sigma_px: float) -> Spots:
    """Fit a Gaussian (place, height, width) on a constant to the surroundings of every pixel (N,), each on its own.

    A fit that runs away (further than two widths, no height) keeps the start, with height and sum as read there.
    """
    starts = np.column_stack([np.asarray(y, float), np.asarray(x, float)])
    rows = [_fit(np.asarray(image, float), start, sigma_px) for start in starts]
    return Spots(*np.array(rows, dtype=float).reshape(-1, 4).T)


def _fit(image: Array, start: Array, sigma_px: float) -> tuple[float, float, float, float]:
    from scipy.optimize import least_squares

    reach = max(2, round(1.8 * sigma_px))
    top, left = (max(0, round(c) - reach) for c in start.tolist())
    window = image[top : round(start.tolist()[0]) + reach + 1, left : round(start.tolist()[1]) + reach + 1]
    y, x = (np.arange(n) + first for n, first in zip(window.shape, (top, left), strict=True))

    def parts(p: Array) -> tuple[Array, Array, Array]:
        dy, dx = (y - p[0])[:, None], (x - p[1])[None, :]
        return np.exp(-0.5 * (dy**2 + dx**2) / p[3] ** 2), dy, dx

    def residual(p: Array) -> Array:
        return np.asarray((p[2] * parts(p)[0] + p[4] - window).ravel())

    def slopes(p: Array) -> Array:
        spot, dy, dx = parts(p)
        full = p[2] * spot / p[3] ** 2
        columns = (full * dy, full * dx, spot, full * (dy**2 + dx**2) / p[3], np.ones_like(spot))
        return np.stack([column.ravel() for column in columns], axis=1)

    low = float(window.min())
    height = float(window.max()) - low
    guess = np.array([start[0], start[1], height, sigma_px, low])
    if window.size < 6 or height <= 0:
        return float(start[0]), float(start[1]), height, height * 2 * np.pi * sigma_px**2
    found: Any = least_squares(residual, guess, jac=slopes, method="lm", max_nfev=60).x
    width = abs(float(found[3]))
    if np.hypot(*(found[:2] - start)) > 2 * sigma_px or found[2] <= 0 or not 0.3 < width / sigma_px < 3:
        return float(start[0]), float(start[1]), height, height * 2 * np.pi * sigma_px**2
    return float(found[0]), float(found[1]), float(found[2]), float(found[2]) * 2 * np.pi * width**2


def disc_sums(image: NDArray[np.floating], y: ArrayLike, x: ArrayLike, radius_px: float) -> Array:
    """Return the mean (N,) of the pixels within `radius_px` of every point (N,)."""
    shown = np.asarray(image, float)
    grid = np.indices(shown.shape)
    reach = int(np.ceil(radius_px))
    means = []
    for row, column in zip(np.asarray(y, float), np.asarray(x, float), strict=True):
        area = tuple(slice(max(0, round(c) - reach), round(c) + reach + 1) for c in (row, column))
        near = (grid[0][area] - row) ** 2 + (grid[1][area] - column) ** 2 <= radius_px**2
        means.append(float(shown[area][near].mean()) if near.any() else np.nan)
    return np.array(means)


def otsu(values: ArrayLike) -> float:
    """Return the threshold (doi:10.1109/TSMC.1979.4310076) that parts values (N,) into two groups of least scatter."""
    ordered = np.sort(np.asarray(values, float))
    count = np.arange(1, len(ordered))
    low = np.cumsum(ordered)[:-1] / count
    high = (ordered.sum() - np.cumsum(ordered)[:-1]) / (len(ordered) - count)
    cut = int(np.argmax(count * (len(ordered) - count) * (high - low) ** 2))
    return float((ordered[cut] + ordered[cut + 1]) / 2)


def by_brightness(values: ArrayLike, centres: ArrayLike, rounds: int = 50) -> Index:
    """Return the group (N,) of each value by k-means on a line (doi:10.1109/TIT.1982.1056489) from `centres` (K,)."""
    x, middle = np.asarray(values, float), np.array(centres, float)
    group = np.zeros(len(x), np.intp)
    for _ in range(rounds):
        group = np.abs(x[:, None] - middle).argmin(axis=1)
        new = np.array([x[group == k].mean() if (group == k).any() else middle[k] for k in range(len(middle))])
        if np.array_equal(new, middle):
            break
        middle = new
    return group
