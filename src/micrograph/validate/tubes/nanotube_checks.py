"""Checks of nanotubes: (n, m), diameter, angle, their doubts, beside Fisher's bound and the classical way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.features.tubes.tube_search import MARGIN_NM, view_of
from micrograph.features.tubes.tube_strip import Line, sampled, span, strip_of
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.phase.hrtem import Lens, phase_contrast
from micrograph.simulate.phase.nanotube_sampler import NanotubeSampler
from micrograph.structures import Tube, graphene, tubes_between
from micrograph.structures.nanotube import FIRST_PER_NM
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.metrics import auroc, rmse
from micrograph.validate.shared import Shared, one_by_one
from micrograph.validate.timing import frame_seconds

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.floating]
#: Weights of the classical answer: 1-sigma errors of diameter (nm) and angle (degrees) that it is thought to have.
_CLASSICAL = (0.03, 1.0)


@dataclass(frozen=True)
class Tubes:
    """So many images of a sampler's kind; `name` says of which kind in the names of checks."""

    name: str
    sampler: NanotubeSampler
    images: int

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Answer]:
        """Return what `analyser` finds in each image; the same images are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: _answer(self.sampler(draw), analyser))
        return _FOUND.found(self.name, analyser, rng, find)


@dataclass(frozen=True)
class Answer:
    """One image: the true tube, the found row of 'objects' or none, its candidates, seconds, and the classical way."""

    true: Tube
    row: dict[str, float] | None
    candidates: tuple[Tube, ...]
    distance: float
    seconds: float
    classical: tuple[float, float]

    @property
    def found(self) -> Tube | None:
        """The likeliest tube."""
        return self.candidates[0] if self.candidates else None

    @property
    def nearest(self) -> Tube:
        """The tube that is nearest to what the classical way finds."""
        diameter, angle = self.classical
        return min(
            tubes_between(0.5, 2.2),
            key=lambda tube: (
                ((tube.diameter_nm - diameter) / _CLASSICAL[0]) ** 2 + ((tube.angle_deg - angle) / _CLASSICAL[1]) ** 2
            ),
        )


_FOUND: Shared[list[Answer]] = Shared()


def _answer(sample: Sample, analyser: Analyser) -> Answer:
    began = time.process_time()
    tables = analyser(sample.image, sample.pixel_nm)
    seconds = time.process_time() - began
    true = Tube(int(sample.params["n"]), int(sample.params["m"]))
    objects: DataFrame = tables["objects"]
    row = objects.iloc[0].to_dict() if len(objects) else None
    own = tables["candidates"]
    own = own[own["id"] == 0]
    candidates = tuple(Tube(int(n), int(m)) for n, m in zip(own["n"], own["m"], strict=True))
    distance = float(tables["frames"]["domain_distance"].iloc[0])
    return Answer(true, row, candidates, distance, seconds, classical(sample))  # type: ignore[arg-type]


def classical(sample: Sample) -> tuple[float, float]:
    """Return diameter (nm) and chiral angle (degrees) as people read them, given the tube's axis.

    Diameter: between the strongest fringes on either side of the axis in the mean profile across the tube. Angle: the
    direction of graphene's lattice whose three layer lines hold most power, whatever their common scale.
    """
    view = view_of(sample.image, sample.pixel_nm)
    line = Line(sample.params["y_nm"], sample.params["x_nm"], sample.params["axis_deg"])
    width = 2.0 + 2 * MARGIN_NM
    ends = span(view.contrast.shape, view.pixel_nm, line, width)
    if ends is None:
        return 1.0, 15.0
    values, middle = sampled(view.spline, view.pixel_nm, line, ends, width)
    profile = values.mean(axis=0)
    place = (np.arange(len(profile)) - (len(profile) - 1) / 2) * view.pixel_nm
    walls = [_top(place[side], np.abs(profile - profile.mean())[side]) for side in (place < -0.2, place > 0.2)]
    strip = strip_of(values, middle, view.pixel_nm, view.noise)
    power = np.sum(np.abs(strip.data) ** 2 - (strip.gain > 0), axis=1) * (strip.kx > 2 / strip.length_nm)
    angles = np.arange(0, 30.01, 0.25)
    scales = np.arange(0.97, 1.0301, 0.002)
    turns = np.deg2rad(np.add.outer(angles, [30.0, 90.0, 150.0]))
    lines = np.sort(np.abs(np.sin(turns)) * FIRST_PER_NM, axis=1)
    apart = np.diff(lines, axis=1, prepend=0.0) > 1 / strip.length_nm  # the equator and lines that coincide count once
    held = (np.interp(scales[:, None, None] * lines, strip.kx, power, right=0.0) * apart).sum(axis=2)
    return float(walls[1] - walls[0]), float(angles[int(held.max(axis=0).argmax())])


def _top(place: Array, height: Array) -> float:
    """Return where a parabola through the highest point and its neighbours has its top."""
    top = int(np.clip(height.argmax(), 1, len(height) - 2))
    left, middle, right = height[top - 1 : top + 2]
    bend = left - 2 * middle + right
    return float(place[top] + (place[1] - place[0]) * (0.5 * (left - right) / bend if bend else 0.0))


def _share(
    name: str, trial: Tubes, at_least: float, right: Callable[[Answer], bool], others: Callable[[Answer], bool]
) -> Check:
    """Build a check of a share of images; limit: what probabilities that are right would let expect."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        interval = clopper_pearson(sum(map(right, answers)), len(answers))
        baseline = float(np.mean([others(one) for one in answers]))
        missed = sum(one.found is None for one in answers)
        detail = f"{len(answers)} images, {missed} without a tube"
        return Measurement.of(interval, limit=1.0, baseline=baseline, detail=detail)

    return Check(f"{name}, {trial.name}", measure, at_least, ">=", data=trial.name)


