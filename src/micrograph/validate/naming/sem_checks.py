"""Checks of kinds of SEM images: right kinds, two at once, none, and what the probabilities mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.secondary.sem_sampler import KINDS, SemTextures
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.metrics import auroc
from micrograph.validate.naming.sem_baseline import learned_kinds
from micrograph.validate.naming.sem_rays import SCENES, Rays
from micrograph.validate.shared import Shared

Image = NDArray[np.float32]
#: Share of the images that is called when the least certain are left out.
COVERED = 0.8


@dataclass(frozen=True)
class SemTrial:
    """A test set: so many images, of the simulator of the training or (`rays`) of another, of one kind alone or not."""

    name: str
    textures: SemTextures = field(default_factory=SemTextures)
    number: int = 600
    rays: Rays | None = None


@dataclass(frozen=True)
class JudgedImage:
    """One image: its kinds (-1: none), what was found, the chances of two and of none, and the baseline's kind."""

    first: int
    second: int
    found: str
    probability: float
    several: float
    none: float
    certainty: float
    baseline: int


_FOUND: Shared[list[JudgedImage]] = Shared()


def judged(trial: SemTrial, analyser: Analyser, rng: np.random.Generator) -> list[JudgedImage]:
    """Return what the analyser found in every image of a trial."""
    return _FOUND.found(trial, analyser, rng, lambda seed: _judged(trial, analyser, seed))


def _judged(trial: SemTrial, analyser: Analyser, seed: int) -> list[JudgedImage]:
    found, kinds = [], list(SCENES)
    for number in range(trial.number):
        own = np.random.default_rng([seed, number])
        if trial.rays is not None:
            name = kinds[number % len(kinds)]
            found.append(_judge(analyser, trial.rays(name, own), KINDS.index(name), -1))
        else:
            sample = trial.textures(own)
            found.append(_judge(analyser, sample.image, int(sample.params["first"]), int(sample.params["second"])))
    return found


def _judge(analyser: Analyser, image: Image, first: int, second: int) -> JudgedImage:
    row = analyser(image, 1.0)["objects"].iloc[0]
    names = ("probability", "more_than_one_probability", "none_probability", "certainty")
    probability, several, none, certainty = (float(row[name]) for name in names)
    baseline = learned_kinds()(image) if first >= 0 and second < 0 else -1
    return JudgedImage(first, second, str(row["nearest"]), probability, several, none, certainty, baseline)


def _single(found: list[JudgedImage]) -> list[JudgedImage]:
    return [one for one in found if one.first >= 0 and one.second < 0]


def _right(one: JudgedImage) -> bool:
    return one.found == KINDS[one.first]


def _check(
    name: str, trial: SemTrial, least: float, statistic: Callable[[Sequence[JudgedImage]], float],
    rival: Callable[[Sequence[JudgedImage]], float] | None = None,
    chosen: Callable[[list[JudgedImage]], list[JudgedImage]] = _single,
) -> Check:  # fmt: skip
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = chosen(judged(trial, analyser, rng))
        baseline = None if rival is None else rival(images)
        return Measurement.of(bootstrap(statistic, images, rng), baseline=baseline, detail=f"{len(images)} images")

    return Check(f"{name}, {trial.name}", measure, least, ">=", data=_data(trial))


def _data(trial: SemTrial) -> str:
    return f"SEM images: {trial.name}"


def kind_accuracy(trial: SemTrial, *, at_least: float) -> Check:
    """Return the check of the share of images of one kind whose likeliest kind is theirs."""
    return _check(
        "kind right", trial, at_least,
        lambda images: float(np.mean([_right(one) for one in images])),
        lambda images: float(np.mean([one.baseline == one.first for one in images])),
    )  # fmt: skip


def macro_f1(trial: SemTrial, *, at_least: float) -> Check:
    """Return the check of the mean over the kinds of F1 of images of one kind."""
    return _check(
        "macro F1", trial, at_least,
        lambda images: _f1([one.first for one in images], [KINDS.index(one.found) for one in images]),
        lambda images: _f1([one.first for one in images], [one.baseline for one in images]),
    )  # fmt: skip


