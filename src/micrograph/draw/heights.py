"""How many atoms every column holds, and how surely: map over the image, confidence by number, comb of intensities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLUE, GREY, ORANGE, SKY, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Columns below this probability are drawn as rings.
SURE = 0.8
_MAP = "viridis"


def heights_figure(image: NDArray[np.float32], pixel_nm: float, columns: DataFrame, title: str) -> Figure:
    """Return the image (H, W) with a disc for every column in the colour of its likeliest count; rings are unsure.

    columns: rows with ``y_nm, x_nm, count, count_p``.
    """
    from matplotlib import colormaps

    figure = new_figure(picture_ratio(image.shape) + 0.02)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    count, p = columns["count"].to_numpy(float), columns["count_p"].to_numpy(float)
    most = int(max(count.max(initial=1), 2))
    colors = colormaps[_MAP].resampled(most)
    norm = BoundaryNorm(np.arange(0.5, most + 1), most)
    place = columns[["x_nm", "y_nm"]].to_numpy(float)
    width = 0.62 * _nearest(place)
    for chosen, look in ((p >= SURE, {"linewidths": 0.0}), (p < SURE, {"linewidths": 2.2})):
        if not chosen.any():
            continue
        size = np.full(int(chosen.sum()), width)
        discs: Any = EllipseCollection(
            size, size, np.zeros_like(size), units="xy", offsets=place[chosen], offset_transform=axes.transData,
            zorder=3, **look,
        )  # fmt: skip
        shown = colors(norm(count[chosen]))
        shown[count[chosen] == 0] = (0.5, 0.5, 0.5, 1.0)
        discs.set_facecolor("none" if look["linewidths"] else shown)
        discs.set_edgecolor(shown)
        axes.add_collection(discs)
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, colors), ax=axes, shrink=0.8, label="atoms in the column")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _nearest(place: NDArray[np.float64]) -> float:
    from scipy.spatial import cKDTree

    if len(place) < 2:
        return 0.2
    return float(np.median(np.asarray(cKDTree(place).query(place, k=2)[0])[:, 1]))


def confidence_figure(columns: DataFrame, title: str) -> Figure:
    """Return the profile of confidence: mean probability of the likeliest count, and of it and both neighbours.

    columns: rows with ``count, count_p, count_near_p``. Bars say how many columns there are of each count.
    """
    figure = new_figure(0.55)
    axes = figure.subplots()
    beside = axes.twinx()
    count = columns["count"].to_numpy(np.intp)
    numbers = np.bincount(count)
    there = np.flatnonzero(numbers)
    beside.bar(there, numbers[there], width=0.8, color=GREY, alpha=0.35, zorder=1)
    beside.set_ylabel("columns", color=GREY)
    for name, color, label in (("count_p", BLUE, "likeliest number"), ("count_near_p", ORANGE, "it or one beside it")):
        mean = np.bincount(count, columns[name].to_numpy(float))[there] / numbers[there]
        axes.plot(there, mean, marker="o", color=color, label=label, zorder=3)
    axes.set_zorder(beside.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set(xlabel="atoms in the column", ylabel="mean probability", ylim=(0, 1.03), title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", frameon=False)
    return figure


def comb_figure(intensity: ArrayLike, teeth: ArrayLike, title: str) -> Figure:
    """Return the histogram of the columns' intensities (K,) over the comb: the mean of each number of atoms (N,)."""
    figure = new_figure(0.5)
    axes = figure.subplots()
    values, marks = np.asarray(intensity, float), np.asarray(teeth, float)
    values = values[np.isfinite(values)]
    marks = marks[marks <= values.max(initial=0.0) * 1.05]
    step = float(np.median(np.diff(marks))) if len(marks) > 1 else float(values.max(initial=1.0))
    edges = np.arange(0.0, values.max(initial=1.0) + step, step / 6)
    axes.hist(values, edges.tolist(), color=SKY, zorder=2)
    for number, mark in enumerate(marks, start=1):
        axes.axvline(mark, color=ORANGE, linewidth=1.0, zorder=1)
        axes.annotate(
            str(number), (mark, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9
        )
    axes.set(xlabel="integrated intensity (unit of the image)", ylabel="columns")
    axes.set_title(title, pad=16)
    return figure
