"""A network moved to other images without learning anew: its pixel, its sign, the statistics of its norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from micrograph.nets import Checkpoint, NetSpec, build


def resampled(checkpoint: Checkpoint, factor: float) -> Checkpoint:
    """Return the network looking at pixels `factor` times as large: what is large in nm looks as it did in training."""
    spec = cast(NetSpec, checkpoint.spec)
    assert spec.pixel_nm is not None
    return replace(checkpoint, spec=replace(spec, pixel_nm=spec.pixel_nm * factor, spot_nm=spec.spot_nm * factor))


def turned_over(checkpoint: Checkpoint) -> Checkpoint:
    """Return the network that says of an image what the given one says of its negative."""
    first = ("net.down.0.first.weight", "net.down.0.skip.weight")
    state = {name: -part if name in first else part for name, part in checkpoint.state.items()}
    return replace(checkpoint, state=state)


@torch.no_grad()
def renormalised(checkpoint: Checkpoint, images: Sequence[Tensor], share: float = 1.0) -> Checkpoint:
    """Return the network with the statistics of its batch norms from `images` (h, w), as it sees them.

    `share`: how much of them; the rest stays as in training (Li et al. 2016, arXiv:1603.04779).
    """
    spec = cast(NetSpec, checkpoint.spec)
    net = build(spec)
    older = checkpoint.part("net")
    net.load_state_dict(older)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # all images count alike
    net.train()
    for image in images:
        height, width = (n // spec.multiple * spec.multiple for n in image.shape)
        net(image[None, None, :height, :width])
    newer = net.state_dict()
    state = {
        f"net.{name}": torch.lerp(older[name], newer[name], share) if "running" in name else older[name]
        for name in older
    }
    return replace(checkpoint, state={**checkpoint.state, **state})
