"""Windows of an image in the colour of what they hold, and short lines with a value, over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of the types of lattice.
TYPE_COLORS = {
    "square": ORANGE, "hexagonal": SKY, "rectangular": GREEN, "centred rectangular": PURPLE, "oblique": BLUE,
    "noise": GREY,
}  # fmt: skip


def tiles_figure(image: NDArray[np.float32], pixel_nm: float, windows: DataFrame, title: str) -> Figure:
    """Return the image (H, W) with a tile about the middle of each window in the colour of its class.

    windows: rows with ``y_nm, x_nm, class, score``; the surer, the fuller the colour. Tiles lie as far apart as they.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.08)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    y, x = windows["y_nm"].to_numpy(float), windows["x_nm"].to_numpy(float)
    height, width = (_pitch(values, size * pixel_nm) for values, size in zip((y, x), image.shape, strict=True))
    patches, colours = [], []
    for row, column, name, score in zip(y, x, windows["class"], windows["score"], strict=True):
        patches.append(Rectangle((column - width / 2, row - height / 2), width, height))
        colours.append((TYPE_COLORS.get(str(name), GREY), 0.15 + 0.4 * float(score)))
    axes.add_collection(PatchCollection(patches, facecolor=colours, edgecolor="white", linewidth=0.5, zorder=3))
    counts = windows["class"].value_counts()
    handles = [
        Patch(facecolor=TYPE_COLORS.get(str(name), GREY), label=f"{name} ({count})") for name, count in counts.items()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(max(len(handles), 1), 3), fontsize=11, frameon=False
    )
    return figure


def _pitch(values: NDArray[np.float64], most: float) -> float:
    """Return the distance between neighbouring windows, the whole image where there is only one."""
    steps = np.diff(np.unique(np.round(values, 6)))
    return float(np.median(steps)) if len(steps) else most


def dumbbells_figure(
    image: NDArray[np.float32], pixel_nm: float, dumbbells: DataFrame, values: ArrayLike, words: tuple[str, str]
) -> Figure:
    """Return the image (H, W) with a line for every dumbbell in the colour of its value (N,), singles as crosses.

    dumbbells: rows with ``y_nm, x_nm, separation_nm, direction_deg``; words: the title, and the colour bar's label.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.02)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, words[0])
    length, angle = dumbbells["separation_nm"].to_numpy(float), np.radians(dumbbells["direction_deg"].to_numpy(float))
    middle = dumbbells[["x_nm", "y_nm"]].to_numpy(float)
    half = 0.5 * length[:, None] * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    paired = np.isfinite(half).all(axis=1)
    shown = np.asarray(values, float)
    known = shown[paired & np.isfinite(shown)]
    low, high = np.percentile(known, (2, 98)) if len(known) else (0.0, 1.0)
    lines: Any = LineCollection(
        list(np.stack([middle - half, middle + half], axis=1)[paired]), cmap="viridis", linewidth=2.5, zorder=3
    )
    lines.set_array(shown[paired])
    lines.set_clim(float(low), float(high) if high > low else float(low) + 1.0)
    axes.add_collection(lines)
    axes.plot(*middle[~paired].T, linestyle="none", marker="x", color=ORANGE, markersize=6, zorder=4)
    figure.colorbar(lines, ax=axes, label=words[1], shrink=0.8, extend="both")
    return figure
