"""Checks of images on finer pixels: gaps, their widths, resolution, nothing added, beside classical ways and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Flag, Frame, Prediction
from micrograph.core.frame import binned
from micrograph.features.finer_tables import FinerGaps
from micrograph.features.metallography.gaps import Gaps, gap_lines, levels_of, narrowest, passing, support
from micrograph.features.super_resolution import FINER, agreement, finer, told_up_to
from micrograph.simulate.gold_films import POINTS, GoldFilms, SeenTwice, SpinodalFilms, with_side
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.metrics import auroc
from micrograph.validate.shared import Shared
from micrograph.validate.superres_baselines import (
    SHARPENINGS,
    VARIATIONS,
    best,
    known_wiener,
    lanczos,
    least_variation,
    richardson_lucy,
)
from micrograph.validate.superres_foreign import KINDS, foreign_image

Image = NDArray[np.float32]
Array = NDArray[np.float64]

#: Widths (finer pixels) of the known gaps that are to be found: from one recorded pixel on. Wider ones are no gaps.
NARROWEST, WIDEST = 2.0, 6.0
#: Gaps nearer to the border than this (finer pixels) are not judged; a place this near to a gap's middle is it.
_RIM, _NEAR = 8.0, 1.25
#: Rings of spatial frequency up to half a cycle a finer pixel; bands in which no power may be added.
_RINGS, _BANDS = 48, 12
#: A resolution is where the correlation falls below this (doi:10.1016/j.jsb.2005.05.009).
_LEAST = 0.143
#: Films with which classical ways are tuned; share of false alarms of the matched detector.
_TUNED_ON, _FALSE_ALARM_SIGMA = 4, 2.326


class Answers(Protocol):
    """What these checks need of an analyser: its model."""

    @property
    def predict(self) -> Callable[[Frame], Prediction]:
        """The model: a frame in, the finer image out."""
        ...


@dataclass(frozen=True)
class FilmTrial:
    """A test set: `number` films of a kind."""

    name: str
    films: GoldFilms | SpinodalFilms
    number: int


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
    limit_missed: Sequence[float]
    limit_width: Sequence[float]
    told: float
    chi_square: float
    within: tuple[float, float]
    distance: float


_FOUND: Shared[list[Film]] = Shared()
#: The model among the ways, what it is given, and the best of the classical ones.
MODEL, INPUT, BASELINE, LINEAR = "model", "bicubic", "total variation", "Wiener, told the spectrum"


def missed_gaps(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: share of the known gaps, from one recorded pixel on, that are not found.

    Limit: of a matched filter that knows place and shape of each and gives 1 % of false alarms.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        scores = [one.gaps[MODEL] for one in films]
        interval = share_interval([one.missed for one in scores], [one.known for one in scores], rng)
        limit = float(np.mean(np.concatenate([one.limit_missed for one in films])))
        detail = f"{sum(one.known for one in scores)} gaps; " + _by_way(films, _missed_share)
        return Measurement.of(interval, limit=limit, baseline=_missed_share(films, BASELINE), detail=detail)

    return Check(f"gaps missed, {trial.name}", measure, at_most, "<=", data=trial.name)


def false_gaps(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: share of the supported gaps in the table where there is none."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        scores = [one.gaps[MODEL] for one in films]
        interval = share_interval([one.false for one in scores], [one.rows for one in scores], rng)
        detail = f"{sum(one.rows for one in scores)} rows; " + _by_way(films, _false_share)
        return Measurement.of(interval, limit=0.0, baseline=_false_share(films, BASELINE), detail=detail)

    return Check(f"false gaps, {trial.name}", measure, at_most, "<=", data=trial.name)


def width_error(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: root mean square error of the widths of known gaps that were found, in finer pixels.

    Limit: of one who knows all but how much is missing between the banks.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        interval = bootstrap(lambda drawn: _width_rms(drawn, MODEL), films, rng)
        limit = float(np.sqrt(np.mean(np.concatenate([one.limit_width for one in films]) ** 2)))
        off = np.concatenate([one.gaps[MODEL].off for one in films])
        detail = f"bias {off.mean():+.2f} px, median error {np.median(abs(off)):.2f} px; " + _by_way(films, _width_rms)
        return Measurement.of(interval, limit=limit, baseline=_width_rms(films, BASELINE), detail=detail)

    return Check(f"RMS error of gap widths, {trial.name}", measure, at_most, "<=", unit="px", data=trial.name)


def frequency_gain(trial: FilmTrial, *, at_least: float) -> Check:
    """Build the check: frequency at which the correlation with the truth falls to 0.143, over that of bicubic pixels.

    Limit: half a cycle a finer pixel, beyond which such an image holds nothing.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        interval = bootstrap(lambda drawn: resolution(drawn, MODEL) / resolution(drawn, INPUT), films, rng)
        start = resolution(films, INPUT)
        told = float(np.median([one.told for one in films])) / FINER
        detail = (
            f"{resolution(films, MODEL):.3f} from {start:.3f} cycles a finer pixel; half a cycle a recorded pixel is "
            f"0.25, noise outweighs what is recorded from {told:.3f} on; {LINEAR} {resolution(films, LINEAR):.3f}, "
            f"{BASELINE} {resolution(films, BASELINE):.3f}"
        )
        baseline = resolution(films, BASELINE) / start
        return Measurement.of(interval, limit=0.5 / start, baseline=baseline, detail=detail)

    return Check(f"gain in frequency (FRC 0.143), {trial.name}", measure, at_least, ">=", data=trial.name)


