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


def darkness(image: Image, labels: Labels, dark_level: float = 0.0) -> Darkness:
    """Return how dark each object of `labels` (h, w), 1 .. N, is in `image` (h, w) against its own surroundings.

    dark_level: what the camera reads without any beam.
    """
    number = int(labels.max(initial=0)) + 1
    if number == 1:
        return Darkness(np.empty(0), np.empty(0), np.empty(0))
    counts = np.asarray(image, float) - dark_level
    outside, outside_var, outside_n = _grouped(*_surroundings(counts, labels), number)
    owner, share, inside = _deep(labels, counts, number)
    plateau = share >= _PLATEAU
    top, _, top_n = _grouped(owner[plateau], inside[plateau], number)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.log(outside / top)
        noise = outside_var / outside  # counting: the variance goes as the mean
        sigma = np.sqrt(noise / outside / outside_n + noise / top / top_n)
        shell = owner * _SHELLS + np.minimum((share * _SHELLS).astype(np.intp), _SHELLS - 1)
        mean, _, shell_n = _grouped(shell, inside, number * _SHELLS)
        each = np.log(outside[:, None] / mean.reshape(number, _SHELLS)) * shell_n.reshape(number, _SHELLS)
    total = np.nansum(np.where(np.isfinite(each), each, 0.0), axis=1)
    known = (outside_n >= _LEAST) & np.isfinite(depth)
    found = (
        np.where(known, values, np.nan)[1:] for values in (depth, sigma * noise_correlation(counts, labels), total)
    )
    return Darkness(*found)


def _surroundings(counts: Array, labels: Labels) -> tuple[NDArray[np.intp], Array]:
    """Return, for each background pixel near an object, which is nearest, and its counts."""
    from scipy.ndimage import distance_transform_edt

    distance, (rows, columns) = distance_transform_edt(labels == 0, return_indices=True)
    near = (distance > _NEAR) & (distance <= _FAR)
    return labels[rows[near], columns[near]].astype(np.intp), counts[near]


def _deep(labels: Labels, counts: Array, number: int) -> tuple[NDArray[np.intp], Array, Array]:
    """Return, for each pixel of an object, its label, its depth over the object's greatest, and its counts."""
    from scipy.ndimage import distance_transform_edt

    inner = labels > 0
    for axis in (0, 1):
        same = np.diff(labels, axis=axis) == 0
        pad = [(0, 0), (0, 0)]
        for pad[axis] in ((0, 1), (1, 0)):
            inner &= np.pad(same, pad, constant_values=True)
    distance = distance_transform_edt(inner)
    mine = labels > 0
    owner = labels[mine].astype(np.intp)
    depth = distance[mine] + 0.5
    greatest = np.zeros(number)
    np.maximum.at(greatest, owner, depth)
    return owner, depth / greatest[owner], counts[mine]


def _grouped(group: NDArray[np.intp], values: Array, number: int) -> tuple[Array, Array, Array]:
    """Return mean, variance and number of the values of each group."""
    n = np.bincount(group, minlength=number).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(group, values, number) / n
        variance = np.bincount(group, (values - mean[group]) ** 2, number) / np.maximum(n - 1, 1)
    return mean, variance, n


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
