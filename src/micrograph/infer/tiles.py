"""Tiles with overlap: a frame of any size through a network, without seams and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
#: Top, bottom, left, right of a part of a frame.
Box = tuple[int, int, int, int]

#: Width (model pixels) of the rim that is computed and thrown away for a network of three levels, and the side of a
#: tile's useful centre, over the rim's width.
HALO, CORE = 32, 16


def tiled(
    image: Array, compute: Callable[[Array], tuple[Array, Array]], multiple: int, halo: int = HALO
) -> tuple[Array, Array]:
    """Return logits (K, h, w) and the mean embedding (D,) of `image` (h, w) or (C, h, w); a small frame is one tile.

    Neighbours in a row that are alike in size are computed as one batch. The rim is wider than the reach of a pixel's
    influence that matters, so tiles join without a seam.
    """
    stack = image.reshape(-1, *image.shape[-2:])
    height, width = image.shape[-2:]
    logits: Array | None = None
    total: NDArray[np.float64] | float = 0.0
    weights = 0.0
    centres = _centres(height, width, multiple, halo)
    tiles = ((centre, _with_rim(centre, height, width, halo)) for centre in centres)
    for _, alike in groupby(tiles, key=lambda tile: (tile[1][1] - tile[1][0], tile[1][3] - tile[1][2])):
        some = list(alike)
        answers, embeddings = compute(np.stack([_padded(stack[:, a:b, c:d], multiple) for _, (a, b, c, d) in some]))
        if logits is None:
            logits = np.zeros((answers.shape[1], height, width), np.float32)
        for ((top, bottom, left, right), (y0, _, x0, _)), answer, embedding in zip(
            some, answers, embeddings, strict=True
        ):
            logits[:, top:bottom, left:right] = answer[:, top - y0 : bottom - y0, left - x0 : right - x0]
            area = float((bottom - top) * (right - left))
            total, weights = total + area * embedding.astype(float), weights + area
    assert logits is not None
    return logits, np.asarray(total / weights, dtype=np.float32)


def _with_rim(centre: Box, height: int, width: int, halo: int) -> Box:
    """Return what is computed for a tile's centre: `halo` more on each side, within the frame."""
    top, bottom, left, right = centre
    return max(0, top - halo), min(height, bottom + halo), max(0, left - halo), min(width, right + halo)


def _centres(height: int, width: int, multiple: int, halo: int) -> Iterator[Box]:
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
