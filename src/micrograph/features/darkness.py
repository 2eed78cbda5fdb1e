"""How dark objects are against their surroundings, and by Beer's law how thick (bright field).

A beam that passes matter of thickness t keeps the share ``exp(-t / path)`` of its electrons, with the inelastic mean
free path of the material. Counts are averaged over pixels of like depth before the logarithm is taken: the logarithm
of single noisy counts would be biased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.floating]
Labels = NDArray[np.int32]

#: The surroundings of an object begin and end so many pixels from it; fewer pixels than `_LEAST` say nothing.
_NEAR, _FAR, _LEAST = 2, 7, 12
#: Deeper than this share of the greatest depth an object is as thick as it gets.
_PLATEAU = 0.7
_SHELLS = 8


@dataclass(frozen=True)
class Darkness:
    """Of N objects: ``-ln(I / I0)`` on the plateau with its 1-sigma, and its integral over the area in pixels.

    NaN where the surroundings cannot be seen or are not positive.
    """

    depth: Array
    depth_sigma: Array
    total_px: Array


def darkness(image: Image, labels: Labels, deep: Image, dark_level: float = 0.0) -> Darkness:
    """Return how dark each object of `labels` (h, w) is in `image` (h, w) against its own surroundings.

    deep: normalised depth inside the objects (h, w), 0 .. 1; dark_level: what the camera reads without any beam.
    """
    from scipy import ndimage as ndi

    counts = np.asarray(image, float) - dark_level
    correlation = noise_correlation(counts, labels)
    rows = []
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        if box is None:
            rows.append((np.nan,) * 3)
            continue
        around = tuple(slice(max(0, side.start - _FAR), side.stop + _FAR) for side in box)
        rows.append(_one(counts[around], labels[around], deep[around], number, correlation))
    table = np.array(rows, float).reshape(-1, 3)
    return Darkness(*table.T)


def _one(counts: Array, labels: Labels, deep: Image, number: int, correlation: float) -> tuple[float, float, float]:
    """Return the optical depth of one object's plateau, its 1-sigma and the integral over its pixels."""
    from scipy.ndimage import distance_transform_edt

    mine = labels == number
    distance = distance_transform_edt(~mine)
    ring = counts[(labels == 0) & (distance > _NEAR) & (distance <= _FAR)]
    plateau = counts[mine & (deep >= _PLATEAU)]
    if len(ring) < _LEAST or len(plateau) == 0 or ring.mean() <= 0 or plateau.mean() <= 0:
        return np.nan, np.nan, np.nan
    outside, sd = float(ring.mean()), float(ring.std())
    depth = float(np.log(outside / plateau.mean()))
    inner_sd = sd * np.sqrt(max(plateau.mean(), 1e-12) / outside)  # counting: the variance goes as the mean
    sigma = np.hypot(sd / outside / np.sqrt(len(ring)), inner_sd / plateau.mean() / np.sqrt(len(plateau)))
    shell = np.minimum((deep[mine] * _SHELLS).astype(int), _SHELLS - 1)
    number_in = np.bincount(shell, minlength=_SHELLS)
    mean = np.bincount(shell, counts[mine], _SHELLS) / np.maximum(number_in, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(mean > 0, np.log(outside / mean), np.nan)
    total = float(np.nansum(np.where(number_in > 0, each * number_in, 0.0)))
    return depth, float(sigma * correlation), total


def noise_correlation(counts: Array, labels: Labels, side: int = 4) -> float:
    """Return by how much means over neighbouring background pixels scatter more than independent pixels would."""
    height, width = (size // side * side for size in counts.shape)
    if height == 0 or width == 0:
        return 1.0
    blocks = counts[:height, :width].reshape(height // side, side, width // side, side).swapaxes(1, 2)
    free = (labels[:height, :width].reshape(height // side, side, width // side, side) == 0).all(axis=(1, 3))
    chosen = blocks[free]
    if len(chosen) < 20:
        return 1.0
    within = float(chosen.var(axis=(1, 2), ddof=1).mean())
    means = chosen.mean(axis=(1, 2))
    between = float(np.var(np.diff(means)) / 2)  # neighbours: what varies slowly falls out
    return float(np.sqrt(max(1.0, between * side**2 / max(within, 1e-12))))
