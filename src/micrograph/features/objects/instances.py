"""One label an object: where objects touch or overlap, the map of their depth tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]
Labels = NDArray[np.int32]

#: The depth is smoothed over so many pixels (1-sigma): a network's map ripples from pixel to pixel.
_CALM = 1.3
#: Depths (of the innermost point: 1) at which an object may fall into several.
_LEVELS = np.arange(0.3, 0.9, 0.1)


@dataclass(frozen=True)
class Instances:
    """Objects of one frame: labels (h, w), 1 .. N in the order of rows, 0 outside; scores (N,) 0 .. 1."""

    labels: Labels
    scores: NDArray[np.float64]


def find_objects(
    covered: Map, depth: Map, threshold: float = 0.5, rise: float = 0.15, least_px: int = 12, least_score: float = 0.6
) -> Instances:
    """Return the objects of a map of coverage (h, w) and one of normalised depth (h, w), both 0 .. 1.

    Each connected part of ``covered >= threshold`` is one object unless the depth has several tops in it: tops count
    that rise by `rise` above the saddle between them. Such parts are cut by a watershed of the depth. What has less
    than `least_px` pixels or a score below `least_score` is left out. The score is the mean coverage of the object's
    deeper half, so it falls where the model doubts.
    """
    from scipy import ndimage as ndi

    labels, number = _parts(np.asarray(covered >= threshold))
    calm = np.zeros(labels.shape, np.float32)
    for part, box in enumerate(ndi.find_objects(labels), start=1):
        mine = labels[box] == part
        if np.count_nonzero(mine) < least_px:
            labels[box][mine] = 0
            continue
        smooth = _smooth(depth, box)
        calm[box][mine] = smooth[mine]
        own = np.where(mine, smooth, 0)
        if np.count_nonzero((own > 0) & (own == ndi.maximum_filter(own, 3))) < 2:
            continue
        tops = tops_of(own, rise, max(1, least_px // 4))
        if tops.max() > 1:
            cut = _watershed(smooth, tops, mine)
            labels[box][mine] = (number + cut)[mine]
            number += int(cut.max())
    found = _ordered(labels, covered, calm, least_px)
    sure = np.concatenate([[False], found.scores >= least_score])
    renumbered = np.where(sure, np.cumsum(sure), 0).astype(np.int32)
    return Instances(renumbered[found.labels], found.scores[sure[1:]])


def _smooth(depth: Map, box: tuple[slice, ...]) -> Map:
    """Return the part of the smoothed depth (h, w) that lies in a box."""
    from scipy import ndimage as ndi

    reach = int(4 * _CALM + 0.5)
    wide = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
    own = tuple(slice(side.start - more.start, side.stop - more.start) for side, more in zip(box, wide, strict=True))
    return np.asarray(ndi.gaussian_filter(np.asarray(depth[wide], np.float32), _CALM)[own])


def tops_of(depth: Map, rise: float, least_px: int) -> Labels:
    """Return a label image (h, w) of the tops of `depth` that rise by `rise` above the saddles between them."""
    kept, count = _parts(depth > _LEVELS[0])
    for level in _LEVELS[1:]:
        higher, number = _parts(depth > level)
        at = np.flatnonzero(higher)
        label = higher.ravel()[at]
        parent, peak = np.zeros(number + 1, np.int64), np.zeros(number + 1)
        parent[label] = kept.ravel()[at]
        np.maximum.at(peak, label, depth.ravel()[at])
        counts = (peak >= level + rise) & (np.bincount(label, minlength=number + 1) >= least_px)
        split = np.bincount(parent[counts], minlength=count + 1) > 1
        chosen = counts & split[parent]
        if chosen.any():
            name = np.where(chosen, count + np.cumsum(chosen), 0)
            kept[split[kept]] = 0
            kept.ravel()[at[chosen[label]]] = name[label[chosen[label]]]
            count += int(chosen.sum())
    return np.asarray(kept, np.int32)


def _watershed(depth: Map, seeds: Labels, inside: NDArray[np.bool_]) -> Labels:
    """Return `inside` cut into one piece a seed, 1 .. n, along the valleys of the depth."""
    from skimage.segmentation import relabel_sequential, watershed

    cut = watershed(-depth, seeds, mask=inside)  # type: ignore[no-untyped-call]
    return np.asarray(relabel_sequential(cut)[0], np.int32)  # type: ignore[no-untyped-call]


def _parts(inside: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Return a label image (h, w) of the connected parts of a mask, and their number."""
    from scipy import ndimage as ndi

    labels = np.empty(inside.shape, np.int32)
    return labels, int(ndi.label(inside, output=labels))


def _ordered(labels: Labels, covered: Map, depth: Map, least_px: int) -> Instances:
    """Return the objects that are large enough, numbered anew in the order of their first rows, with their scores."""
    at = np.flatnonzero(labels)
    own = labels.ravel()[at]
    large = np.bincount(own, minlength=1) >= least_px
    known, first = np.unique(own, return_index=True)
    used = known[np.argsort(first)]
    used = used[large[used]]
    number = np.zeros(len(large), np.int32)
    number[used] = np.arange(1, len(used) + 1)
    ordered = number[labels]
    own, deep, seen = number[own], depth.ravel()[at], covered.ravel()[at]
    inner = deep >= _means(own, deep, len(used))[own]
    return Instances(ordered, _means(own[inner], seen[inner], len(used))[1:])


def _means(group: Labels, values: Map, number: int) -> NDArray[np.float64]:
    """Return the means of the values of each group 0 .. number."""
    total = np.bincount(group, values, number + 1)
    return np.asarray(total / np.maximum(np.bincount(group, minlength=number + 1), 1))
