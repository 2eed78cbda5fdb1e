"""Checks of the number of atoms in columns: exact, within one, bias, what the posterior promises; HAADF and HRTEM."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Recording
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.columns.height_scenes import HeightScene, Scenes
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.limits import bayes_confusion
from micrograph.validate.metrics import match
from micrograph.validate.shared import Shared, one_by_one

Array = NDArray[np.float64]

#: Numbers of atoms over which accuracy is averaged, each counting alike; a found column this near (nm) is the true one.
_CLASSES, _REACH_NM = np.arange(1, 16), 0.08
#: Doses (e/A^2) and distances from the nominal focus (nm) of the map of accuracy.
_DOSES, _AWAY_NM = (1e3, 1e4, 1e5), (-2.0, 0.0, 2.0)


@dataclass(frozen=True)
class HeightTrial:
    """So many scenes of one kind; `name` says of which in the names of checks."""

    name: str
    scenes: Scenes
    images: int

    def counted(self, analyser: Analyser, rng: np.random.Generator) -> list[Counted]:
        """Return what `analyser` finds in each scene; the same scenes are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: _counted(self.scenes(draw), analyser))
        return _FOUND.found(self.name, analyser, rng, find)


@dataclass(frozen=True)
class Counted:
    """The K true columns of one scene: atoms, those found (-1: no column), their probability, whether the 95 % set
    holds the truth (-1: not found), the baseline's numbers; columns found where there is none; seconds.
    """

    true: NDArray[np.intp]
    found: NDArray[np.intp]
    p: Array
    held: NDArray[np.intp]
    plain: NDArray[np.intp]
    extra: int
    seconds: float
    scene: HeightScene


_FOUND: Shared[list[Counted]] = Shared()


def _counted(scene: HeightScene, analyser: Analyser) -> Counted:
    image = scene.image
    movie = Recording(lambda index: image, range(1), scene.calibration, image.shape, known=lambda index: scene.known)
    began = time.process_time()
    tables = analyser.movie(movie)
    seconds = time.process_time() - began
    objects = tables["objects"]
    y, x = scene.place_nm.T
    pairs = match(y, x, objects["y_nm"], objects["x_nm"], _REACH_NM)
    number = len(scene.atoms)
    found, held = np.full(number, -1, np.intp), np.full(number, -1, np.intp)
    p = np.zeros(number)
    rows = objects.iloc[pairs.found]
    found[pairs.true], p[pairs.true] = rows["count"].to_numpy(np.intp), rows["count_p"].to_numpy(float)
    true = scene.atoms[pairs.true]
    held[pairs.true] = (rows["count_low"].to_numpy(np.intp) <= true) & (true <= rows["count_high"].to_numpy(np.intp))
    extra = np.setdiff1d(np.arange(len(objects)), pairs.found)
    wrong = int((objects["count"].to_numpy(np.intp)[extra] > 0).sum())
    return Counted(scene.atoms, found, p, held, scene.plain(), wrong, seconds, scene)


def _balanced(units: Sequence[Counted], found: Callable[[Counted], NDArray[np.intp]]) -> float:
    """Return the share of right numbers, averaged over 1 .. 15 atoms, those that occur."""
    true = np.concatenate([one.true for one in units])
    right = true == np.concatenate([found(one) for one in units])
    shares = [right[true == number].mean() for number in _CLASSES if (true == number).any()]
    return float(np.mean(shares))


def bayes_accuracy(electrons: float, scatter: float) -> float:
    """Return the best accuracy that counting (and scatter) allow if the intensity of one atom is known, 1 to 15 atoms.

    Intensities are isolated: Poisson of mean ``electrons n``, here by the normal law of the same variance.
    """
    mean = electrons * np.arange(1, 17)
    confusion = bayes_confusion(mean, np.sqrt(mean + (scatter * mean) ** 2))
    return float(np.diagonal(confusion)[:15].mean())


