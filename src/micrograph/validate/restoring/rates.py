"""How well other ways to store a movie do at a given size: JPEG of every frame, and compression without loss."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
#: Frames that are laid side by side into one JPEG, so that its head counts little.
_ROW = 5


def jpeg_at(frames: NDArray[np.number[Any]], size: float) -> tuple[Image, float]:
    """Return frames (T, H, W) through JPEGs of at most `size` bytes in all, the best quality that fits, and their size.

    The grey values are scaled to 0 .. 255 between the 0.01 % quantiles. Frames are laid side by side, so that heads
    cost little. Where even the lowest quality takes more, that is returned.
    """
    low, high = (float(value) for value in np.quantile(np.asarray(frames, np.float64), [1e-4, 1 - 1e-4]))
    span = max(high - low, 1e-12)
    sheet = _laid(np.clip((np.asarray(frames, np.float64) - low) * (255 / span), 0, 255).round().astype(np.uint8))
    worst, best = 1, 95
    while worst < best:
        middle = (worst + best + 1) // 2
        if len(_jpeg(sheet, middle)) <= size:
            worst = middle
        else:
            best = middle - 1
    found = _jpeg(sheet, worst)
    back = _cut(_opened(found), frames.shape)
    return np.asarray(back * (span / 255) + low, np.float32), float(len(found))


def lossless_bytes(frames: NDArray[np.number[Any]]) -> int:
    """Return the size of the raw frames under zstd, bytes of a kind side by side."""
    from numcodecs import Blosc  # type: ignore[import-untyped]

    return len(Blosc(cname="zstd", clevel=7, shuffle=Blosc.BITSHUFFLE).encode(np.ascontiguousarray(frames)))


def _laid(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames (T, H, W) as one sheet of rows of five."""
    count, height, width = frames.shape
    rows = -(-count // _ROW)
    full = np.concatenate([frames, np.repeat(frames[-1:], rows * _ROW - count, axis=0)])
    return np.ascontiguousarray(full.reshape(rows, _ROW, height, width).swapaxes(1, 2)).reshape(rows * height, -1)


def _cut(sheet: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    count, height, width = shape
    return sheet.reshape(-1, height, _ROW, width).swapaxes(1, 2).reshape(-1, height, width)[:count]


def _jpeg(sheet: NDArray[np.uint8], quality: int) -> bytes:
    from PIL import Image as Picture

    held = io.BytesIO()
    Picture.fromarray(sheet).save(held, "JPEG", quality=quality, optimize=True)
    return held.getvalue()


def _opened(content: bytes) -> NDArray[np.float32]:
    from PIL import Image as Picture

    with Picture.open(io.BytesIO(content)) as picture:
        return np.asarray(picture, np.float32)
