"""Skeletons of bands: their branches as smooth curves with a length to a fraction of a pixel, and where they meet.

A digitised curve is longer than the curve, by up to 8 % along 8 neighbours (doi:10.1016/0031-3203(94)00153-D weighs the
steps instead); here the pixels of a branch are smoothed along it by a filter that does not draw bends in (Taubin,
doi:10.1109/ICCV.1995.466848) before the length is taken. Thinning draws the free end of a band in by about half the
band's width, which is given back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Smoothing along a branch (1-sigma, px).
_SMOOTH = 2.0
#: Free branches shorter than this many half widths, counted from the node, are spurs of thinning.
_SPUR = 1.8
_ROUNDS = 4
#: Steps to the neighbours of a cell, those that share a side first.
_RING = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
#: Share of half the width by which thinning draws a free end in.
_DRAWN_IN = 0.85


@dataclass(frozen=True)
class Branch:
    """A piece of a skeleton between two ends: points_px (K, 2) [y, x].

    nodes: number of the node at its begin and at its end, -1 where it ends freely, both -2 for a closed curve;
    half_width_px: of the band along it; score: mean of the map along it.
    """

    points_px: Array
    nodes: tuple[int, int]
    half_width_px: float
    score: float

    @property
    def length_px(self) -> float:
        """Length of the curve."""
        return float(np.hypot(*np.diff(self.points_px, axis=0).T).sum())

    def heading(self, end: int) -> Array:
        """Return the direction (2,) in which the branch leaves its begin (0) or its end (1), looking inwards."""
        points = self.points_px if end == 0 else self.points_px[::-1]
        far = points[min(len(points) - 1, max(4, int(2 * self.half_width_px)))]
        step = far - points[0]
        return np.asarray(step / max(float(np.hypot(*step)), 1e-9))


@dataclass(frozen=True)
class Skeleton:
    """Branches, and the places of the nodes (N, 2) where they meet."""

    branches: tuple[Branch, ...]
    nodes_px: Array


def followed(chances: NDArray[np.floating], threshold: float = 0.5, fainter: float = 0.6) -> Mask:
    """Return what is above `threshold` in a map (h, w), and what hangs on it above `fainter` times the threshold."""
    from scipy.ndimage import label

    faint = np.asarray(chances >= fainter * threshold)
    labels, number = label(faint, np.ones((3, 3)))
    held = np.zeros(number + 1, bool)
    held[labels[chances >= threshold]] = True
    return np.asarray(held[labels] & faint)


def skeleton_of(chances: NDArray[np.floating], mask: Mask, least_px: float = 8.0) -> Skeleton:
    """Return the skeleton of a mask (h, w) of bands in a map (h, w); free pieces under `least_px` are left out."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    if not mask.any():
        return Skeleton((), np.zeros((0, 2)))
    padded = np.pad(mask, 8, mode="edge")  # a band that leaves the image is not thinned from its end
    thin = np.asarray(skeletonize(padded))[8:-8, 8:-8]  # type: ignore[no-untyped-call]
    distance = distance_transform_edt(padded)[8:-8, 8:-8]
    for _ in range(_ROUNDS):
        spurs = _spurs(thin, distance)
        if not spurs.any():
            break
        thin = np.asarray(skeletonize(thin & ~spurs))  # type: ignore[no-untyped-call]
    pieces, nodes = _pieces(thin)
    branches = [_branch(piece, nodes, distance, chances) for piece in pieces]
    long = [one for one in branches if max(one.nodes) >= 0 or one.length_px >= least_px]
    return Skeleton(tuple(long), nodes)


@dataclass(frozen=True)
class _Piece:
    """Cells (K, 2) of a branch in order, without those of its nodes."""

    cells: NDArray[np.intp]
    nodes: tuple[int, int]


