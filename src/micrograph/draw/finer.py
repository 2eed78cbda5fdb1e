"""Images on finer pixels as pictures: gaps that are marked as the counts speak for them, and power by frequency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.image import contrast, dress_picture, extent_nm, picture_ratio
from micrograph.draw.style import BLACK, BLUE, GREY, ORANGE, RED, SKY, YELLOW, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Colours of curves in order.
_COLOURS = (BLACK, BLUE, ORANGE)


def gaps_figure(
    image: NDArray[np.float32],
    pixel_nm: float | None,
    gaps: DataFrame,
    title: str,
    misfit: NDArray[np.bool_] | None = None,
) -> Figure:
    """Return the finer image (H, W) with a line across every gap: solid where the counts speak for it, else dotted.

    Places of a coarser map `misfit` are outlined: there the image does not say what was recorded.
    """
    figure = new_figure(picture_ratio(image.shape))
    axes = figure.subplots()
    low, high = contrast(image)
    step = pixel_nm or 1.0
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=extent_nm(image.shape, step), interpolation="nearest")
    angle = np.radians(gaps["across_deg"].to_numpy(float))
    half = (gaps["width_px"].to_numpy(float) / 2 + 1.0)[:, None]
    middle = gaps[["x_px", "y_px"]].to_numpy(float)
    ends = half * np.column_stack([np.cos(angle), -np.sin(angle)])
    lines = np.stack([middle - ends, middle + ends], axis=1) * step
    sure = gaps["flags"].to_numpy(np.int64) == 0
    for chosen, colour, style, name in ((sure, SKY, "-", "supported"), (~sure, RED, ":", "doubted")):
        label = f"{name} by the counts ({int(chosen.sum())})" if name == "supported" else f"doubted ({chosen.sum()})"
        drawn = LineCollection(list(lines[chosen]), colors=colour, linestyles=style, linewidths=1.8, label=label)
        axes.add_collection(drawn)
    if misfit is not None and misfit.any():
        y, x = ((np.arange(n) + 0.5) * image.shape[0] / misfit.shape[0] - 0.5 for n in misfit.shape)
        axes.contour(x * step, y * step, misfit, levels=[0.5], colors=[YELLOW], linewidths=1.2)
        axes.plot([], [], color=YELLOW, label="not what was recorded")
    dress_picture(axes, title, image.shape[1] * pixel_nm if pixel_nm else None)
    left, right, bottom, top = extent_nm(image.shape, step)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.legend(loc="upper right", fontsize=11, framealpha=0.8)
    return figure


def power_figure(
    curves: Mapping[str, tuple[Array, Array]], noise: float, marks: Mapping[str, float], title: str
) -> Figure:
    """Return the power of images by name over frequency (cycles a finer pixel), with the noise's and what is marked."""
    figure = new_figure(0.55)
    axes = figure.subplots()
    for (name, (frequency, power)), colour in zip(curves.items(), _COLOURS, strict=False):
        axes.plot(frequency, power, color=colour, label=name)
    axes.axhline(noise, color=GREY, linestyle="--", linewidth=1.2, label="noise as recorded")
    for (name, at), style in zip(marks.items(), (":", "-."), strict=False):
        axes.axvline(at, color=RED, linestyle=style, linewidth=1.4, label=name)
    axes.set_yscale("log")
    axes.set_xlim(0, 0.5)
    label_axes(axes, title, "spatial frequency (cycles a finer pixel)", "power (counts² a recorded pixel)")
    axes.legend(fontsize=10)
    return figure
