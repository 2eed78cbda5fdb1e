"""Checks of the state of a tip: single features, votes, false alarms, the closed loop, foreign surfaces, the apex."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.tip_vote import ALIKE
from micrograph.simulate.scanning.stm import StmScans
from micrograph.simulate.scanning.stm_tip_loop import SimulatedMicroscope
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap, clopper_pearson, share_interval
from micrograph.validate.metrics import auroc
from micrograph.validate.surfaces.stm_foreign import FOREIGN
from micrograph.validate.surfaces.stm_scenes import VOTERS, Judged, TipScans
from micrograph.validate.timing import frame_seconds

#: A tip is conditioned when it is so surely bad in so many scans in a row.
ACTS, IN_A_ROW = 0.95, 2
#: Scans and conditionings after which a loop is given up.
_GIVE_UP = 120


def single_accuracy(trial: TipScans, *, at_least: float) -> Check:
    """Build the check: share of dangling bonds each of which alone says rightly whether the tip is good.

    Limit: likelihood ratio of two known tips. Baseline: round, narrow and alone, by thresholds.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        judged = [one for one in trial.judged(analyser, rng) if len(one.p)]
        interval = share_interval([int(one.right.sum()) for one in judged], [len(one.p) for one in judged], rng)
        plain = [one.plain == one.is_good for one in judged]
        limits = [one.limit for one in judged if np.isfinite(one.limit)]
        by_state = {
            state: np.mean(np.concatenate([one.right for one in judged if one.state == state]))
            for state in ("sharp", "double", "blunt")
        }
        alone = np.concatenate([one.right[one.alone] for one in judged])
        detail = f"{sum(map(len, plain))} bonds in {len(judged)} scans; {len(alone)} without a neighbour "
        detail += f"{alone.mean():.3f}; " + ", ".join(f"{state} {share:.3f}" for state, share in by_state.items())
        return Measurement.of(
            interval,
            limit=float(np.mean(limits)) if limits else None,
            baseline=float(np.mean(np.concatenate(plain))),
            detail=detail,
        )

    return Check(f"one bond, {trial.name}", measure, at_least, ">=", data=trial.name)


def voted_accuracy(trial: TipScans, *, at_least: float) -> Check:
    """Build the check: share of scans of which five dangling bonds together say rightly whether the tip is good.

    Limit: five independent votes of the same single accuracy. Baseline: majority of five classical looks. The detail
    tells the correlation of the errors of bonds in one scan.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        judged = [one for one in trial.judged(analyser, rng) if one.can_vote]
        right = [(one.together < 0.5) == one.is_good for one in judged]
        aware = np.mean([(one.voted(ALIKE) < 0.5) == one.is_good for one in judged])
        naive = np.mean([(one.voted(0.0) < 0.5) == one.is_good for one in judged])
        majority = np.mean([one.right[:VOTERS].mean() > 0.5 for one in judged])
        single = float(np.mean([one.right[:VOTERS].mean() for one in judged]))
        plain = np.mean([(one.plain[:VOTERS].mean() > 0.5) == one.is_good for one in judged])
        return Measurement.of(
            clopper_pearson(sum(right), len(right)),
            limit=_independent(single),
            baseline=float(plain),
            detail=f"{len(right)} scans; one bond {single:.4f}, majority {majority:.4f}, sum of evidence {naive:.4f}, "
            f"less what they share {aware:.4f}; "
            f"errors of bonds in a scan correlate by {_correlation(judged):.2f}",
        )

    return Check(f"five bonds, {trial.name}", measure, at_least, ">=", data=trial.name)


def _independent(single: float) -> float:
    """Return how often the majority of five is right if each is so independently."""
    from scipy.stats import binom

    return float(binom.sf(VOTERS // 2, VOTERS, single))


def _correlation(judged: Sequence[Judged]) -> float:
    """Return the correlation within scans of whether single bonds are wrong."""
    wrong = np.array([~one.right[:VOTERS] for one in judged], float)
    share = float(wrong.mean())
    if share in (0.0, 1.0):
        return 0.0
    away = wrong - share
    pairs = away.sum(axis=1) ** 2 - (away**2).sum(axis=1)
    return float(pairs.mean() / (VOTERS * (VOTERS - 1)) / (share * (1 - share)))


def vote_calibration(trial: TipScans, *, at_most: float) -> Check:
    """Build the check: expected calibration error of the probability that five bonds give the tip.

    Baseline: that of the naive vote, as if bonds were independent.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        judged = [one for one in trial.judged(analyser, rng) if one.can_vote]

        def error(drawn: Sequence[Judged], naive: bool = False) -> float:
            bad = [one.voted(0.0) if naive else one.together for one in drawn]
            sure = [max(p, 1 - p) for p in bad]
            right = [(p < 0.5) == one.is_good for p, one in zip(bad, drawn, strict=True)]
            return expected_calibration_error(sure, right)

        return Measurement.of(
            bootstrap(error, judged, rng, resamples=200), limit=0.0, baseline=error(judged, naive=True)
        )

    return Check(f"calibration error of votes, {trial.name}", measure, at_most, "<=", data=trial.name)


