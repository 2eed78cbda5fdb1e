"""Checks of microstructures: votes, overlap, particle sizes, the denuded zone, and whether probabilities hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import Interval, bootstrap, share_interval
from micrograph.validate.metrics import auroc
from micrograph.validate.steels.microstructure_trials import Steel, SteelTrial, answers

Array = NDArray[np.float64]
#: A distribution of sizes agrees where chance gives a greater distance this often, as is usual.
_AGREES = 0.05


def object_vote(trial: SteelTrial, *, at_least: float) -> Check:
    """Build the check: share of islands whose object, voted on as a whole, is named rightly.

    Baseline: the vote of a random forest on a filter bank, inside the true islands, which it is given.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = answers(trial, analyser, rng)
        hits, trials = (
            [int(one) for one in counts]
            for counts in zip(*((s.votes[0].sum(), s.votes.shape[1]) for s in found), strict=True)
        )
        interval = share_interval(hits, trials, rng)
        plain = sum(int(s.votes[1].sum()) for s in found) / max(sum(trials), 1)
        return Measurement.of(interval, limit=1.0, baseline=plain, detail=f"{sum(trials)} islands, {len(found)} images")

    return Check(f"objects named rightly, {trial.name}", measure, at_least, ">=", data=trial.name)


def vote_gain(trial: SteelTrial, *, at_least: float = 0.0) -> Check:
    """Build the check: by how much the share of objects named rightly exceeds that of the pixels in islands."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = answers(trial, analyser, rng)
        interval = bootstrap(_vote_gain, found, rng)
        own = np.sum([s.pixels[0] for s in found], axis=0)
        detail = f"pixels named rightly {own[0] / own[1]:.3f}, by filter bank {_pixels(found, 1):.3f}"
        return Measurement.of(interval, baseline=0.0, detail=detail)

    return Check(f"vote above pixels, {trial.name}", measure, at_least, ">=", data=trial.name)


def mean_overlap(trial: SteelTrial, *, at_least: float) -> Check:
    """Build the check: IoU of the constituents, mean over those that the images show; all pixels pooled.

    Limit: the truth seen through a sharp instrument. Baseline: a random forest on a filter bank.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = answers(trial, analyser, rng)
        interval = bootstrap(lambda drawn: _mean_iou([s.overlap for s in drawn]), found, rng)
        plain, limit = _mean_iou([s.plain_overlap for s in found]), _mean_iou([s.limit_overlap for s in found])
        return Measurement.of(interval, limit=limit, baseline=plain, detail=_each([s.overlap for s in found]))

    return Check(f"mean IoU of the constituents, {trial.name}", measure, at_least, ">=", data=trial.name)


def share_error(trial: SteelTrial, *, at_most: float) -> Check:
    """Build the check: mean error of the shares of the area of the constituents that an image shows, either way."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        errors = [float(np.abs(s.share_error).sum() / 2) for s in answers(trial, analyser, rng)]
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), errors, rng)
        return Measurement.of(interval, limit=0.0, detail="area given to a wrong constituent, share of an image")

    return Check(f"error of the area shares, {trial.name}", measure, at_most, "<=", data=trial.name)


def sizes_agree(trial: SteelTrial, *, at_least: float) -> Check:
    """Build the check: share of images whose particle sizes agree with the truth by Kolmogorov's and Smirnov's test.

    Limit: true coverage through a sharp instrument. Baseline: Otsu's threshold, the network taken away by the truth.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        grains = _grains(trial, analyser, rng)
        agree = {way: [int(one[f"{way} p"] >= _AGREES) for one in grains] for way in ("own", "limit", "plain")}
        interval = share_interval(agree["own"], [1] * len(grains), rng)
        number = np.mean([one["number"] for one in grains])
        limit, plain = (float(np.mean(agree[way])) for way in ("limit", "plain"))
        return Measurement.of(
            interval, limit=limit, baseline=plain, detail=f"{len(grains)} images, {number:.0f} particles each"
        )

    return Check(f"images whose particle sizes agree, {trial.name}", measure, at_least, ">=", data=trial.name)


def size_bias(trial: SteelTrial, *, at_most: float) -> Check:
    """Build the check: by what share the mean diameter of whole particles is off, either way, over all images."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        grains = _grains(trial, analyser, rng)
        off = {way: [one[f"{way} mean"] / one["true mean"] - 1 for one in grains] for way in ("own", "limit", "plain")}
        middle = bootstrap(lambda drawn: float(np.mean(drawn)), off["own"], rng)
        detail = f"mean {middle.value:+.4f}, sd between images {np.std(off['own']):.4f}"
        ends = sorted((abs(middle.low), abs(middle.high)))
        low = 0.0 if middle.low <= 0 <= middle.high else ends[0]
        limit, plain = (abs(float(np.mean(off[way]))) for way in ("limit", "plain"))
        return Measurement(abs(middle.value), low, ends[1], limit=limit, baseline=plain, detail=detail)

    return Check(f"bias of the particles' diameter, {trial.name}", measure, at_most, "<=", data=trial.name)


def denuded_error(trial: SteelTrial, *, at_most: float) -> Check:
    """Build the check: median over images of the relative error of the width of the denuded zone against the planted.

    Limit: the same from the true masks. Baseline: from the true network and particles by Otsu's threshold.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        grains = _with_zone(trial, analyser, rng)
        off = {
            way: [abs(one[f"{way} zone"] / one["planted"] - 1) for one in grains] for way in ("own", "limit", "plain")
        }
        interval = bootstrap(lambda drawn: float(np.median(drawn)), off["own"], rng)
        signed = np.median([one["own zone"] / one["planted"] - 1 for one in grains])
        limit, plain = (float(np.median(off[way])) for way in ("limit", "plain"))
        return Measurement.of(
            interval, limit=limit, baseline=plain, detail=f"{len(grains)} images, median {signed:+.3f}"
        )

    return Check(f"error of the denuded zone's width, {trial.name}", measure, at_most, "<=", data=trial.name)


