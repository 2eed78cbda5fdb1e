"""Checks of finding atoms: all of them, in the right place, with honest errors, not drawn to the perfect lattice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap, clopper_pearson
from micrograph.validate.metrics import Detection, coverage, displacement_slope, f1, match, over_limit, rmse, total
from micrograph.validate.trials import Answer, Trial, is_empty

Array = NDArray[np.float64]

#: Share of errors within one sigma when they are normal.
ONE_SIGMA = 0.6827


def atom_f1(trial: Trial, *, at_least: float = 0.99, radius_nm: float = 0.05) -> Check:
    """Build the check: F1 of columns found within `radius_nm`; empty sites are no columns.

    Limit: telling a column from none at a known place, both as likely; who knows the lattice can do better.
    Baseline: Laplacian of Gaussian.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        counts = [detection(answer, answer.found, radius_nm) for answer in answers]
        plain = [detection(answer, answer.plain, radius_nm) for answer in answers]
        sum_ = total(counts)
        detail = f"{sum_.right} right, {sum_.missed} missed, {sum_.false} false in {len(answers)} images"
        interval = _f1_interval(sum_).widened(bootstrap(f1, counts, rng))
        return Measurement.of(interval, limit=_detection_limit(answers), baseline=f1(plain), detail=detail)

    return Check(f"atoms found (F1) at {trial}", measure, at_least, ">=")


def detection(answer: Answer, found: Sites, radius_nm: float) -> Detection:
    """Return how many columns of one image are right, false and missed; `found` may hold empty sites, left out here."""
    there = ~is_empty(answer.reference.sites.label)
    sites, found = answer.reference.sites[there], found[~is_empty(found.label)]
    pairs = match(sites.y_nm, sites.x_nm, found.y_nm, found.x_nm, radius_nm)
    hit, taken = np.zeros(len(sites), bool), np.zeros(len(found), bool)
    hit[pairs.true], taken[pairs.found] = True, True
    judged = answer.judged[there]
    inner = answer.reference.inner(found.y_nm, found.x_nm, answer.trial.inset_nm)
    return Detection(int((judged & hit).sum()), int((inner & ~taken).sum()), int((judged & ~hit).sum()))


def _f1_interval(counts: Detection) -> Interval:
    """Return F1 with its exact interval: a monotone function of the share of right ones among all true and found."""
    shares = clopper_pearson(counts.right, sum(counts))
    return Interval(*(2 * share / (1 + share) for share in shares))


def _detection_limit(answers: Sequence[Answer]) -> float:
    """Return the share of right calls when every column must be told from none at its place, both as likely."""
    from scipy.special import ndtr

    contrast = []
    for answer in {answer.reference.name: answer for answer in answers}.values():
        section = answer.columns().section_A2
        contrast.append((section / answer.limits().section_A2)[answer.judged & (section > 0)])
    return 1 - float(np.mean(ndtr(-np.concatenate(contrast) / 2)))


class Places(NamedTuple):
    """Measured columns of one image: errors, 1-sigma, limits; displacements of those whose neighbours are measured too.

    Each is a flat array in nm, all y before all x; `judged` is how many columns there were to measure.
    """

    error: Array
    sigma: Array
    limit: Array
    true_displacement: Array
    displacement: Array
    judged: int


def places(answer: Answer, found: Sites, sigma: Array, radius_nm: float = 0.05) -> Places:
    """Return the place errors of the judged columns among `found` points with `sigma` (M, 2).

    A shift that all columns of the image share cannot be told from a shift of the sample: it is taken off. The
    displacement of a column is its place relative to the mean of its three nearest neighbours.
    """
    from scipy.spatial import cKDTree

    there = np.flatnonzero(~is_empty(answer.reference.sites.label))
    sites = answer.reference.sites[there]
    true = np.column_stack([sites.y_nm, sites.x_nm])
    seen = np.full(true.shape, np.nan)
    doubt = np.full(true.shape, np.nan)
    pairs = match(sites.y_nm, sites.x_nm, found.y_nm, found.x_nm, radius_nm)
    seen[pairs.true] = np.column_stack([found.y_nm, found.x_nm])[pairs.found]
    doubt[pairs.true] = sigma[pairs.found]
    error = seen - true
    if len(true) < 4:
        raise BadInput(f"The reference {answer.reference.name} has {len(true)} columns: places need at least four.")
    near = np.asarray(cKDTree(true).query(true, k=4)[1], np.intp)
    limits = answer.limits()
    bound = np.column_stack([limits.y_nm, limits.x_nm])[there]
    keep = answer.judged[there] & np.isfinite(error).all(1) & np.isfinite(bound).all(1)
    framed = keep & np.isfinite(seen[near[:, 1:]]).all((1, 2))
    shift = error[keep].mean(axis=0) if keep.any() else np.zeros(2)
    own = [part[keep].T.ravel() for part in (error - shift, doubt, bound)]
    displaced = [_relative(points, near)[framed].T.ravel() for points in (true, seen)]
    return Places(own[0], own[1], own[2], displaced[0], displaced[1], int(answer.judged[there].sum()))


