"""Checks of pores in movies that were never trained on: masks, outlines, and areas that do not flicker."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.objects.pore_movie import PoreMovie, PoreMovieSettings, pore_movie
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.masks import dice, hausdorff95
from micrograph.validate.objects.particle_scenes import WAYS, found_in, union

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: What two masks (true, found) are judged by.
Score = Callable[[Image, Image], float]


def pore_dice(settings: PoreMovieSettings, movies: int = 12, *, at_least: float = 0.95) -> Check:
    """Build the check: mean Dice of the pores' masks, one value a movie. Baseline: tuned thresholds.

    Limit: outlines that err by the bound of an edge seen along a tenth of the perimeter.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [_scores(movie, analyser, dice) for movie in _movies(settings, movies, rng)]
        table = np.array(rows)
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(table[:, 0]), rng)
        detail = f"worst movie {table[:, 0].min():.3f} of {movies}"
        limit, plain = float(table[:, 2].mean()), float(table[:, 1].mean())
        return Measurement.of(interval, limit=limit, baseline=plain, detail=detail)

    return Check("Dice of the pores, by movie", measure, at_least, ">=")


def pore_hausdorff(settings: PoreMovieSettings, movies: int = 12, *, at_most: float = 3.0) -> Check:
    """Build the check: 95th percentile of the distance (px) of found and true outlines, one value a movie."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = [_scores(movie, analyser, _bounded) for movie in _movies(settings, movies, rng)]
        table = np.array(rows)
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(table[:, 0]), rng)
        detail = f"worst movie {table[:, 0].max():.2f} px of {movies}"
        return Measurement.of(interval, limit=0.0, baseline=float(table[:, 1].mean()), detail=detail)

    return Check("95th percentile of the outlines' error, by movie", measure, at_most, "<=", unit="px")


def _bounded(truth: Image, found: Image) -> float:
    """Return the Hausdorff distance (px) at 95 %, at most the image's side where one of both is empty."""
    return min(hausdorff95(truth, found), float(max(truth.shape)))


def _movies(settings: PoreMovieSettings, number: int, rng: np.random.Generator) -> list[PoreMovie]:
    return [pore_movie(rng, settings) for _ in range(number)]


def _scores(movie: PoreMovie, analyser: Analyser, score: Score) -> tuple[float, float, float]:
    """Return the mean score of the frames of one movie: found, by the best threshold, and the edge's bound."""
    tables = analyser.movie(movie.recording)
    pixel, shape = movie.recording.calibration.pixel_nm, movie.recording.shape
    assert pixel is not None
    found, plain, bound = [], [], []
    for index in movie.recording.indices:
        truth = movie.masks(index)[0]
        if truth.sum() < 20:  # all closed
            continue
        found.append(score(truth, union(found_in(tables, shape, pixel, index), shape)))
        image = movie.recording.frame(index).data
        plain.append(_best(truth, image, score))
        bound.append(_edge_dice(truth, image))
    return float(np.mean(found)), float(np.mean(plain)), float(np.mean(bound))


def _best(truth: Image, image: Image, score: Score) -> float:
    """Return the score of the best of the classical masks, judged by their Dice."""
    masks = [mask.astype(np.float32) for mask in _classical(image)]
    return score(truth, max(masks, key=functools.partial(dice, truth)))


def _classical(image: Image) -> list[NDArray[np.bool_]]:
    return [way(sign * image, sigma) for way, sigma in WAYS for sign in (1, -1)]


def _edge_dice(truth: Image, image: Image) -> float:
    """Return the Dice of masks whose outlines err by the bound of an edge, from the contrast of this very image."""
    inside, outside = image[truth > 0.95], image[truth < 0.05]
    if len(inside) < 4 or len(outside) < 4:
        return 1.0
    contrast = abs(float(inside.mean() - outside.mean())) / max(float(outside.std()), 1e-9)
    length = np.sqrt(4 * np.pi * float(truth.sum()))
    error = np.sqrt(2 / np.pi) / (contrast * np.sqrt(max(0.1 * length, 1.0)))
    return float(1 - min(0.5 * error * length / float(truth.sum()), 1.0))