def clear_error(trial: SteelTrial, *, at_most: float) -> Check:
    """Build the check: median over images of the relative error of the median distance of network and particles.

    The truth is the same distance in the true masks. Baseline: the true network and particles by Otsu's threshold.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        grains = _with_zone(trial, analyser, rng)
        off = {way: [abs(one[f"{way} clear"] / one["limit clear"] - 1) for one in grains] for way in ("own", "plain")}
        interval = bootstrap(lambda drawn: float(np.median(drawn)), off["own"], rng)
        plain = float(np.median(off["plain"]))
        return Measurement.of(interval, limit=0.0, baseline=plain, detail=f"{len(grains)} images")

    return Check(f"error of the distance to a particle, {trial.name}", measure, at_most, "<=", data=trial.name)


def _with_zone(trial: SteelTrial, analyser: Analyser, rng: np.random.Generator) -> list[dict[str, float]]:
    """Return the grains of images with a network and enough particles to tell from the truth how wide its zone is."""
    found = (one for one in _grains(trial, analyser, rng) if np.isfinite(one["planted"]))
    return [one for one in found if one["limit clear"] > 0]


def calibration_error(trial: SteelTrial, *, at_most: float = 0.05) -> Check:
    """Build the check: expected calibration error of the likeliest constituent's probability, pixel by pixel."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = answers(trial, analyser, rng)
        interval = bootstrap(_calibration, found, rng, resamples=300)
        return Measurement.of(interval, limit=0.0, detail=f"{sum(len(s.right) for s in found)} pixels")

    return Check(f"calibration error, {trial.name}", measure, at_most, "<=", data=trial.name)


def strange_auroc(
    trial: SteelTrial,
    foreign: Sequence[tuple[str, Callable[[np.random.Generator], NDArray[np.float32]]]],
    *,
    at_least: float = 0.95,
) -> Check:
    """Build the check: how surely images of other things are told from the trial's own by their 'domain_distance'."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = np.array([s.domain_distance for s in answers(trial, analyser, rng)])
        values: dict[str, Interval] = {}
        for name, draw in foreign:
            strange = np.array([_distance(analyser, draw(rng)) for _ in range(len(own) // 2)])
            pairs = list(zip(own[::2], strange, strict=False))
            values[name] = bootstrap(lambda drawn: auroc(*np.array(drawn).T), pairs, rng)
        worst = min(values.values(), key=lambda one: one.value)
        detail = ", ".join(f"{name} {one.value:.3f}" for name, one in values.items())
        return Measurement.of(worst, limit=1.0, detail=detail)

    return Check(f"images of another kind, {trial.name}", measure, at_least, ">=", data=trial.name)


def _distance(analyser: Analyser, image: NDArray[np.float32]) -> float:
    return float(analyser(image, 50.0)["frames"]["domain_distance"].iloc[0])


def _grains(trial: SteelTrial, analyser: Analyser, rng: np.random.Generator) -> list[dict[str, float]]:
    return [dict(one.grains) for one in answers(trial, analyser, rng) if one.grains]


def _vote_gain(found: Sequence[Steel]) -> float:
    votes = np.concatenate([s.votes[0] for s in found])
    return float(votes.mean()) - _pixels(found, 0)


def _pixels(found: Sequence[Steel], way: int) -> float:
    total = np.sum([s.pixels[way] for s in found], axis=0)
    return float(total[0] / max(total[1], 1))


def _calibration(found: Sequence[Steel]) -> float:
    scores, right = np.concatenate([s.confidence for s in found]), np.concatenate([s.right for s in found])
    return expected_calibration_error(np.clip(scores, 0, 1), right)


def _ious(overlaps: Sequence[Array]) -> Array:
    """Return the IoU of every constituent (K,), NaN for what is not there."""
    both, true, found = np.sum(overlaps, axis=0).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(true > 0, both / (true + found - both), np.nan)


def _mean_iou(overlaps: Sequence[Array]) -> float:
    return float(np.nanmean(_ious(overlaps)))


def _each(overlaps: Sequence[Array]) -> str:
    from micrograph.simulate.steels.metallography import CONSTITUENTS

    values = zip(CONSTITUENTS, _ious(overlaps), strict=True)
    return ", ".join(f"{name} {value:.2f}" for name, value in values if np.isfinite(value))
