"""The expected F1 of a network's answers, learned on simulated images of other microscopes (`infer.expected`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sampler
from micrograph.infer.expected import Expected, logit, signs
from micrograph.validate.metrics import Detection, f1
from micrograph.validate.shifts import detection, spots, spots_heads

if TYPE_CHECKING:
    from micrograph.infer import Predictor

Array = NDArray[np.float64]
#: Weight of the pull to no dependence; groups of images that are left out in turn.
_RIDGE, _FOLDS = 5.0, 6


@dataclass(frozen=True)
class Lesson:
    """The signs (K,) in the answer to one image, and what was right in it."""

    signs: Array
    counts: Detection


def lesson(predict: Predictor, sample: Sample) -> Lesson:
    """Return what one sample teaches."""
    prediction, places = spots(predict, sample.image, sample.pixel_nm)
    maps = [prediction.maps[name] for name in spots_heads(predict)]
    seen = signs(maps, prediction.pixel_nm, prediction.domain_distance)
    return Lesson(seen, detection(sample, *places.T))


def learn_expected(predict: Predictor, home: Sampler, away: Sampler, seed: int, images: int) -> Expected:
    """Return the expected F1 of a network's answers, learned from so many images: a fifth `home`, the others `away`."""
    near = [lesson(predict, home(np.random.default_rng([seed, 0, row]))) for row in range(images // 5)]
    far = [lesson(predict, away(np.random.default_rng([seed, 1, row]))) for row in range(images - images // 5)]
    lessons = near + far
    lessons = [one for one in lessons if sum(one.counts)]
    truth = np.array([f1([one.counts]) for one in lessons])
    told = np.zeros(len(lessons))
    for fold in range(_FOLDS):
        out = np.arange(len(lessons)) % _FOLDS == fold
        part = _fitted([one for one, left in zip(lessons, out, strict=True) if not left])
        told[out] = [part(one.signs) for one, left in zip(lessons, out, strict=True) if left]
    error = float(np.abs(told - truth).mean())
    return replace(_fitted(lessons), nominal=f1([one.counts for one in near]), images=len(lessons), error=error)


def _fitted(lessons: Sequence[Lesson]) -> Expected:
    """Return the weighted ridge regression of the log odds of F1 on the signs; images with more columns weigh more."""
    seen = np.array([one.signs for one in lessons])
    target = np.array([logit(f1([one.counts])) for one in lessons])
    weight = np.sqrt([max(2 * one.counts.right + one.counts.false + one.counts.missed, 3) for one in lessons])
    centre, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    design = np.column_stack([(seen - centre) / spread, np.ones(len(seen))])
    pull = _RIDGE * float(weight.mean()) * np.diag([1.0] * seen.shape[1] + [0.0])
    *weights, offset = np.linalg.solve(design.T @ (weight[:, None] * design) + pull, design.T @ (weight * target))
    return Expected(
        tuple(centre.tolist()), tuple(spread.tolist()), tuple(map(float, weights)), float(offset), 1.0, 0, 0.0
    )
