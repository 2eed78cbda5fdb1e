"""What a model that names every pixel is worth on labelled images, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.mask_scores import Array, Compared, Tally

#: From so many images on, images are drawn anew for an interval; with fewer, the tiles into which each is cut.
_LEAST_IMAGES, _TILES = 4, 4


@dataclass(frozen=True)
class ClassesCompared(Compared):
    """One image's confusion a tile, (T, K, K): rows true, columns found; pixels without a label do not count."""

    confusion: Array


def compare_classes(true: NDArray[np.integer[Any]], found: NDArray[np.integer[Any]], number: int) -> ClassesCompared:
    """Return the confusion of found against true classes (H, W), 0 .. number - 1; where `true` is negative: unknown."""
    edges = [np.arange(size) * _TILES // size for size in true.shape]
    tile = edges[0][:, None] * _TILES + edges[1]
    at = true >= 0
    code = (tile[at] * number + true[at]) * number + found[at]
    confusion = np.bincount(code.ravel(), minlength=_TILES**2 * number**2).reshape(-1, number, number).astype(float)
    tallies = np.zeros((len(confusion), len(Tally._fields)))
    tallies[:, 0] = np.trace(confusion, axis1=1, axis2=2)
    tallies[:, 1] = tallies[:, 2] = confusion.sum(axis=(1, 2))
    return ClassesCompared(tallies, confusion)


@dataclass(frozen=True)
class ClassScores:
    """Scores with 95 % intervals, all images pooled.

    iou: all classes in one, pixels in both over pixels in either, summed over classes; mean: the mean of the classes'
    own, `each` (K,); accuracy: share of pixels that are named rightly; true, found (K,): shares of the area.
    """

    classes: tuple[str, ...]
    iou: Interval
    mean: Interval
    accuracy: Interval
    each: tuple[Interval, ...]
    true: tuple[float, ...]
    found: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a card."""
        each = {
            name: {"iou": list(iou), "true": true, "found": found}
            for name, iou, true, found in zip(self.classes, self.each, self.true, self.found, strict=True)
        }
        return {"iou": list(self.iou), "mean_iou": list(self.mean), "accuracy": list(self.accuracy), "classes": each}


def class_scores(classes: Sequence[str], images: Sequence[ClassesCompared], rng: np.random.Generator) -> ClassScores:
    """Return the scores of a model on one image or several."""
    if len(images) >= _LEAST_IMAGES:
        units = [one.confusion.sum(axis=0) for one in images]
    else:
        units = [tile for one in images for tile in one.confusion]

    def scored(score: Callable[[Array], float]) -> Interval:
        return bootstrap(lambda drawn: score(np.sum(drawn, axis=0)), units, rng)

    total = np.sum(units, axis=0)
    area = max(float(total.sum()), 1.0)
    return ClassScores(
        tuple(classes),
        scored(pooled_iou),
        scored(lambda drawn: float(np.nanmean(ious(drawn)))),
        scored(lambda drawn: float(np.trace(drawn) / max(drawn.sum(), 1.0))),
        tuple(scored(lambda drawn, k=place: float(ious(drawn)[k])) for place in range(len(classes))),  # type: ignore[misc]
        tuple((total.sum(axis=1) / area).tolist()),
        tuple((total.sum(axis=0) / area).tolist()),
    )


def ious(confusion: Array) -> Array:
    """Return the IoU of each class (K,); NaN for one that is neither there nor found."""
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return np.where(either > 0, both / np.maximum(either, 1.0), np.nan)


def pooled_iou(confusion: Array) -> float:
    """Return pixels in both over pixels in either, each summed over the classes."""
    both, area = float(np.trace(confusion)), float(confusion.sum())
    return both / (2 * area - both) if area else 1.0
