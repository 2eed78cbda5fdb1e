"""Checks of what is said of images from other microscopes: whether the expected error is the true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sampler
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.metrics import auroc, f1, normalised_correlation
from micrograph.validate.shared import Shared
from micrograph.validate.shifts import Shifted, analysed, network_of, shifts_of

Array = NDArray[np.float64]
#: Images of each shift; checks of shifts share them.
IMAGES, DATA = 10, "shifts"
#: A shift is bad if its error is so many times that on images as in training.
BAD = 2.0
_ANSWERS: Shared[list[list[Shifted]]] = Shared()


def shifted_answers(sampler: Sampler, analyser: Analyser, rng: np.random.Generator) -> list[list[Shifted]]:
    """Return what the analyser's network sees in the images of all shifts of a sampler, a list a shift."""
    question = (DATA, id(sampler))
    return _ANSWERS.found(
        question, analyser, rng, lambda seed: list(analysed(shifts_of(sampler), network_of(analyser), IMAGES, seed))
    )


def expected_rank(sampler: Sampler, *, at_least: float = 0.8) -> Check:
    """Build the check: Spearman's correlation over shifts of the expected with the true error, 1 - F1.

    Baseline: that of the distance from the training images.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        shifts = shifted_answers(sampler, analyser, rng)
        interval = bootstrap(lambda drawn: _rank(drawn, _expected), shifts, rng)
        images = [one for shift in shifts for one in shift]
        off = np.mean([abs(_expected(shift) - _error(shift)) for shift in shifts])
        alone = _rank([[one] for one in images], _expected)
        detail = (
            f"{len(shifts)} shifts of {IMAGES} images; image by image {alone:.3f}; "
            f"expected and true F1 of a shift differ by {off:.3f} on average"
        )
        return Measurement.of(interval, limit=1.0, baseline=_rank(shifts, _distance), detail=detail)

    return Check("expected error follows the true one over shifts (Spearman)", measure, at_least, ">=", data=DATA)


def expected_alarm(sampler: Sampler, *, at_least: float = 0.95) -> Check:
    """Build the check: how surely shifts of twice the error on training images are told by the expected error (AUROC).

    Baseline: that of the distance from the training images.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        shifts = shifted_answers(sampler, analyser, rng)
        nominal = _nominal(shifts)
        interval = bootstrap(lambda drawn: _alarm(drawn, _expected, nominal), shifts, rng)
        images = [[one] for shift in shifts for one in shift]
        bad = sum(_error(shift) > BAD * nominal for shift in shifts)
        detail = (
            f"error as trained {nominal:.4f}; {bad} of {len(shifts)} shifts have twice that; "
            f"image by image {_alarm(images, _expected, nominal):.3f}"
        )
        return Measurement.of(interval, limit=1.0, baseline=_alarm(shifts, _distance, nominal), detail=detail)

    return Check("shifts of twice the error told (AUROC)", measure, at_least, ">=", data=DATA)


def _error(shift: Sequence[Shifted]) -> float:
    return 1 - (f1([one.counts for one in shift]) if any(sum(one.counts) for one in shift) else 1.0)


def _expected(shift: Sequence[Shifted]) -> float:
    return 1 - float(np.mean([one.expected for one in shift]))


def _distance(shift: Sequence[Shifted]) -> float:
    return float(np.mean([one.distance for one in shift]))


def _nominal(shifts: Sequence[Sequence[Shifted]]) -> float:
    """Return the error on images of settings that the network was trained on."""
    inside = [one for shift in shifts for one in shift if one.shift.inside]
    return _error(inside)


def _rank(shifts: Sequence[Sequence[Shifted]], score: Callable[[Sequence[Shifted]], float]) -> float:
    from scipy.stats import rankdata

    return normalised_correlation(*(rankdata([of(one) for one in shifts]) for of in (_error, score)))


def _alarm(shifts: Sequence[Sequence[Shifted]], score: Callable[[Sequence[Shifted]], float], nominal: float) -> float:
    bad = np.array([_error(one) > BAD * nominal for one in shifts])
    scores = np.array([score(one) for one in shifts])
    return auroc(scores[~bad], scores[bad])
