"""A small residual encoder: an image and known numbers in, one vector of answers out; and what it sees of an image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from micrograph.nets.encoder_spec import EncoderSpec
from micrograph.nets.grid import to_model_grid
from micrograph.nets.unet import Block


class Encoder(nn.Module):
    """Residual blocks, each halved, then two dense layers; the known numbers scale and shift each level."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        if spec.side % (spec.fold * 2**spec.levels):
            raise ValueError(f"A side of {spec.side} pixels cannot be halved {spec.levels} times: choose another.")
        widths = [min(spec.base * 2**level, 8 * spec.base) for level in range(spec.levels)]
        entering = [spec.channels * spec.fold**2, *widths]
        self.blocks = nn.ModuleList([Block(i, o) for i, o in zip(entering, widths, strict=False)])
        self.tuning = nn.ModuleList([nn.Linear(max(1, len(spec.known)), 2 * width) for width in widths])
        self.pool, self.fold = spec.pool, spec.fold
        cells = {"mean": 1, "grid": (spec.side // spec.fold // 2**spec.levels) ** 2, "parts": 3}[spec.pool]
        before = 2 * widths[-2] if spec.pool == "parts" else 0
        self.hidden = nn.Linear(widths[-1] * cells + before, spec.hidden)
        self.head = nn.Linear(spec.hidden, spec.outputs)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        for layer in self.tuning:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, s, s) and known numbers (B, M) to raw answers (B, R) and an embedding (B, hidden)."""
        before = x = functional.pixel_unshuffle(x, self.fold)
        for block, tune in zip(self.blocks, self.tuning, strict=True):
            scale, shift = tune(known)[:, :, None, None].chunk(2, dim=1)
            before, x = x, functional.avg_pool2d(block(x) * (1 + scale) + shift, 2)
        if self.pool == "parts":
            x = torch.cat([x.mean((2, 3)), x.amax((2, 3)), _middle(x), before.mean((2, 3)), _middle(before)], 1)
        else:
            x = x.flatten(1) if self.pool == "grid" else x.mean((2, 3))
        embedding = torch.relu(self.hidden(x))
        return self.head(embedding), embedding


def _middle(x: Tensor) -> Tensor:
    """Return the mean (B, C) of the four places about the middle of (B, C, h, w)."""
    top, left = x.shape[-2] // 2 - 1, x.shape[-1] // 2 - 1
    return x[:, :, top : top + 2, left : left + 2].mean((2, 3))


def seen_by(spec: EncoderSpec, image: NDArray[np.float32], pixel_nm: float | None) -> NDArray[np.float32]:
    """Return what the network sees (C, side, side) of an image (H, W) or of channels (C, H, W) of any size."""
    channels = np.asarray(image, np.float32).reshape(-1, *np.shape(image)[-2:])
    return np.stack([_channel(spec, channel, pixel_nm) for channel in channels])


def _channel(spec: EncoderSpec, image: NDArray[np.float32], pixel_nm: float | None) -> NDArray[np.float32]:
    if spec.pixel_nm is not None and pixel_nm is not None:
        data = _cut(to_model_grid(image, pixel_nm, spec.pixel_nm).numpy(), spec.side)
    elif image.shape != (spec.side, spec.side):
        whole = to_model_grid(image, 1.0, 1.0)[None, None]
        size = (spec.side, spec.side)
        data = functional.interpolate(whole, size, mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()
    else:
        data = image if np.isfinite(image).all() else np.nan_to_num(image, nan=float(np.nanmedian(image)))
    if spec.contrast == "none":
        return np.asarray(data, np.float32)
    deviation = float(data.std())
    return np.asarray((data - data.mean()) / deviation if deviation > 0 else np.zeros_like(data), np.float32)


def _cut(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the middle (side, side) of an image, mirrored out where it is too small."""
    short = [max(0, side - n) for n in image.shape]
    if any(short):
        image = np.pad(image, [(n // 2, n - n // 2) for n in short], mode="symmetric")
    top, left = ((n - side) // 2 for n in image.shape)
    return image[top : top + side, left : left + side]
