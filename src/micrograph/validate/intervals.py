"""Intervals around measured numbers: exact ones for counts and shares, resampling for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from micrograph.core import BadInput

Unit = TypeVar("Unit")


class Interval(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float

    def widened(self, other: Interval) -> Interval:
        """Return this value with the wider ends of both intervals; ends that are not known do not count."""
        return Interval(self.value, float(np.fmin(self.low, other.low)), float(np.fmax(self.high, other.high)))


def garwood(count: int, level: float = 0.95) -> Interval:
    """Return `count` and the exact interval of the Poisson mean it was drawn from (Garwood, doi:10.2307/2333958)."""
    from scipy.stats import chi2

    _require(count >= 0, f"A count of {count} has no Poisson interval: counts are zero or greater.")
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count > 0 else 0.0
    return Interval(float(count), low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2)


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Return the share ``hits / trials`` and its exact binomial interval (doi:10.1093/biomet/26.4.404).

    It never covers less than `level`. Without trials the share is NaN and the interval 0..1.
    """
    from scipy.stats import beta

    _require(0 <= hits <= trials, f"{hits} hits in {trials} trials are no share: hits lie between 0 and the trials.")
    if trials == 0:
        return Interval(np.nan, 0.0, 1.0)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Interval(hits / trials, low, high)


def jeffreys(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Return the share ``hits / trials`` and its Jeffreys interval, right on average (doi:10.1214/ss/1009213286)."""
    from scipy.stats import beta

    _require(0 <= hits <= trials, f"{hits} hits in {trials} trials are no share: hits lie between 0 and the trials.")
    if trials == 0:
        return Interval(np.nan, 0.0, 1.0)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits + 0.5, trials - hits + 0.5)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 0.5, trials - hits + 0.5)) if hits < trials else 1.0
    return Interval(hits / trials, low, high)


def bootstrap(
    statistic: Callable[[Sequence[Unit]], float],
    units: Sequence[Unit],
    rng: np.random.Generator,
    *,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return ``statistic(units)`` and its percentile interval when the units (images, fields) are drawn anew.

    What one image holds is not independent; images are: so whole images are drawn. Resamples whose statistic is not
    finite are left out; with a single unit there is nothing to draw and the ends are NaN.
    """
    value = float(statistic(units))
    if len(units) < 2:
        return Interval(value, np.nan, np.nan)
    draws = rng.integers(len(units), size=(resamples, len(units)))
    values = np.array([statistic([units[i] for i in draw]) for draw in draws], dtype=float)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def share_interval(hits: Sequence[int], trials: Sequence[int], rng: np.random.Generator) -> Interval:
    """Return the pooled share of hits in trials per image with an interval that holds Clopper's and the bootstrap's.

    The exact interval speaks when nothing (or everything) was hit, the bootstrap when images differ.
    """
    exact = clopper_pearson(int(sum(hits)), int(sum(trials)))
    pairs = list(zip(hits, trials, strict=True))
    return exact.widened(bootstrap(lambda drawn: _ratio(*np.sum(drawn, axis=0)), pairs, rng))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise BadInput(sentence)
