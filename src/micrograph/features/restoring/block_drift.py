"""How far a specimen drifts from block to block of a coded movie, by correlation of their mean images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Smoothing (pixels) of images that are correlated.
_SMOOTH = 1.0
#: The moved image must differ by less than this share of what the resting one does.
_BETTER = 0.9
#: Farthest drift over a block, as a share of the image's shorter side.
_FARTHEST = 0.125


def displacement(first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[float, float]:
    """Return by how much (y, x; pixels) the second image (H, W) lies beside the first; 0 where moving it is no help."""
    from scipy.fft import irfft2, rfft2
    from scipy.ndimage import gaussian_filter

    a, b = (gaussian_filter(np.asarray(one, np.float64), _SMOOTH) for one in (first, second))
    height, width = a.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    left, right = ((one - one.mean()) * window for one in (a, b))
    match = irfft2(np.conj(rfft2(left)) * rfft2(right), s=a.shape)
    reach = max(1, int(_FARTHEST * min(height, width)))
    match = np.roll(match, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    place = np.arange(-reach, reach + 1)
    near = np.exp(-0.5 * (place[:, None] ** 2 + place**2) / reach**2)
    y, x = (int(one) for one in np.unravel_index(int(np.argmax(match * near)), match.shape))
    move = (_between(match[:, x], y) - reach, _between(match[y], x) - reach)
    return move if _differs(a, b, move) < _BETTER * _differs(a, b, (0.0, 0.0)) else (0.0, 0.0)


def _between(values: Array, at: int) -> float:
    """Return where between the points around number `at` a parabola through them is highest."""
    if not 0 < at < len(values) - 1:
        return float(at)
    low, middle, high = (float(value) for value in values[at - 1 : at + 2])
    bend = low - 2 * middle + high
    return at + 0.5 * (low - high) / bend if bend < 0 else float(at)


def _differs(first: Array, second: Array, move: tuple[float, float]) -> float:
    """Return the mean square difference of two images, the second moved back, away from the borders."""
    from scipy.ndimage import shift

    back = shift(second, (-move[0], -move[1]), order=1, mode="nearest")
    rim = int(np.ceil(max(abs(move[0]), abs(move[1])))) + 1
    inner = slice(rim, -rim)
    return float(np.mean((first - back)[inner, inner] ** 2))
