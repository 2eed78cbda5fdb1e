"""Local maxima of a score map, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Peaks:
    """Maxima of a map: ``y, x`` (N,) in pixels, centre of pixel (0, 0) at 0; ``score`` (N,) the map's value there."""

    y: Array
    x: Array
    score: Array

    def __len__(self) -> int:
        """Number of peaks."""
        return len(self.y)


def find_peaks(score_map: NDArray[np.float32], threshold: float, min_distance_px: float) -> Peaks:
    """Return the maxima of `score_map` (H, W) above `threshold`, strongest first.

    Each is placed by a parabola through the pixel and its neighbours (of the logarithm, for which a Gaussian peak is a
    parabola exactly). Of two that are closer than `min_distance_px` the higher stays. Pixels that are not finite count
    as minus infinity; a maximum on the border is a peak like any other, placed on its pixel across the border.
    """
    values = np.where(np.isfinite(score_map), score_map, -np.inf).astype(np.float32, copy=False)
    if values.size == 0:
        return Peaks(np.zeros(0), np.zeros(0), np.zeros(0))
    padded = np.pad(values, 1, constant_values=-np.inf)
    rows, columns = _maxima(values, padded, threshold)
    dy, dx = _summit(padded, rows, columns)
    score = values[rows, columns].astype(np.float64)
    order = np.argsort(-score, kind="stable")
    y, x, score = (rows + dy)[order], (columns + dx)[order], score[order]
    keep = _spaced(y, x, min_distance_px)
    return Peaks(y[keep], x[keep], score[keep])


def _maxima(
    values: NDArray[np.float32], padded: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of pixels above threshold that no neighbour exceeds; of equal ones the first counts."""
    rows, columns = np.nonzero(values > threshold)
    height = values[rows, columns]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        later = padded[rows + 1 + dy, columns + 1 + dx]
        earlier = padded[rows + 1 - dy, columns + 1 - dx]
        stays = (height >= later) & (height > earlier)
        rows, columns, height = rows[stays], columns[stays], height[stays]
    return rows, columns


def _summit(padded: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Array, Array]:
    """Return the summits (N,), (N,) of parabolas through 3 x 3 pixels, relative to the middle one, within +-0.5."""
    steps = np.arange(3)
    patch = padded[rows[:, None, None] + steps[:, None], columns[:, None, None] + steps].astype(np.float64)
    patch = np.log(np.clip(patch, 1e-6, None))
    centre = patch[:, 1, 1]
    inside_y = (rows > 0) & (rows < padded.shape[0] - 3)
    inside_x = (columns > 0) & (columns < padded.shape[1] - 3)
    gy, gx = (patch[:, 2, 1] - patch[:, 0, 1]) / 2, (patch[:, 1, 2] - patch[:, 1, 0]) / 2
    hyy = patch[:, 2, 1] - 2 * centre + patch[:, 0, 1]
    hxx = patch[:, 1, 2] - 2 * centre + patch[:, 1, 0]
    hyx = (patch[:, 2, 2] - patch[:, 2, 0] - patch[:, 0, 2] + patch[:, 0, 0]) / 4
    hyx = np.where(inside_y & inside_x & (hyx**2 < 0.9 * hyy * hxx), hyx, 0.0)
    determinant = np.where(hyy * hxx - hyx**2 > 1e-12, hyy * hxx - hyx**2, np.inf)
    gy, gx = np.where(inside_y, gy, 0.0), np.where(inside_x, gx, 0.0)
    dy = np.where(inside_y, (hyx * gx - hxx * gy) / determinant, 0.0)
    dx = np.where(inside_x, (hyx * gy - hyy * gx) / determinant, 0.0)
    return np.clip(dy, -0.5, 0.5), np.clip(dx, -0.5, 0.5)


def _spaced(y: Array, x: Array, distance: float) -> NDArray[np.bool_]:
    """Return which points stay when, from the first on, each strikes out all later ones closer than `distance`."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(y), dtype=bool)
    if len(y) < 2 or distance <= 0:
        return keep
    pairs = cKDTree(np.column_stack([y, x])).query_pairs(distance, output_type="ndarray")
    pairs.sort(axis=1)
    for first, later in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if keep[first]:
            keep[later] = False
    return keep
