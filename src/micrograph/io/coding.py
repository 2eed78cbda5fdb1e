"""Temporal compressive sensing: binary masks that open and close every pixel while frames are summed into one.

A coded frame is ``sum over b of mask_b * frame_b``: one multiplication and addition a pixel and frame. After Llull
et al. (doi:10.1364/OE.21.010526) one pattern is shifted by a pixel from frame to frame, here along the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

#: 'shifting': one pattern, a pixel further in each frame, every pixel open in the same number of frames; 'random':
#: every pixel by itself, open in the same number of frames; 'bernoulli': a shifted pattern, open by chance.
MaskKind = Literal["shifting", "random", "bernoulli"]
KINDS: tuple[MaskKind, ...] = ("shifting", "random", "bernoulli")


def make_masks(kind: str, seed: int, frames: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return masks (B, H, W) of 0 and 1 for `frames` frames; they follow from the arguments alone.

    Every pixel is open in at least one frame. Of the balanced kinds it is open in B // 2 frames (at least 1), so that a
    specimen at rest gives an image without pattern, which compresses well. Raises `BadInput` for an unknown kind.
    """
    if kind not in KINDS:
        raise BadInput(f"There is no mask '{kind}': the masks are {', '.join(KINDS)}.")
    if frames < 1 or min(shape) < 1:
        raise BadInput(f"Masks for {frames} frames of {shape} pixels were asked for: give at least one of each.")
    rng = np.random.default_rng([seed, frames, KINDS.index(kind)])
    height, width = shape
    ones = max(1, frames // 2)
    if kind == "random":
        order = rng.random((frames, height, width), dtype=np.float32).argsort(axis=0)
        return np.asarray(order < ones, np.uint8)
    if kind == "shifting":
        period = rng.random((height, frames)).argsort(axis=1) < ones
        columns = (np.arange(width)[None] + np.arange(frames)[:, None]) % frames
        return np.ascontiguousarray(period[:, columns].swapaxes(0, 1), np.uint8)
    pattern = rng.random((height, width + frames - 1)) < 0.5
    masks = np.stack([pattern[:, b : b + width] for b in range(frames)]).astype(np.uint8)
    masks[0] |= masks.sum(axis=0) == 0
    return masks


@dataclass
class Summing:
    """A coded frame that grows: one multiplication and addition a pixel and frame."""

    masks: NDArray[np.uint8]
    zero: float = 0.0
    held: int = 0
    total: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.total = np.zeros(self.masks.shape[1:], np.float32)

    def add(self, frame: NDArray[np.generic]) -> None:
        """Add the next frame (H, W); pixels that are not finite count as `zero`."""
        image = np.asarray(frame, np.float32) - np.float32(self.zero)
        if not np.isfinite(image.sum(dtype=np.float64)):
            image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
        self.total += self.masks[self.held] * image
        self.held += 1


def coded_sum(
    frames: Iterable[NDArray[np.generic]], masks: NDArray[np.uint8], zero: float = 0.0
) -> NDArray[np.float32]:
    """Return the coded frame (H, W) of frames (H, W), as many as there are masks (B, H, W)."""
    summing = Summing(masks, zero)
    for frame in frames:
        summing.add(frame)
    return summing.total
