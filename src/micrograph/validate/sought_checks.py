"""Checks of chains of operations that were sought without truth: precision, recall, distributions, time."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.distributions import compare
from micrograph.simulate.particle_sampler import ParticleSampler
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import clopper_pearson, share_interval
from micrograph.validate.particle_scenes import found_in, same
from micrograph.validate.shape_checks import Sorted

Array = NDArray[np.float64]
#: Particles of which others cover more than this share of the area do not count as missed.
MOST_OVERLAP = 0.3


@dataclass(frozen=True)
class Sets:
    """So many recordings of so many images of one sampler's kind; chains are sought anew in each."""

    sampler: ParticleSampler
    sets: int = 6
    images: int = 6

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Sorted]:
        """Return what the recipe finds in each recording, images as single ones without times."""
        return [self._one(analyser, rng) for _ in range(self.sets)]

    def _one(self, analyser: Analyser, rng: np.random.Generator) -> Sorted:
        scenes = [self.sampler.scene(rng) for _ in range(self.images)]
        images, pixel = [scene.image for scene in scenes], scenes[0].field.pixel_nm
        recording = Recording(images.__getitem__, range(len(images)), Calibration(pixel_nm=pixel), images[0].shape)
        return Sorted(scenes, analyser.movie(recording))


def search_precision(sets: Sets, *, at_least: float = 0.995) -> Check:
    """Build the check: share of the found particles that are true ones (IoU of 0.5 or more)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [_counts(one) for one in sets.answers(analyser, rng)]
        hits, found = [row[0] for row in rows], [row[0] + row[1] for row in rows]
        interval = share_interval(hits, found, rng)
        return Measurement.of(interval, limit=1.0, detail=f"{sum(found)} particles in {sets.sets} searches")

    return Check("precision of the search", measure, at_least, ">=")


def search_recall(sets: Sets, *, at_least: float = 0.85) -> Check:
    """Build the check: share of the true particles with at most 30 % of overlap that are found."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [_counts(one) for one in sets.answers(analyser, rng)]
        hits, true = [row[2] for row in rows], [row[2] + row[3] for row in rows]
        return Measurement.of(share_interval(hits, true, rng), limit=1.0, detail=f"{sum(true)} true particles")

    return Check("recall of the search, overlap up to 30 %", measure, at_least, ">=")


def size_agreement(sets: Sets, *, at_least: float = 0.90) -> Check:
    """Build the check: share of sets whose weighted diameters agree with the truth (Kolmogorov and Smirnov, p > 0.05).

    The truth is all particles whose centre lies in an image. Baseline: the same without weights.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right, plain, told = 0, 0, []
        for one in sets.answers(analyser, rng):
            objects = one.tables["objects"].merge(one.tables["classified"], on=["frame", "id"])
            sure = objects[objects["weight"] > 0]
            diameter, true = sure["equivalent_diameter_nm"].to_numpy(float), _true_diameters(one)
            p = compare(diameter, true, sure["weight"].to_numpy(float)).p
            right, plain = right + (p > 0.05), plain + (compare(diameter, true).p > 0.05)
            told.append(f"{p:.2f}")
        interval = clopper_pearson(right, sets.sets)
        return Measurement.of(interval, limit=0.95, baseline=plain / sets.sets, detail=f"p: {', '.join(told)}")

    return Check("sets of sizes that agree with the truth", measure, at_least, ">=")


def search_seconds(sets: Sets, sought: Callable[[Recording], object], *, at_most: float = 60.0) -> Check:
    """Build the check: seconds of one search on this machine, by the clock."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = [sets.sampler.scene(rng).image for _ in range(sets.images)]
        recording = Recording(images.__getitem__, range(len(images)), Calibration(pixel_nm=1.0), images[0].shape)
        begin = time.perf_counter()
        sought(recording)
        seconds = time.perf_counter() - begin
        detail = f"{sets.images} images of {images[0].shape[0]} pixels a side"
        return Measurement(seconds, seconds, seconds, detail=detail)

    return Check("time of a search", measure, at_most, "<=", unit="s")


def _counts(one: Sorted) -> tuple[int, int, int, int]:
    """Return true and false ones among the found, and found and missed ones among the true; cut ones do not count."""
    total = np.zeros(4, np.int64)
    for number, scene in enumerate(one.scenes):
        found = found_in(one.tables, scene.image.shape, scene.field.pixel_nm, number)
        pairs, inner = same(scene.field.shadows, found), functools.partial(_inner, shape=scene.image.shape)
        taken = {j for _, j in pairs}
        hit = {i for i, _ in pairs}
        judged = [j for j, shadow in enumerate(found) if inner(shadow)]
        true = [
            i
            for i, (shadow, overlap) in enumerate(zip(scene.field.shadows, scene.field.overlaps, strict=True))
            if inner(shadow) and overlap <= MOST_OVERLAP
        ]
        rights = (sum(j in taken for j in judged), sum(i in hit for i in true))
        total += (rights[0], len(judged) - rights[0], rights[1], len(true) - rights[1])
    return int(total[0]), int(total[1]), int(total[2]), int(total[3])


def _inner(shadow: object, shape: tuple[int, ...]) -> bool:
    rows, columns = shadow.rows, shadow.columns  # type: ignore[attr-defined]
    return bool(rows.start > 0 and columns.start > 0 and rows.stop < shape[0] and columns.stop < shape[1])


def _true_diameters(one: Sorted) -> Array:
    """Return the equivalent diameters (nm) of all particles whose centre lies in an image, cut or not."""
    from micrograph.simulate.particles import Particle, shadow

    found = []
    for scene in one.scenes:
        pixel, (height, width) = scene.field.pixel_nm, scene.image.shape
        for particle in scene.field.particles:
            if 0 <= particle.y_nm < height * pixel and 0 <= particle.x_nm < width * pixel:
                reach = particle.solid.reach_nm
                side = int(2 * reach / pixel) + 5
                alone = Particle(particle.shape, particle.solid, side * pixel / 2, side * pixel / 2)
                found.append(2 * np.sqrt(shadow(alone, pixel, (side, side)).area_px / np.pi) * pixel)
    return np.array(found)