def _relative(points: Array, near: NDArray[np.intp]) -> Array:
    return np.asarray(points - points[near[:, 1:]].mean(axis=1))


def _network_places(answer: Answer) -> Places:
    objects = answer.tables["objects"]
    keep = answer.measured
    return places(answer, answer.found[keep], objects[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float)[keep])


def _plain_places(answer: Answer) -> Places:
    return places(answer, answer.plain, np.full((len(answer.plain), 2), np.nan))


def _statistic(of: Callable[[Places], float]) -> Callable[[Sequence[Places]], float]:
    """Return a statistic of the pooled places of several images."""

    def pooled(images: Sequence[Places]) -> float:
        a = [np.concatenate(parts) for parts in zip(*(image[:-1] for image in images), strict=True)]
        return of(Places(a[0], a[1], a[2], a[3], a[4], sum(image.judged for image in images)))

    return pooled


def position_over_limit(trial: Trial, *, at_most: float = 1.3) -> Check:
    """Build the check: root mean square place error over the Cramer-Rao bound, per axis, of displaced columns.

    Baseline: the same ratio of free Gaussian fits, one atom at a time.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        found = [_network_places(answer) for answer in answers]
        ratio = _statistic(lambda all_: over_limit(all_.error, all_.limit))
        bound = _statistic(lambda all_: rmse(all_.limit))(found)
        error = _statistic(lambda all_: rmse(all_.error))(found)
        number, judged = sum(len(image.error) for image in found) // 2, sum(image.judged for image in found)
        detail = f"rms error {1e3 * error:.2f} pm per axis, bound {1e3 * bound:.2f} pm, {number} of {judged} measured"
        baseline = ratio([_plain_places(answer) for answer in answers])
        return Measurement.of(bootstrap(ratio, found, rng), limit=1.0, baseline=baseline, detail=detail)

    return Check(f"place error over the Cramer-Rao bound at {trial}", measure, at_most, "<=")


def slope_error(trial: Trial, *, within: float = 0.05) -> Check:
    """Build the check: how far the slope of measured on true displacements is from 1; below 1 the lattice wins.

    Baseline: the same for free Gaussian fits.
    """
    slope = _statistic(lambda all_: displacement_slope(all_.true_displacement, all_.displacement).value)

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        interval = bootstrap(slope, [_network_places(answer) for answer in answers], rng)
        baseline = abs(slope([_plain_places(answer) for answer in answers]) - 1)
        return Measurement.of(_off(interval, 1.0), limit=0.0, baseline=baseline, detail=f"slope {_text(interval)}")

    return Check(f"displacement slope, distance from 1, at {trial}", measure, within, "<=")


def coverage_1sigma(trial: Trial, *, within: float = 0.05) -> Check:
    """Build the check: how far the share of place errors within their 1-sigma is from 68.3 %."""
    share = _statistic(lambda all_: coverage(all_.error, all_.sigma))

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = [_network_places(answer) for answer in trial.answers(analyser, rng)]
        interval = bootstrap(share, found, rng)
        return Measurement.of(_off(interval, ONE_SIGMA), limit=0.0, detail=f"share within 1 sigma {_text(interval)}")

    return Check(f"coverage of 1 sigma, distance from 68.3 %, at {trial}", measure, within, "<=")


def _off(interval: Interval, target: float) -> Interval:
    """Return the distance from `target` with its interval."""
    ends = [abs(interval.low - target), abs(interval.high - target)]
    low = 0.0 if interval.low <= target <= interval.high else min(ends)
    return Interval(abs(interval.value - target), low, max(ends))


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} .. {interval.high:.3f})"
