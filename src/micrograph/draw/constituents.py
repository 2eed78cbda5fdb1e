"""Micrographs with their constituents in colours that everyone can tell apart, and with the outlines of particles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from micrograph.draw.image import contrast, extent_nm, picture_ratio, show_image
from micrograph.draw.style import ORANGE, SKY, line_colors, new_figure

Image = NDArray[np.float32]
#: How much of a colour lies over the image.
_OPACITY = 0.42
#: Columns of the legend.
_ACROSS = 2


@dataclass(frozen=True)
class Constituents:
    """winner (H, W): place of each pixel's constituent in `names`; words: what the legend says of a name; ground: the
    name that is left in grey, '' for none."""

    winner: NDArray[np.intp]
    names: tuple[str, ...]
    words: Mapping[str, str]
    ground: str = ""


def constituents_figure(image: Image, pixel_nm: float, told: Constituents, title: str) -> Figure:
    """Return the image (H, W) under the colours of its constituents, with a legend and a scale bar."""
    there = [name for place, name in enumerate(told.names) if (told.winner == place).any()]
    colored = [name for name in there if name != told.ground]
    colors = line_colors(colored, dark=True)
    lines = -(-len(there) // _ACROSS)
    figure = new_figure(picture_ratio(image.shape) + 0.02 + 0.04 * lines)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    low, high = contrast(image)
    grey = np.clip((image - low) / (high - low), 0, 1)
    over = np.zeros((*told.winner.shape, 4), np.float32)
    for place, name in enumerate(told.names):
        if name in colors:
            over[told.winner == place] = (*to_rgb(colors[name]), _OPACITY)
    if over.shape[:2] == grey.shape:
        axes.imshow(over, extent=extent_nm(image.shape, pixel_nm), interpolation="nearest")
    handles = [
        Patch(
            facecolor=colors.get(name, "#9a9a9a"), alpha=0.8, label=f"{name}: {told.words.get(name, '')}".rstrip(": ")
        )
        for name in there
    ]
    if handles:
        columns = min(_ACROSS, len(handles))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=11, frameon=False)
    return figure


def particles_figure(
    image: Image, pixel_nm: float, labels: NDArray[np.int32], cut: NDArray[np.bool_], title: str
) -> Figure:
    """Return the image (H, W) with the outline of each particle, those that the border `cut` (N,) in another colour."""
    from matplotlib.collections import LineCollection
    from scipy.ndimage import find_objects
    from skimage.measure import find_contours

    figure = new_figure(picture_ratio(image.shape) + 0.07)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    curves: dict[bool, list[NDArray[np.float64]]] = {False: [], True: []}
    for number, box in enumerate(find_objects(labels), start=1):
        own = np.pad(labels[box] == number, 1)
        corner = np.array([side.start - 1 for side in box])
        for curve in find_contours(own.astype(float), 0.5):  # type: ignore[no-untyped-call]
            curves[bool(cut[number - 1])].append((curve + corner)[:, ::-1] * pixel_nm)
    width = float(np.clip(500 / max(image.shape), 0.5, 1.5))
    handles = []
    for is_cut, color, words in ((False, SKY, "whole"), (True, ORANGE, "cut by the border: in no size")):
        axes.add_collection(LineCollection(curves[is_cut], colors=color, linewidths=width))
        handles.append(Line2D([], [], color=color, lw=2.5, label=f"{words} ({int(np.sum(cut == is_cut))})"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return figure