def exact_haadf(trial: HeightTrial, *, below_limit: float) -> Check:
    """Build the check: right numbers, 1 to 15 atoms counting alike. Limit: Bayes's; baseline: Voronoi cells."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)
        scene = units[0].scene
        interval = bootstrap(lambda drawn: _balanced(drawn, lambda one: one.found), units, rng)
        columns, missed = sum(len(one.true) for one in units), sum(int((one.found < 0).sum()) for one in units)
        detail = f"{columns} columns, {missed} not found, {sum(one.extra for one in units)} too many"
        limit = bayes_accuracy(scene.electrons, scene.scatter)
        return Measurement.of(interval, limit=limit, baseline=_balanced(units, lambda one: one.plain), detail=detail)

    return Check(f"exact numbers, {trial.name}", measure, -below_limit, ">=", times_limit=1.0, data=trial.name)


def exact_counts(trial: HeightTrial, *, at_least: float) -> Check:
    """Build the check: share of columns with the right number."""
    return _share(trial, "exact numbers", at_least, lambda true, found: true == found)


def within_one(trial: HeightTrial, *, at_least: float) -> Check:
    """Build the check: share of columns whose number is right within one atom."""
    return _share(trial, "within one atom", at_least, lambda true, found: (abs(true - found) <= 1) & (found >= 0))


def _share(
    trial: HeightTrial,
    name: str,
    at_least: float,
    right: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]],
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)
        hits = [int(right(one.true, one.found).sum()) for one in units]
        plain = sum(int(right(one.true, one.plain).sum()) for one in units)
        trials = [len(one.true) for one in units]
        detail = f"{sum(trials)} columns in {len(units)} images, {sum(one.extra for one in units)} too many"
        return Measurement.of(share_interval(hits, trials, rng), baseline=plain / sum(trials), detail=detail)

    return Check(f"{name}, {trial.name}", measure, at_least, ">=", data=trial.name)


def accuracy_map(scenes: Callable[[float, float], Scenes], *, at_least: float) -> Check:
    """Build the check: exact numbers by focus and dose, `scenes` (nm from the nominal focus, e/A^2).

    The detail tells the map, the value is that of all at 1e4 e/A^2 and more.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        hits: dict[float, list[tuple[int, int]]] = {}
        lines = []
        for dose in _DOSES:
            row = []
            for away in _AWAY_NM:
                one = _counted(scenes(away, dose)(rng), analyser)
                hits.setdefault(dose, []).append((int((one.true == one.found).sum()), len(one.true)))
                row.append(f"{hits[dose][-1][0] / hits[dose][-1][1]:.2f}")
            lines.append(f"{dose:.0e} e/A^2: {' '.join(row)}")
        pairs = [pair for dose, found in hits.items() if dose >= 1e4 for pair in found]
        interval = share_interval([hit for hit, _ in pairs], [number for _, number in pairs], rng)
        detail = f"at {', '.join(f'{away:+.0f}' for away in _AWAY_NM)} nm: {'; '.join(lines)}"
        return Measurement.of(interval, detail=detail)

    return Check("exact numbers by focus and dose, HRTEM", measure, at_least, ">=")


def mean_bias(trial: HeightTrial, *, within: float) -> Check:
    """Build the check: size of the mean error (atoms) of the columns that were found."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)

        def bias(drawn: Sequence[Counted], of: Callable[[Counted], NDArray[np.intp]]) -> float:
            error = np.concatenate([(of(one) - one.true)[of(one) >= 0] for one in drawn])
            return float(error.mean())

        signed = bootstrap(lambda drawn: bias(drawn, lambda one: one.found), units, rng)
        size = max(abs(signed.low), abs(signed.high))
        low = 0.0 if signed.low <= 0 <= signed.high else min(abs(signed.low), abs(signed.high))
        baseline = abs(bias(units, lambda one: one.plain))
        return Measurement(abs(signed.value), low, size, 0.0, baseline, f"signed {signed.value:+.3f} atoms")

    return Check(f"mean bias, {trial.name}", measure, within, "<=", unit="atoms", data=trial.name)


def set_coverage(trial: HeightTrial, *, at_least: float) -> Check:
    """Build the check: share of columns found whose 95 % set holds the true number."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)
        hits = [int((one.held == 1).sum()) for one in units]
        trials = [int((one.held >= 0).sum()) for one in units]
        return Measurement.of(share_interval(hits, trials, rng), limit=0.95, detail=f"{sum(trials)} columns")

    return Check(f"95 % sets hold the truth, {trial.name}", measure, at_least, ">=", data=trial.name)


def posterior_error(trial: HeightTrial, *, at_most: float) -> Check:
    """Build the check: expected calibration error of the probability of the likeliest number."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)

        def error(drawn: Sequence[Counted]) -> float:
            seen = [one.found >= 0 for one in drawn]
            p = np.concatenate([one.p[rows] for one, rows in zip(drawn, seen, strict=True)])
            hit = np.concatenate([(one.found == one.true)[rows] for one, rows in zip(drawn, seen, strict=True)])
            return expected_calibration_error(p, hit)

        mean = float(np.mean(np.concatenate([one.p[one.found >= 0] for one in units])))
        return Measurement.of(bootstrap(error, units, rng), limit=0.0, detail=f"mean probability {mean:.3f}")

    return Check(f"error of the probabilities, {trial.name}", measure, at_most, "<=", data=trial.name)


def seconds_a_frame(trial: HeightTrial, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        units = trial.counted(analyser, rng)[1:]
        seconds = [one.seconds for one in units]
        interval = bootstrap(lambda drawn: float(np.median(drawn)), seconds, rng)
        return Measurement.of(interval, detail=f"slowest {max(seconds):.2f} s; {units[0].scene.image.shape} pixels")

    return Check(f"processor time, {trial.name}", measure, at_most_s, "<=", unit="s", data=trial.name)
