"""What a model's masks are worth on labelled images, with intervals; and what one more label would bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.intervals import Interval, bootstrap, share_interval
from micrograph.validate.masks import match_objects

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

#: From so many images on, images are drawn anew for an interval; with fewer, the tiles into which each is cut.
_LEAST_IMAGES, _TILES = 4, 4


class Tally(NamedTuple):
    """Pixels in both masks, in the true one, in the found one; objects right, false, missed."""

    both: float
    true: float
    found: float
    right: float
    false: float
    missed: float


@dataclass(frozen=True)
class Compared:
    """One image's tallies, a row a tile (T, 6)."""

    tiles: Array

    @property
    def whole(self) -> Array:
        """The tally (6,) of the whole image."""
        return np.asarray(self.tiles.sum(axis=0))


def compare(true: Labels, found: Labels) -> Compared:
    """Return the tallies of found against true labels (H, W); an object counts in the tile where its middle lies."""
    from scipy.ndimage import center_of_mass

    matched = match_objects(true, found)
    tiles = np.zeros((_TILES, _TILES, len(Tally._fields)))
    edges = [np.arange(size) * _TILES // size for size in true.shape]
    for column, mask in enumerate(((true > 0) & (found > 0), true > 0, found > 0)):
        rows, columns = np.nonzero(mask)
        np.add.at(tiles[..., column], (edges[0][rows], edges[1][columns]), 1)
    missed = np.setdiff1d(np.unique(true[true > 0]), matched.pairs[:, 0])
    false = np.setdiff1d(np.unique(found[found > 0]), matched.pairs[:, 1])
    for column, (labels, which) in enumerate(((true, matched.pairs[:, 0]), (found, false), (true, missed)), start=3):
        middles = np.array(center_of_mass(labels > 0, labels, which)).reshape(-1, 2).astype(int)
        np.add.at(tiles[..., column], (edges[0][middles[:, 0]], edges[1][middles[:, 1]]), 1)
    return Compared(tiles.reshape(-1, len(Tally._fields)))


@dataclass(frozen=True)
class MaskScores:
    """Scores with 95 % intervals, all images pooled; objects are matched at an IoU of 0.5. Numbers of objects."""

    iou: Interval
    dice: Interval
    precision: Interval
    recall: Interval
    f1: Interval
    true: int
    found: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a card."""
        names = ("iou", "dice", "precision", "recall", "f1")
        return {name: list(getattr(self, name)) for name in names} | {"true": self.true, "found": self.found}


def mask_scores(images: Sequence[Compared], rng: np.random.Generator) -> MaskScores:
    """Return the scores of a model on one image or several."""
    units = _units(images)
    right, false, missed = (units[:, Tally._fields.index(name)].astype(int) for name in ("right", "false", "missed"))
    return MaskScores(
        _pooled(_iou, units, rng),
        _pooled(_dice, units, rng),
        share_interval(right.tolist(), (right + false).tolist(), rng),
        share_interval(right.tolist(), (right + missed).tolist(), rng),
        _pooled(_f1, units, rng),
        int((right + missed).sum()),
        int((right + false).sum()),
    )


@dataclass(frozen=True)
class LearningCurve:
    """How the error 1 - IoU falls with the number n of labelled images: about ``a n^-b``.

    numbers, errors (K,): what was measured; gain: by how much one more image lowers the error, with its 95 % interval.
    """

    numbers: tuple[float, ...]
    errors: tuple[float, ...]
    a: float
    b: float
    gain: Interval

    def error_at(self, number: float) -> float:
        """Return the error that the curve predicts for so many labelled images."""
        return float(self.a * number**-self.b)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a card."""
        measured = {"images": list(self.numbers), "error": list(self.errors)}
        return {**measured, "a": self.a, "b": self.b, "gain_of_one_more": list(self.gain)}


def learning_curve(
    numbers: Sequence[float], models: Sequence[Sequence[Compared]], rng: np.random.Generator, resamples: int = 1000
) -> LearningCurve:
    """Return the curve of models that learned from so many images each (K,), all tried on the same images.

    The interval draws the images (or their tiles) anew, and shakes the measured errors by as much as they scatter
    about the curve: what a training's luck adds.
    """
    x = np.log(np.asarray(numbers, float))
    units = np.stack([_units(images) for images in models])
    errors = 1 - np.array([_iou(one.sum(axis=0)) for one in units])
    log_a, b = _power(x, _log(errors))
    scatter = _log(errors) - (log_a - b * x)
    luck = float(np.sqrt(scatter @ scatter / max(1, len(x) - 2)))
    last, gains = float(np.max(numbers)), []
    for _ in range(resamples):
        drawn = units[:, rng.integers(units.shape[1], size=units.shape[1])].sum(axis=1)
        some = _log(1 - np.array([_iou(one) for one in drawn])) + luck * rng.standard_normal(len(x))
        gains.append(_gain(*_power(x, some), last))
    low, high = np.quantile(gains, [0.025, 0.975])
    gain = Interval(_gain(log_a, b, last), float(low), float(high))
    return LearningCurve(tuple(map(float, numbers)), tuple(errors.tolist()), float(np.exp(log_a)), b, gain)


def _power(x: Array, log_error: Array) -> tuple[float, float]:
    """Return log a and b >= 0 of the least squares line ``log_error = log a - b x``."""
    slope = float(np.polyfit(x, log_error, 1)[0]) if np.ptp(x) > 0 else 0.0
    b = max(0.0, -slope)
    return float(np.mean(log_error + b * x)), b


def _gain(log_a: float, b: float, number: float) -> float:
    return float(np.exp(log_a) * (number**-b - (number + 1) ** -b))


def _log(errors: Array) -> Array:
    return np.asarray(np.log(np.maximum(errors, 1e-6)))


def _units(images: Sequence[Compared]) -> Array:
    """Return the tallies (U, 6) that are drawn anew for an interval."""
    if len(images) >= _LEAST_IMAGES:
        return np.stack([one.whole for one in images])
    return np.concatenate([one.tiles for one in images])


def _pooled(score: Callable[[Array], float], units: Array, rng: np.random.Generator) -> Interval:
    """Return a score of the sum of all units, with its interval."""
    return bootstrap(lambda drawn: score(np.sum(drawn, axis=0)), list(units), rng)


def _iou(tally: Array) -> float:
    both, true, found = tally[:3]
    union = true + found - both
    return float(both / union) if union else 1.0


def _dice(tally: Array) -> float:
    both, true, found = tally[:3]
    return float(2 * both / (true + found)) if true + found else 1.0


def _f1(tally: Array) -> float:
    right, false, missed = tally[3:]
    return float(2 * right / (2 * right + false + missed)) if right + false + missed else 1.0
