"""A surface as a picture: levelled, with what differs from its motif; the motif of its cells with its sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from micrograph.draw.image import contrast, dress_picture, extent_nm, picture_ratio
from micrograph.draw.style import BLUE, GREEN, ORANGE, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = NDArray[np.float64]
#: Colour and marker of each kind of place.
LOOKS = {"missing": (BLUE, "o"), "added": (ORANGE, "^"), "island": (GREEN, "s")}
#: Cells along each vector in the picture of the motif, and pixels a side of it.
_CELLS, _PIXELS = 2.4, 300


def surface_figure(
    level: NDArray[np.float32],
    pixel_nm: float,
    odd: DataFrame,
    words: tuple[str, str],
    cell: Array | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Return a levelled image (H, W) with its odd places (``y_nm, x_nm, class``) and one `cell` (2, 2) in nm, [y, x].

    words: the title and the label of the colours; limits: what is shown black and white.
    """
    figure = new_figure(picture_ratio(level.shape) + 0.06)
    axes = figure.subplots()
    low, high = limits or contrast(level, 1.0)
    shown = axes.imshow(level, cmap="gray", vmin=low, vmax=high, extent=extent_nm(level.shape, pixel_nm))
    handles = []
    for kind, (color, marker) in LOOKS.items():
        rows = odd[odd["class"] == kind]
        if len(rows):
            look: dict[str, Any] = {
                "marker": marker,
                "markersize": 13,
                "markeredgecolor": color,
                "markeredgewidth": 2.0,
            }
            axes.plot(rows["x_nm"], rows["y_nm"], linestyle="none", markerfacecolor="none", **look)
            label = f"{kind} ({len(rows)})"
            handles.append(Line2D([], [], linestyle="none", markerfacecolor="none", label=label, **look))
    if cell is not None:
        middle = np.array(level.shape) * pixel_nm / 2 - cell.sum(axis=0) / 2
        corners = np.array([middle, middle + cell[0], middle + cell.sum(axis=0), middle + cell[1]])
        axes.add_patch(Polygon(corners[:, ::-1], fill=False, edgecolor="#F0E442", linewidth=2.5))
        handles.append(Line2D([], [], color="#F0E442", linewidth=2.5, label="unit cell"))
    dress_picture(axes, words[0], level.shape[1] * pixel_nm)
    figure.colorbar(shown, ax=axes, label=words[1], shrink=0.8, extend="both")
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=11, frameon=False)
    return figure


def motif_figure(motif: Array, cell: Array, sites: DataFrame, words: tuple[str, str]) -> Figure:
    """Return the motif (Na, Nb) repeated by its `cell` (2, 2) in nm, [y, x], with its numbered sites."""
    from scipy.ndimage import map_coordinates

    side = _CELLS * float(np.linalg.norm(cell, axis=1).max())
    pixel = side / _PIXELS
    grid = np.indices((_PIXELS, _PIXELS)).reshape(2, -1).T * pixel
    place = (grid @ np.linalg.inv(cell)) % 1.0
    filled = np.where(np.isfinite(motif), motif, np.nanmedian(motif))
    image = map_coordinates(filled, place.T * np.array(motif.shape)[:, None] - 0.5, order=1, mode="grid-wrap")
    figure = new_figure(0.86)
    axes = figure.subplots()
    shape = (_PIXELS, _PIXELS)
    shown = axes.imshow(image.reshape(shape), cmap="gray", extent=extent_nm(shape, pixel))
    corner = side * np.array([0.5, 0.5]) - cell.sum(axis=0) / 2
    outline = np.array([corner, corner + cell[0], corner + cell.sum(axis=0), corner + cell[1]])
    axes.add_patch(Polygon(outline[:, ::-1], fill=False, edgecolor="#F0E442", linewidth=2.5))
    shift = np.floor(corner @ np.linalg.inv(cell))
    for row in sites.itertuples():
        spot = (np.array([row.cell_a, row.cell_b]) + shift) @ cell
        inside = (spot - corner) @ np.linalg.inv(cell)
        spot = spot - np.floor(inside) @ cell
        axes.text(spot[1], spot[0], str(row.site), color=ORANGE, fontsize=12, ha="center", va="center", weight="bold")
    dress_picture(axes, words[0], side)
    figure.colorbar(shown, ax=axes, label=words[1], shrink=0.8)
    return figure


def cell_of(row: Series) -> Array:
    """Return the cell (2, 2) in nm, rows a and b as [y, x], of a frame's row."""
    return np.array([[row["a_y_nm"], row["a_x_nm"]], [row["b_y_nm"], row["b_x_nm"]]], dtype=float)
