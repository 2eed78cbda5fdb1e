"""Checks of types of lattice: right, as sure as they say, beside least squares with a tolerance; noise; speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.features.lattices.bravais import BRAVAIS, cells_of, distances, type_probabilities
from micrograph.simulate.scanning.lattice_images import LATTICES, LatticeImages
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.metrics import auroc
from micrograph.validate.shared import Shared, one_by_one
from micrograph.validate.timing import frame_seconds
from micrograph.validate.trials import Trial, exposures

if TYPE_CHECKING:
    from pandas import Series

Array = NDArray[np.float64]

#: How far (relative, degrees) a cell may be from a symmetric one for the classical answer to call it that.
TOLERANCE = (0.02, 1.5)
#: A lattice is clear if it is so many standard deviations from every type that is more symmetric than its own.
CLEAR = 2.0
_MORE_SYMMETRIC = {
    "square": (),
    "hexagonal": (),
    "rectangular": (0,),
    "centred rectangular": (0, 1),
    "oblique": (0, 1, 2, 3),
}
_DRAWS = 30


@dataclass(frozen=True)
class Answer:
    """One image: the true type, its tau (2,) and the covariance (2, 2) that the answer gives tau, the window's row."""

    kind: str
    tau: Array
    covariance: Array
    row: Series
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the likeliest type is the true one."""
        return str(self.row["class"]) == self.kind

    @property
    def clear(self) -> bool:
        """Whether the true lattice is `CLEAR` standard deviations from all types that are more symmetric."""
        near = distances(self.tau[None], self.covariance[None])[0]
        return all(near[place] > CLEAR for place in _MORE_SYMMETRIC[self.kind])

    def limit(self, rng: np.random.Generator) -> float:
        """Return how often Bayes' rule is right when tau is measured with this covariance and nothing else is wrong."""
        drawn = rng.multivariate_normal(self.tau, self.covariance, _DRAWS)
        folded = _folded(drawn)
        p = type_probabilities(folded, np.tile(self.covariance, (_DRAWS, 1, 1)))
        return float(np.mean(np.array(BRAVAIS)[p.argmax(axis=1)] == self.kind))


