"""The unit cell of a point set, from the vectors between its points.

A lattice vector carries (nearly) every point onto another one, however many points the cell holds; a vector between two
different sites of the cell does so for some points only. The shortest two vectors of the first kind span the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: How far from its place a point may lie, in nearest-neighbour distances.
TOLERANCE = 0.3
#: A lattice vector finds a partner for at least this part of the points that could have one ...
LEAST_SUPPORT = 0.55
#: ... and for at least this part of what the best vector finds.
LEAST_OF_BEST = 0.85


@dataclass(frozen=True)
class PointSet:
    """Points (N, 2) [y, x] with their search tree, typical nearest distance, and the half planes of the convex hull."""

    position: Array
    tree: Any
    spacing: float
    hull: Array

    @property
    def tolerance(self) -> float:
        """Largest distance from a site that still counts as being on it, nm."""
        return TOLERANCE * self.spacing

    def nearest(self, position: Array, reach: float, k: int = 1) -> tuple[Array, Index]:
        """Return distances (inf if beyond `reach`) and row numbers (N if none) of the nearest points."""
        distance, row = self.tree.query(position, k=k, distance_upper_bound=reach)
        return distance, np.asarray(row, dtype=np.intp)


def point_set(position: Array) -> PointSet | None:
    """Return the prepared points, ``None`` if there are fewer than 8 or they lie on a line."""
    from scipy.spatial import ConvexHull, QhullError, cKDTree

    if len(position) < 8:
        return None
    tree = cKDTree(position)
    some = position[:: len(position) // 1000 + 1]
    spacing = float(np.median(np.asarray(tree.query(some, k=2)[0])[:, 1]))
    try:
        hull = ConvexHull(position).equations
    except QhullError:
        return None
    return PointSet(position, tree, spacing, hull) if spacing > 0 else None


def find_cell(cloud: PointSet) -> Array | None:
    """Return the reduced cell (2, 2), rows a and b as [y, x], ``None`` if the points have no lattice."""
    candidates = _difference_peaks(cloud)
    if len(candidates) < 2:
        return None
    support, sigma = np.array([_support(cloud, vector) for vector in candidates]).T
    good = candidates[support >= np.maximum(LEAST_SUPPORT, LEAST_OF_BEST * support.max() - sigma)]
    good = good[np.argsort(np.hypot(good[:, 0], good[:, 1]))]
    for other in good[1:]:
        area = abs(good[0, 0] * other[1] - good[0, 1] * other[0])
        if area > 0.34 * np.hypot(*good[0]) * np.hypot(*other):
            return reduced(np.stack([good[0], other]))
    return None


def reduced(cell: Array) -> Array:
    """Return the conventional reduced cell of the lattice spanned by the rows of `cell` (2, 2).

    |a| <= |b| and gamma in 90..120 degrees. Where lengths agree within 3 % (or gamma is within 3 degrees of 90) the
    choice would hang on noise, so there a is the vector nearest to +x, and b is counter-clockwise of a on the screen.
    """
    a, b = cell
    while True:
        if a @ a > b @ b:
            a, b = b, a
        turns = np.rint((a @ b) / (a @ a))
        if turns == 0:
            break
        b = b - turns * a
    short = np.stack([a, b, a + b, a - b])
    lengths = np.hypot(short[:, 0], short[:, 1])
    first = np.flatnonzero(lengths <= 1.03 * lengths.min())
    first = first[np.argmax(np.abs(short[first, 1]) / lengths[first])]
    area = np.abs(short[first, 0] * short[:, 1] - short[first, 1] * short[:, 0]) / abs(a[0] * b[1] - a[1] * b[0])
    a = short[first] * (1.0 if short[first, 1] > 0 else -1.0)
    second = np.flatnonzero(np.abs(area - 1) < 0.5)
    second = second[lengths[second] <= 1.03 * lengths[second].min()]
    choices = [_obtuse(a, short[i]) for i in second]
    return np.stack([a, max(choices, key=lambda b: a[0] * b[1] - a[1] * b[0])])


def _obtuse(a: Array, b: Array) -> Array:
    """Return b or -b: the one at 90..120 degrees to a; within 3 degrees of 90, the one counter-clockwise of a."""
    cosine = (a @ b) / np.sqrt((a @ a) * (b @ b))
    if abs(cosine) < np.sin(np.radians(3.0)):
        clockwise = a[1] * b[0] - a[0] * b[1] > 0
        return -b if clockwise else b
    return -b if cosine > 0 else b


def _difference_peaks(cloud: PointSet, centres: int = 400, k: int = 61) -> Array:
    """Return the frequent vectors (K, 2) between near points, one of v and -v, shortest first, at most 30."""
    from scipy.ndimage import gaussian_filter, maximum_filter
    from scipy.spatial import cKDTree

    n = len(cloud.position)
    chosen = np.unique(np.linspace(0, n - 1, min(n, centres)).astype(np.intp))
    distance, row = cloud.nearest(cloud.position[chosen], np.inf, k=min(k, n))
    reach = float(np.median(distance[:, -1]))
    vectors = (cloud.position[row[:, 1:]] - cloud.position[chosen][:, None])[distance[:, 1:] <= reach]
    bin_nm = 0.1 * cloud.spacing
    half = min(int(np.ceil(reach / bin_nm)) + 3, 300)
    edges = (np.arange(2 * half + 2) - half - 0.5) * bin_nm
    count = np.histogram2d(vectors[:, 0], vectors[:, 1], bins=[edges, edges])[0]
    smooth = gaussian_filter(count + count[::-1, ::-1], 1.5, mode="constant")
    top = (smooth == maximum_filter(smooth, size=5)) & (smooth > 0.3 * smooth.max())
    peak = (np.argwhere(top) - half) * bin_nm
    peak = peak[(peak[:, 0] > 1e-9) | ((np.abs(peak[:, 0]) < 1e-9) & (peak[:, 1] > 0))]
    length2 = (peak**2).sum(axis=1)
    order = np.argsort(length2)
    peak = peak[order[length2[order] > (0.9 * cloud.spacing) ** 2]][:30]
    if not len(peak):
        return np.empty((0, 2))
    row = np.asarray(cKDTree(peak).query(vectors, distance_upper_bound=cloud.tolerance)[1], dtype=np.intp)
    share = np.bincount(row, minlength=len(peak) + 1)[:-1]
    total = [np.bincount(row, weights=vectors[:, axis], minlength=len(peak) + 1)[:-1] for axis in (0, 1)]
    return np.stack(total, axis=1) / np.maximum(share, 1)[:, None]


def _support(cloud: PointSet, vector: Array, centres: int = 120) -> tuple[float, float]:
    """Return the part of the points that find a partner at +-`vector` (of those for which it would be in the hull),
    and the 1-sigma of a part of one half.
    """
    n = len(cloud.position)
    start = cloud.position[np.unique(np.linspace(0, n - 1, min(n, centres)).astype(np.intp))]
    target = np.concatenate([start + vector, start - vector])
    inside = (target @ cloud.hull[:, :2].T + cloud.hull[:, 2] <= 0.1 * cloud.spacing).all(axis=1)
    if inside.sum() < max(4, len(start) / 5):
        return 0.0, 0.0
    found = np.isfinite(cloud.nearest(target[inside], cloud.tolerance)[0])
    return float(found.mean()), 0.5 / float(np.sqrt(len(found)))
