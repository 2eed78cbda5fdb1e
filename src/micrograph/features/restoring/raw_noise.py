"""How much a raw pixel of a movie scatters, from frames that follow each other (the photon-transfer method).

doi:10.1117/3.725073. The variance of a pixel of value v is taken as ``gain * v + floor``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.noise import NoiseModel

#: Side in pixels of the tiles, and groups of tiles of like brightness.
_TILE, _GROUPS = 8, 10
#: What moves makes the difference of frames larger: of like tiles the calm ones count.
_CALM = 0.3
#: The brightness must differ by so much of its mean for a slope to be told from an offset.
_SPREAD = 0.25


def raw_noise(pairs: Sequence[tuple[NDArray[np.generic], NDArray[np.generic]]]) -> NoiseModel:
    """Return the noise of raw pixels from pairs of frames (H, W) that follow each other.

    Of tiles of like brightness those count in which least changes. Values that are not finite are left out. Where the
    brightness is the same all over, the noise is taken as that of counting (no floor), if that makes sense.
    """
    means, variances = [], []
    for first, second in pairs:
        a, b = (_tiles(np.asarray(one, np.float64)) for one in (first, second))
        fine = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        difference = (a - b)[fine]
        means.append((a + b)[fine].mean(axis=1) / 2)
        variances.append(difference.var(axis=1, ddof=1) / 2)
    level, variance = np.concatenate(means), np.concatenate(variances)
    if not len(level) or not np.any(variance > 0):
        return NoiseModel(0.0, 0.0)
    order = np.argsort(level)
    groups = [part for part in np.array_split(order, _GROUPS) if len(part)]
    at = np.array([level[part].mean() for part in groups])
    calm = np.array([np.quantile(variance[part], _CALM) for part in groups]) / _calm_share()
    return _line(at, calm)


def _line(at: NDArray[np.float64], variance: NDArray[np.float64]) -> NoiseModel:
    middle = float(np.median(variance))
    mean = float(at.mean())
    if np.ptp(at) < _SPREAD * max(abs(mean), 1e-300):
        return NoiseModel(middle / mean, 0.0) if mean > 0 else NoiseModel(0.0, middle)
    weight = 1 / np.maximum(variance, 0.1 * middle + 1e-300)
    slope, floor = np.polyfit(at, variance, 1, w=weight)
    if slope <= 0:
        return NoiseModel(0.0, middle)
    return NoiseModel(float(slope), float(floor))


def _calm_share() -> float:
    """Return the quantile of a tile's variance over its expectation when nothing moves."""
    from scipy.stats import chi2

    freedom = _TILE**2 - 1
    return float(chi2.ppf(_CALM, freedom) / freedom)


def _tiles(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tiles (N, P) of an image; of a small one the whole image."""
    side = min(_TILE, *image.shape)
    rows, columns = (size // side for size in image.shape)
    cut = image[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(rows * columns, side * side)