def excess_power(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: by how many dB the answer has more power than the truth, in the band where it has most."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        interval = bootstrap(lambda drawn: float(_excess(drawn, MODEL).max()), films, rng)
        bands = ", ".join(f"{value:+.1f}" for value in _excess(films, MODEL))
        detail = f"dB in {_BANDS} bands up to half a cycle a finer pixel: {bands}"
        baseline = float(_excess(films, INPUT).max())
        return Measurement.of(interval, baseline=baseline, detail=f"{detail}; baseline: bicubic")

    return Check(f"power above the truth's, {trial.name}", measure, at_most, "<=", unit="dB", data=trial.name)


def over_variation(trial: FilmTrial, *, at_least: float) -> Check:
    """Build the check: by how much the RMS error is less than that of the best classical way.

    Limit: the best linear estimate, told the truth's own spectrum; the baseline of bicubic pixels stands beside it.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        ways = [way for way in films[0].squares if way not in (MODEL, LINEAR)]
        other = min(ways, key=lambda way: _rms(films, way))
        interval = bootstrap(lambda drawn: 1 - _rms(drawn, MODEL) / _rms(drawn, other), films, rng)
        start = 1 - _rms(films, INPUT) / _rms(films, other)
        return Measurement.of(interval, baseline=start, detail=f"best: {other}; RMS error: {_by_way(films, _rms)}")

    return Check(f"error saved over the best classical way, {trial.name}", measure, at_least, ">=", data=trial.name)


def chi_square(trial: FilmTrial, *, off_by: float) -> Check:
    """Build the check: by how much the mean square of recorded minus averaged answer, over the noise, is off 1."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        values = [one.chi_square for one in answered(trial, analyser, rng)]
        interval = bootstrap(lambda drawn: abs(float(np.mean(drawn)) - 1), values, rng)
        return Measurement.of(interval, limit=0.0, detail=f"mean {np.mean(values):.3f} at edges")

    return Check(f"chi-square at edges is off 1 by, {trial.name}", measure, off_by, "<=", data=trial.name)


def sigma_coverage(trial: FilmTrial, *, off_by: float) -> Check:
    """Build the check: by how much the share of pixels within 1-sigma of the truth is off 68.3 %."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        interval = bootstrap(lambda drawn: abs(float(np.mean([one.within[0] for one in drawn])) - 0.6827), films, rng)
        one, two = (np.mean([film.within[place] for film in films]) for place in (0, 1))
        return Measurement.of(interval, limit=0.0, detail=f"{one:.3f} within 1, {two:.3f} within 2 sigma")

    return Check(f"share within 1 sigma is off by, {trial.name}", measure, off_by, "<=", data=trial.name)


def foreign_told(trial: FilmTrial, *, at_least: float) -> Check:
    """Build the check: how surely images that are no films are told from films, for the kind told worst (AUROC)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        inside = np.array([one.distance for one in answered(trial, analyser, rng)])
        side = trial.films.films.side if isinstance(trial.films, SpinodalFilms) else trial.films.side
        predict = cast(Answers, analyser).predict
        outside = {
            kind: np.array(
                [_distance(predict(Frame(foreign_image(kind, side, rng), 0, Calibration()))) for _ in range(12)]
            )
            for kind in KINDS
        }
        each = {kind: auroc(inside, away) for kind, away in outside.items()}
        interval = bootstrap(
            lambda drawn: min(auroc(np.array(drawn), away) for away in outside.values()), list(inside), rng
        )
        said = ", ".join(f"{kind} {value:.3f}" for kind, value in each.items())
        flagged = float((inside > _FLAGGED).mean())
        return Measurement.of(interval, limit=1.0, detail=f"{said}; {100 * flagged:.0f} % of the films flagged")

    return Check(f"other textures recognised (AUROC), {trial.name}", measure, at_least, ">=", data=trial.name)


def seconds_a_frame(*, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of an answer of 1024 x 1024 pixels; gaps are told beside."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        frame = Frame(with_side(GoldFilms(), 512)(rng).coarse, 0, Calibration(pixel_nm=2.0))
        predict, objects = cast(Answers, analyser).predict, FinerGaps()
        seconds, tables = [], []
        predict(frame)
        for _ in range(3):
            began = time.process_time()
            prediction = predict(frame)
            middle = time.process_time()
            objects(prediction)
            seconds.append(middle - began)
            tables.append(time.process_time() - middle)
        interval = bootstrap(lambda drawn: float(np.median(drawn)), seconds, rng)
        return Measurement.of(interval, detail=f"then {np.median(tables):.2f} s for the gaps")

    return Check("processor time of 512 x 512 to 1024 x 1024", measure, at_most_s, "<=", unit="s")


def answered(trial: FilmTrial, analyser: Analyser, rng: np.random.Generator) -> list[Film]:
    """Return what came of each film of a trial."""
    return _FOUND.found(trial.name, analyser, rng, lambda seed: _answered(trial, analyser, seed))


def _answered(trial: FilmTrial, analyser: Analyser, seed: int) -> list[Film]:
    tuned = _tuned([trial.films(np.random.default_rng([seed, 1, number])) for number in range(_TUNED_ON)])
    predict = cast(Answers, analyser).predict
    return [_film(trial.films(np.random.default_rng([seed, 0, one])), predict, tuned) for one in range(trial.number)]


def _tuned(films: Sequence[SeenTwice]) -> tuple[float, tuple[float, int]]:
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


def _film(film: SeenTwice, predict: Callable[[Frame], Prediction], tuned: tuple[float, tuple[float, int]]) -> Film:
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
    lines, known = known_gaps(film)
    expected = binned(film.truth, FINER)
    exact = (expected * (1 + expected / np.float32(film.electrons))).astype(np.float32)
    seen = _read_on(film.truth, known)
    strength = np.maximum(support(expected, exact, film.truth, seen), 1e-3)
    ratio = np.abs(answer - film.truth) / sigma
    from scipy.stats import norm

    return Film(
        gaps={
            way: _scored(image, film, lines, known, prediction if way == MODEL else None) for way, image in ways.items()
        },
        rings={way: rings_of(image, film.truth) for way, image in ways.items() if way != "Lanczos"},
        squares={way: float(np.mean((image - film.truth).astype(float) ** 2)) for way, image in ways.items()},
        limit_missed=norm.cdf(_FALSE_ALARM_SIGMA - strength).tolist(),
        limit_width=(known.width / strength).tolist(),
        told=told_up_to(film.coarse, variance),
        chi_square=agreement(film.coarse, answer).chi_square,
        within=(float((ratio < 1).mean()), float((ratio < 2).mean())),
        distance=_distance(prediction),
    )


def known_gaps(film: SeenTwice) -> tuple[Gaps, Gaps]:
    """Return all narrow places between the borders of the gold, and the gaps among them that are to be found."""
    points = -film.distance
    lines = gap_lines(points, 0.0, POINTS * 2 * WIDEST)
    through = passing(points, 0.0, lines)
    fine = lines.scaled(1 / POINTS)
    known = fine[through]
    known = known[narrowest(known, FinerGaps().apart_px)]
    asked = (known.width >= NARROWEST) & (known.width <= WIDEST)
    return fine, known[asked & _inner(known, film.truth.shape)]


def _inner(gaps: Gaps, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray(((gaps.points > _RIM) & (gaps.points < np.array(shape) - 1 - _RIM)).all(axis=1))


def _read_on(truth: Image, known: Gaps) -> Gaps:
    """Return known gaps with the values that the truth has in them and on their banks."""
    from micrograph.features.metallography.gaps import with_levels

    return with_levels(truth, known)


def _scored(image: Image, film: SeenTwice, lines: Gaps, known: Gaps, prediction: Prediction | None) -> GapScore:
    """Return how an image's gaps compare with the known ones; of a prediction those count that its table supports."""
    from scipy.spatial import cKDTree

    finder = FinerGaps()
    every = finder.lines(image)
    if prediction is None:
        rows = every[passing(image, levels_of(image).high, every)]
        rows = rows[narrowest(rows, finder.apart_px)]
    else:
        table = finder(prediction)["objects"]
        sure = table[table["flags"] == 0]
        columns = ("y_px", "x_px", "across_deg", "width_px", "depth", "support")
        rows = Gaps(*(sure[name].to_numpy(float) for name in columns))
    rows = rows[_inner(rows, image.shape) & (rows.width <= WIDEST)]
    if not len(every):
        return GapScore(len(known), len(known), 0, 0, np.zeros(0))
    far, place = cKDTree(every.points).query(known.points)
    hit = far <= np.maximum(_NEAR, known.width / 2)
    away, at = cKDTree(lines.points).query(rows.points)
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
    return Rings(*(np.bincount(ring, part.ravel().astype(float), _RINGS + 1)[:_RINGS] for part in parts))


def resolution(films: Sequence[Film], way: str) -> float:
    """Return the frequency (cycles a finer pixel) at which the correlation of all films falls below 0.143."""
    sums = [np.sum([getattr(one.rings[way], name) for one in films], axis=0) for name in ("cross", "answer", "truth")]
    correlation = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30))
    middle = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
    below = np.flatnonzero(correlation < _LEAST)
    if not len(below):
        return 0.5
    at = int(below[0])
    if at == 0:
        return float(middle[0])
    part = (correlation[at - 1] - _LEAST) / (correlation[at - 1] - correlation[at])
    return float(middle[at - 1] + part * (middle[at] - middle[at - 1]))


def _excess(films: Sequence[Film], way: str) -> Array:
    """Return by how many dB the answers have more power than the truths, by band."""
    answer, truth = (
        np.sum([getattr(one.rings[way], name) for one in films], axis=0).reshape(_BANDS, -1).sum(axis=1)
        for name in ("answer", "truth")
    )
    return np.asarray(10 * np.log10(answer / truth))


def _missed_share(films: Sequence[Film], way: str) -> float:
    return sum(one.gaps[way].missed for one in films) / max(sum(one.gaps[way].known for one in films), 1)


def _false_share(films: Sequence[Film], way: str) -> float:
    return sum(one.gaps[way].false for one in films) / max(sum(one.gaps[way].rows for one in films), 1)


def _width_rms(films: Sequence[Film], way: str) -> float:
    return float(np.sqrt(np.mean(np.concatenate([one.gaps[way].off for one in films]) ** 2)))


def _rms(films: Sequence[Film], way: str) -> float:
    return float(np.sqrt(np.mean([one.squares[way] for one in films])))


def _by_way(films: Sequence[Film], number: Callable[[Sequence[Film], str], float]) -> str:
    return ", ".join(f"{way} {number(films, way):.3g}" for way in films[0].gaps if way != MODEL)


#: What is added to the distance of an image that was flagged.
_FLAGGED = 1e3


def _distance(prediction: Prediction) -> float:
    flagged = Flag.OUT_OF_DOMAIN in prediction.flags
    return float(prediction.domain_distance) + (_FLAGGED if flagged else 0.0)
