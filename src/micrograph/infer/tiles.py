"""Tiles with overlap: a frame of any size through a network, without seams and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Width (model pixels) of the rim that is computed and thrown away for a network of three levels, and the side of a
#: tile's useful centre, over the rim's width.
HALO, CORE = 32, 16


def tiled(
    image: Array, compute: Callable[[Array], tuple[Array, Array]], multiple: int, halo: int = HALO
) -> tuple[Array, Array]:
    """Return logits (K, h, w) and the mean embedding (D,) of `image` (h, w) or (C, h, w); a small frame is one tile.

    The rim is wider than the reach of a pixel's influence that matters, so tiles join without a seam.
    """
    stack = image.reshape(-1, *image.shape[-2:])
    height, width = image.shape[-2:]
    logits: Array | None = None
    total: NDArray[np.float64] | float = 0.0
    weights = 0.0
    for top, bottom, left, right in _centres(height, width, multiple, halo):
        y0, x0 = max(0, top - halo), max(0, left - halo)
        y1, x1 = min(height, bottom + halo), min(width, right + halo)
        answer, embedding = compute(_padded(stack[:, y0:y1, x0:x1], multiple)[None])
        if logits is None:
            logits = np.zeros((answer.shape[1], height, width), np.float32)
        logits[:, top:bottom, left:right] = answer[0, :, top - y0 : bottom - y0, left - x0 : right - x0]
        area = float((bottom - top) * (right - left))
        total, weights = total + area * embedding[0].astype(float), weights + area
    assert logits is not None
    return logits, np.asarray(total / weights, dtype=np.float32)


def _centres(height: int, width: int, multiple: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, bottom, left, right) of the tiles' centres: they cover the frame once, none over halo * (CORE + 1).

    They begin at multiples of `multiple`: so the last tile ends at the far border as the whole frame does.
    """
    rows, columns = (max(1, -(-(n - halo) // (halo * CORE))) for n in (height, width))
    ys = np.linspace(0, height, rows + 1).astype(int) // multiple * multiple
    xs = np.linspace(0, width, columns + 1).astype(int) // multiple * multiple
    ys[-1], xs[-1] = height, width
    for top, bottom in pairwise(ys):
        for left, right in pairwise(xs):
            yield int(top), int(bottom), int(left), int(right)


def _padded(image: Array, multiple: int) -> Array:
    """Mirror (C, h, w) at the far ends until both sides are multiples of `multiple` and at least four of them."""
    ends = [max(-n % multiple, 4 * multiple - n) for n in image.shape[1:]]
    if not any(ends):
        return np.ascontiguousarray(image)
    return np.pad(image, ((0, 0), (0, ends[0]), (0, ends[1])), mode="symmetric")
