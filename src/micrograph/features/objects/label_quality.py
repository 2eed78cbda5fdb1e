"""How well labelled objects fit their image, without any truth: contrast, edges, solidity, shared borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Quality:
    """The N objects of a label image: label, area (px), touches the image's edge, and

    solidity: area over that of the convex hull (1 for squares of pixels and discs); contrast: mean grey inside less
    that of the surroundings; shared: share of the outline on other objects; edge: gradient on the free outline over the
    steepest one within 2 px of it, 0..1; leak: share of the surroundings that are no object but nearer to the inside
    than to the ground: what is only a part of something leaks.
    """

    label: NDArray[np.int64]
    area: Array
    border: NDArray[np.bool_]
    solidity: Array
    contrast: Array
    shared: Array
    edge: Array
    leak: Array


def measure_labels(grey: Image, labels: Labels, blur: float = 1.5) -> Quality:
    """Return the quality of the objects in `labels` (h, w) over a grey image (h, w) with bright objects.

    `blur` is the sigma (px) of the image whose gradient is taken.
    """
    from scipy import ndimage as ndi

    count = int(labels.max()) + 1
    area = np.bincount(labels.ravel(), minlength=count).astype(float)
    present = np.flatnonzero(area[1:]) + 1
    rim, ring, shared = _rims(labels, count)
    total = np.bincount(labels.ravel(), grey.ravel(), count)
    inside = total / np.maximum(area, 1)
    number = np.maximum(np.bincount(ring[1], minlength=count), 1)
    outside = np.bincount(ring[1], grey.ravel()[ring[0]], count) / number
    smooth = ndi.gaussian_filter(grey, blur)
    ground = float(np.median(grey[labels == 0])) if (labels == 0).any() else 0.0
    foreign = smooth.ravel()[ring[0]] > ((inside + ground) / 2)[ring[1]]
    leak = np.bincount(ring[1], foreign, count) / number
    slope = np.hypot(ndi.sobel(smooth, 0), ndi.sobel(smooth, 1))
    steepest = ndi.maximum_filter(slope, 5)
    at, owner = rim
    here = np.bincount(owner, slope.ravel()[at], count)
    best = np.bincount(owner, steepest.ravel()[at], count)
    edges = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return Quality(
        present,
        area[present],
        np.isin(present, edges),
        _solidity(labels, present),
        (inside - outside)[present],
        shared[present],
        (here / np.maximum(best, 1e-12))[present],
        leak[present],
    )


def solidity_of(mask: NDArray[np.bool_]) -> float:
    """Return the area of a mask (h, w) over that of the hull of its pixels' centres, widened by half a pixel, 0..1."""
    from scipy.spatial import ConvexHull, QhullError

    left, right = mask.argmax(axis=1), mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    rows = np.flatnonzero(mask.any(axis=1))
    points = np.concatenate([np.stack([rows, left[rows]], 1), np.stack([rows, right[rows]], 1)])
    try:
        hull = ConvexHull(points)
    except QhullError:
        return 1.0
    return min(float(np.count_nonzero(mask)) / (hull.volume + hull.area / 2 + 1), 1.0)


def _rims(labels: Labels, count: int) -> tuple[tuple[NDArray[np.intp], Labels], tuple[NDArray[np.intp], Labels], Array]:
    """Return the free outline (flat index, owner), the ring around (flat index, owner), the share of outline shared."""
    from scipy import ndimage as ndi

    least = ndi.minimum_filter(labels, footprint=_CROSS, mode="nearest")
    outline = (labels > 0) & (least != labels)
    most = ndi.maximum_filter(labels, footprint=_CROSS, mode="nearest")
    free = (labels > 0) & (least == 0)
    touching = (labels > 0) & ((most != labels) | ((least > 0) & outline))
    number = np.bincount(labels[free], minlength=count) + np.bincount(labels[touching & ~free], minlength=count)
    shared = np.bincount(labels[touching], minlength=count) / np.maximum(number, 1)
    around = ndi.maximum_filter(labels, 11)
    ring = (ndi.maximum_filter(labels, 5) == 0) & (around > 0)
    at, beyond = np.flatnonzero(free), np.flatnonzero(ring)
    return (at, labels.ravel()[at]), (beyond, around.ravel()[beyond]), np.minimum(shared, 1.0)


def _solidity(labels: Labels, present: NDArray[np.int64]) -> Array:
    from scipy import ndimage as ndi

    boxes = ndi.find_objects(labels)
    return np.array([solidity_of(labels[boxes[label - 1]] == label) for label in present.tolist()], float)


_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


def each_good(quality: Quality) -> Array:
    """Return how much each object (N,) looks like one whole object, 0..1.

    The product of: solid (1 from a solidity of 0.95, 0 below 0.7), little of its outline on others, an outline where
    the image is steepest, a contrast of at least half the median object's, and surroundings that are ground.
    """
    solid = np.clip((quality.solidity - 0.7) / 0.25, 0, 1)
    typical = max(float(np.median(quality.contrast)), 1e-12) if len(quality.contrast) else 1.0
    dark = np.clip(quality.contrast / (0.5 * typical), 0, 1)
    whole = np.clip(1 - 2 * quality.leak, 0, 1)
    return np.asarray(solid * (1 - 0.5 * quality.shared) * np.sqrt(quality.edge) * dark * whole)


def explained(grey: Image, labels: Labels, noise: float) -> float:
    """Return the share 0..1 of the image's variance above its noise that one level an object and one ground explain."""
    inside = labels > 0
    if not inside.any() or inside.all():
        return 0.0
    left = grey - float(np.median(grey[~inside]))
    mean = np.bincount(labels.ravel(), left.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)
    mean[0] = 0
    total = float(np.square(grey - grey.mean()).sum())
    missing = float(np.square(left - mean[labels]).sum())
    signal = total - 0.9 * grey.size * noise**2
    return float(np.clip((total - missing) / signal, 0, 1)) if signal > 0 else 0.0


def merit(grey: Image, labels: Labels, noise: float) -> float:
    """Return the merit 0..1 of a label image (h, w) over a flat grey image (h, w) with bright objects, without truth.

    The share of the variance that the objects explain, times how much they look like whole objects (mean, weighted by
    the square root of the area, so that crumbs count little but many crumbs count).
    """
    found = measure_labels(grey, labels)
    if len(found.area) == 0:
        return 0.0
    return explained(grey, labels, noise) * float(np.average(each_good(found), weights=np.sqrt(found.area)))
