"""Probabilities of classes as bars, and the spots of a diffraction pattern over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLUE, GREY, ORANGE, new_figure

#: The likeliest classes are drawn, so many at most.
MOST_CLASSES = 14


def probability_figure(
    names: Sequence[str], probability: ArrayLike, title: str, inside: Sequence[bool] | None = None
) -> Figure:
    """Return the probabilities (K,) of the likeliest classes as bars; those `inside` a set in another colour."""
    shares = np.asarray(probability, float)
    order = np.argsort(-shares, kind="stable")[:MOST_CLASSES][::-1]
    figure = new_figure(0.2 + 0.045 * len(order))
    axes = figure.subplots()
    colors = [ORANGE if inside is not None and inside[i] else BLUE if inside is None else GREY for i in order]
    axes.barh([names[i] for i in order], shares[order], color=colors)
    for row, i in enumerate(order):
        axes.annotate(
            f"{shares[i]:.3f}", (shares[i], row), (4, 0), textcoords="offset points", va="center", fontsize=10
        )
    axes.set_xlim(0, 1.12)
    label_axes(axes, title, "probability", "")
    return figure


def spots_figure(
    image: NDArray[Any], spots_px: NDArray[np.float64], centre_px: tuple[float, float], title: str
) -> Figure:
    """Return a pattern (H, W), its square root in grey, with circles about the spots (N, 2: x, y from the centre)."""
    figure = new_figure(0.9)
    axes = figure.subplots()
    shown = np.sqrt(np.clip(np.nan_to_num(np.asarray(image, float)), 0, None))
    axes.imshow(shown, cmap="gray", vmax=max(float(np.quantile(shown, 0.998)), 1e-9), interpolation="nearest")
    x, y = spots_px[:, 0] + centre_px[0], spots_px[:, 1] + centre_px[1]
    axes.plot(x, y, "o", ms=11, mfc="none", mec=ORANGE, mew=1.2)
    axes.plot(*centre_px, "+", color=BLUE, ms=14, mew=2)
    label_axes(axes, title, "x (px)", "y (px)")
    return figure
