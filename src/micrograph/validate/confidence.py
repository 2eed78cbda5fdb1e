"""Whether probabilities mean what they say: reliability and expected calibration error.

The fit that makes scores probabilities belongs to training (`micrograph.train.calibrate`); here they are judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width in 0..1: mean `score`, share that is `right`, `count`; each (B,), NaN in empty bins."""

    score: Array
    right: Array
    count: NDArray[np.int_]

    @property
    def error(self) -> float:
        """Expected calibration error: distance of score and share, weighted by count; NaN without any score."""
        filled = self.count > 0
        if not filled.any():
            return float("nan")
        return float(np.average(np.abs(self.score - self.right)[filled], weights=self.count[filled]))


def reliability(scores: ArrayLike, right: ArrayLike, bins: int = 15) -> Reliability:
    """Return the reliability diagram of probabilities (N,) in 0..1 whose answers were `right` (N,) or not."""
    score, hit = np.asarray(scores, float), np.asarray(right, float)
    if len(score) and not (score.min() >= 0 and score.max() <= 1):
        raise BadInput(f"Scores between {score.min():g} and {score.max():g} are no probabilities: they lie in 0..1.")
    place = np.minimum((score * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, share = (np.bincount(place, weights=values, minlength=bins) / count for values in (score, hit))
    return Reliability(mean, share, count)


def expected_calibration_error(scores: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Return the expected calibration error (arXiv:1706.04599) of probabilities (N,) and whether each was `right`."""
    return reliability(scores, right, bins).error
