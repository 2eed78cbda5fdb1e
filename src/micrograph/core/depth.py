"""How deep a pixel lies in its object: the mask 'core', by which networks tell apart objects that touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalised_depth(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return (h, w): distance of every pixel to the border of its object over the object's greatest; 0 outside.

    `labels` (h, w) holds 0 for background and a number above 0 for each object. Other objects count as outside, what
    lies beyond the edge of the image does not: an object that is cut there goes on. Pixels at a border lie half a pixel
    deep, so that no pixel of an object is 0.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    depth = np.zeros(labels.shape, np.float32)
    boxes: list[tuple[slice, ...] | None] = list(find_objects(labels))
    for label, box in enumerate(boxes, start=1):
        if box is None:
            continue
        rows, columns = (slice(max(0, side.start - 1), side.stop + 1) for side in box)
        inside = labels[rows, columns] == label
        distance = inside * 1.0 if inside.all() else distance_transform_edt(inside) - 0.5 * inside
        depth[rows, columns][inside] = (distance / distance.max())[inside]
    return depth