def exact_tube(trial: Tubes, *, at_least: float) -> Check:
    """Build the check: share of images whose likeliest (n, m) is the true one."""
    return _share(
        "exact (n, m)", trial, at_least, lambda one: one.found == one.true, lambda one: one.nearest == one.true
    )


def top_three(trial: Tubes, *, at_least: float) -> Check:
    """Build the check: share of images whose true (n, m) is among the three likeliest."""
    return _share(
        "(n, m) among three",
        trial,
        at_least,
        lambda one: one.true in one.candidates[:3],
        lambda one: one.nearest == one.true,
    )


def metallicity(trial: Tubes, *, at_least: float) -> Check:
    """Build the check: share of images of which it is told rightly whether the tube is metallic, and its kind."""

    def right(tube: Tube | None, true: Tube) -> bool:
        return tube is not None and (tube.metallic, tube.kind) == (true.metallic, true.kind)

    return _share(
        "metallic and mirror class",
        trial,
        at_least,
        lambda one: right(one.found, one.true),
        lambda one: right(one.nearest, one.true),
    )


def diameter_error(trial: Tubes, *, at_most_nm: float) -> Check:
    """Build the check: RMSE of the diameter (nm). Limit: Fisher's bound at the fitted places, without model errors."""
    return _error(trial, "diameter_nm", "nm", at_most_nm, lambda tube: tube.diameter_nm, 0)


def angle_error(trial: Tubes, *, at_most_deg: float) -> Check:
    """Build the check: RMSE of the chiral angle (degrees). Limit: Fisher's bound at the fitted places."""
    return _error(trial, "angle_deg", "degree", at_most_deg, lambda tube: tube.angle_deg, 1)


def _error(trial: Tubes, column: str, unit: str, at_most: float, of: Callable[[Tube], float], place: int) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        seen = [one for one in answers if one.row is not None]
        errors = [one.row[column] - of(one.true) for one in seen if one.row is not None]
        sigma_name = column.replace("_nm", "_sigma_nm").replace("_deg", "_sigma_deg")
        sigma = np.array([one.row[sigma_name] for one in seen if one.row is not None])
        interval = bootstrap(lambda drawn: rmse(np.asarray(drawn)), errors, rng)
        plain = rmse(np.array([one.classical[place] - of(one.true) for one in answers]))
        detail = f"{len(seen)} of {len(answers)} images; median error {np.median(np.abs(errors)):.4f} {unit}"
        return Measurement.of(interval, limit=float(np.median(sigma)), baseline=plain, detail=detail)

    what = "diameter" if unit == "nm" else "chiral angle"
    return Check(f"error of the {what}, {trial.name}", measure, at_most, "<=", unit=unit, data=trial.name)


