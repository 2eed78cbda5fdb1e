"""Outlined objects drawn over the image: each in the colour of its shape or class, doubtful ones dashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import GREY, WIDTH_IN, line_colors, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: With more objects than this, their numbers are not written.
MOST_IDS = 80
#: A number is written into an object at least so wide (points on the page).
_ROOM_PT = 15.0
#: Rim of bright lines, which shows on bright ground.
DARK = (0.0, 0.0, 0.0, 0.65)


@dataclass(frozen=True)
class Kinds:
    """What objects are coloured by: one name each (N,), and the colour of every name."""

    names: NDArray[Any]
    colors: Mapping[str, str]


def outlines_figure(
    image: NDArray[np.float32], pixel_nm: float, objects: DataFrame, outlines: DataFrame, title: str
) -> Figure:
    """Return the image (H, W) with the outline of every object in the colour of its shape, or else of its class.

    objects: rows with ``id, y_nm, x_nm`` and, where known, ``shape`` or ``class``, ``flags``; outlines: rows with ``id,
    point, y_nm, x_nm`` of the same frame. Objects with a flag (doubted, or cut by the border) are dashed. Up to
    `MOST_IDS` objects are numbered where there is room. The legend counts each kind.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.08)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    curves, kinds = curves_of(outlines), kinds_of(objects, dark=True)
    width = 2.0 if len(objects) <= MOST_IDS else 1.3
    ids = objects["id"].to_numpy(np.int64)
    doubted = objects["flags"].to_numpy(np.int64) != 0 if "flags" in objects else np.zeros(len(objects), bool)
    for name, color in kinds.colors.items():
        for dashed in (False, True):
            mine = [curves[one] for one in ids[(kinds.names == name) & (doubted == dashed)] if one in curves]
            _draw(axes, mine, color, width, dashed)
    handles = [
        Line2D([], [], color=color, lw=2.5, label=f"{name} ({int(np.sum(kinds.names == name))})")
        for name, color in kinds.colors.items()
    ]
    if doubted.any():
        label = f"dashed: doubted or cut off ({int(doubted.sum())})"
        handles.append(Line2D([], [], color="#555555", lw=1.5, ls=(0, (3, 2)), label=label))
    if handles:
        columns = max(1, min(len(handles), 4, int(100 / (8 + max(len(str(line.get_label())) for line in handles)))))
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=11, frameon=False)
        _on_grey(legend, kinds.colors)
    if len(objects) <= MOST_IDS:
        _write_ids(axes, objects, curves, image.shape[1] * pixel_nm)
    return figure


def curves_of(outlines: DataFrame) -> dict[int, Array]:
    """Return the closed curves (K, 2) of (y, x) in nm of a table of outlines by ``id``, in the order of ``point``."""
    rows = outlines.sort_values(["id", "point"], kind="stable")
    ids, first = np.unique(rows["id"].to_numpy(np.int64), return_index=True)
    pieces = np.split(rows[["y_nm", "x_nm"]].to_numpy(float), first[1:])
    return dict(zip(ids.tolist(), pieces, strict=False))


def kinds_of(objects: DataFrame, dark: bool) -> Kinds:
    """Return the shapes, else the classes of objects with a colour for each; 'object' where neither is known."""
    column = next((name for name in ("shape", "class") if name in objects), None)
    names = np.full(len(objects), "object") if column is None else objects[column].astype(str).to_numpy(dtype=str)
    colors = line_colors(names, dark)
    return Kinds(names, {name: "#FFFFFF" if dark and color == GREY else color for name, color in colors.items()})


def closed(curve: Array) -> Array:
    """Return a curve (K, 2) of (y, x) as the corners (K + 1, 2) of (x, y) of a closed line."""
    return np.concatenate([curve, curve[:1]])[:, ::-1]


def _draw(axes: Axes, curves: list[Array], color: str, width: float, dashed: bool) -> None:
    """Draw curves with a dark rim that shows on bright ground."""
    if not curves:
        return
    lines = [closed(curve) for curve in curves]
    style: Any = (0, (3, 2)) if dashed else "solid"
    rim = LineCollection(lines, colors=[DARK], linewidths=width + 1.4, zorder=3)
    axes.add_collection(rim, autolim=False)
    axes.add_collection(
        LineCollection(lines, colors=color, linewidths=width, linestyles=[style], zorder=4), autolim=False
    )


def _on_grey(legend: Any, colors: Mapping[str, str]) -> None:
    """Give bright lines of the legend a dark rim, as they have in the picture."""
    for line in legend.get_lines():
        if line.get_color() in colors.values():
            line.set_path_effects([withStroke(linewidth=line.get_linewidth() + 1.6, foreground=DARK)])


def _write_ids(axes: Axes, objects: DataFrame, curves: Mapping[int, Array], width_nm: float) -> None:
    """Write each object's number in its middle where it has room."""
    points_per_nm = 0.9 * WIDTH_IN * 72 / width_nm
    for number, y, x in zip(objects["id"], objects["y_nm"], objects["x_nm"], strict=True):
        curve = curves.get(int(number))
        if curve is None or float(np.ptp(curve, axis=0).min()) * points_per_nm < _ROOM_PT:
            continue
        axes.text(
            x, y, str(number), color="white", fontsize=9, ha="center", va="center", zorder=6, clip_on=True,
            path_effects=[withStroke(linewidth=2.0, foreground="black")],
        )  # fmt: skip