@dataclass(frozen=True)
class Images:
    """So many images of a sampler's kind; `name` says of which kind in the names of checks."""

    name: str
    sampler: LatticeImages
    images: int

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Answer]:
        """Return the answer in the middle of each image; the same images are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: _answer(self.sampler(draw), analyser))
        return _FOUND.found(self.name, analyser, rng, find)


_FOUND: Shared[list[Answer]] = Shared()


def _answer(sample: Sample, analyser: Analyser) -> Answer:
    began = time.process_time()
    row = _middle(analyser, sample.image, sample.pixel_nm)
    seconds = time.process_time() - began
    cell = np.array([sample.params[name] for name in ("a_y_px", "a_x_px", "b_y_px", "b_x_px")]).reshape(1, 2, 2)
    tau = cells_of(cell, np.zeros((1, 4, 4))).tau[0]
    return Answer(LATTICES[int(sample.params["type"])], tau, _covariance(row, tau), row, seconds)


def _middle(analyser: Analyser, image: NDArray[np.float32], pixel_nm: float) -> Series:
    """Return the window nearest to the middle of an image."""
    objects = analyser(image, pixel_nm)["objects"]
    away = [objects[axis] - size * pixel_nm / 2 for axis, size in zip(("y_nm", "x_nm"), image.shape, strict=True)]
    found: Series = objects.iloc[int(np.hypot(*away).argmin())]
    return found


def _covariance(row: Series, tau: Array) -> Array:
    """Return the covariance of tau that the errors of ratio and gamma say; a wide one where there is no lattice."""
    sigma = (float(row["ratio_sigma"]), np.radians(float(row["gamma_sigma_deg"])))
    if not np.isfinite(sigma).all():
        return np.eye(2)
    along = tau / np.hypot(*tau)
    across = np.array([-tau[1], tau[0]])
    return np.asarray(
        sigma[0] ** 2 * np.outer(along, along) + sigma[1] ** 2 * np.outer(across, across) + 1e-12 * np.eye(2)
    )


def _folded(tau: Array) -> Array:
    """Return points (N, 2) folded into the fundamental domain."""
    cells = np.stack([np.tile([0.0, 1.0], (len(tau), 1)), np.stack([tau[:, 1], -tau[:, 0]], axis=1)], axis=1)
    return cells_of(cells, np.zeros((len(tau), 4, 4))).tau


def by_tolerance(row: Series) -> str:
    """Return the classical answer: the least-squares cell is what it is within `TOLERANCE` of."""
    ratio, gamma = float(row["ratio"]), float(row["gamma_deg"])
    if not np.isfinite(ratio):
        return "noise"
    equal, square_on = abs(ratio - 1) < TOLERANCE[0], abs(gamma - 90) < TOLERANCE[1]
    centred = abs(-2 * ratio * np.cos(np.radians(gamma)) - 1) < 2 * np.radians(TOLERANCE[1])
    if equal and square_on:
        return "square"
    if equal and abs(gamma - 120) < TOLERANCE[1]:
        return "hexagonal"
    if square_on:
        return "rectangular"
    return "centred rectangular" if equal or centred else "oblique"


def type_accuracy(trial: Images, *, at_least: float, clear: bool = False) -> Check:
    """Build the check: share of images whose type is right; `clear`: only of lattices 2 sd from more symmetric types.

    Limit: Bayes' rule on cells with exactly the errors that are given. Baseline: the same cells with a tolerance.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = [one for one in trial.answers(analyser, rng) if one.clear or not clear]
        wrong = [f"{one.kind} as {one.row['class']}" for one in answers if not one.right]
        worst = max(set(wrong), key=wrong.count, default="none")
        return Measurement.of(
            clopper_pearson(sum(one.right for one in answers), len(answers)),
            limit=float(np.mean([one.limit(rng) for one in answers])),
            baseline=float(np.mean([by_tolerance(one.row) == one.kind for one in answers])),
            detail=f"{len(answers)} images, {len(wrong)} wrong; most often {worst}",
        )

    what = f"type, {CLEAR:g} sd from others" if clear else "type"
    return Check(f"{what}, {trial.name}", measure, at_least, ">=", data=trial.name)


def type_calibration(trial: Images, *, at_most: float) -> Check:
    """Build the check: expected calibration error of the probability of the likeliest type."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        pairs = [(float(one.row["score"]), one.right) for one in trial.answers(analyser, rng)]

        def error(drawn: Sequence[tuple[float, bool]]) -> float:
            return expected_calibration_error([p for p, _ in drawn], [hit for _, hit in drawn])

        mean = np.mean(pairs, axis=0)
        detail = f"mean probability {mean[0]:.4f}, right {mean[1]:.4f}"
        return Measurement.of(bootstrap(error, pairs, rng), limit=0.0, detail=detail)

    return Check(f"calibration error, {trial.name}", measure, at_most, "<=", data=trial.name)


def cell_coverage(trial: Images, *, at_least: float) -> Check:
    """Build the check: share of true ratios b / a and angles inside the 95 % intervals, where the cell is right."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        inside = []
        for one in trial.answers(analyser, rng):
            ratio, gamma = float(np.hypot(*one.tau)), 180 - float(np.degrees(np.arctan2(one.tau[1], one.tau[0])))
            pulls = [
                (one.row["ratio"] - ratio) / one.row["ratio_sigma"],
                (one.row["gamma_deg"] - gamma) / one.row["gamma_sigma_deg"],
            ]
            if np.isfinite(pulls).all() and one.clear and abs(one.row["ratio"] / ratio - 1) < 0.1:
                inside += [abs(pull) <= 1.96 for pull in pulls]
        return Measurement.of(clopper_pearson(sum(inside), len(inside)), limit=0.95, detail=f"{len(inside)} numbers")

    return Check(f"cells inside their 95 % interval, {trial.name}", measure, at_least, ">=", data=trial.name)