def diameter_coverage(trial: Tubes, *, at_least: float) -> Check:
    """Build the check: share of true diameters inside the 95 % intervals that the rows promise."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [(one.row, one.true) for one in trial.answers(analyser, rng) if one.row is not None]
        inside = [abs(row["diameter_nm"] - true.diameter_nm) <= 1.96 * row["diameter_sigma_nm"] for row, true in rows]
        return Measurement.of(clopper_pearson(sum(inside), len(inside)), limit=0.95, detail=f"{len(inside)} tubes")

    return Check(f"diameters inside their 95 % interval, {trial.name}", measure, at_least, ">=", data=trial.name)


def posterior_error(trial: Tubes, *, at_most: float) -> Check:
    """Build the check: expected calibration error of the probability of the likeliest tube."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [(one.row["p"], one.found == one.true) for one in trial.answers(analyser, rng) if one.row is not None]

        def error(drawn: Sequence[tuple[float, bool]]) -> float:
            return expected_calibration_error([p for p, _ in drawn], [hit for _, hit in drawn])

        mean = float(np.mean([p for p, _ in rows]))
        detail = f"mean probability {mean:.4f}, right {np.mean([hit for _, hit in rows]):.4f}"
        return Measurement.of(bootstrap(error, rows, rng), limit=0.0, detail=detail)

    return Check(f"calibration error of the probability, {trial.name}", measure, at_most, "<=", data=trial.name)


def foreign_images(trial: Tubes, *, at_least: float) -> Check:
    """Build the check: how surely images without a single-wall nanotube are told from the trial's own (AUROC).

    Foreign are noise, graphene, amorphous films with an edge, and bars without a lattice.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = [one.distance for one in trial.answers(analyser, rng)]
        values, apart = {}, {}
        for kind, draw in _FOREIGN.items():
            far = [_distance(analyser(draw(trial.sampler.side_px, rng), 0.03)) for _ in range(12)]
            values[kind], apart[kind] = auroc(own, far), far
        worst = min(values, key=lambda kind: values[kind])
        detail = ", ".join(f"{kind} {value:.3f}" for kind, value in values.items())
        share = float(np.mean(np.array(own) > 1))
        strange = np.resize(apart[worst], len(own))
        interval = bootstrap(lambda drawn: auroc(*np.array(drawn).T), list(zip(own, strange, strict=True)), rng)
        return Measurement.of(interval, limit=1.0, detail=f"{detail}; own flagged {share:.3f}")

    return Check(f"images of another kind, {trial.name}", measure, at_least, ">=", data=trial.name)


def _distance(tables: object) -> float:
    return float(tables["frames"]["domain_distance"].iloc[0])  # type: ignore[index]


def _noise(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return record(np.ones((side, side)), Camera(20.0), rng)


def _graphene(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    sheet = graphene(side * 0.03, rotation_deg=float(rng.uniform(0, 60)))
    lens = Lens(defocus_nm=float(rng.uniform(4, 10)), vibration_nm=0.03)
    share = phase_contrast(sheet, lens, pixel_nm=0.03, shape=(side, side), thermal_nm=0.006)
    return record(share, Camera(300.0), rng)


def _film(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    grain = gaussian_filter(rng.normal(size=(side, side)), 3.0)
    turn, x = rng.uniform(0, np.pi), np.arange(side) - side / 2
    inside = np.cos(turn) * x + np.sin(turn) * x[:, None] > rng.uniform(-0.2, 0.2) * side
    return record(1 - inside * (0.05 + 0.03 * grain / grain.std()), Camera(100.0), rng)


def _bar(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    turn, x = rng.uniform(0, np.pi), np.arange(side) - side / 2
    away = np.cos(turn) * x + np.sin(turn) * x[:, None]
    share = 1 - 0.2 * (np.abs(away) < rng.uniform(0.3, 1.0) / 0.03)
    return record(gaussian_filter(share, 2.0), Camera(100.0), rng)


_FOREIGN: dict[str, Callable[[int, np.random.Generator], NDArray[np.float32]]] = {
    "noise": _noise,
    "graphene": _graphene,
    "film": _film,
    "bar": _bar,
}


def seconds_a_frame(trial: Tubes, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels, on one core."""

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = replace(trial.sampler, side_px=512)(rng)
        return sample.image, sample.pixel_nm

    return frame_seconds(draw, frames=12, at_most_s=at_most_s)
