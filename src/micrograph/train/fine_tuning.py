"""Shared features that learn on from a user's own classes, where there are many images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from micrograph.nets import Checkpoint, Encoder, EncoderSpec
from micrograph.train.episodes import episode_loss, turned

Images = NDArray[np.float32]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class TuneSettings:
    """How to learn on: episodes of `classes` classes (or all) with `images` images each, two to make the prototype."""

    steps: int = 160
    classes: int = 8
    images: int = 6
    learning_rate: float = 5e-4
    weight_decay: float = 1e-2
    seed: int = 0


def tuned(
    checkpoint: Checkpoint,
    seen: Images,
    classes: Index,
    settings: TuneSettings,
    progress: Callable[[int, int], object] | None = None,
) -> Checkpoint:
    """Return an encoder that learned on from images as it sees them (N, s, s) of `classes` (N,), by episodes.

    What was known of the scatter of its features is kept; norms of batches stay as they are.
    """
    spec = checkpoint.spec
    assert isinstance(spec, EncoderSpec)
    torch.manual_seed(settings.seed)
    net: Any = Encoder(spec)
    net.load_state_dict(checkpoint.part("net"))
    net.eval()
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    of = [np.flatnonzero(classes == one) for one in range(int(classes.max()) + 1)]
    for step in range(settings.steps):
        images = _episode(seen, of, settings, step)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (step + 1) / 20) * (1 - step / settings.steps)
        batch = torch.from_numpy(images.reshape(-1, 1, *images.shape[-2:]))
        embedding = net(batch.contiguous(memory_format=torch.channels_last), torch.zeros(len(batch), 1))[1]
        loss, _ = episode_loss(embedding.reshape(*images.shape[:2], -1), 2, torch.tensor(1.0))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        if progress is not None:
            progress(step + 1, settings.steps)
    rest = {key: tensor for key, tensor in checkpoint.state.items() if not key.startswith("net.")}
    state = {f"net.{key}": tensor.detach() for key, tensor in net.state_dict().items()} | rest
    return replace(checkpoint, state=state, card={**checkpoint.card, "tuned": asdict(settings)})


def _episode(seen: Images, of: list[Index], settings: TuneSettings, step: int) -> Images:
    """Return the images (classes, images, s, s) of one episode, turned and mirrored at random."""
    rng = np.random.default_rng([settings.seed, step])
    chosen = rng.permutation(len(of))[: settings.classes]
    taken = [rng.choice(of[one], settings.images, replace=len(of[one]) < settings.images) for one in chosen]
    return turned(seen[np.array(taken)], rng)
