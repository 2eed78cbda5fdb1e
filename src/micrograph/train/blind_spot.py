"""Training of a network that denoises: on the noisy recording itself, or on a clean image for comparison.

A network that never sees a pixel's own value cannot learn its noise: trained to foretell noisy values it foretells what
they have in common, the image (doi:10.1109/CVPR.2019.00223); stating its doubt as well, it can be joined with the
pixel's own value afterwards (doi:10.48550/arXiv.1901.10277). In a movie it sees the neighbouring frames, whose noise
is another (doi:10.48550/arXiv.1803.04189), and learns by itself where they tell nothing because the specimen moves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from micrograph.core.provenance import whole
from micrograph.nets.blind import BlindNet

Array = NDArray[np.float32]
#: Called with (step, steps, running loss).
Progress = Callable[[int, int, float], object]
#: A training is kept on disk after so many seconds.
_KEEP_S = 20.0
#: Cost (nats) of doubts whose logarithms differ by 1: where they are small, noise tells nothing of them.
_EVEN = 0.02
#: Share of the pixels of a recording that is kept back; stretches that are judged with it.
_KEPT_BACK, _JUDGED = 0.15, 6
#: How far, as a factor, the doubt of a network is believed to be off before it is judged (1 sigma).
_BELIEVED = 1.5
#: Doubt (variance, noise is 1) that a network may not undercut where it learns from the truth.
_TRUTH = 0.01


@dataclass(frozen=True)
class BlindSettings:
    """How to train. Everything random follows from `seed` and the number of the step."""

    steps: int = 120
    batch: int = 4
    patch: int = 64
    learning_rate: float = 5e-3
    seed: int = 0


@dataclass(frozen=True)
class Views:
    """What is learned from: stretches of frames.

    stacks: each (F, h, w), stabilised noise of variance 1, the middle frame is the one to foretell; without `others`
    the neighbouring frames are hidden, without `own` the frame's own pixels. A share of the pixels is never foretold
    in training (`kept_back`), so that it can be judged with these.
    """

    stacks: tuple[Array, ...]
    own: bool = True
    others: bool = False
    noise: Callable[[Array], Array] = np.ones_like

    def kept_back(self, which: int) -> NDArray[np.bool_]:
        """Return the pixels (h, w) of a stretch that are not learned from."""
        return np.random.default_rng([5, which]).random(self.stacks[which].shape[1:]) < _KEPT_BACK


@dataclass(frozen=True)
class Batch:
    """Frames (B, F, P, P), facts (B, 3), what is to be foretold (B, P, P; NaN: nothing), and its noise's variance."""

    frames: Tensor
    facts: Tensor
    target: Tensor
    variance: float


#: Gives for a clean patch one with noise of variance 1 and what its mean would be.
Expose = Callable[[Array, np.random.Generator], tuple[Array, Array]]
#: Gives the batch of a step.
Draw = Callable[[int], Batch]


def scaled(stack: Array, *, own: bool, others: bool) -> tuple[Array, Array, float, float]:
    """Return frames as a network sees them, the facts (3,), and the level and spread of the middle frame.

    What is hidden is 0.
    """
    middle = len(stack) // 2
    level, spread = float(stack[middle].mean(dtype=np.float64)), max(float(stack[middle].std(dtype=np.float64)), 1.0)
    seen = (stack - np.float32(level)) / np.float32(spread)
    if not own:
        seen[middle] = 0
    if not others:
        seen[np.arange(len(stack)) != middle] = 0
    return seen, np.array([math.log(spread), float(own), float(others)], np.float32), level, spread


def from_recording(views: Views, settings: BlindSettings) -> Draw:
    """Return batches of patches of a recording, turned and mirrored, to foretell their own noisy pixels."""
    seen = [scaled(stack, own=views.own, others=views.others) for stack in views.stacks]
    hidden = [views.kept_back(which) for which in range(len(seen))]
    middle = len(views.stacks[0]) // 2

    def draw(step: int) -> Batch:
        rng = np.random.default_rng([settings.seed, 2, step])
        frames, facts, targets = [], [], []
        for which in rng.integers(len(seen), size=settings.batch):
            scene, known, level, spread = seen[which]
            own = (views.stacks[which][middle] - np.float32(level)) / np.float32(spread)
            own[hidden[which]] = np.nan
            patch = _patch(np.concatenate([scene, own[None]]), settings.patch, rng)
            frames.append(patch[:-1])
            targets.append(patch[-1])
            facts.append(known)
        return _batch(frames, facts, targets, 1.0)

    return draw


def from_clean(scene: Array, count: int, settings: BlindSettings, expose: Expose) -> Draw:
    """Return batches of a clean `scene` that is exposed anew each time; the truth is known.

    This is how a supervised network learns, which self-supervised ones are judged by.
    """
    middle = count // 2

    def draw(step: int) -> Batch:
        rng = np.random.default_rng([settings.seed, 3, step])
        frames, facts, targets = [], [], []
        for _ in range(settings.batch):
            noisy, truth = expose(_patch(scene[None], settings.patch, rng)[0], rng)
            stack = np.zeros((count, *truth.shape), np.float32)
            stack[middle] = noisy
            seen, known, level, spread = scaled(stack, own=True, others=False)
            frames.append(seen)
            facts.append(known)
            targets.append((truth - np.float32(level)) / np.float32(spread))
        return _batch(frames, facts, targets, _TRUTH)

    return draw


