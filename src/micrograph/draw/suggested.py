"""Pieces of recordings that are worth a label, side by side in the order of their worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import show_image
from micrograph.draw.style import new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Pieces beside each other, and of those that there are at most so many are shown.
ACROSS, MOST = 4, 24


def suggested_figure(
    images: Sequence[NDArray[np.float32]], suggestions: DataFrame, pixels_nm: Sequence[float | None]
) -> Figure:
    """Return the pieces (h, w), each with its rank, its frame and its likeliest class.

    suggestions: rows with ``rank, file, frame, likely`` in the order of `images`.
    """
    shown = list(zip(images, suggestions.to_dict("records"), pixels_nm, strict=True))[:MOST]
    rows = max(1, -(-len(shown) // ACROSS))
    figure = new_figure(0.31 * rows + 0.05)
    grid = figure.subplots(rows, ACROSS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (image, row, pixel_nm) in zip(grid.flat, shown, strict=False):
        show_image(axes, image, pixel_nm or 0.0, "")
        likely = f": {row['likely']}" if row["likely"] else ""
        axes.set_title(f"{row['rank']}. frame {row['frame']}{likely}\n{_short(str(row['file']))}", fontsize=9)
        axes.axis("on")
    left_out = len(images) - len(shown)
    more = f" (the first {MOST} of {len(images)})" if left_out > 0 else ""
    figure.suptitle(f"Worth a label, most of all the first{more}", fontsize=13)
    return figure


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
