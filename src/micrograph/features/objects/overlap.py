"""How well masks about a place agree, where which way they are turned cannot be known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ring_areas(radii: Array) -> Array:
    """Return the areas (R,) of rings about `radii` (R,), up to a common factor."""
    edges = np.concatenate([[0.0], (radii[1:] + radii[:-1]) / 2, [radii[-1] + (radii[-1] - radii[-2]) / 2]])
    return np.diff(edges**2)


def best_overlap(found: NDArray[np.bool_], wanted: NDArray[np.bool_], radii: Array) -> Array:
    """Return the greatest intersection over union (N,) of masks (N, R, P) in rings, one turned and mirrored at will.

    Two masks that are both empty agree wholly.
    """
    area = ring_areas(radii)[:, None] / found.shape[2]
    one, two = found * 1.0, wanted * 1.0
    size = (one * area).sum((1, 2)) + (two * area).sum((1, 2))
    best = np.zeros(len(found))
    for side in (two, two[:, :, ::-1]):
        waves = np.fft.rfft(one * area, axis=2) * np.fft.rfft(side, axis=2).conj()
        common = np.fft.irfft(waves.sum(axis=1), n=found.shape[2], axis=1)
        best = np.maximum(best, common.max(axis=1))
    return np.where(size > 0, best / np.maximum(size - best, 1e-300), 1.0)
