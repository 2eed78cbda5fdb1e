"""How dark objects are against their surroundings, and by Beer's law how thick (bright field).

A beam that passes matter of thickness t keeps the share ``exp(-t / path)`` of its electrons, with the inelastic mean
free path of the material. Counts are averaged over pixels of like depth before the logarithm is taken: the logarithm
of single noisy counts would be biased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    around, within = _seen(labels, counts)
    outside, outside_var, outside_n = _grouped(*around, number)
    owner, share, inside = within
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


def _seen(
    labels: Labels, counts: Array
) -> tuple[tuple[NDArray[np.intp], Array], tuple[NDArray[np.intp], Array, Array]]:
    """Return what is seen around objects and in them, object by object.

    Around: for each background pixel near an object, which is nearest, and its counts. Within: for each pixel of an
    object, its label, its depth over the object's greatest, and its counts.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    around: list[tuple[NDArray[np.intp], Array]] = []
    within: list[tuple[NDArray[np.intp], Array, Array]] = []
    for label, box in enumerate(find_objects(labels), start=1):
        if not box:  # no such label
            continue
        rows, columns = (slice(max(0, side.start - _FAR), side.stop + _FAR) for side in box)
        here, seen = labels[rows, columns], counts[rows, columns]
        mine = here == label
        depth = distance_transform_edt(mine)[mine] - 0.5
        within.append((np.full(len(depth), label), depth / depth.max(), seen[mine]))
        distance = distance_transform_edt(~mine)
        near = (distance > _NEAR) & (distance <= _FAR) & (here == 0)
        others = (here > 0) & ~mine
        if others.any():
            near &= distance < distance_transform_edt(~others)
        around.append((np.full(int(near.sum()), label), seen[near]))
    return _joined(around), _joined(within)


def _joined(pieces: list[Any]) -> Any:
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))


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
