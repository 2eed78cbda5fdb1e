"""Training of features that suit classes nobody has named: prototypical episodes over classes without end.

Snell et al. 2017, arXiv:1703.05175: a few images of each class give its prototype, others are named by the nearest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from micrograph.core import Sample
from micrograph.core.provenance import versions, whole
from micrograph.nets import Checkpoint, Encoder, EncoderSpec, load, save
from micrograph.nets.encoder import seen_by
from micrograph.train.encoders import EncoderExamples, calibrate_encoder
from micrograph.train.settings import EpisodeSettings

Images = NDArray[np.float32]
#: Fresh images that the confidence of the kinds and the borders of the domain are taken from.
CALIBRATION = 400
#: Called with (step, steps, running loss, running share of queries that are named rightly).
Progress = Callable[[int, int, float, float], None]


class Classes(Protocol):
    """Families of classes that are much alike."""

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image with the place of its kind."""
        ...

    def drawn(self, rng: np.random.Generator, images: int) -> tuple[Images, int]:
        """Return so many images of each class of a new family (ways, images, H, W), and the place of its kind."""
        ...

    def domain(self) -> Mapping[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        ...


@dataclass
class _Run:
    net: Encoder
    average: Encoder
    log_scale: nn.Parameter
    optimiser: torch.optim.Optimizer
    step: int = 0

    @staticmethod
    def begin(spec: EncoderSpec, settings: EpisodeSettings) -> _Run:
        torch.manual_seed(settings.seed)
        net, average = Encoder(spec), Encoder(spec)
        if settings.begin_from is not None:
            net.load_state_dict(load(settings.begin_from).part("net"))
        average.load_state_dict(net.state_dict())
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        log_scale = nn.Parameter(torch.tensor(0.0))
        optimiser = torch.optim.AdamW(
            [*net.parameters(), log_scale], settings.learning_rate, weight_decay=settings.weight_decay
        )
        return _Run(net, average.eval(), log_scale, optimiser)

    @torch.no_grad()
    def follow(self) -> None:
        """Let the running average follow."""
        decay = min(0.995, 1 - 1 / (1 + self.step))
        for own, other in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(other, 1 - decay)
            else:
                own.copy_(other)

    def state(self, key: str) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        return {
            "key": key,
            "step": self.step,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "log_scale": self.log_scale.detach(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, path: Path, key: str) -> None:
        """Go on from `path` where it is there and of the same settings."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["key"] != key:
            return
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.log_scale.data.copy_(state["log_scale"])
        self.step = int(state["step"])


class Shelf:
    """The families in use: each is seen by several episodes, in another company each time."""

    def __init__(self, classes: Classes, spec: EncoderSpec, settings: EpisodeSettings) -> None:
        self.classes, self.spec, self.settings = classes, spec, settings
        self._kept: list[tuple[Images, int]] = []

    def episode(self, step: int) -> tuple[Images, NDArray[np.int64]]:
        """Return images (classes, images, s, s) and the kind (classes,) of each class; from `step` alone, once full."""
        one, rng = self.settings, np.random.default_rng([self.settings.seed, 1, step])
        full = one.families * one.reuse
        while len(self._kept) < full:
            self._add(np.random.default_rng([one.seed, 0, step, len(self._kept)]))
        for place in rng.choice(full, one.families // one.reuse or 1, replace=False):
            self._kept[place] = self._made(np.random.default_rng([one.seed, 2, step, int(place)]))
        chosen = [self._kept[place] for place in rng.choice(full, one.families, replace=False)]
        images = [turned(pool[:, rng.permutation(pool.shape[1])[: one.images]], rng) for pool, _ in chosen]
        kinds = np.repeat([kind for _, kind in chosen], [len(pool) for pool, _ in chosen])
        return np.concatenate(images), kinds.astype(np.int64)

    def _add(self, rng: np.random.Generator) -> None:
        self._kept.append(self._made(rng))

    def _made(self, rng: np.random.Generator) -> tuple[Images, int]:
        images, kind = self.classes.drawn(rng, self.settings.kept)
        flat = images.reshape(-1, *images.shape[-2:])
        seen = np.stack([seen_by(self.spec, image, None)[0] for image in flat])
        return seen.reshape(*images.shape[:2], *seen.shape[-2:]), kind


def turned(images: Images, rng: np.random.Generator) -> Images:
    """Return images (..., s, s), each turned by a multiple of 90 degrees and perhaps mirrored."""
    flat = images.reshape(-1, *images.shape[-2:]).copy()
    for place, turns in enumerate(rng.integers(0, 8, len(flat)).tolist()):
        one = np.rot90(flat[place], turns % 4)
        flat[place] = one[:, ::-1] if turns >= 4 else one
    return flat.reshape(images.shape)


def episode_loss(embedding: Tensor, shots: int, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and the share of right names of embeddings (classes, images, D): `shots` make each prototype."""
    prototype = embedding[:, :shots].mean(1)
    queries = embedding[:, shots:].flatten(0, 1)
    scores = -scale * torch.cdist(queries, prototype) ** 2 / embedding.shape[-1]
    truth = torch.arange(len(embedding)).repeat_interleave(embedding.shape[1] - shots)
    return functional.cross_entropy(scores, truth), (scores.argmax(1) == truth).float().mean()


def train_features(
    classes: Classes,
    spec: EncoderSpec,
    settings: EpisodeSettings,
    out: Path,
    *,
    resume: bool = True,
    progress: Progress | None = None,
    card: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Train the encoder `spec` by episodes over `classes`, and write weights and card to `out`.

    Its embedding is what is learned; its own answer is the kind of family. An interrupted training goes on from
    ``out.ckpt``.
    """
    run, kept = _Run.begin(spec, settings), out.with_suffix(".ckpt")
    key = repr((spec, settings, classes))
    if resume:
        run.restore(kept, key)
    shelf = Shelf(classes, spec, settings)
    loss = right = math.nan
    while run.step < settings.steps:
        now = _learned(run, shelf, settings)
        first = math.isnan(loss)
        loss = now[0] if first else 0.98 * loss + 0.02 * now[0]
        right = now[1] if first else 0.98 * right + 0.02 * now[1]
        if progress is not None:
            progress(run.step, settings.steps, loss, right)
        if run.step % settings.checkpoint_every == 0:
            with whole(kept) as temporary:
                torch.save(run.state(key), temporary)
    checkpoint = _finished(run.average, classes, spec, settings, {**(card or {}), "loss": loss, "right": right})
    save(out, checkpoint)
    kept.unlink(missing_ok=True)
    return checkpoint


def _learned(run: _Run, shelf: Shelf, settings: EpisodeSettings) -> tuple[float, float]:
    """Take one step; return its loss and the share of right names."""
    for group in run.optimiser.param_groups:
        group["lr"] = settings.learning_rate * _schedule(run.step / settings.steps)
    images, kinds = shelf.episode(run.step)
    shots = 1 + run.step % 3
    batch = torch.from_numpy(images.reshape(-1, 1, *images.shape[-2:]))
    run.net.train()
    raw, embedding = run.net(batch.contiguous(memory_format=torch.channels_last), torch.zeros(len(batch), 1))
    loss, right = episode_loss(embedding.reshape(*images.shape[:2], -1), shots, run.log_scale.exp())
    kind = functional.cross_entropy(raw, torch.from_numpy(np.repeat(kinds, images.shape[1])))
    run.optimiser.zero_grad()
    (loss + 0.1 * kind).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.net.parameters(), 2.0)
    run.optimiser.step()
    run.step += 1
    run.follow()
    return float(loss.detach()), float(right)


def _schedule(progress: float) -> float:
    if progress < 0.05:
        return 0.05 + 0.95 * progress / 0.05
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def _finished(
    net: Encoder, classes: Classes, spec: EncoderSpec, settings: EpisodeSettings, card: Mapping[str, Any]
) -> Checkpoint:
    """Return the checkpoint, with what fresh images tell of its domain."""
    fresh = EncoderExamples(classes, spec, settings.seed + 1_000_003, 1)
    found = calibrate_encoder(net, spec, fresh, CALIBRATION)
    state = {f"net.{key}": tensor for key, tensor in net.state_dict().items()}
    return Checkpoint(
        spec,
        state | found.domain,
        {
            **card,
            "domain": dict(classes.domain()),
            "confidence": found.confidence,
            "training": asdict(settings),
            "versions": versions(),
        },
    )
