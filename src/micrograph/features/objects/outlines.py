"""Outlines of labelled objects to a fraction of a pixel.

The border of an object is the 0.5 level of the coverage map, found by marching squares (doi:10.1145/37402.37422). Where
two objects touch, the coverage has no such level: the neighbour's coverage p counts there as 1 - p, which puts the same
line for both half-way between their pixels; the image's edge counts as such a neighbour. Marching squares draw a curved
edge in, by their chords and because a pixel averages over the curve: by 0.15 px times the curvature (per px) over discs
of any radius and place, as computed by drawing them. The smoothed outline is set out by this much and by what its own
chords cut off, ``curvature * step^2 / 12``, so that the polygon has the area of the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.features.objects.closed_curves import enclosed, evenly, perimeter, smoothed

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

#: Least distance of a pixel's coverage from 0.5, by which its label says on which side of the border it lies.
_MARGIN = 1e-3
_LEAST_POINTS = 48
#: By how much marching squares draw an antialiased edge in, in px for a curvature of 1 per px.
_DRAWN_IN = 0.15
#: Coverage of pixels outside the image, in the table of labels.
_OUTSIDE = -1


@dataclass(frozen=True)
class Outlines:
    """Closed polygons of the N objects of one frame.

    points_px: one (K, 2) array [y, x] an object, pixel centres at integers, first point not repeated, counter-clockwise
    as seen on the screen (x to the right, y up); label: (N,) value in the label image; border: (N,) touches the image's
    edge; shared: (N,) share of the outline that lies on a neighbour; holes_px2: (N,) area of holes, which the outline
    does not follow.
    """

    points_px: tuple[Array, ...]
    label: NDArray[np.int64]
    border: NDArray[np.bool_]
    shared: Array
    holes_px2: Array = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        """Number of outlines."""
        return len(self.points_px)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Outlines:
        """Return the outlines of a mask or of rows."""
        rows = np.arange(len(self))[which]
        points = tuple(self.points_px[row] for row in rows)
        holes = self.holes_px2[rows] if len(self.holes_px2) else self.holes_px2
        return Outlines(points, self.label[rows], self.border[rows], self.shared[rows], holes)


def outlines_of(
    labels: Labels, particle_map: NDArray[np.floating], smooth_px: float = 1.0, step_px: float = 1.0
) -> Outlines:
    """Return the outer outlines of all objects, in the order of their labels.

    labels: (h, w), 0 outside objects; particle_map: (h, w) coverage 0..1. `smooth_px` is the sigma of the smoothing
    along the outline (less for objects below about 30 px around), `step_px` the distance between its points (at least
    48 an object). An object in several pieces is outlined by its largest piece.
    """
    rows = [_outline(piece, smooth_px, step_px) for piece in _pieces(labels, particle_map)]
    points, label, border, shared, holes = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Outlines(
        tuple(points),
        np.array(label, np.int64),
        np.array(border, bool),
        np.array(shared, float),
        np.array(holes, float),
    )


@dataclass(frozen=True)
class _Piece:
    """One object's surroundings: label, first row and column, its own labels and its level map (border at 0.5)."""

    label: int
    corner: tuple[int, int]
    labels: Labels
    level: NDArray[np.float32]
    border: bool


def _pieces(labels: Labels, particle_map: NDArray[np.floating]) -> Iterator[_Piece]:
    from scipy import ndimage

    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if not box:  # no such label
            continue
        sides = [np.arange(side.start - 1, side.stop + 1) for side in box]
        there = np.ix_(*(np.clip(side, 0, size - 1) for side, size in zip(sides, labels.shape, strict=True)))
        here, coverage = labels[there], particle_map[there].astype(np.float32)
        beyond = [(side < 0) | (side >= size) for side, size in zip(sides, labels.shape, strict=True)]
        here[beyond[0]], here[:, beyond[1]] = _OUTSIDE, _OUTSIDE
        inner = np.maximum(coverage, np.float32(0.5 + _MARGIN))
        around = np.minimum(np.where(here == 0, coverage, 1 - coverage), np.float32(0.5 - _MARGIN))
        level = np.where(here == number, inner, around)
        edge = bool(beyond[0].any() or beyond[1].any())
        yield _Piece(number, (int(sides[0][0]), int(sides[1][0])), here, level, edge)


def _outline(piece: _Piece, smooth_px: float, step_px: float) -> tuple[Array, int, bool, float, float]:
    from contourpy import contour_generator

    lines = contour_generator(z=piece.level, line_type="Separate").lines(0.5)
    found = [np.asarray(line)[:, ::-1] for line in lines]
    areas = np.array([enclosed(contour[:-1]) for contour in found])
    largest = int(np.abs(areas).argmax())
    turn = np.sign(areas[largest])
    raw = found[largest][:-1][:: int(turn)]
    holes = float(-np.minimum(turn * areas, 0).sum())
    return _smooth(raw, smooth_px, step_px) + piece.corner, piece.label, piece.border, _shared(raw, piece.labels), holes


def _smooth(raw: Array, smooth_px: float, step_px: float) -> Array:
    length = perimeter(raw)
    number = max(_LEAST_POINTS, int(np.ceil(length / step_px)))
    step = length / number
    curve = smoothed(evenly(raw, number), length, min(smooth_px, length / 30))
    outward = curve.curvature * (_DRAWN_IN + step**2 / 12)
    return curve.points + np.clip(outward, -0.5, 0.5)[:, None] * curve.normals


def _shared(raw: Array, labels: Labels) -> float:
    """Return the share of the contour's points (K, 2) that lie between two labels."""
    low, high = np.floor(raw).astype(int), np.ceil(raw).astype(int)
    return float(np.mean((labels[low[:, 0], low[:, 1]] > 0) & (labels[high[:, 0], high[:, 1]] > 0)))
