"""Checks of denoising: how near to the clean image, beside a network that learned from clean ones; defects; doubt."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Prediction, Recording
from micrograph.features.restoring.residual import whiteness
from micrograph.features.restoring.stabilised import Stabiliser
from micrograph.infer.restoring import DENOISED, Denoiser, Restorer
from micrograph.nets.blind_spec import BlindSpec
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap, clopper_pearson
from micrograph.validate.restoring.denoise_scenes import (
    Planted,
    Scenes,
    best_classical,
    by_components,
    counted,
    defect_f1,
    exposed,
    lattices,
    moving,
    psnr,
    spoilt,
    vacancies,
)
from micrograph.validate.shared import Shared

Image = NDArray[np.float32]


@dataclass(frozen=True)
class DenoiseTrial:
    """Images of `scenes` with so many `electrons` a pixel, each denoised by a `learner` that saw nothing else of it."""

    name: str
    scenes: Scenes
    learner: Denoiser
    electrons: float = 10.0
    number: int = 3
    side: int = 128


@dataclass(frozen=True)
class Seen:
    """What became of one image: PSNR (dB) before and after, of the best classical method and of the supervised
    network; shares of the pixels that lie within 1 and 2 sigma; how far the mean moved, as a share.
    """

    raw: float
    own: float
    classical: float
    supervised: float
    within: tuple[float, float]
    moved: float


def recording_of(frames: Sequence[Image]) -> Recording:
    """Return frames (T, H, W) as a recording."""
    return Recording(lambda index: frames[index], range(len(frames)), Calibration(pixel_nm=0.02), frames[0].shape)


def taught(learner: Denoiser, recording: Recording) -> Restorer:
    """Return the network that learned from a recording."""
    with tempfile.TemporaryDirectory() as folder:
        return learner.taught(recording, Path(folder) / "model.safetensors", {"learned_from": "a check"})


def denoised(learner: Denoiser, image: Image) -> Prediction:
    """Return what a learner makes of one image."""
    recording = recording_of([image])
    return taught(learner, recording)(recording.frame(0))


def supervised(made: Planted, learner: Denoiser) -> Image:
    """Return what a network of the same architecture, but for the blind spot, makes of an image.

    It learned, in as many steps, from the clean image of another place of the same specimen, with new noise each time.
    """
    import torch

    from micrograph.nets.blind import BlindNet
    from micrograph.train.blind_spot import BlindSettings, from_clean, learn

    torch.manual_seed(learner.seed)
    net, electrons = BlindNet(replace(BlindSpec(), blind=False)), float(made.clean.mean(dtype=np.float64))
    net.begin(others=False)
    settings = BlindSettings(learner.steps, learner.batch, learner.patch, seed=learner.seed)
    scale, stable = np.float32(electrons / made.elsewhere.mean(dtype=np.float64)), Stabiliser(1.0, 0.0)

    def expose(clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
        return stable(rng.poisson(clean * scale).astype(np.float32)), stable.expected(clean * scale)

    learn(net, from_clean(made.elsewhere, net.spec.frames, settings, expose), settings)
    recording = recording_of([made.noisy])
    restorer = Restorer(net.requires_grad_(False), learner.plan(recording), recording, "")
    return restorer(recording.frame(0)).maps[DENOISED]


_KNOWN: Shared[tuple[Seen, ...]] = Shared()


def _seen(trial: DenoiseTrial, analyser: Analyser, rng: np.random.Generator) -> tuple[Seen, ...]:
    return _KNOWN.found(trial.name, analyser, rng, lambda seed: tuple(_all(trial, np.random.default_rng(seed))))


def _all(trial: DenoiseTrial, rng: np.random.Generator) -> list[Seen]:
    return [_one(trial, exposed(trial.scenes, trial.side, trial.electrons, rng)) for _ in range(trial.number)]


def _one(trial: DenoiseTrial, made: Planted) -> Seen:
    found = denoised(trial.learner, made.noisy)
    image, sigma = found.maps[DENOISED], found.sigma[DENOISED]
    off = np.abs(image - made.clean) / sigma
    return Seen(
        psnr(made.noisy, made.clean),
        psnr(image, made.clean),
        best_classical(made),
        psnr(supervised(made, trial.learner), made.clean),
        (float((off < 1).mean()), float((off < 2).mean())),
        float(abs(image.mean(dtype=np.float64) / made.noisy.mean(dtype=np.float64) - 1)),
    )


def _mean(values: Sequence[float]) -> Interval:
    return bootstrap(lambda drawn: float(np.mean(drawn)), values, np.random.default_rng(0))


def _check(
    trial: DenoiseTrial, name: str, of: Callable[[tuple[Seen, ...]], Measurement], bound: float, *, least: bool = False
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(_seen(trial, analyser, rng))

    return Check(f"{name} ({trial.name})", measure, bound, ">=" if least else "<=", data=trial.name)


def behind_supervised(trial: DenoiseTrial, *, at_most: float) -> Check:
    """Return the check of how much the PSNR (dB) falls short of a network that learned from clean images."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        own, other = (float(np.mean([getattr(one, name) for one in seen])) for name in ("own", "supervised"))
        words = f"{own:.1f} dB, supervised {other:.1f} dB, raw {np.mean([one.raw for one in seen]):.1f} dB"
        return Measurement.of(_mean([one.supervised - one.own for one in seen]), detail=words)

    return _check(trial, "dB short of a supervised network", of, at_most)


