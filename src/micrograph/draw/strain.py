"""Strain as a map over the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.tri import LinearTriInterpolator, Triangulation
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import new_figure

#: Triangles with a side longer than this many typical sides bridge a hole and are not filled.
LONGEST_SIDE = 1.8
#: Points a side at which the shading is worked out.
GRID = 500


def strain_figure(
    image: NDArray[np.float32],
    pixel_nm: float,
    points_nm: NDArray[np.float64],
    strain_percent: ArrayLike,
    title: str,
    limit_percent: float | None = None,
) -> Figure:
    """Return the strain (N,) in % at points (N, 2) of (y, x) in nm, shaded between neighbours, over the image (H, W).

    Colours are symmetric about zero: red is stretched, blue compressed. `limit_percent` is the end of the colour bar;
    by default the 98th percentile of the strain's magnitude. Points with unknown strain are left out.
    """
    strain = np.asarray(strain_percent, dtype=float)
    known = np.isfinite(strain) & np.isfinite(points_nm).all(axis=1)
    strain, y, x = strain[known], points_nm[known, 0], points_nm[known, 1]
    limit = limit_percent or (float(np.percentile(np.abs(strain), 98)) if len(strain) else 0.0) or 1.0
    figure = new_figure(picture_ratio(image.shape))
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "zorder": 3}
    mesh = _mesh(y, x)
    shown: Any
    if mesh is None:
        shown = axes.scatter(x, y, c=strain, s=18, **colours)
    else:
        grid_y, grid_x = (np.linspace(side.min(), side.max(), GRID) for side in (y, x))
        shade = LinearTriInterpolator(mesh, strain)(*np.meshgrid(grid_x, grid_y))
        extent = (grid_x[0], grid_x[-1], grid_y[-1], grid_y[0])
        shown = axes.imshow(shade, extent=extent, interpolation="nearest", alpha=0.7, **colours)
    figure.colorbar(shown, ax=axes, label="strain (%)", shrink=0.8, extend="both")
    return figure


def _mesh(y: NDArray[np.float64], x: NDArray[np.float64]) -> Triangulation | None:
    """Return the Delaunay triangles between neighbours; ``None`` if there are none."""
    from scipy.spatial import Delaunay, QhullError

    if len(y) < 3:
        return None
    try:
        triangles = Delaunay(np.column_stack([y, x])).simplices
    except QhullError:
        return None
    corners = np.stack([y, x], axis=1)[triangles]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    longest = sides.max(axis=1)
    keep = longest <= LONGEST_SIDE * np.median(longest)
    return Triangulation(x, y, triangles[keep]) if keep.any() else None
