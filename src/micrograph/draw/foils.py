"""Defects of a foil over its image: dislocation lines along their middle, precipitates and voids filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.outlines import curves_of
from micrograph.draw.style import GREEN, ORANGE, SKY, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of the kinds.
COLORS = {"dislocation": ORANGE, "precipitate": GREEN, "void": SKY}
_PLURAL = {"dislocation": "dislocation lines", "precipitate": "precipitates", "void": "voids"}
_RIM = [withStroke(linewidth=3.4, foreground=(0.0, 0.0, 0.0, 0.65))]


def foil_figure(
    image: NDArray[np.float32],
    pixel_nm: float,
    bodies: tuple[DataFrame, DataFrame],
    lines: tuple[DataFrame, DataFrame],
    title: str,
) -> Figure:
    """Return the image (H, W) with all defects that were found.

    bodies: rows with ``id, class, flags``, and their outlines with ``id, point, y_nm, x_nm``; lines: rows with ``id,
    flags``, and their points with ``id, point, y_nm, x_nm``. Doubted ones are dashed; the legend counts each kind.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.06)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    objects, outlines = bodies
    curves, names = curves_of(outlines), objects["class"].to_numpy(str)
    handles: list[Patch | Line2D] = []
    for kind in ("precipitate", "void"):
        mine = objects[names == kind]
        shown = [curves[one][:, ::-1] for one in mine["id"].to_numpy(np.int64) if one in curves]
        axes.add_collection(PolyCollection(shown, facecolors=COLORS[kind], edgecolors="none", alpha=0.22))
        axes.add_collection(PolyCollection(shown, facecolors="none", edgecolors=COLORS[kind], linewidths=1.5))
        handles.append(Patch(color=COLORS[kind], label=f"{_PLURAL[kind]} ({len(mine)})"))
    rows, points = lines
    paths = curves_of(points)
    sure = dict(zip(rows["id"].to_numpy(np.int64), rows["score"].to_numpy(float) >= 0.8, strict=True))
    for doubted in (False, True):
        shown = [paths[one][:, ::-1] for one in sure if one in paths and sure[one] != doubted]
        style = (0, (3, 2)) if doubted else "solid"
        axes.add_collection(
            LineCollection(shown, colors=COLORS["dislocation"], linewidths=1.8, linestyles=[style], path_effects=_RIM)
        )
    label = f"{_PLURAL['dislocation']} ({len(rows)})"
    handles.insert(0, Line2D([], [], color=COLORS["dislocation"], lw=2.5, label=label))
    if not all(sure.values()):
        text = f"dashed: doubted ({sum(not one for one in sure.values())})"
        handles.append(Line2D([], [], color="#555555", lw=1.5, ls=(0, (3, 2)), label=text))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=10.5, frameon=False, columnspacing=1.2)
    return figure
