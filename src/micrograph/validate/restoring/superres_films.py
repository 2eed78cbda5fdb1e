"""What comes of simulated films on finer pixels: gaps, rings of frequency, errors, of the model and of other ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Flag, Frame, Prediction
from micrograph.core.frame import binned
from micrograph.features.metallography.gaps import Gaps, gap_lines, narrowest, passing, support, with_levels
from micrograph.features.restoring.finer_tables import FinerGaps
from micrograph.features.restoring.super_resolution import FINER, agreement, finer, told_up_to
from micrograph.simulate.secondary.gold_films import POINTS, SeenTwice
from micrograph.validate.restoring.superres_baselines import (
    SHARPENINGS,
    VARIATIONS,
    best,
    known_wiener,
    lanczos,
    least_variation,
    richardson_lucy,
)

Image = NDArray[np.float32]
Array = NDArray[np.float64]

#: Widths (finer pixels) of the known gaps that are to be found: from one recorded pixel on. Wider ones are no gaps.
NARROWEST, WIDEST = 2.0, 6.0
#: Gaps nearer to the border than this (finer pixels) are not judged; a place this near to a gap's middle is it.
_RIM, _NEAR = 8.0, 1.25
#: Rings of spatial frequency up to half a cycle a finer pixel; bands in which no power may be added.
_RINGS, BANDS = 48, 12
#: A resolution is where the correlation falls below this (doi:10.1016/j.jsb.2005.05.009).
_LEAST = 0.143
#: Threshold (1-sigma) of the matched detector: 1 % of false alarms.
_FALSE_ALARM_SIGMA = 2.326
#: What is added to the distance of an image that was flagged.
FLAGGED = 1e3
#: The model among the ways, what it is given, the best of the classical ones, and the best linear one.
MODEL, INPUT, BASELINE, LINEAR = "model", "bicubic", "total variation", "Wiener, told the spectrum"
#: Columns of the table of gaps as `Gaps` has them; of the last two only the places count here.
_ROW = ("y_px", "x_px", "across_deg", "width_px", "depth", "support")


@dataclass(frozen=True)
class GapScore:
    """Gaps of one image: known ones, those not found; rows, those where no gap is; errors of the widths found."""

    known: int
    missed: int
    rows: int
    false: int
    off: Array


@dataclass(frozen=True)
class Rings:
    """Sums over rings of spatial frequency: products of answer and truth, power of either."""

    cross: Array
    answer: Array
    truth: Array


@dataclass(frozen=True)
class Film:
    """What came of one film: by way, the gaps, rings and mean squares; limits and agreement of the model's answer."""

    gaps: Mapping[str, GapScore]
    rings: Mapping[str, Rings]
    squares: Mapping[str, float]
    unseen: int
    limit_missed: Sequence[float]
    limit_width: Sequence[float]
    told: float
    chi_square: float
    at_edges: float
    within: tuple[float, float]
    distance: float


def tuned_on(films: Sequence[SeenTwice]) -> tuple[float, tuple[float, int]]:
    """Return the weight of the total variation and the sharpening that suit such films best."""
    images, truths = [one.coarse for one in films], [one.truth for one in films]
    strength = {id(one.coarse): mean_variance(one) for one in films}
    tries = [lambda image, w=weight: least_variation(image, strength[id(image)], w) for weight in VARIATIONS]
    sharper = [lambda image, how=how: richardson_lucy(image, *how) for how in SHARPENINGS]
    return VARIATIONS[best(tries, images, truths)], SHARPENINGS[best(sharper, images, truths)]


def mean_variance(film: SeenTwice) -> float:
    """Return the mean variance of the recorded counts of a film."""
    expected = binned(film.truth, FINER).astype(float)
    return float((expected * (1 + expected / film.electrons)).mean())


def film_of(film: SeenTwice, predict: Callable[[Frame], Prediction], tuned: tuple[float, tuple[float, int]]) -> Film:
    """Return what comes of one film, given the model and what `tuned_on` returned."""
    prediction = predict(Frame(film.coarse, 0, Calibration()))
    answer, sigma = prediction.maps["image"], prediction.sigma["image"]
    variance = mean_variance(film)
    ways = {
        MODEL: answer,
        INPUT: finer(film.coarse),
        "Lanczos": lanczos(film.coarse),
        "Richardson-Lucy": richardson_lucy(film.coarse, *tuned[1]),
        BASELINE: least_variation(film.coarse, variance, tuned[0]),
        LINEAR: known_wiener(film.coarse, variance, film.truth),
    }
    lines, known, unseen = known_gaps(film)
    expected = binned(film.truth, FINER)
    exact = (expected * (1 + expected / np.float32(film.electrons))).astype(np.float32)
    seen = with_levels(film.truth, known)
    strength = np.maximum(support(expected, exact, film.truth, seen), 1e-3)
    ratio = np.abs(answer - film.truth) / sigma
    from scipy.stats import norm

    return Film(
        gaps={
            way: _scored(image, film, lines, known, prediction if way == MODEL else None) for way, image in ways.items()
        },
        rings={way: rings_of(image, film.truth) for way, image in ways.items() if way != "Lanczos"},
        squares={way: float(np.mean((image - film.truth).astype(float) ** 2)) for way, image in ways.items()},
        unseen=unseen,
        limit_missed=norm.cdf(_FALSE_ALARM_SIGMA - strength).tolist(),
        limit_width=(known.width / strength)[strength > _FALSE_ALARM_SIGMA].tolist(),
        told=told_up_to(film.coarse, variance),
        chi_square=float(np.mean((film.coarse - binned(answer, FINER)) ** 2 / exact)),
        at_edges=agreement(film.coarse, answer).chi_square,
        within=(float((ratio < 1).mean()), float((ratio < 2).mean())),
        distance=distance_of(prediction),
    )


