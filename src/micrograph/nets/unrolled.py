"""An unrolled decoder of coded frames: data consistency and a small network of all frames' neighbours, in turns.

It begins with what total variation gives. Every stage compares the coded frame with what the present estimate would
give (the residual), hands each frame the residual as its own mask saw it, and lets one small network, the same for all
frames and stages, correct the frame. It works in units of the noise of a raw pixel, so that it is alike for any camera
and dose, and for any number of frames and any masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from micrograph.core import BrokenCheckpoint
from micrograph.nets.checkpoint import load
from micrograph.nets.unrolled_spec import UnrolledSpec

#: Channels of a frame at full resolution, and those that are slow.
_FINE, _SLOW = 13, 4
#: What the unbiased but noisy estimate of a frame's departure is multiplied by, to be about 1.
_MATCHED = 0.25
_LEAST_LOG, _MOST_LOG = -8.0, 4.0


class Coded(NamedTuple):
    """Coded frames in units of the raw noise, about a level of 0.

    total (N, H, W): the coded frames; masks (N, B, H, W) of 0 and 1; sides (N, 2, H, W): mean image of the block before
    and of the one after less that of the block, 0 where there is none; noise (N, H, W): 1-sigma of a raw pixel; start
    (N, B, H, W): the frames as total variation gives them.
    """

    total: Tensor
    masks: Tensor
    sides: Tensor
    noise: Tensor
    start: Tensor


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same."""
        y: Tensor = self.second(torch.relu(self.first(x)))
        return torch.relu(x + y)


class Corrector(nn.Module):
    """The network of a stage: fine channels (M, 13, H, W) and slow ones to (M, 2, H, W): correction, log-variance."""

    def __init__(self, spec: UnrolledSpec) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4 * _FINE + _SLOW, spec.width, 3, padding=1)
        self.fine = _Residual(spec.width)
        self.down = nn.Conv2d(spec.width, spec.deep, 2, stride=2)
        self.deep = nn.Sequential(_Residual(spec.deep), _Residual(spec.deep, dilation=2))
        self.up = nn.Conv2d(spec.deep, spec.width, 1)
        self.last = _Residual(spec.width)
        self.leave = nn.Conv2d(spec.width, 8, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, fine: Tensor, slow: Tensor) -> Tensor:
        """Return correction and log-variance; sides of `fine` are multiples of 4, `slow` has half its sides."""
        x = torch.cat([functional.pixel_unshuffle(fine, 2), slow], 1)
        x = kept = self.fine(torch.relu(self.enter(x)))
        x = self.deep(torch.relu(self.down(x)))
        x = functional.interpolate(self.up(x), scale_factor=2.0, mode="nearest")
        return functional.pixel_shuffle(self.leave(self.last(torch.relu(x + kept))), 2)


class Unrolled(nn.Module):
    """The decoder; see the module. `at_once`: frames that go through the network together when nothing is learned."""

    def __init__(self, spec: UnrolledSpec, at_once: int = 4) -> None:
        super().__init__()
        self.spec, self.at_once = spec, at_once
        self.net = Corrector(spec)

    def forward(self, coded: Coded, stages: int | None = None) -> tuple[list[Tensor], Tensor]:
        """Return the estimates (N, B, H, W) after each stage, and the log-variance (N, B, H, W) of the last."""
        count = coded.masks.sum(1)  # (N, H, W)
        mean, x = coded.total / count, coded.start
        found, log_variance = [], torch.zeros_like(x)
        for stage in range(stages or self.spec.stages):
            answer = self._corrected(coded, x, mean, stage)
            x = x + answer[:, :, 0]
            log_variance = answer[:, :, 1].clamp(_LEAST_LOG, _MOST_LOG)
            found.append(x)
        return found, log_variance

    def _corrected(self, coded: Coded, x: Tensor, mean: Tensor, stage: int) -> Tensor:
        """Return correction and log-variance (N, B, 2, H, W) of an estimate."""
        blocks, frames, height, width = coded.masks.shape
        count = coded.masks.sum(1)
        left = coded.total - (coded.masks * x).sum(1)
        share = count / frames
        scale = _MATCHED / (share * (1 - share)).clamp_min(0.25 / frames)
        own = (coded.masks - share[:, None]) * (left * scale)[:, None]
        alike = [_smoothing(frames, frames / part).to(x) for part in (12.0, 4.0, 8.0)]
        smooth = [torch.einsum("bc,ncij->nbij", one, own) for one in alike[:2]]
        smooth.append(torch.einsum("bc,ncij->nbij", alike[2], x))
        same = torch.stack([left / count, mean, coded.sides[:, 0], coded.sides[:, 1]], 1)
        noise = functional.avg_pool2d((coded.noise / count.sqrt())[:, None], 2)
        together = frames if self.training else self.at_once
        parts = []
        for block in range(blocks):
            for first in range(0, frames, together):
                chosen = torch.arange(first, min(frames, first + together))
                before, after = (chosen - 1).clamp_min(0), (chosen + 1).clamp_max(frames - 1)
                moving = [x[block][before], x[block][chosen], x[block][after]]
                moving += [own[block][before], own[block][chosen], own[block][after]]
                moving += [one[block][chosen] for one in smooth]
                still = same[block].expand(len(chosen), -1, -1, -1)
                fine = torch.cat([torch.stack(moving, 1), still], 1)
                place = (2 * chosen.to(x) / max(frames - 1, 1) - 1)[:, None, None, None]
                flat = torch.ones(len(chosen), 1, height // 2, width // 2).to(x)
                slow = [place * flat, noise[block].expand_as(flat), flat * _log_frames(frames), flat * (stage / 2)]
                parts.append(self.net(fine, torch.cat(slow, 1)))
        return torch.cat(parts).reshape(blocks, frames, 2, height, width)


def _log_frames(frames: int) -> float:
    return float(torch.log(torch.tensor(frames / 16.0)))


def _smoothing(frames: int, width: float) -> Tensor:
    """Return the matrix (B, B) of averages over neighbours in time, Gaussian of the given 1-sigma (frames)."""
    place = torch.arange(frames, dtype=torch.float32)
    weight = torch.exp(-0.5 * ((place[:, None] - place) / max(width, 0.3)) ** 2)
    return weight / weight.sum(1, keepdim=True)


def load_unrolled(name_or_path: str | Path) -> tuple[Unrolled, Mapping[str, Any]]:
    """Return decoder and card of weights by name or path; raises `BrokenCheckpoint` for others."""
    found = load(name_or_path)
    if not isinstance(found.spec, UnrolledSpec):
        raise BrokenCheckpoint(f"The weights '{name_or_path}' hold no decoder of coded movies: give others.")
    net = Unrolled(found.spec)
    net.load_state_dict(found.part("net"))
    return net.eval().requires_grad_(False), found.card
