"""Which pieces of recordings are worth a label: those that the model doubts, unlike each other and unlike what has one.

Pieces are taken one by one, each the farthest from all that was taken before: the core set of Sener and Savarese
(arXiv:1708.00489). For every other piece that distance is weighted by the doubt: by doubt alone a kind is missed that
the model takes for another without doubting it. Without a doubt (no model yet) it covers the kinds of pieces that there
are; the first is the most usual one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Worth of a piece without any doubt, as a share of the mean doubt: how strange it looks still counts.
LEAST_WORTH = 0.1


@dataclass(frozen=True)
class Corners:
    """Pieces (N,) that cover a frame of `shape` (H, W): upper left corners, height and width, all in its pixels."""

    shape: tuple[int, int]
    top: Index
    left: Index
    height: int
    width: int

    def cut(self, image: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
        """Yield the pieces of an image of any resolution that covers the same field."""
        rows, columns = (size / whole for size, whole in zip(image.shape, self.shape, strict=True))
        for top, left in zip(self.top, self.left, strict=True):
            y, x = round(top * rows), round(left * columns)
            yield image[y : y + max(1, round(self.height * rows)), x : x + max(1, round(self.width * columns))]


def pieces_of(shape: tuple[int, int], side: int | None) -> Corners:
    """Return squares of `side` pixels side by side that cover a frame, as evenly as they fit; or all of it."""
    height, width = (n if side is None else min(side, n) for n in shape)
    numbers = [int(np.ceil(n / part)) for n, part in zip(shape, (height, width), strict=True)]
    tops, lefts = (
        np.rint(np.linspace(0, n - part, number)).astype(np.intp)
        for n, part, number in zip(shape, (height, width), numbers, strict=True)
    )
    top, left = (one.ravel() for one in np.meshgrid(tops, lefts, indexing="ij"))
    return Corners(shape, top, left, height, width)


def class_doubt(probabilities: Array, away: Array) -> Array:
    """Return the doubt (N,) about classes: 1 where two are alike likely, more where a piece is unlike all examples.

    probabilities: (N, K); away: (N,) distance from the nearest class over its border.
    """
    ordered = np.sort(probabilities, axis=1)
    between = 1 - (ordered[:, -1] - ordered[:, -2]) if ordered.shape[1] > 1 else np.zeros(len(ordered))
    return np.maximum(between, np.maximum(away - 1, 0))


def map_doubt(probability: NDArray[np.floating]) -> Array:
    """Return the doubt (h, w) of a map of probabilities: 0 where it is sure, 1 at one half."""
    p = np.asarray(probability, float)
    return np.asarray(2 * np.minimum(p, 1 - p))


def doubt_in_maps(prediction: Prediction, corners: Corners) -> Array:
    """Return the doubt (N,) of a network's maps in each piece, more where the whole frame is unlike its training."""
    doubts = [map_doubt(one) for one in prediction.maps.values()]
    within = [[float(part.mean()) for part in corners.cut(doubt)] for doubt in doubts]
    return np.asarray(np.max(within, axis=0) * (1 + max(prediction.domain_distance - 1, 0.0)))


def chosen(doubt: Array, looks: Array, number: int, known: Array | None = None) -> Index:
    """Return which `number` of N pieces to label, in the order of their worth.

    doubt: (N,) at least 0, in any unit; looks: (N, D) what the pieces look like, in units in which one
    kind of pieces scatters alike along every axis; known: (M, D) looks of pieces that have labels already.
    """
    worth = np.asarray(doubt, float) / max(float(np.mean(doubt)), 1e-12) + LEAST_WORTH
    taken: list[int] = []
    near = _nearest(looks, known)
    for turn in range(min(number, len(looks))):
        if not np.isfinite(near).all():
            place = int(np.argmin(np.linalg.norm(looks - np.median(looks, axis=0), axis=1)))
        else:
            value = near * (worth if turn % 2 else 1.0)
            value[taken] = -1.0
            place = int(np.argmax(value))
        taken.append(place)
        near = np.minimum(near, np.linalg.norm(looks - looks[place], axis=1))
    return np.array(taken, np.intp)


def _nearest(looks: Array, known: Array | None) -> Array:
    """Return the distance (N,) of every piece from the nearest that has a label; infinite where none has."""
    near = np.full(len(looks), np.inf)
    for one in () if known is None else known:
        near = np.minimum(near, np.linalg.norm(looks - one, axis=1))
    return near
