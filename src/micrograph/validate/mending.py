"""A network mended for a user's microscope: tried on images simulated at the settings that the user's frames speak of.

The frames say how they were taken (`infer.likeness`). At these settings images are simulated, whose truth is known; on
them the network is judged as it is, looking at other pixels, with other norms, and after learning on. What is kept is
judged once more on images that decided nothing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sampler
from micrograph.infer.backends import backend
from micrograph.infer.likeness import alike
from micrograph.infer.predictor import Member, Predictor
from micrograph.nets import Checkpoint, NetSpec, normalise, save, to_model_grid
from micrograph.simulate.settings import Among, Elsewhere, Told, ranges_of, with_ranges
from micrograph.train.adapting import renormalised, resampled, turned_over
from micrograph.train.settings import TrainSettings
from micrograph.train.trainer import train
from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.metrics import Detection, f1, match
from micrograph.validate.shifts import RADIUS_NM, clean, found, spots

if TYPE_CHECKING:
    from torch import Tensor

Image = NDArray[np.float32]
#: Called with (done, total, what is done now).
Progress = Callable[[int, int, str], object]
#: Other pixels at which a network is tried, over its own, and shares of other norms.
FACTORS, SHARES = (0.75, 0.87, 1.15, 1.33), (0.5, 1.0)
#: Rounds of asking how frames were taken; so many of the likeliest settings are kept.
ROUNDS, _LIKELY = 3, 60


@dataclass(frozen=True)
class MendSettings:
    """How to mend: `draws` images to learn how frames were taken, `judges` to judge an attempt, and the training."""

    draws: int = 600
    judges: int = 12
    training: TrainSettings = field(
        default_factory=lambda: TrainSettings(
            steps=300, learning_rate=1.5e-3, reuse=4, checkpoint_every=10_000, calibration_samples=80
        )
    )


@dataclass(frozen=True)
class Attempt:
    """One way to mend: F1 on simulated images at the user's settings, agreement with itself on the user's frames."""

    name: str
    checkpoint: Checkpoint
    counts: tuple[Detection, ...]
    agreement: float
    seconds: float

    @property
    def f1(self) -> float:
        """F1 on the simulated images."""
        return f1(self.counts)


@dataclass(frozen=True)
class Mended:
    """What mending brought. `like`: images taken as the frames were; before, after: on images that decided nothing."""

    like: Among
    attempts: tuple[Attempt, ...]
    best: Attempt
    before: Interval
    after: Interval
    gain: Interval

    @property
    def worth_it(self) -> bool:
        """Whether the best attempt is better than nothing, beyond what chance does."""
        return self.best is not self.attempts[0] and self.gain.low > 0


def mend(
    checkpoint: Checkpoint,
    sampler: Sampler,
    frames: Sequence[Image],
    pixel_nm: float,
    *,
    settings: MendSettings,
    rng: np.random.Generator,
    progress: Progress = lambda done, total, note: None,
) -> Mended:
    """Return the network mended for `frames` (H, W) with pixels of `pixel_nm`, and what that brought."""
    progress(0, 3, "how the frames were taken")
    near = images_like(frames, pixel_nm, sampler, cast(NetSpec, checkpoint.spec), settings.draws, rng)
    judges = sampled(near, settings.judges, rng)
    attempts: list[Attempt] = []
    for name, made, seconds in _tries(checkpoint, near, attempts, settings, rng, progress):
        predict = predictor_of(made)
        counts = tuple(found(predict, sample) for sample in judges)
        attempts.append(Attempt(name, made, counts, agreement(predict, frames, pixel_nm), seconds))
    best = max(attempts, key=lambda one: one.f1)
    fresh = sampled(near, 2 * settings.judges, rng)
    pairs = [
        (found(predictor_of(attempts[0].checkpoint), one), found(predictor_of(best.checkpoint), one)) for one in fresh
    ]
    before, after = (bootstrap(f1, [pair[side] for pair in pairs], rng) for side in (0, 1))
    gain = bootstrap(lambda drawn: f1([two for _, two in drawn]) - f1([one for one, _ in drawn]), pairs, rng)
    return Mended(near, tuple(attempts), best, before, after, gain)


def images_like(
    frames: Sequence[Image], pixel_nm: float, sampler: Sampler, spec: NetSpec, draws: int, rng: np.random.Generator
) -> Among:
    """Return the sampler of images taken as `frames` were, as far as they say; it learns from so many `draws`.

    It asks in rounds: the settings that were likely in one are drawn anew, among other crystals, in the next.
    """
    assert spec.pixel_nm is not None
    here = with_ranges(Told(clean(sampler)), {"pixel_nm": (pixel_nm, pixel_nm)})
    names = list(ranges_of(here))
    like: Sampler = Elsewhere(here)
    for _ in range(ROUNDS):
        drawn = sampled(like, draws // ROUNDS, rng)
        weights = alike(frames, pixel_nm, drawn, [name for name in names if name != "pixel_nm"], spec.pixel_nm)
        likely = np.argsort(-weights)[:_LIKELY]
        settings = tuple({name: drawn[row].params[name] for name in names} | {"pixel_nm": pixel_nm} for row in likely)
        like = Among(here, settings, tuple((weights[likely] / weights[likely].sum()).tolist()))
    assert isinstance(like, Among)
    return like


def sampled(sampler: Sampler, count: int, rng: np.random.Generator) -> list[Sample]:
    """Return `count` samples."""
    return [sampler(np.random.default_rng(int(rng.integers(2**62)))) for _ in range(count)]


def _tries(
    checkpoint: Checkpoint,
    near: Sampler,
    done: Sequence[Attempt],
    settings: MendSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> Iterator[tuple[str, Checkpoint, float]]:
    """Yield the ways to mend, each built on the best that is `done` when it is asked for: name, network, seconds."""
    yield "as it is", checkpoint, 0.0
    progress(1, 3, "other pixels, other norms")
    yield "bright and dark turned over", turned_over(checkpoint), 0.0
    best = max(done, key=lambda one: one.f1)
    for factor in FACTORS:
        yield _also(best, f"pixels {factor:.2f} times as large"), resampled(best.checkpoint, factor), 0.0
    began, best = time.perf_counter(), max(done, key=lambda one: one.f1)
    images = [seen_by(best.checkpoint, sample) for sample in sampled(near, settings.judges, rng)]
    for share in SHARES:
        name = f"{share:.0%} of the norms from images like yours"
        yield _also(best, name), renormalised(best.checkpoint, images, share), time.perf_counter() - began
    progress(2, 3, "learning on from images like yours")
    began, best = time.perf_counter(), max(done, key=lambda one: one.f1)
    yield _also(best, "learned on"), learned_on(best.checkpoint, near, settings.training), time.perf_counter() - began


def _also(best: Attempt, name: str) -> str:
    return name if best.name == "as it is" else f"{best.name}, {name}"


def learned_on(checkpoint: Checkpoint, near: Sampler, training: TrainSettings) -> Checkpoint:
    """Return the network after some more steps on images of `near`."""
    with tempfile.TemporaryDirectory() as folder:
        older, newer = Path(folder) / "older.safetensors", Path(folder) / "newer.safetensors"
        save(older, checkpoint)
        made = train(near, cast(NetSpec, checkpoint.spec), training, newer, begin_from=older)
    return replace(made, card={**checkpoint.card, **made.card})


def predictor_of(checkpoint: Checkpoint) -> Predictor:
    """Return the predictor of a network that is not on disk."""
    return Predictor((Member(checkpoint, backend(checkpoint, "torch", "cpu", None)),), "")


def seen_by(checkpoint: Checkpoint, sample: Sample) -> Tensor:
    """Return a sample's image as the network sees it."""
    spec = cast(NetSpec, checkpoint.spec)
    return normalise(to_model_grid(sample.image, sample.pixel_nm, spec.grid_nm(sample.pixel_nm)), spec.pixel_nm)


def agreement(predict: Predictor, frames: Sequence[Image], pixel_nm: float) -> float:
    """Return how far the answers to frames and to the frames turned by 90 degrees agree (F1 of one on the other)."""
    counts = []
    for frame in frames:
        side = (frame.shape[0] - 1) * pixel_nm
        _, first = spots(predict, frame, pixel_nm)
        y, x = spots(predict, np.rot90(frame, -1).copy(), pixel_nm)[1].T
        back = np.column_stack([side - x, y])
        pairs = len(match(first[:, 0], first[:, 1], back[:, 0], back[:, 1], RADIUS_NM))
        counts.append(Detection(pairs, len(back) - pairs, len(first) - pairs))
    return f1(counts)