def frame_accuracy(trial: TipScans, *, at_least: float) -> Check:
    """Build the check: share of the scans with a told tip whose state of three is right."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        judged = trial.judged(analyser, rng)
        told = [one for one in judged if one.row["class"] != "cannot tell"]
        right = sum(one.row["class"] == one.state for one in told)
        wrong = [f"{one.state} as {one.row['class']}" for one in told if one.row["class"] != one.state]
        worst = max(set(wrong), key=wrong.count, default="none")
        detail = f"{len(told)} of {len(judged)} scans told, {len(wrong)} wrong; most often {worst}"
        return Measurement.of(clopper_pearson(right, len(told)), limit=1.0, detail=detail)

    return Check(f"state of the tip, {trial.name}", measure, at_least, ">=", data=trial.name)


def false_alarms(trial: TipScans, *, at_most: float) -> Check:
    """Build the check: share of scans with a good tip that alone would have it conditioned (p_bad >= 0.95).

    Baseline: the majority of classical looks.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        good = [one for one in trial.judged(analyser, rng) if one.is_good]
        alarms = sum(float(str(one.row["p_bad"])) >= ACTS for one in good)
        plain = np.mean([len(one.plain) > 0 and one.plain.mean() < 0.5 for one in good])
        detail = f"{alarms} of {len(good)} scans with a good tip"
        return Measurement.of(clopper_pearson(alarms, len(good)), limit=0.0, baseline=float(plain), detail=detail)

    return Check(f"false alarms, {trial.name}", measure, at_most, "<=", data=trial.name)


def loop_steps(*, at_most: float, loops: int = 20) -> Check:
    """Build the check: median number of conditionings until a bad tip is sharp and two scans say so.

    A pulse makes one sharp apex with probability 0.15; the limit is a loop that always knows the tip.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        steps, wrong, scans, known = [], 0, 0, []
        for _ in range(loops):
            microscope = SimulatedMicroscope(np.random.default_rng(int(rng.integers(2**62))), spoils=0.0)
            many, needless, looks = _loop(analyser, microscope)
            steps.append(many)
            wrong, scans = wrong + needless, scans + looks
            known.append(rng.geometric(0.15))
        detail = f"{loops} loops, {scans} scans, {wrong} conditionings of a good tip of {sum(steps)}"
        interval = bootstrap(lambda drawn: float(np.median(drawn)), steps, rng)
        return Measurement.of(interval, limit=float(np.median(known)), detail=detail)

    return Check("conditionings until the tip is good", measure, at_most, "<=")


def _loop(analyser: Analyser, microscope: SimulatedMicroscope) -> tuple[int, int, int]:
    """Return the conditionings until a good tip is found good, those of a good tip, and the scans."""
    bad = good = needless = 0
    for scan in range(_GIVE_UP):
        sample = microscope.scan()
        p_bad = float(analyser(sample.image, sample.pixel_nm)["frames"]["p_bad"].iloc[0])
        bad = bad + 1 if p_bad >= ACTS else 0
        good = good + 1 if p_bad <= 1 - ACTS else 0
        assert microscope.tip is not None
        if good == IN_A_ROW and microscope.tip.is_good:
            return microscope.conditioned, needless, scan + 1
        if bad == IN_A_ROW:
            needless += microscope.tip.is_good
            microscope.condition("pulse")
            bad = 0
    return _GIVE_UP, needless, _GIVE_UP


def foreign_auroc(trial: TipScans, *, at_least: float, images: int = 12) -> Check:
    """Build the check: how surely foreign surfaces are told from the trial's own scans by 'share' (worst AUROC).

    The detail tells how many of them were judged all the same.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = [float(str(one.row["share"])) for one in trial.judged(analyser, rng)][:300]
        found, told = {}, 0
        for kind, draw in FOREIGN.items():
            rows = [analyser(*draw(rng))["frames"].iloc[0] for _ in range(images)]
            told += sum(row["class"] != "cannot tell" for row in rows)
            found[kind] = auroc(np.nan_to_num([float(row["share"]) for row in rows]), np.nan_to_num(own))
        worst = min(found, key=lambda kind: found[kind])
        spread = np.sqrt(max(found[worst] * (1 - found[worst]), 0.0) / images)
        detail = ", ".join(f"{kind} {value:.3f}" for kind, value in found.items())
        return Measurement(
            found[worst], max(0.0, found[worst] - 1.96 * spread), min(1.0, found[worst] + 1.96 * spread),
            limit=1.0, detail=f"{detail}; {told} of {images * len(FOREIGN)} judged all the same",
        )  # fmt: skip

    return Check("foreign surfaces told", measure, at_least, ">=", data=trial.name)


def apex_error(trial: TipScans, *, at_most_nm: float) -> Check:
    """Build the check: median error (nm) of the place of the second apex, either of the two being the first."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        errors = []
        for one in trial.judged(analyser, rng):
            distance, angle = float(str(one.row["apex_nm"])), np.radians(float(str(one.row["apex_deg"])))
            if one.state == "double" and np.isfinite(distance):
                found = distance * np.array([-np.sin(angle), np.cos(angle)])
                true = np.array(one.apex_nm)
                errors.append(min(float(np.hypot(*(found - true))), float(np.hypot(*(found + true)))))
        interval = bootstrap(lambda drawn: float(np.median(drawn)), errors, rng)
        within = np.mean(np.array(errors) < 0.15)
        return Measurement.of(interval, limit=0.0, detail=f"{len(errors)} double tips, {within:.2f} within 0.15 nm")

    return Check(f"place of the second apex, {trial.name}", measure, at_most_nm, "<=", unit="nm", data=trial.name)


def seconds_a_frame(scans: StmScans, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels."""
    large = replace(scans, pixel_nm=(0.06, 0.0601), field_nm=(30.72, 30.73), side_px=(512, 512))

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = large(rng)
        return sample.image, sample.pixel_nm

    drawn: Callable[[np.random.Generator], tuple[NDArray[np.float32], float]] = draw
    return frame_seconds(drawn, frames=8, at_most_s=at_most_s)
