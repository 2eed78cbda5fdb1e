"""The part of a frame that a browser asks for: contrast by percentiles, brought down to the size of its window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.draw.image import contrast

#: A picture that is sent has at most so many pixels a side.
MOST_SIDE = 4096
_SAMPLED = 250_000
_BINS = 64


@dataclass(frozen=True)
class Levels:
    """The values of a frame: true smallest and largest, what is shown black and white, and a histogram (64,)."""

    smallest: float
    largest: float
    low: float
    high: float
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Tile:
    """A rectangle of a frame as grey values (h, w), uint8, whose pixels are means of `block` x `block` of the frame.

    y, x: of its first pixel in the frame.
    """

    pixels: NDArray[np.uint8]
    y: int
    x: int
    block: int


def levels(image: NDArray[Any]) -> Levels:
    """Return the levels of an image (H, W); percentiles and histogram are those of a quarter of a million pixels."""
    thin = max(1, int(math.sqrt(image.size / _SAMPLED)))
    sample = np.asarray(image[::thin, ::thin], np.float32)
    finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    smallest, largest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = contrast(sample)
    number, _ = np.histogram(sample[np.isfinite(sample)], bins=_BINS, range=(smallest, max(largest, smallest + 1e-30)))
    return Levels(smallest, largest, low, high, tuple(number.tolist()))


def tile(
    image: NDArray[Any], box: tuple[int, int, int, int], most: tuple[int, int], limits: tuple[float, float]
) -> Tile:
    """Return the rectangle `box` (top, left, bottom, right; cut at the border) with at most about `most` (h, w) pixels.

    limits: values shown as 0 and 255. What is not finite is 0.
    """
    height, width = image.shape
    top, left = (min(max(at, 0), size - 1) for at, size in zip(box[:2], (height, width), strict=True))
    bottom, right = min(max(box[2], top + 1), height), min(max(box[3], left + 1), width)
    most = (min(max(most[0], 1), MOST_SIDE), min(max(most[1], 1), MOST_SIDE))
    block = max(1, math.ceil((bottom - top) / most[0]), math.ceil((right - left) / most[1]))
    block = min(block, bottom - top, right - left)
    part = np.asarray(image[top:bottom, left:right], np.float32)
    if block > 1:
        rows, columns = (side // block for side in part.shape)
        cut = part[: rows * block, : columns * block]
        part = cut.reshape(rows, block, columns, block).mean(axis=(1, 3))
    low, high = limits
    scaled = np.nan_to_num((part - low) * (255.0 / max(high - low, 1e-30)), nan=0.0, posinf=255.0, neginf=0.0)
    return Tile(np.clip(np.rint(scaled), 0, 255).astype(np.uint8), top, left, block)