def _parted(thin: Mask) -> tuple[NDArray[np.integer], int, NDArray[np.integer], int, Mask]:
    """Return labels and number of the nodes and of the branches of a skeleton (h, w), and where its free ends are."""
    from scipy import ndimage as ndi

    around = ndi.convolve(thin.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - 1
    meeting, number = ndi.label(thin & (around >= 3), np.ones((3, 3)))
    labels, count = ndi.label(thin & (meeting == 0), np.ones((3, 3)))
    return meeting, number, labels, count, np.asarray(thin & (around == 1))


def _spurs(thin: Mask, distance: Array) -> Mask:
    """Return the branches with a free end that are no longer than thinning makes of a band's rough border."""
    from scipy import ndimage as ndi

    meeting, _, labels, count, ends = _parted(thin)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    free = np.bincount(labels[ends], minlength=count + 1)
    wide = ndi.maximum_filter(np.where(meeting > 0, distance, 0.0), 3)
    at_node = np.zeros(count + 1)
    np.maximum.at(at_node, labels[labels > 0], wide[labels > 0])
    spur = (free == 1) & (at_node > 0) & (sizes < _SPUR * at_node)
    spur[0] = False
    return np.asarray(spur[labels])


def _pieces(thin: Mask) -> tuple[list[_Piece], Array]:
    """Return the branches of a skeleton (h, w) and the middles of its nodes."""
    from scipy import ndimage as ndi

    meeting, number, labels, count, _ = _parted(thin)
    nodes = np.array(ndi.center_of_mass(meeting > 0, meeting, np.arange(1, number + 1))).reshape(-1, 2)
    padded = np.pad(meeting, 1)
    rows, columns = np.nonzero(labels)
    order = np.argsort(labels[rows, columns], kind="stable")
    cells = np.stack([rows, columns], 1)[order]
    ends = np.searchsorted(labels[rows, columns][order], np.arange(1, count + 2))
    return [_ordered(cells[ends[k] : ends[k + 1]], padded) for k in range(count)], nodes


def _ordered(cells: NDArray[np.intp], meeting: NDArray[np.integer]) -> _Piece:
    """Return the cells of one branch in order from end to end, with the nodes at both; `meeting` has a rim of one."""
    spots = [(y, x) for y, x in cells.tolist()]
    places = {spot: k for k, spot in enumerate(spots)}
    near = [[places[y + dy, x + dx] for dy, dx in _RING if (y + dy, x + dx) in places] for y, x in spots]
    start = next((k for k, found in enumerate(near) if len(found) <= 1), 0)
    walk, seen = [start], {start}
    while True:
        following = [k for k in near[walk[-1]] if k not in seen]
        if not following:
            break
        walk.append(following[0])
        seen.add(following[0])
    ordered = cells[walk]
    first, last = (_touched(ordered[k], meeting) for k in (0, -1))
    if len(walk) == 1:
        several = sorted(_touched(ordered[0], meeting))
        pair = (several[0], several[-1]) if len(several) > 1 else (several[0] if several else -1, -1)
        return _Piece(ordered, pair)
    closed = not first and not last and len(walk) > 4 and walk[-1] in near[walk[0]]
    if closed:
        return _Piece(np.concatenate([ordered, ordered[:1]]), (-2, -2))
    return _Piece(ordered, (min(first, default=-1), min(last, default=-1)))


def _touched(cell: NDArray[np.intp], meeting: NDArray[np.integer]) -> set[int]:
    """Return the numbers of the nodes that a cell touches."""
    around = meeting[cell[0] : cell[0] + 3, cell[1] : cell[1] + 3]
    return {value - 1 for value in around.ravel().tolist() if value > 0}


def _branch(piece: _Piece, nodes: Array, distance: Array, chances: NDArray[np.floating]) -> Branch:
    rows, columns = piece.cells.T
    width, score = float(np.median(distance[rows, columns])) - 0.25, float(np.mean(chances[rows, columns]))
    points = piece.cells.astype(float)
    before, after = piece.nodes
    if before >= 0:
        points = np.concatenate([nodes[before][None], points])
    if after >= 0:
        points = np.concatenate([points, nodes[after][None]])
    smooth = smoothed_along(points, closed=before == -2)
    branch = Branch(smooth, piece.nodes, width, score)
    return _lengthened(branch, distance, chances.shape)


def smoothed_along(points: Array, sigma: float = _SMOOTH, closed: bool = False) -> Array:
    """Return a curve (K, 2) smoothed along its points; its ends stay where they are, its bends are not drawn in."""
    from scipy.ndimage import gaussian_filter1d

    if len(points) < 3:
        return points
    reach = min(int(8 * sigma), len(points) - 1)  # two passes of four sigmas
    if closed:
        padded = np.concatenate([points[-1 - reach : -1], points, points[1 : 1 + reach]])
    else:
        padded = np.concatenate(
            [2 * points[0] - points[reach:0:-1], points, 2 * points[-1] - points[-2 : -reach - 2 : -1]]
        )
    once = gaussian_filter1d(padded, sigma, axis=0, mode="nearest")
    twice = gaussian_filter1d(once, sigma, axis=0, mode="nearest")
    return np.asarray((2 * once - twice)[reach : reach + len(points)])


def _lengthened(branch: Branch, distance: Array, shape: tuple[int, ...]) -> Branch:
    """Return the branch with its free ends carried on by what thinning took, at most to the image's border."""
    points = branch.points_px
    for end in (0, 1):
        if branch.nodes[end] != -1 or len(points) < 3:
            continue
        outward = -replace(branch, points_px=points).heading(end)
        tip = points[0 if end == 0 else -1]
        row, column = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(tip, shape, strict=True))
        far = tip + outward * _DRAWN_IN * float(distance[row, column])
        far = np.clip(far, -0.5, np.array(shape) - 0.5)
        points = np.concatenate([far[None], points]) if end == 0 else np.concatenate([points, far[None]])
    return replace(branch, points_px=points)
