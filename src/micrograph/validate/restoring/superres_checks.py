"""Checks of images on finer pixels: gaps, their widths, resolution, nothing added, beside classical ways and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.restoring.finer_tables import FinerGaps
from micrograph.features.restoring.super_resolution import FINER
from micrograph.simulate.secondary.gold_films import GoldFilms, SpinodalFilms, with_side
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.metrics import auroc
from micrograph.validate.restoring.superres_films import (
    BANDS,
    BASELINE,
    FLAGGED,
    INPUT,
    LINEAR,
    MODEL,
    Film,
    distance_of,
    excess_of,
    film_of,
    resolution_of,
    tuned_on,
)
from micrograph.validate.restoring.superres_foreign import KINDS, foreign_image
from micrograph.validate.shared import Shared

Array = NDArray[np.float64]

#: Films with which classical ways are tuned.
_TUNED_ON = 4


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


_FOUND: Shared[list[Film]] = Shared()


def missed_gaps(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: share of the known gaps, from one recorded pixel on, that are not in the table of gaps.

    Known gaps that the finer image does not show either, free of noise, do not count.

    Limit: of a matched filter that knows place and shape of each and gives 1 % of false alarms.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        scores = [one.gaps[MODEL] for one in films]
        interval = share_interval([one.missed for one in scores], [one.known for one in scores], rng)
        limit = float(np.mean(np.concatenate([one.limit_missed for one in films])))
        known, unseen = sum(one.known for one in scores), sum(one.unseen for one in films)
        detail = f"{known} gaps, {unseen} more are not in the truth's own image; " + _by_way(films, _missed_share)
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

    Limit: of one who knows all but how much is missing between the banks, where that is to be seen at all.
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
        detail = f"dB in {BANDS} bands up to half a cycle a finer pixel: {bands}"
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


def chi_square(trial: FilmTrial, *, at_most: float) -> Check:
    """Build the check: mean square of recorded minus averaged answer over the known noise.

    It is 1 for the truth itself and below 1 as far as an answer follows the counts (cubic convolution: nearly 0).
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        films = answered(trial, analyser, rng)
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), [one.chi_square for one in films], rng)
        edges = np.mean([one.at_edges for one in films])
        return Measurement.of(interval, limit=1.0, detail=f"at edges, over the noise as measured: {edges:.3f}")

    return Check(f"chi-square of what was recorded, {trial.name}", measure, at_most, "<=", data=trial.name)


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
                [distance_of(predict(Frame(foreign_image(kind, side, rng), 0, Calibration()))) for _ in range(12)]
            )
            for kind in KINDS
        }
        each = {kind: auroc(inside, away) for kind, away in outside.items()}
        interval = bootstrap(
            lambda drawn: min(auroc(np.array(drawn), away) for away in outside.values()), list(inside), rng
        )
        said = ", ".join(f"{kind} {value:.3f}" for kind, value in each.items())
        flagged = float((inside > FLAGGED).mean())
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
    tuned = tuned_on([trial.films(np.random.default_rng([seed, 1, number])) for number in range(_TUNED_ON)])
    predict = cast(Answers, analyser).predict
    return [film_of(trial.films(np.random.default_rng([seed, 0, one])), predict, tuned) for one in range(trial.number)]


def resolution(films: Sequence[Film], way: str) -> float:
    """Return the frequency (cycles a finer pixel) at which the correlation of all films falls below 0.143."""
    return resolution_of([one.rings[way] for one in films])


def _excess(films: Sequence[Film], way: str) -> Array:
    return excess_of([one.rings[way] for one in films])


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
