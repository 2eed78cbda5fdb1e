"""A blind-spot network: what a pixel holds, said from all pixels but itself, with its own doubt."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from micrograph.nets.blind_spec import BlindSpec

#: Bounds of the logarithm of the variance that a network may state.
_LOG_VARIANCE = (-6.0, 6.0)
#: What a network is told beside the images: log of their spread over the noise, whether it sees its own frame, others.
FACTS = 3


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a straight path: (B, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with what the convolutions add."""
        added: Tensor = self.second(torch.relu(self.first(torch.relu(x))))
        return x + added


class BlindNet(nn.Module):
    """Frames to the mean and log variance of every pixel of the middle one, given all but the pixel itself."""

    def __init__(self, spec: BlindSpec) -> None:
        super().__init__()
        self.spec = spec
        widths, side = spec.widths, 2 * spec.reach + 1
        self.own = nn.Conv2d(1, widths[0], side, padding=spec.reach)
        self.others = nn.Conv2d(spec.frames - 1, widths[0], side, padding=spec.reach, bias=False)
        self.facts = nn.Linear(FACTS, widths[0])
        shown = torch.ones(1, 1, side, side)
        if spec.blind:
            shown[..., spec.reach, spec.reach] = 0
        self.register_buffer("shown", shown)
        self.down = nn.ModuleList([nn.Conv2d(i, o, 2, stride=2) for i, o in pairwise(widths)])
        self.inward = nn.ModuleList([_Residual(width) for width in widths])
        self.up = nn.ModuleList([nn.Conv2d(o, i, 1) for i, o in pairwise(widths)])
        self.outward = nn.ModuleList([_Residual(width) for width in widths[:-1]])
        self.straight = nn.Conv2d(widths[0], 1, 1)
        self.mixed = nn.Conv2d(2 * widths[0], 2 * widths[0], 1)
        self.head = nn.Conv2d(2 * widths[0], 2, 1)
        nn.init.zeros_(self.head.weight)

    @torch.no_grad()
    def begin(self, *, others: bool) -> None:
        """Let the network begin as the mean of the pixels around, with `others` of those in other frames too."""
        reach, count = self.spec.reach, self.spec.frames - 1
        near = torch.exp(-torch.arange(-reach, reach + 1).square() / 2.0)
        around = torch.outer(near, near) * self.get_buffer("shown")[0, 0]
        for weight in (self.own.weight, self.others.weight, self.facts.weight, self.own.bias, self.facts.bias):
            assert weight is not None
            weight[:2] = 0
        self.own.weight[0, 0] = around / around.sum()
        self.others.weight[1, :, reach, reach] = 1 / count
        self.straight.weight[:] = 0
        self.straight.weight[0, :2, 0, 0] = torch.tensor([0.3, 0.7]) if others else torch.tensor([1.0, 0.0])

    def forward(self, frames: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames (B, F, H, W) and facts (B, 3) to mean and log variance (B, H, W)."""
        middle = self.spec.frames // 2
        own = frames[:, middle : middle + 1]
        others = torch.cat([frames[:, :middle], frames[:, middle + 1 :]], 1)
        shown: Tensor = self.get_buffer("shown")
        x = functional.conv2d(own, self.own.weight * shown, self.own.bias, padding=self.spec.reach)
        x = x + self.others(others) + self.facts(facts)[:, :, None, None]  # (B, C, H, W)
        deep = _joined(self._body(_parted(x, self.spec.reach + 1)), self.spec.reach + 1)
        mixed = torch.relu(self.mixed(torch.relu(torch.cat([deep, x], 1))))
        answer = self.head(mixed)
        mean = answer[:, 0] + self.straight(x)[:, 0]
        return mean, answer[:, 1].clamp(*_LOG_VARIANCE)

    def _body(self, x: Tensor) -> Tensor:
        kept = []
        for level, block in enumerate(self.inward):
            x = block(x)
            if level < len(self.down):
                kept.append(x)
                x = self.down[level](x)
        for level in reversed(range(len(self.down))):
            coarse = functional.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest")
            x = self.outward[level](coarse + kept[level])
        return x


def _parted(x: Tensor, step: int) -> Tensor:
    """Return (B step^2, C, H / step, W / step): pixels at multiples of `step` from each other, each set an image."""
    count, channels, height, width = x.shape
    x = functional.pixel_unshuffle(x, step).reshape(count, channels, step**2, height // step, width // step)
    return x.transpose(1, 2).reshape(count * step**2, channels, height // step, width // step)


def _joined(x: Tensor, step: int) -> Tensor:
    """Undo `_parted`."""
    many, channels, height, width = x.shape
    x = x.reshape(many // step**2, step**2, channels, height, width).transpose(1, 2)
    return functional.pixel_shuffle(x.reshape(many // step**2, channels * step**2, height, width), step)
