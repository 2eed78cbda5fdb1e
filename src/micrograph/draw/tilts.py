"""Tilts of octahedra over the frame: one map an axis, each doubled cell in the colour of its angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Columns of the angles and what they are called.
_MAPS = (("a_deg", "about the first of [100], [010]"), ("b_deg", "about the other"), ("c_deg", "about [001]"))


def tilts_figure(
    image: NDArray[np.float32],
    pixel_nm: float,
    cells: DataFrame,
    vectors_nm: NDArray[np.float64],
    title: str,
) -> Figure:
    """Return the image (H, W) and three maps of tilts over it, with one scale of colours.

    cells: rows with ``y_nm, x_nm, a_deg, b_deg, c_deg``; vectors_nm (2, 2): sides of a doubled cell, rows (y, x).
    """
    figure = new_figure(0.88 * picture_ratio(image.shape))
    panels = figure.subplots(2, 2).ravel()
    show_image(panels[0], image, pixel_nm, title)
    middle = cells[["x_nm", "y_nm"]].to_numpy(float)
    one, two = (vector[::-1] / 2 for vector in vectors_nm)
    corners = np.array([-one - two, one - two, one + two, two - one])
    top = max(float(np.nanmax(cells[[name for name, _ in _MAPS]].to_numpy(float), initial=1.0)), 1.0)
    shown: Any = None
    for axes, (name, words) in zip(panels[1:], _MAPS, strict=True):
        show_image(axes, image, pixel_nm, f"tilt {words}")
        shown = PolyCollection(list(middle[:, None] + corners), cmap="viridis", alpha=0.75, zorder=3, linewidth=0)
        shown.set_array(cells[name].to_numpy(float))
        shown.set_clim(0.0, top)
        axes.add_collection(shown)
    figure.colorbar(shown, ax=list(panels), label="angle (degrees)", shrink=0.6)
    return figure