def noise_told(trial: Images, *, at_least: float, images: int = 60) -> Check:
    """Build the check: how surely images without a lattice are told from the trial's own by p_noise (worst AUROC).

    Baseline: the height of the highest Fourier peak over the median power.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = [float(one.row["p_noise"]) for one in trial.answers(analyser, rng)]
        plain = [-_highest(trial.sampler(rng).image) for _ in range(images)]
        found, classical = {}, {}
        for kind, draw in NOISE.items():
            drawn = [draw(trial.sampler.side_px, rng) for _ in range(images)]
            found[kind] = auroc(own, [float(_middle(analyser, image, 0.02)["p_noise"]) for image in drawn])
            classical[kind] = auroc(plain, [-_highest(image) for image in drawn])
        worst = min(found, key=lambda kind: found[kind])
        spread = np.sqrt(max(found[worst] * (1 - found[worst]), 0.0) / images)
        return Measurement(
            found[worst], max(0.0, found[worst] - 1.96 * spread), min(1.0, found[worst] + 1.96 * spread),
            limit=1.0, baseline=min(classical.values()),
            detail=", ".join(f"{kind} {value:.4f}" for kind, value in found.items()),
        )  # fmt: skip

    return Check(f"noise told, {trial.name}", measure, at_least, ">=", data=trial.name)


def _highest(image: NDArray[np.float32]) -> float:
    power = np.abs(np.fft.rfft2(image - image.mean())) ** 2
    return float(power.max() / np.median(power))


def _white(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.normal(size=(side, side)).astype(np.float32)


def _counts(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.poisson(1.0, (side, side)).astype(np.float32)


def _smooth(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(rng.normal(size=(side, side)), float(rng.uniform(1, 3))), np.float32)


def _glass(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return spots that keep their distance but have no order, as in an amorphous layer."""
    from micrograph.simulate.scanning.lattice_images import spots

    kept: list[Array] = []
    spacing = float(rng.uniform(9, 14))
    for point in rng.uniform(0, side, (40 * int((side / spacing) ** 2), 2)):
        if all(np.hypot(*(point - other)) > 0.85 * spacing for other in kept):
            kept.append(point)
    points = np.array(kept)
    return np.asarray(
        spots(points, np.ones(len(points)), 0.22 * spacing, side) + rng.normal(0, 0.2, (side, side)), np.float32
    )


NOISE: dict[str, Callable[[int, np.random.Generator], NDArray[np.float32]]] = {
    "white": _white,
    "counts": _counts,
    "smooth": _smooth,
    "disordered spots": _glass,
}


def multislice_types(trials: Sequence[tuple[str, Trial]], *, at_least: float) -> Check:
    """Build the check: share of windows of multislice images whose type is right; trials with their true type."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right, plain, wrong = [], [], []
        for kind, trial in trials:
            for name, images in exposures(trial, rng).items():
                for image in images:
                    row = _middle(analyser, image, trial.pixel_nm)
                    right.append(str(row["class"]) == kind)
                    plain.append(by_tolerance(row) == kind)
                    wrong += [] if right[-1] else [f"{name} as {row['class']}"]
        worst = max(set(wrong), key=wrong.count, default="none")
        interval = clopper_pearson(sum(right), len(right))
        detail = f"{len(right)} images, {len(wrong)} wrong; most often {worst}"
        return Measurement.of(interval, limit=1.0, baseline=float(np.mean(plain)), detail=detail)

    return Check("type, multislice", measure, at_least, ">=")


def seconds_a_frame(sampler: LatticeImages, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels, on one core."""

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = replace(sampler, side_px=512)(rng)
        return sample.image, sample.pixel_nm

    return frame_seconds(draw, frames=8, at_most_s=at_most_s)
