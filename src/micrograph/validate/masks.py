"""How right a mask is: overlap, distance of outlines, objects found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.validate.metrics import Detection

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

#: Outlines are compared at points so far apart (px).
_FINE_PX = 0.1


def iou(truth: ArrayLike, found: ArrayLike) -> float:
    """Return the intersection of two masks (H, W) over their union; 1 where both are empty.

    What is above 0.5 counts as inside, so that maps of probability or coverage may be given.
    """
    a, b = _inside(truth), _inside(found)
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def dice(truth: ArrayLike, found: ArrayLike) -> float:
    """Return twice the intersection of two masks (H, W) over the sum of their areas; 1 where both are empty."""
    a, b = _inside(truth), _inside(found)
    areas = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / areas if areas else 1.0


def contour_error(truth: ArrayLike, found: ArrayLike) -> float:
    """Return the mean distance (px) of the outlines of two masks or maps (H, W), from each to the other.

    Outlines are where a map crosses 0.5, between pixels by linear interpolation; the edge of the image is none. 0
    where neither has an outline, infinite where only one has.
    """
    there, back = _outline_distances(truth, found)
    return 0.5 * (float(there.mean()) + float(back.mean()))


def hausdorff95(truth: ArrayLike, found: ArrayLike) -> float:
    """Return the 95th percentile of the distances (px) of two outlines, the greater of both directions.

    See `contour_error` for what an outline is.
    """
    return max(float(np.quantile(distance, 0.95)) for distance in _outline_distances(truth, found))


class Matched(NamedTuple):
    """Objects of two label images: counts, labels of the pairs (M, 2) as (true, found), and their IoU (M,)."""

    tp: int
    fp: int
    fn: int
    pairs: NDArray[np.int_]
    iou: Array

    @property
    def detection(self) -> Detection:
        """The counts for `precision`, `recall` and `f1` over several images."""
        return Detection(self.tp, self.fp, self.fn)


def match_objects(truth_labels: Labels, found_labels: Labels, iou: float = 0.5) -> Matched:
    """Return which objects of two label images (H, W), 0 for background, are the same: one to one, highest IoU first.

    A pair needs an IoU of at least `iou`. True objects without one are missed (fn), found ones false (fp).
    """
    from scipy.optimize import linear_sum_assignment

    true, rows = np.unique(truth_labels, return_inverse=True)
    found, columns = np.unique(found_labels, return_inverse=True)
    common = np.zeros((len(true), len(found)))
    np.add.at(common, (rows.ravel(), columns.ravel()), 1)
    union = common.sum(axis=1)[:, None] + common.sum(axis=0) - common
    share = (common / union)[true > 0][:, found > 0]
    true, found = true[true > 0], found[found > 0]
    chosen = linear_sum_assignment(np.where(share >= iou, share, 0.0), maximize=True)
    good = share[chosen] >= iou
    i, j = chosen[0][good], chosen[1][good]
    pairs = np.column_stack([true[i], found[j]]).astype(np.int_)
    return Matched(len(i), len(found) - len(i), len(true) - len(i), pairs, share[i, j])


def _inside(mask: ArrayLike) -> NDArray[np.bool_]:
    return np.asarray(mask, dtype=np.float32) > 0.5


def _outline_distances(truth: ArrayLike, found: ArrayLike) -> tuple[Array, Array]:
    """Return the distance of every point of the first outline to the second, and the reverse."""
    from scipy.spatial import cKDTree

    a, b = _outline(truth), _outline(found)
    if not (len(a) and len(b)):
        none = np.full(1, 0.0 if len(a) == len(b) else np.inf)
        return none, none
    return np.asarray(cKDTree(b).query(a)[0]), np.asarray(cKDTree(a).query(b)[0])


def _outline(mask: ArrayLike) -> Array:
    """Return points (N, 2) [y, x] along the outlines of a mask or map, evenly and closely spaced."""
    from skimage import measure

    pieces = [np.empty((0, 2))]
    for curve in measure.find_contours(np.asarray(mask, dtype=np.float64), 0.5):  # type: ignore[no-untyped-call]
        steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        way = np.concatenate([[0.0], np.cumsum(steps)])
        at = np.linspace(0, way[-1], max(2, int(way[-1] / _FINE_PX)))
        pieces.append(np.column_stack([np.interp(at, way, curve[:, axis]) for axis in (0, 1)]))
    return np.concatenate(pieces)
