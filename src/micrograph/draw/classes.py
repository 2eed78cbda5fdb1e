"""Pictures side by side in one scale of grey: mean images of classes, and drawings of what a number means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import add_scale_bar, contrast, extent_nm
from micrograph.draw.style import new_figure

#: The most frequent classes are shown, so many at most.
MOST_CLASSES = 20
_ACROSS = 4


def classes_figure(
    images: NDArray[np.float32],
    names: Sequence[str],
    counts: Sequence[float],
    pixel_nm: float,
    title: str = "Mean images of the classes",
) -> Figure:
    """Return mean crops (K, h, w), NaN where nothing is known, each with name, number and scale bar, in one grey scale.

    Of more than `MOST_CLASSES` the most frequent are shown, the most frequent first.
    """
    order = np.argsort(-np.asarray(counts, dtype=float), kind="stable")[:MOST_CLASSES]
    across = min(_ACROSS, max(len(order), 1))
    down = math.ceil(max(len(order), 1) / across)
    tall = images.shape[1] / images.shape[2] if images.ndim == 3 and images.shape[2] else 1.0
    figure = new_figure(0.07 + down * (tall / across * 0.97 + 0.035))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    low, high = contrast(images[order]) if len(order) else (0.0, 1.0)
    for axes in panels[len(order) :]:
        axes.set_axis_off()
    for axes, k in zip(panels, order, strict=False):
        extent = extent_nm(images[k].shape, pixel_nm)
        axes.imshow(images[k], cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
        axes.set_title(f"{names[k]} (n = {counts[k]:.4g})", fontsize=11)
        axes.set(xticks=[], yticks=[], autoscale_on=False)
        add_scale_bar(axes, 1.5 * images[k].shape[1] * pixel_nm)
    dropped = len(names) - len(order)
    figure.suptitle(title + (f" ({dropped} rarer ones left out)" if dropped else ""), fontsize=13)
    return figure


def traversal_figure(
    images: NDArray[np.float32], names: Sequence[str], values: Sequence[float], pixel_nm: float, title: str
) -> Figure:
    """Return drawings (R, S, h, w) in R named rows, in which something goes through S values, in one grey scale.

    Of more than `MOST_CLASSES` rows the first are shown.
    """
    rows = images[:MOST_CLASSES]
    figure = new_figure(0.09 + len(rows) * 0.97 / rows.shape[1] * rows.shape[2] / rows.shape[3])
    panels = figure.subplots(len(rows), rows.shape[1], squeeze=False)
    low, high = contrast(rows)
    for (row, column), axes in np.ndenumerate(panels):
        extent = extent_nm(rows.shape[2:], pixel_nm)
        axes.imshow(rows[row, column], cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
        axes.set(xticks=[], yticks=[], autoscale_on=False)
        if row == 0:
            axes.set_title(f"{values[column]:.2g}", fontsize=11)
        if column == 0:
            axes.set_ylabel(names[row], fontsize=11)
    add_scale_bar(panels[0, 0], 2.0 * rows.shape[3] * pixel_nm)
    figure.suptitle(title, fontsize=13)
    return figure
