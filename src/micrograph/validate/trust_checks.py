"""Checks of doubt: scores that are probabilities, and images of another kind that are recognised as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.simulate.contaminate import smooth_field
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap
from micrograph.validate.metrics import auroc
from micrograph.validate.trials import Answer, Trial, exposures

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: An image and the pixel size that is claimed for it.
Shown = tuple[NDArray[np.float32], float]
KINDS = ("noise", "texture", "pixel x2", "pixel /2")


def score_calibration(trial: Trial, *, at_most: float = 0.05, radius_nm: float = 0.05, names: bool = False) -> Check:
    """Build the check: expected calibration error of the scores in table 'objects'.

    A row is right if a true site lies within `radius_nm`, with `names` only if it is called by that site's name.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        scored = [_scored(answer, radius_nm, names) for answer in trial.answers(analyser, rng)]
        interval = bootstrap(_pooled_error, scored, rng)
        score, right = (np.concatenate(part) for part in zip(*scored, strict=True))
        detail = f"mean score {score.mean():.4f}, right {right.mean():.4f}, {len(score)} rows"
        return Measurement.of(interval, limit=0.0, detail=detail)

    return Check(f"calibration error of the scores at {trial}", measure, at_most, "<=")


def _scored(answer: Answer, radius_nm: float, names: bool) -> tuple[Array, NDArray[np.bool_]]:
    """Return the scores of the inner rows and whether each is right."""
    pairs = answer.matched(radius_nm)
    right = np.zeros(len(answer.found), bool)
    right[pairs.found] = True
    if names:
        right[pairs.found] = answer.found.label[pairs.found] == answer.reference.sites.label[pairs.true]
    inner = answer.reference.inner(answer.found.y_nm, answer.found.x_nm, answer.trial.inset_nm)
    return answer.tables["objects"]["score"].to_numpy(float)[inner], right[inner]


def _pooled_error(images: Sequence[tuple[Array, NDArray[np.bool_]]]) -> float:
    score, right = (np.concatenate(part) for part in zip(*images, strict=True))
    return expected_calibration_error(score, right)


def domain_auroc(
    trial: Trial, *, at_least: float = 0.95, foreign: tuple[str, ...] = (), kinds: tuple[str, ...] = KINDS
) -> Check:
    """Build the check: how surely images of other kinds are told from the trial's, for the kind told worst (AUROC).

    Kinds: 'noise' without structure, 'texture' like a photograph, the trial's own images with a pixel size claimed
    twice too large or small, and 'material': the `foreign` references. The score is the 'domain_distance' of table
    'frames'; a frame that is flagged OUT_OF_DOMAIN lies beyond all that are not. Baseline: contrast of lattice peaks.
    """
    asked = (*kinds, "material") if foreign else kinds

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = trial.answers(analyser, rng)
        inside = np.array([_distance(answer.tables) for answer in own])
        strange = {kind: _foreign(kind, own, trial, foreign, rng) for kind in asked}
        outside = {kind: np.array([_distance(analyser(*image)) for image in strange[kind]]) for kind in asked}
        worst = {kind: auroc(inside, scores) for kind, scores in outside.items()}
        plain = {kind: _plain_auroc(own, images) for kind, images in strange.items()}
        interval = bootstrap(lambda pairs: _worst(pairs, inside, outside), range(len(own)), rng)
        detail = ", ".join(f"{kind} {value:.3f}" for kind, value in worst.items())
        return Measurement.of(interval, limit=1.0, baseline=min(plain.values()), detail=detail)

    return Check(f"other images recognised (AUROC, worst of {', '.join(asked)}) at {trial}", measure, at_least, ">=")


def _worst(drawn: Sequence[int], inside: Array, outside: Mapping[str, Array]) -> float:
    """Return the worst AUROC over the kinds for images drawn anew: the same draw on both sides."""
    rows = np.asarray(drawn)
    return min(auroc(inside[rows], scores[rows % len(scores)]) for scores in outside.values())


def _distance(tables: Mapping[str, DataFrame]) -> float:
    frame = tables["frames"].iloc[0]
    distance = float(np.nan_to_num(frame.get("domain_distance", 0.0)))
    flagged = int(frame["flags"]) & int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)
    return distance + (1e3 if flagged else 0.0)


def _foreign(
    kind: str, own: Sequence[Answer], trial: Trial, foreign: tuple[str, ...], rng: np.random.Generator
) -> list[Shown]:
    """Return images of one other kind, as many as the trial has."""
    if kind == "material":
        images = exposures(replace(trial, references=foreign, repeats=max(1, len(own) // len(foreign))), rng)
        return [(image, trial.pixel_nm) for name in foreign for image in images[name]]
    return [_changed(kind, answer, rng) for answer in own]


def _changed(kind: str, answer: Answer, rng: np.random.Generator) -> Shown:
    image, pixel = answer.image, answer.reference.pixel_nm
    if kind == "noise":
        return rng.poisson(image.mean(), image.shape).astype(np.float32), pixel
    if kind == "texture":
        shape = (image.shape[0], image.shape[1])
        scales = np.exp(rng.uniform(np.log(3), np.log(40), size=3))
        field = np.sum([smooth_field(shape, float(scale), rng) for scale in scales], axis=0)
        return rng.poisson(image.mean() * np.exp(0.5 * field)).astype(np.float32), pixel
    if kind in ("pixel x2", "pixel /2"):
        return image, pixel * (2.0 if kind == "pixel x2" else 0.5)
    raise ValueError(f"There is no kind of image '{kind}': choose among {', '.join(KINDS)}.")


def _plain_auroc(own: Sequence[Answer], strange: Sequence[Shown]) -> float:
    """Return the AUROC of a classical score: how far the frequency and height of the strongest lattice peak are off."""
    known = np.array([_peak(answer.image, answer.reference.pixel_nm) for answer in own])
    centre, spread = known.mean(axis=0), known.std(axis=0) + 1e-6

    def score(peaks: Array) -> Array:
        return np.asarray(np.abs((peaks - centre) / spread).max(axis=1))

    return auroc(score(known), score(np.array([_peak(*shown) for shown in strange])))


def _peak(image: NDArray[np.float32], pixel_nm: float) -> tuple[float, float]:
    """Return frequency (1/nm) and log share of power of the strongest Fourier peak beyond 1 per nm."""
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None, :]
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
    ky, kx = np.fft.fftfreq(image.shape[0], pixel_nm)[:, None], np.fft.rfftfreq(image.shape[1], pixel_nm)[None, :]
    frequency = np.hypot(ky, kx)
    power[frequency < 1.0] = 0.0
    top = np.unravel_index(int(power.argmax()), power.shape)
    return float(frequency[top]), float(np.log(power[top] / max(power.sum(), 1e-30)))