def _batch(frames: list[Array], facts: list[Array], targets: list[Array], variance: float) -> Batch:
    seen, known, target = (torch.from_numpy(np.stack(part)) for part in (frames, facts, targets))
    return Batch(seen, known, target, variance)


def _patch(stack: Array, side: int, rng: np.random.Generator) -> Array:
    """Return a random square (C, side, side) of (C, h, w), turned and mirrored; what is too small is mirrored out."""
    short = [max(0, side - n) for n in stack.shape[1:]]
    if any(short):
        stack = np.pad(stack, ((0, 0), (0, short[0]), (0, short[1])), mode="symmetric")
    top, left = (int(rng.integers(n - side + 1)) for n in stack.shape[1:])
    cut = np.rot90(stack[:, top : top + side, left : left + side], int(rng.integers(4)), (1, 2))
    return np.ascontiguousarray(cut[:, :, ::-1] if rng.integers(2) else cut)


def learn(
    net: BlindNet, draw: Draw, settings: BlindSettings, kept: Path | None = None, progress: Progress | None = None
) -> float:
    """Train `net` in place and return its running loss; what is `kept` on disk goes on where it was stopped."""
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate, betas=(0.9, 0.98))
    first, loss = _restored(net, optimiser, settings, kept)
    net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    saved = time.monotonic()
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step / settings.steps)
        value = negative_log_likelihood(net, draw(step))
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        now = float(value.detach())
        loss = now if math.isnan(loss) else 0.97 * loss + 0.03 * now
        if kept is not None and time.monotonic() - saved > _KEEP_S:
            _keep(net, optimiser, settings, kept, (step + 1, loss))
            saved = time.monotonic()
        if progress is not None:
            progress(step + 1, settings.steps, loss)
    net.eval()
    return loss


def negative_log_likelihood(net: BlindNet, batch: Batch) -> Tensor:
    """Return minus the mean log likelihood (nats a pixel) of what was to be foretold, and a cost of uneven doubts."""
    mean, log_variance = net(batch.frames, batch.facts)
    spread = torch.exp(batch.facts[:, 0])[:, None, None]
    variance = torch.exp(log_variance) + batch.variance
    known = torch.isfinite(batch.target)
    off = torch.where(known, mean - batch.target.nan_to_num(), 0.0) * spread
    uneven = (log_variance - log_variance.mean()).square().mean()
    missed = 0.5 * ((off.square() / variance + torch.log(variance)) * known).sum() / known.sum()
    total: Tensor = missed + _EVEN * uneven
    return total


@torch.inference_mode()
def doubt_factor(net: BlindNet, views: Views, *, learned: bool) -> float:
    """Return by what the variance that `net` states is too small, 1 or more.

    It is judged by noisy pixels that it has not `learned` from. Their square deviations are the noise's 1 (less where
    hardly an electron is counted) and the network's own; few pixels change little.
    """
    middle = len(views.stacks[0]) // 2
    square, stated, number = 0.0, 0.0, 0
    for which in range(min(len(views.stacks), _JUDGED)):
        stack = _fitting(views.stacks[which], net.spec.multiple)
        seen, facts, level, spread = scaled(stack, own=views.own, others=views.others)
        mean, log_variance = net(torch.from_numpy(seen)[None], torch.from_numpy(facts)[None])
        fresh = views.kept_back(which)[: stack.shape[1], : stack.shape[2]] | (not learned)
        foretold = mean[0].numpy() * spread + level
        off = (foretold - stack[middle])[fresh].astype(float)
        square += float((off**2 - views.noise(foretold[fresh])).sum())
        stated += float(np.exp(log_variance[0].numpy()[fresh].astype(float)).sum())
        number += int(fresh.sum())
    if not number or stated <= 0:
        return 1.0
    error = math.sqrt(2 * number) / stated
    return float(np.clip(1 + (square / stated - 1) / (1 + (error / _BELIEVED) ** 2), 1.0, 20.0))


def _fitting(stack: Array, multiple: int) -> Array:
    """Return (F, h, w) cut to sides of at most 512 pixels that a network takes, made longer where they are short."""
    sides = [max(multiple, min(n, 512) // multiple * multiple) for n in stack.shape[1:]]
    ends = [(0, max(0, side - n)) for side, n in zip(sides, stack.shape[1:], strict=True)]
    return np.pad(stack, ((0, 0), *ends), mode="symmetric")[:, : sides[0], : sides[1]]


def _schedule(done: float) -> float:
    """Learning rate relative to its peak: a short rise, then a cosine down to one per cent."""
    return min(1.0, 0.05 + 20 * done) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _keep(net: BlindNet, optimiser: Any, settings: BlindSettings, path: Path, at: tuple[int, float]) -> None:
    state = {
        "settings": repr((net.spec, settings)),
        "step": at[0],
        "loss": at[1],
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with whole(path) as temporary:
        torch.save(state, temporary)


def _restored(net: BlindNet, optimiser: Any, settings: BlindSettings, path: Path | None) -> tuple[int, float]:
    """Return the step to go on from and the loss there; (0, NaN) where nothing of the same settings is kept."""
    if path is None or not path.exists():
        return 0, math.nan
    state = torch.load(path, weights_only=True)
    if state["settings"] != repr((net.spec, settings)):
        return 0, math.nan
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["loss"])
