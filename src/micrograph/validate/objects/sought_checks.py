"""Checks of chains of operations that were sought without truth: precision, recall, distributions, time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.objects.distributions import compare
from micrograph.features.objects.operations import gaussian_background
from micrograph.simulate.objects.particle_sampler import ParticleSampler
from micrograph.simulate.objects.particles import Shadow
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import clopper_pearson, share_interval
from micrograph.validate.objects.particle_scenes import cut_apart, found_in, otsu, same
from micrograph.validate.objects.shape_checks import Sorted
from micrograph.validate.shared import Shared

Array = NDArray[np.float64]
#: Particles of which others cover more than this share of the area do not count as missed.
MOST_OVERLAP = 0.3
#: Ends of the bins of overlap by which recall is told.
_EDGES = (-1.0, 0.001, 0.1, 0.2, 0.3, 0.5, 1.0)
#: What the checks of what was found share.
_DATA = "searches"


@dataclass(frozen=True)
class Sets:
    """So many recordings of so many images of one sampler's kind; chains are sought anew in each.

    Checks that draw the same recordings for the same analyser share one pass of searches.
    """

    sampler: ParticleSampler
    sets: int = 6
    images: int = 6
    kept: Shared[list[Sorted]] = field(default_factory=Shared, compare=False, repr=False)

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Sorted]:
        """Return what the recipe finds in each recording, images as single ones without times."""

        def find(seed: int) -> list[Sorted]:
            own = np.random.default_rng(seed)
            return [self._one(analyser, own) for _ in range(self.sets)]

        return self.kept.found((self.sets, self.images), analyser, rng, find)

    def _one(self, analyser: Analyser, rng: np.random.Generator) -> Sorted:
        scenes = [self.sampler.scene(rng) for _ in range(self.images)]
        images, pixel = [scene.image for scene in scenes], scenes[0].field.pixel_nm
        recording = Recording(images.__getitem__, range(len(images)), Calibration(pixel_nm=pixel), images[0].shape)
        return Sorted(scenes, analyser.movie(recording))


def search_precision(sets: Sets, *, at_least: float = 0.995) -> Check:
    """Build the check: share of the found particles that are true ones (IoU of 0.5 or more).

    Baseline: Otsu's threshold after the background is taken off, opened, and a watershed of the distance.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = sets.answers(analyser, rng)
        rows = [_judged(one, _found).rights for one in answers]
        plain = _pooled(_judged(one, _classical).rights for one in answers)
        interval = share_interval([sum(row) for row in rows], [len(row) for row in rows], rng)
        detail = f"{sum(map(len, rows))} particles in {sets.sets} searches"
        return Measurement.of(interval, limit=1.0, baseline=plain, detail=detail)

    return Check("precision of the search", measure, at_least, ">=", data=_DATA)


def search_recall(sets: Sets, *, at_least: float = 0.85) -> Check:
    """Build the check: share of the true particles with at most 30 % of overlap that are found.

    Baseline: as in `search_precision`. The detail tells the recall by overlap.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = sets.answers(analyser, rng)
        judged = [_judged(one, _found) for one in answers]
        rows = [one.hit[one.overlap <= MOST_OVERLAP] for one in judged]
        classical = (_judged(one, _classical) for one in answers)
        plain = _pooled(one.hit[one.overlap <= MOST_OVERLAP] for one in classical)
        interval = share_interval([int(row.sum()) for row in rows], [len(row) for row in rows], rng)
        detail = f"{sum(map(len, rows))} true particles; by overlap: {_by_overlap(judged)}"
        return Measurement.of(interval, limit=1.0, baseline=plain, detail=detail)

    return Check("recall of the search, overlap up to 30 %", measure, at_least, ">=", data=_DATA)


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

    return Check("sets of sizes that agree with the truth", measure, at_least, ">=", data=_DATA)


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


@dataclass(frozen=True)
class _Judged:
    """Which found particles are true ones; of the true ones the overlap (0..1) and which were found; no cut ones."""

    rights: NDArray[np.bool_]
    overlap: Array
    hit: NDArray[np.bool_]


def _judged(one: Sorted, way: Callable[[Sorted, int], list[Shadow]]) -> _Judged:
    rights, overlap, hit = [], [], []
    for number, scene in enumerate(one.scenes):
        found, true, shape = way(one, number), scene.field.shadows, scene.image.shape
        pairs = same(true, found)
        inner, whole = (np.array([_inner(shadow, shape) for shadow in shadows], bool) for shadows in (true, found))
        rights.append(np.isin(np.arange(len(found)), [j for _, j in pairs])[whole])
        hit.append(np.isin(np.arange(len(true)), [i for i, _ in pairs])[inner])
        overlap.append(scene.field.overlaps[inner])
    return _Judged(np.concatenate(rights), np.concatenate(overlap), np.concatenate(hit))


def _found(one: Sorted, number: int) -> list[Shadow]:
    scene = one.scenes[number]
    return found_in(one.tables, scene.image.shape, scene.field.pixel_nm, number)


def _classical(one: Sorted, number: int) -> list[Shadow]:
    """Return the objects of the classical chain, which is told the particles' diameter and that they are dark."""
    scene = one.scenes[number]
    diameter = scene.params["diameter_px"]
    return cut_apart(otsu(-gaussian_background(-scene.image, 2.5 * diameter)), diameter)


def _pooled(rows: Iterable[NDArray[np.bool_]]) -> float:
    return float(np.concatenate(list(rows)).mean())


def _by_overlap(judged: Sequence[_Judged]) -> str:
    """Return the recall between the overlaps of `_EDGES` as text."""
    overlap, hit = (np.concatenate([getattr(one, name) for one in judged]) for name in ("overlap", "hit"))
    told = []
    for low, high in itertools.pairwise(_EDGES):
        mine = hit[(overlap > low) & (overlap <= high)]
        if len(mine):
            told.append(f"to {high:g} {mine.mean():.2f} of {len(mine)}")
    return ", ".join(told)


def _inner(shadow: Shadow, shape: tuple[int, ...]) -> bool:
    rows, columns = shadow.rows, shadow.columns
    return bool(rows.start > 0 and columns.start > 0 and rows.stop < shape[0] and columns.stop < shape[1])


def _true_diameters(one: Sorted) -> Array:
    """Return the equivalent diameters (nm) of all particles whose centre lies in an image, cut or not."""
    from micrograph.simulate.objects.particles import Particle, shadow

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
