"""Particles out of a map of their coverage: one label each, and areas to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core.depth import normalised_depth
from micrograph.features.objects.instances import find_objects

Array = NDArray[np.float64]
Map = NDArray[np.floating[Any]]

#: A particle's coverage fades out within so many pixels of where it is one half.
_FADE_PX = 2.0
#: 1-sigma of an area over the root of the length of its outline: what networks were found to err by.
_OUTLINE_SIGMA = 0.35


@dataclass(frozen=True)
class Particles:
    """labels (H, W): 1 .. N; of each particle (N,): middle, area and its 1-sigma (px^2), box (half sides, N x 2), mean
    coverage inside, and whether the image's border cuts it."""

    labels: NDArray[np.int32]
    middle_px: Array
    area_px: Array
    area_sigma_px: Array
    half_box_px: Array
    score: Array
    cut: NDArray[np.bool_]

    @property
    def diameter_px(self) -> Array:
        """Diameter (N,) of the circle of equal area."""
        return np.asarray(2 * np.sqrt(self.area_px / np.pi))

    @property
    def diameter_sigma_px(self) -> Array:
        """1-sigma (N,) of the diameter."""
        return np.asarray(self.area_sigma_px / np.maximum(self.area_px, 1e-9) / 2 * self.diameter_px)


def find_particles(covered: Map, threshold: float = 0.5, least_px: int = 5, rise: float = 0.15) -> Particles:
    """Return the particles of a map (H, W) of coverage, 0 .. 1; those that touch are cut where they are narrow.

    The area is the sum of the coverage of all pixels in and around a particle that are nearest to it: where a network's
    answer is the expected coverage, it is right on average also for particles of few pixels. `rise`: how far two tops
    of the depth, over the greatest, must rise above the saddle between them to be two particles.
    """
    from scipy import ndimage as ndi
    from skimage.segmentation import expand_labels

    parts, _ = ndi.label(covered >= threshold)
    found = find_objects(covered, normalised_depth(parts), threshold, rise, least_px, least_score=threshold)
    labels, number = found.labels, len(found.scores)
    zone = expand_labels(labels, _FADE_PX)  # type: ignore[no-untyped-call]
    at = zone > 0
    weight, own = np.asarray(covered[at], float), zone[at]
    area = np.bincount(own, weight, number + 1)[1:]
    y, x = np.nonzero(at)
    middle = np.stack([np.bincount(own, weight * axis, number + 1)[1:] for axis in (y, x)], axis=1)
    boxes = ndi.find_objects(labels)
    half = np.array([[(side.stop - side.start) / 2 for side in box] for box in boxes if box], float).reshape(-1, 2)
    return Particles(
        labels,
        np.asarray(middle / np.maximum(area, 1e-9)[:, None], float),
        np.asarray(area, float),
        _OUTLINE_SIGMA * np.sqrt(np.sqrt(4 * np.pi * np.maximum(area, 0))),
        half,
        found.scores,
        _cut(labels, number),
    )


def _cut(labels: NDArray[np.int32], number: int) -> NDArray[np.bool_]:
    """Return which labels touch the border of the image."""
    cut = np.zeros(number + 1, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        cut[side] = True
    return cut[1:]
