"""Convex hulls of outlines: area, length, calipers (Feret diameters) and the smallest rectangle around them.

The least width and the smallest rectangle of a convex polygon stand on one of its sides (doi:10.1145/360881.360919), so
it is enough to turn the calipers from side to side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hull:
    """Area, length, greatest and least caliper width, and the sides of the smallest rectangle, of one convex hull."""

    area: float
    perimeter: float
    feret_max: float
    feret_min: float
    length: float
    width: float


def hull_of(points: Array) -> Hull:
    """Return the hull's measures of points (K, 2), in the points' unit; of three points or more, not on one line."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull(points)
    corner = points[hull.vertices]
    between = corner[:, None] - corner[None]
    side = np.roll(corner, -1, axis=0) - corner
    length = np.hypot(side[:, 0], side[:, 1])
    along = side / length[:, None]
    run = corner @ along.T
    rise = corner @ np.stack([-along[:, 1], along[:, 0]])
    extent, height = np.ptp(run, axis=0), np.ptp(rise, axis=0)
    best = int((extent * height).argmin())
    longer, shorter = sorted((float(extent[best]), float(height[best])), reverse=True)
    farthest = float(np.sqrt((between**2).sum(axis=2).max()))
    return Hull(float(hull.volume), float(length.sum()), farthest, float(height.min()), longer, shorter)