def gain(trial: DenoiseTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR gained over the raw image (dB); limit: the supervised network, baseline: the best
    of Gaussian, total variation and non-local means, their strengths chosen with the truth."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        gains = {name: [getattr(one, name) - one.raw for one in seen] for name in ("own", "supervised", "classical")}
        words = f"{len(seen)} images; raw {np.mean([one.raw for one in seen]):.1f} dB"
        limit, baseline = (float(np.mean(gains[name])) for name in ("supervised", "classical"))
        return Measurement.of(_mean(gains["own"]), limit=limit, baseline=baseline, detail=words)

    return _check(trial, "dB gained over the raw image", of, at_least, least=True)


def over_classical(trial: DenoiseTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR beyond the best classical method's (dB), whose strength the truth chose."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        return Measurement.of(_mean([one.own - one.classical for one in seen]), detail=f"{len(seen)} images")

    return _check(trial, "dB beyond the best classical method", of, at_least, least=True)


def sigma_coverage(trial: DenoiseTrial, *, at_least: float) -> Check:
    """Return the check of the share of pixels whose truth lies within 2 sigma (95 % were perfect)."""

    def of(seen: tuple[Seen, ...]) -> Measurement:
        words = f"within 1 sigma {np.mean([one.within[0] for one in seen]):.3f} (0.683 were perfect)"
        return Measurement.of(_mean([one.within[1] for one in seen]), limit=0.954, detail=words)

    return _check(trial, "share of pixels within 2 sigma", of, at_least, least=True)


def mean_kept(trial: DenoiseTrial, *, at_most: float) -> Check:
    """Return the check of how far the mean of an image moves, as a share of it."""
    return _check(trial, "shift of the mean", lambda seen: Measurement.of(_mean([one.moved for one in seen])), at_most)


def defects_kept(learner: Denoiser, electrons: float, number: int, *, at_least: float) -> Check:
    """Return the check of single missing atoms told from the denoised image against the raw one: difference of F1.

    Sites are told by the sum in a disc, threshold and radius the best for each image.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        before, after = [], []
        for _ in range(number):
            made = vacancies(144, electrons, rng)
            if made.odd.any():
                before.append(defect_f1(made.noisy, made))
                after.append(defect_f1(denoised(learner, made.noisy).maps[DENOISED], made))
        words = f"F1 raw {np.mean(before):.3f}, denoised {np.mean(after):.3f}, {len(before)} images"
        return Measurement.of(_mean([a - b for a, b in zip(after, before, strict=True)]), detail=words)

    return Check(f"change of the F1 of missing atoms at {electrons:g} e/px", measure, at_least, ">=")


def movie_gain(learner: Denoiser, *, at_least: float, number: int = 2, frames: int = 10) -> Check:
    """Return the check of what neighbouring frames add (dB), in movies where something moves; baseline: PCA's gain."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found, parts = [], []
        for _ in range(number):
            clean, noisy = moving(96, frames, 10.0, rng)
            recording = recording_of(list(noisy))
            with_others, alone = (taught(_of_mode(learner, mode), recording) for mode in ("frames", "blind-spot"))
            scores = [_score(model, recording, clean) for model in (with_others, alone)]
            found.append(scores[0] - scores[1])
            parts.append((*scores, by_components(noisy, clean)))
        both, single, pca = np.mean(parts, axis=0)
        words = f"{both:.1f} dB, blind spots alone {single:.1f} dB, principal components {pca:.1f} dB"
        return Measurement.of(_mean(found), baseline=float(pca - single), detail=words)

    return Check("dB that neighbouring frames add", measure, at_least, ">=")


def _of_mode(learner: Denoiser, mode: Any) -> Denoiser:
    return replace(learner, mode=mode)


def _score(model: Restorer, recording: Recording, clean: Image) -> float:
    scores = [psnr(model(frame).maps[DENOISED], truth) for frame, truth in zip(recording, clean, strict=True)]
    return float(np.mean(scores))


def correlation_told(*, at_least: float, each: int = 60) -> Check:
    """Return the check of images whose noise is told rightly to be alike in neighbouring pixels, or not to be."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right = dict.fromkeys(("white", "blurred", "interpolated", "lines"), 0)
        for kind in right:
            for _ in range(each):
                noisy, _ = counted(lattices(128, rng), float(np.exp(rng.uniform(np.log(3), np.log(60)))), rng)
                right[kind] += bool(whiteness(spoilt(kind, noisy, rng)).said) == (kind != "white")
        words = ", ".join(f"{kind} {hits} of {each}" for kind, hits in right.items())
        return Measurement.of(clopper_pearson(sum(right.values()), each * len(right)), detail=words)

    return Check("share of images whose noise is judged rightly", measure, at_least, ">=")


def seconds_a_frame(learner: Denoiser, *, at_most_s: float) -> Check:
    """Return the check of the time (s) in which a trained network denoises 512 x 512 pixels."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        image, _ = counted(lattices(512, rng), 10.0, rng)
        recording = recording_of([image])
        model = taught(learner, recording)
        model(recording.frame(0))
        seconds = [_timed(functools.partial(model, recording.frame(0))) for _ in range(5)]
        interval = bootstrap(lambda drawn: float(np.median(drawn)), seconds, rng)
        return Measurement.of(interval, detail="processor time")

    return Check("time of a 512 x 512 frame", measure, at_most_s, "<=", unit="s")


def _timed(call: Callable[[], Prediction]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
