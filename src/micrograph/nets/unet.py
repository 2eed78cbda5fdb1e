"""One configurable U-Net: residual blocks, a dilated bottleneck, one output map a head."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor, nn

from micrograph.nets.spec import NetSpec


class Block(nn.Module):
    """Two or more 3x3 convolutions with norms and a residual path: (B, I, H, W) -> (B, O, H, W)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dilation: int = 1,
        convolutions: int = 2,
        norm: Literal["batch", "group"] = "batch",
    ) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, dilation)
        self.norm = _norm(norm, outputs)
        self.second = _convolution(outputs, outputs, dilation)
        self.renorm = _norm(norm, outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.more = nn.ModuleList(
            nn.Sequential(_convolution(outputs, outputs, dilation), _norm(norm, outputs), nn.ReLU())
            for _ in range(convolutions - 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, I, H, W) to (B, O, H, W)."""
        y = torch.relu(self.norm(self.first(x)))
        for convolution in self.more:
            y = convolution(y)
        return torch.relu(self.renorm(self.second(y)) + self.skip(x))


def _convolution(inputs: int, outputs: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)


def _norm(kind: Literal["batch", "group"], channels: int) -> nn.Module:
    """Return a norm over the batch, or over groups of about four channels of each image."""
    return (
        nn.BatchNorm2d(channels)
        if kind == "batch"
        else nn.GroupNorm(math.gcd(channels, max(1, channels // 4)), channels)
    )


class UNet(nn.Module):
    """Encoder and decoder with skips; returns logits a head and pooled features for the out-of-domain score.

    `channels` of the specification are what it sees; for each (k, i) of `added` answer k is what is added to input i.
    """

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        widths = [spec.base * 2**level for level in range(spec.levels)]
        entering = [spec.channels * spec.fold**2, *widths[:-1]]
        self.fold, self.added, self.multiple = spec.fold, spec.added, spec.multiple
        block = functools.partial(Block, convolutions=spec.convolutions, norm=spec.norm)
        self.down = nn.ModuleList([block(i, o) for i, o in zip(entering, widths, strict=True)])
        self.bottom = block(widths[-1], widths[-1], dilation=spec.dilation)
        coarser = zip(widths[-2::-1], widths[:0:-1], strict=True)
        self.up = nn.ModuleList([block(low + high, low) for low, high in coarser])
        self.head = nn.Conv2d(spec.base, spec.outputs * spec.fold**2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, inputs, H, W) to logits (B, K, H, W) and embedding (B, D), D = deepest + finest width."""
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            fit = [-(-n // self.multiple) * self.multiple for n in x.shape[-2:]]
            raise ValueError(f"An input of {tuple(x.shape[-2:])} does not fit this network: pad it to {tuple(fit)}.")
        seen = x
        x = nn.functional.pixel_unshuffle(x, self.fold)  # (B, inputs fold^2, H / fold, W / fold)
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))  # (B, base 2^level, H / 2^level, ...)
            kept.append(x)
        x = deep = self.bottom(x)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")  # (B, 2 C, 2 h, 2 w)
            x = block(torch.cat([x, skip], 1))  # (B, C, 2 h, 2 w)
        embedding = torch.cat([deep.mean((2, 3)), x.mean((2, 3))], 1)
        return self._upon(nn.functional.pixel_shuffle(self.head(x), self.fold), seen), embedding

    def _upon(self, answer: Tensor, seen: Tensor) -> Tensor:
        """Add to the channels of images what they begin from."""
        begun = dict(self.added)
        if not begun:
            return answer
        channels = [
            answer[:, k : k + 1] + (seen[:, begun[k] : begun[k] + 1] if k in begun else 0)
            for k in range(answer.shape[1])
        ]
        return torch.cat(channels, 1)


def build(spec: NetSpec) -> UNet:
    """Return a freshly initialised network for `spec`."""
    return UNet(spec)
