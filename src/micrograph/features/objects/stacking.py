"""What several label images of one frame agree on: objects with the share of them that found each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Agreed:
    """Labels (H, W), 1 .. N in the order of rows, 0 outside; scores (N,): share of the label images with each."""

    labels: Labels
    scores: Array


def agreed(found: Sequence[Labels], least: float = 0.6, same: float = 0.6) -> Agreed:
    """Return the objects that at least the share `least` of the label images (H, W) hold.

    Two objects are the same where their intersection over union is `same` or more. Of all that agree, the one most
    like the others is taken; where two kept ones overlap, the one with the higher score keeps the pixels, and what
    loses more than a fifth is left out.
    """
    from scipy import ndimage as ndi

    shape = found[0].shape
    tables = [_alike(one, found) for one in found]
    rows = [
        (float((likeness[label - 1] >= same).mean()), float(likeness[label - 1].sum()), image, label)
        for image, likeness in enumerate(tables)
        for label in range(1, len(likeness) + 1)
        if likeness[label - 1].max(initial=0) > 0
    ]
    rows = sorted((row for row in rows if row[0] >= least), key=lambda row: (-row[0], -row[1], row[2], row[3]))
    boxes = [ndi.find_objects(one) for one in found]
    labels, scores = np.zeros(shape, np.int32), []
    for score, _, image, label in rows:
        box = boxes[image][label - 1]
        mine = found[image][box] == label
        free = mine & (labels[box] == 0)
        if free.sum() > 0.8 * mine.sum():
            scores.append(score)
            labels[box][free] = len(scores)
    return _in_rows(labels, np.array(scores, float))


def _alike(labels: Labels, others: Sequence[Labels]) -> Array:
    """Return the largest intersection over union (N, images) of each object with one of each other label image."""
    count = int(labels.max())
    area = np.bincount(labels.ravel(), minlength=count + 1)
    found = np.zeros((count, len(others)))
    for column, other in enumerate(others):
        inside = (labels > 0) & (other > 0)
        theirs = np.bincount(other.ravel())
        width = len(theirs)
        together = np.bincount(labels[inside].astype(np.int64) * width + other[inside], minlength=(count + 1) * width)
        pairs = np.flatnonzero(together)
        mine, common = pairs // width, together[pairs]
        ratio = common / (area[mine] + theirs[pairs % width] - common)
        np.maximum.at(found[:, column], mine - 1, ratio)
    return found


def _in_rows(labels: Labels, scores: Array) -> Agreed:
    """Return the objects numbered by their first pixel, row by row."""
    present, first = np.unique(labels, return_index=True)
    first = first[present > 0]
    present = present[present > 0]
    number = np.zeros(int(labels.max()) + 1, np.int32)
    order = np.argsort(first)
    number[present[order]] = np.arange(1, len(order) + 1)
    return Agreed(number[labels], scores[present[order] - 1])