def known_gaps(film: SeenTwice) -> tuple[Gaps, Gaps, int]:
    """Return all narrow places between the borders of the gold, the gaps that are to be found, and how many are not.

    To be found are gaps that the finer image shows where it has no noise: as published, it is what counts.
    """
    from scipy.spatial import cKDTree

    points = -film.distance
    lines = gap_lines(points, 0.0, POINTS * 2 * WIDEST)
    through = passing(points, 0.0, lines)
    fine = lines.scaled(1 / POINTS)
    known = fine[through]
    known = known[narrowest(known, FinerGaps().apart_px)]
    known = known[(known.width >= NARROWEST) & (known.width <= WIDEST) & _inner(known, film.truth.shape)]
    shown = FinerGaps().lines(film.truth)
    if not len(shown) or not len(known):
        return fine, known, 0
    far = np.asarray(cKDTree(shown.points).query(known.points)[0])
    seen = np.asarray(far <= np.maximum(_NEAR, known.width / 2))
    return fine, known[seen], int((~seen).sum())


def _inner(gaps: Gaps, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray(((gaps.points > _RIM) & (gaps.points < np.array(shape) - 1 - _RIM)).all(axis=1))


def _scored(image: Image, film: SeenTwice, lines: Gaps, known: Gaps, prediction: Prediction | None) -> GapScore:
    """Return how the gaps of an image compare with the known ones; of a prediction those of its table that are sure."""
    from scipy.spatial import cKDTree

    finder = FinerGaps()
    every = finder.lines(image)
    rows = finder.chosen(image, every)
    if prediction is not None:
        table = finder(prediction)["objects"]
        sure = table[table["flags"] == 0]
        rows = Gaps(*(sure[name].to_numpy(float) for name in _ROW))
    rows = rows[_inner(rows, image.shape) & (rows.width <= WIDEST)]
    if not len(every):
        return GapScore(len(known), len(known), 0, 0, np.zeros(0))
    far, place = (np.asarray(part) for part in cKDTree(every.points).query(known.points))
    hit = far <= np.maximum(_NEAR, known.width / 2)
    away, at = (np.asarray(part) for part in cKDTree(lines.points).query(rows.points))
    false = away > np.maximum(_NEAR, lines.width[at] / 2)
    off = every.width[place[hit]] - known.width[hit]
    return GapScore(len(known), int((~hit).sum()), len(rows), int(false.sum()), np.asarray(off, float))


def rings_of(answer: Image, truth: Image) -> Rings:
    """Return sums over rings of spatial frequency of two images, windowed."""
    import scipy.fft

    window = np.outer(np.hanning(truth.shape[0]), np.hanning(truth.shape[1])).astype(np.float32)
    mean = np.float32(truth.mean(dtype=np.float64))
    a, t = (scipy.fft.rfft2((one - mean) * window) for one in (answer, truth))
    radius = np.hypot(np.fft.fftfreq(truth.shape[0])[:, None], np.fft.rfftfreq(truth.shape[1])[None, :])
    ring = np.minimum((radius * 2 * _RINGS).astype(np.intp), _RINGS).ravel()
    parts = ((a * np.conj(t)).real, np.abs(a) ** 2, np.abs(t) ** 2)
    sums = [np.bincount(ring, weights=part.ravel().astype(float), minlength=_RINGS + 1) for part in parts]
    return Rings(*(np.asarray(one[:_RINGS], float) for one in sums))


def resolution_of(rings: Sequence[Rings]) -> float:
    """Return the frequency (cycles a pixel) at which the correlation falls below 0.143, in the mean over images."""
    each = [one.cross / np.sqrt(np.maximum(one.answer * one.truth, 1e-30)) for one in rings]
    correlation = np.mean(each, axis=0)
    middle = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
    below = np.flatnonzero(correlation < _LEAST)
    if not len(below):
        return 0.5
    at = int(below[0])
    if at == 0:
        return float(middle[0])
    part = (correlation[at - 1] - _LEAST) / (correlation[at - 1] - correlation[at])
    return float(middle[at - 1] + part * (middle[at] - middle[at - 1]))


def excess_of(rings: Sequence[Rings]) -> Array:
    """Return by how many dB several answers have more power than the truths, by band."""
    _, answer, truth = (one.reshape(BANDS, -1).sum(axis=1) for one in _summed(rings))
    return np.asarray(10 * np.log10(answer / truth))


def _summed(rings: Sequence[Rings]) -> list[Array]:
    return [np.sum([getattr(one, name) for one in rings], axis=0) for name in ("cross", "answer", "truth")]


def distance_of(prediction: Prediction) -> float:
    """Return how far an image lies from the model's own; one that was flagged lies beyond all that are not."""
    flagged = Flag.OUT_OF_DOMAIN in prediction.flags
    return float(prediction.domain_distance) + (FLAGGED if flagged else 0.0)
