"""Examples of every shape side by side, all in one scale, with how many there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import add_scale_bar, contrast, extent_nm
from micrograph.draw.outlines import DARK, closed, curves_of, kinds_of
from micrograph.draw.style import new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Rows of the gallery and examples in each, at most.
MOST_SHAPES, EXAMPLES = 8, 8
#: Crops are so much wider than the 90th percentile of the objects, and so far apart (share of their width).
_WIDER, _APART = 1.3, 0.06
#: Height of the strip for the scale bar below, over the width.
_STRIP = 0.06


@dataclass(frozen=True)
class _Crop:
    """One example: its place (row, column) in the gallery, its picture (s, s), its outline in the gallery's nm."""

    row: int
    column: int
    picture: NDArray[np.float32]
    outline: Array


def gallery_figure(
    image: NDArray[np.float32],
    pixel_nm: float,
    objects: DataFrame,
    outlines: DataFrame,
    words: Mapping[str, str],
    title: str = "Examples of every shape",
) -> Figure:
    """Return crops of up to `EXAMPLES` objects of each shape, small to large, cut out of the image (H, W).

    objects: rows with ``id, y_nm, x_nm``, ``shape`` or ``class``, ``flags``; outlines: rows with ``id, point, y_nm,
    x_nm`` of the same frame. words: what is written beside each row, by name, in the order of the rows; of more than
    `MOST_SHAPES` the first are shown. Objects without a flag are preferred.
    """
    names = list(words)[:MOST_SHAPES]
    curves, kinds = curves_of(outlines), kinds_of(objects, dark=True)
    sizes = np.array([np.ptp(curve, axis=0).max() for curve in curves.values()])
    side = max(8, round(_WIDER * float(np.percentile(sizes, 90)) / pixel_nm)) if len(sizes) else 8
    pitch = side + max(2, round(_APART * side))
    crops = [
        crop
        for row, name in enumerate(names)
        for crop in _row(image, pixel_nm, _chosen(objects[kinds.names == name]), curves, (row, side, pitch))
    ]
    across = max([crop.column for crop in crops], default=0) + 1
    width = max(across, 4) * pitch
    shape = (len(names) * pitch + round(_STRIP * width), width)
    figure = new_figure(0.06 + 0.76 * shape[0] / shape[1])
    axes = figure.subplots()
    low, high = contrast(image)
    axes.imshow(
        _mosaic(crops, shape, pitch), cmap="gray", vmin=low, vmax=high, extent=extent_nm(shape, pixel_nm),
        interpolation="nearest",
    )  # fmt: skip
    axes.set_autoscale_on(False)
    colors = [kinds.colors.get(names[crop.row], "white") for crop in crops]
    lines = [closed(crop.outline) for crop in crops]
    axes.add_collection(LineCollection(lines, colors=[DARK], linewidths=2.5), False)
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.3), False)
    _label(
        axes, [words[name] for name in names], [(row * pitch + side / 2) * pixel_nm for row in range(len(names))], title
    )
    add_scale_bar(axes, 3.0 * side * pixel_nm)
    return figure


def _chosen(objects: DataFrame) -> DataFrame:
    """Return up to `EXAMPLES` objects, evenly spread over their sizes."""
    sure = objects[objects["flags"].to_numpy(np.int64) == 0] if "flags" in objects else objects
    rows = sure if len(sure) else objects
    size = next((column for column in ("equivalent_diameter_nm", "area_nm2") if column in rows), None)
    rows = rows if size is None else rows.sort_values(size, kind="stable")
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).round().astype(int))]


def _row(
    image: NDArray[np.float32],
    pixel_nm: float,
    objects: DataFrame,
    curves: Mapping[int, Array],
    place: tuple[int, int, int],
) -> list[_Crop]:
    """Return the crops of one row; `place` is its number, the side of a crop and from crop to crop in pixels."""
    row, side, pitch = place
    found = []
    for column, number in enumerate(objects["id"].to_numpy(np.int64).tolist()):
        curve = curves.get(number)
        if curve is None:
            continue
        middle = (curve.min(axis=0) + curve.max(axis=0)) / 2 / pixel_nm
        corner = np.round(middle - (side - 1) / 2).astype(int)
        moved = curve + (np.array([row * pitch, column * pitch]) - corner) * pixel_nm
        inside = (np.abs(curve / pixel_nm - middle) < side / 2).all()
        found.append(_Crop(row, column, _cut(image, corner, side), moved if inside else moved[:0]))
    return found


def _cut(image: NDArray[np.float32], corner: NDArray[np.int_], side: int) -> NDArray[np.float32]:
    """Return the square of `side` pixels from `corner` on, NaN outside the image."""
    crop = np.full((side, side), np.nan, np.float32)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + side, image.shape)
    if (high > low).all():
        into = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
        crop[into] = image[low[0] : high[0], low[1] : high[1]]
    return crop


def _mosaic(crops: list[_Crop], shape: tuple[int, int], pitch: int) -> NDArray[np.float32]:
    mosaic = np.full(shape, np.nan, np.float32)
    for crop in crops:
        side = len(crop.picture)
        y, x = crop.row * pitch, crop.column * pitch
        mosaic[y : y + side, x : x + side] = crop.picture
    return mosaic


def _label(axes: Axes, words: list[str], y_nm: list[float], title: str) -> None:
    axes.set_title(title, fontsize=13)
    axes.set_xticks([])
    axes.set_yticks(y_nm, words, fontsize=11)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
