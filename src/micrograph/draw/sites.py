"""What was found, drawn over the image: sites by class, defects ringed and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import looks, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: With more defects than this, the legend alone tells their names.
MOST_NAMES = 40
#: A class with less than this share of all sites is drawn large.
RARE = 0.1
_DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_RING_PT = 15.0


def sites_figure(
    image: NDArray[np.float32], pixel_nm: float, objects: DataFrame, title: str, defects: DataFrame | None = None
) -> Figure:
    """Return the image (H, W) with every site in the colour and shape of its class, and defects ringed and named.

    objects: rows with ``y_nm, x_nm, class``; defects: rows with ``y_nm, x_nm, name``. The legend counts both.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.08)
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    handles = _draw_sites(axes, objects, _spacing_pt(objects, image.shape[1] * pixel_nm))
    if defects is not None and len(defects):
        handles += _draw_rings(axes, defects)
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 5), fontsize=11, frameon=False
        )
    if defects is not None and 0 < len(defects) <= MOST_NAMES:
        _name_defects(figure, axes, defects)
    return figure


def cut_out(
    image: NDArray[np.float32], pixel_nm: float, centre_nm: tuple[float, float], size_nm: float
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return the square of `size_nm` around `centre_nm` (y, x), moved inside the image, and its corner (y_nm, x_nm)."""
    side = max(2, min(round(size_nm / pixel_nm), *image.shape))
    corner = [
        int(np.clip(round(centre / pixel_nm - side / 2), 0, size - side))
        for centre, size in zip(centre_nm, image.shape, strict=True)
    ]
    part = image[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    return part, (corner[0] * pixel_nm, corner[1] * pixel_nm)


def rows_within(table: DataFrame, corner_nm: tuple[float, float], size_nm: tuple[float, float]) -> DataFrame:
    """Return the rows inside a rectangle, with ``y_nm, x_nm`` counted from its corner."""
    y, x = table["y_nm"] - corner_nm[0], table["x_nm"] - corner_nm[1]
    inside = y.between(0, size_nm[0]) & x.between(0, size_nm[1])
    return table.assign(y_nm=y, x_nm=x)[inside]


def _draw_sites(axes: Axes, objects: DataFrame, spacing_pt: float) -> list[Line2D]:
    """Draw common classes as dots and rare ones as larger open shapes; return the legend's entries."""
    handles = []
    dot, shape = float(np.clip(0.25 * spacing_pt, 1.2, 6.0)), float(np.clip(0.6 * spacing_pt, 5.0, 11.0))
    for name, look in looks(objects["class"]).items():
        mine = objects[objects["class"] == name]
        rare = len(mine) < RARE * len(objects)
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": look.marker,
            "markeredgecolor": look.color,
            "markerfacecolor": "none" if rare else look.color,
            "markeredgewidth": 1.5 if rare else 0.0,
        }
        axes.plot(mine["x_nm"], mine["y_nm"], markersize=shape if rare else dot, zorder=4 if rare else 3, **style)
        handles.append(Line2D([], [], markersize=8, label=f"{name} ({len(mine)})", **style))
    return handles


def _draw_rings(axes: Axes, defects: DataFrame) -> list[Line2D]:
    """Draw a ring around every defect, dashed so that it is no site, and return the legend's entries."""
    handles = []
    for name, look in looks(defects["name"]).items():
        mine = defects[defects["name"] == name]
        ring: dict[str, Any] = {
            "markeredgecolor": look.color,
            "markerfacecolor": "none",
            "markeredgewidth": 2.2,
            "marker": "o",
        }
        axes.plot(mine["x_nm"], mine["y_nm"], linestyle="none", markersize=_RING_PT, zorder=5, **ring)
        handles.append(Line2D([], [], linestyle="none", markersize=12, label=f"{name} ({len(mine)})", **ring))
    return handles


def _name_defects(figure: Figure, axes: Axes, defects: DataFrame) -> None:
    """Write each defect's name beside its ring where it covers no other name and is not cut off; else leave it out."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    inside = axes.get_window_extent()
    points = axes.transData.transform(defects[["x_nm", "y_nm"]].to_numpy(float))
    pixels_per_pt = figure.dpi / 72
    taken: list[Bbox] = []
    for name, (x, y) in zip(defects["name"], points, strict=True):
        text = axes.text(
            0, 0, str(name), color="white", fontsize=11, zorder=10, transform=None, clip_on=True,
            bbox={"facecolor": "black", "alpha": 0.65, "pad": 1.5, "linewidth": 0},
        )  # fmt: skip
        for place in _places(text, x, y, pixels_per_pt):
            if (
                inside.containsx(place.x0)
                and inside.containsx(place.x1)
                and inside.containsy(place.y0)
                and (inside.containsy(place.y1))
                and not any(place.overlaps(other) for other in taken)
            ):
                taken.append(place)
                at = axes.transData.inverted().transform((place.x0 + place.width / 2, place.y0 + place.height / 2))
                text.set(position=tuple(at), transform=axes.transData, ha="center", va="center")
                break
        else:
            text.remove()


def _places(text: Text, x: float, y: float, pixels_per_pt: float) -> Iterator[Bbox]:
    """Yield boxes for a text around the ring at (x, y) in display pixels, nearest first."""
    box = text.get_window_extent()
    width, height = box.width + 6 * pixels_per_pt, box.height + 6 * pixels_per_pt
    for ring in (0.5 * _RING_PT, 1.1 * _RING_PT, 1.8 * _RING_PT):
        reach = ring * pixels_per_pt
        for right, up in _DIRECTIONS:
            middle_x, middle_y = x + right * (reach + width / 2), y + up * (reach * 0.7 + height / 2)
            yield Bbox.from_bounds(middle_x - width / 2, middle_y - height / 2, width, height)


def _spacing_pt(objects: DataFrame, width_nm: float) -> float:
    """Return the typical distance between neighbouring sites in points on the page."""
    from scipy.spatial import cKDTree

    points = objects[["y_nm", "x_nm"]].to_numpy(float)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return 20.0
    distance = np.asarray(cKDTree(points).query(points, k=[2])[0])
    return float(np.median(distance)) / width_nm * 0.9 * 8 * 72