def _f1(true: list[int], found: list[int]) -> float:
    a, b, each = np.array(true), np.array(found), []
    for kind in np.unique(a):
        hits = float(((a == kind) & (b == kind)).sum())
        each.append(2 * hits / float((a == kind).sum() + (b == kind).sum()))
    return float(np.mean(each))


def selective_accuracy(trial: SemTrial, *, at_least: float) -> Check:
    """Return the check of the kinds of the most certain images of one kind, a share of `COVERED`."""

    def statistic(images: Sequence[JudgedImage]) -> float:
        order = np.argsort([-one.certainty for one in images])[: max(1, int(COVERED * len(images)))]
        return float(np.mean([_right(images[place]) for place in order]))

    return _check(f"kind right of the surest {COVERED:.0%}", trial, at_least, statistic)


def several_auroc(trial: SemTrial, *, at_least: float) -> Check:
    """Return the check of how well images of two kinds are told from those of one."""

    def statistic(images: Sequence[JudgedImage]) -> float:
        chances = np.array([one.several for one in images])
        two = np.array([one.second >= 0 for one in images])
        return auroc(chances[~two], chances[two])

    return _check(
        "two kinds told from one (AUROC)", trial, at_least, statistic,
        chosen=lambda found: [one for one in found if one.first >= 0],
    )  # fmt: skip


def calibration(trial: SemTrial, *, at_most: float) -> Check:
    """Return the check of the expected calibration error of the likeliest kind's probability, images of one kind."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = _single(judged(trial, analyser, rng))

        def error(drawn: Sequence[JudgedImage]) -> float:
            return expected_calibration_error([one.probability for one in drawn], [_right(one) for one in drawn], 10)

        return Measurement.of(bootstrap(error, images, rng, resamples=300), detail=f"{len(images)} images")

    return Check(f"calibration error, {trial.name}", measure, at_most, "<=", data=_data(trial))


def foreign_auroc(trial: SemTrial, number: int = 100, *, at_least: float) -> Check:
    """Return the check of how well noise, STEM lattices and TEM images are told from images of surfaces.

    None of these simulators made an image that was learned from.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        inside = [one.none for one in judged(trial, analyser, rng) if one.first >= 0]
        outside = [
            float(analyser(_foreign(n, np.random.default_rng([17, n])), 1.0)["objects"]["none_probability"].iloc[0])
            for n in range(number)
        ]
        marked = [(value, 0) for value in inside] + [(value, 1) for value in outside]

        def statistic(drawn: Sequence[tuple[float, int]]) -> float:
            values, far = np.array([one[0] for one in drawn]), np.array([bool(one[1]) for one in drawn])
            return auroc(values[~far], values[far])

        detail = f"{len(inside)} images of surfaces, {len(outside)} of none"
        return Measurement.of(bootstrap(statistic, marked, rng, resamples=300), detail=detail)

    return Check("none of the kinds told (AUROC)", measure, at_least, ">=", data=_data(trial))


def _foreign(number: int, rng: np.random.Generator) -> Image:
    """Return noise, an atomic lattice in STEM, or particles, pores or a thin film in TEM."""
    from micrograph.simulate.objects.particle_sampler import ParticleSampler
    from micrograph.simulate.objects.pores import PoreSampler
    from micrograph.simulate.scanning.lattice_images import LatticeImages

    kind = number % 4
    if kind == 0:
        noise = rng.standard_normal((160, 200)) if number % 8 else rng.poisson(rng.uniform(0.2, 5), (160, 200))
        return np.asarray(noise, np.float32)
    if kind == 1:
        return LatticeImages()(rng).image
    return (ParticleSampler(side_px=160) if kind == 2 else PoreSampler(side_px=160))(rng).image


def seconds_a_frame(*, at_most_s: float, frames: int = 3) -> Check:
    """Return the check of the time of a frame of 768 x 1024 pixels."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        image = rng.poisson(20, (768, 1024)).astype(np.float32)
        analyser(image, 1.0)
        seconds = []
        for _ in range(frames):
            begin = time.process_time()
            analyser(image, 1.0)
            seconds.append(time.process_time() - begin)
        value = float(np.median(seconds))
        return Measurement.of(Interval(value, min(seconds), max(seconds)), detail="768 x 1024 pixels")

    return Check("processor time of a frame", measure, at_most_s, "<=", unit="s")
