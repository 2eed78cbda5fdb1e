"""Pictures of molecules in rows: their states over the image, domains, correlations, learned shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of rotations, and of domains.
TURNED = (ORANGE, SKY, GREEN, PURPLE, YELLOW, BLUE, RED, BLACK)
#: So many of the largest domains are in colour.
_DOMAINS = 7


def _spacing(objects: DataFrame) -> float:
    """Return the typical distance (nm) between neighbours."""
    from scipy.spatial import cKDTree

    points = objects[["y_nm", "x_nm"]].to_numpy(float)
    if len(points) < 2:
        return 1.0
    return float(np.median(np.asarray(cKDTree(points).query(points, k=[2])[0])))


def _size_pt2(figure: Figure, objects: DataFrame, width_nm: float, share: float) -> float:
    """Return the area (pt^2) of a marker that is `share` of the distance between molecules wide."""
    points_per_nm = 0.92 * float(figure.get_size_inches()[0]) * 72 / width_nm
    return float((share * _spacing(objects) * points_per_nm) ** 2)


def molecules_figure(image: NDArray[np.float32], pixel_nm: float, objects: DataFrame, title: str) -> Figure:
    """Return the image with every molecule's rotation as a colour and an arrow's direction, its polarity as a shape."""
    figure = new_figure(picture_ratio(image.shape) + 0.12)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    size = _size_pt2(figure, objects, image.shape[1] * pixel_nm, 0.5)
    for rotation, rows in objects.groupby("rotation"):
        color = TURNED[int(str(rotation)) % len(TURNED)]
        for polarity, marker in (("up", "o"), ("down", "s")):
            part = rows[rows["polarity"] == polarity]
            if not len(part):
                continue
            sizes = np.where(part["flags"].to_numpy(int) == 0, size, 0.3 * size)
            axes.scatter(
                part["x_nm"], part["y_nm"], s=sizes, marker=marker, facecolor="none", edgecolor=color, linewidth=1.6,
                label=f"{polarity} {rotation} ({len(part)})",
            )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=4, fontsize=10, frameon=False)
    return figure


def domains_figure(image: NDArray[np.float32], pixel_nm: float, objects: DataFrame, title: str) -> Figure:
    """Return the image with the largest domains of molecules turned alike in colours."""
    figure = new_figure(picture_ratio(image.shape) + 0.12)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    size = _size_pt2(figure, objects, image.shape[1] * pixel_nm, 0.85)
    rest = objects[(objects["domain"] < 0) | (objects["domain"] >= _DOMAINS)]
    axes.scatter(rest["x_nm"], rest["y_nm"], s=0.25 * size, color=GREY, linewidth=0, label=f"others ({len(rest)})")
    for number in range(_DOMAINS):
        part = objects[objects["domain"] == number]
        if len(part) > 2:
            turned = int(part["rotation"].iloc[0])
            axes.scatter(
                part["x_nm"], part["y_nm"], s=size, color=TURNED[number], alpha=0.6, linewidth=0,
                label=f"{len(part)} turned {turned}",
            )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=4, fontsize=10, frameon=False)
    return figure


def correlations_figure(correlations: DataFrame, title: str) -> Figure:
    """Return how correlations fall with distance, with their 95 % intervals."""
    figure = new_figure(0.55)
    axes = figure.subplots()
    for (name, rows), color, marker in zip(
        correlations.groupby("name", sort=False), (BLUE, ORANGE), ("o", "s"), strict=False
    ):
        value = rows["correlation"].to_numpy(float)
        ends = [value - rows["correlation_low"].to_numpy(float), rows["correlation_high"].to_numpy(float) - value]
        axes.errorbar(rows["distance_nm"], value, yerr=ends, color=color, marker=marker, capsize=4, label=str(name))
    axes.axhline(0, color=GREY, linewidth=1)
    label_axes(axes, title, "distance (nm)", "alike beyond chance (1: always)")
    axes.legend(fontsize=11)
    return figure


def shapes_figure(shapes: DataFrame, title: str) -> Figure:
    """Return the learned shapes side by side in one scale of grey."""
    kinds = list(dict.fromkeys(shapes["polarity"]))
    figure = new_figure(0.55)
    panels: Any = np.atleast_1d(figure.subplots(1, len(kinds)))
    low, high = (float(shapes["height"].quantile(q)) for q in (0.01, 0.99))
    for axes, kind in zip(panels, kinds, strict=True):
        rows = shapes[shapes["polarity"] == kind]
        grid = rows.pivot(index="y", columns="x", values="height").to_numpy(float)
        axes.imshow(grid, cmap="gray", vmin=low, vmax=high, extent=(-0.5, 0.5, 0.5, -0.5), interpolation="bilinear")
        axes.set_title(f"{kind}, at rotation 0", fontsize=12)
        axes.set_xlabel("distance / spacing of the molecules", fontsize=11)
    figure.suptitle(title, fontsize=13)
    return figure
