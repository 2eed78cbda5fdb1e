"""Strain, and other numbers of sites, as maps over the image."""

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
    known = strain[np.isfinite(strain) & np.isfinite(points_nm).all(axis=1)]
    limit = limit_percent or (float(np.percentile(np.abs(known), 98)) if len(known) else 0.0) or 1.0
    colours = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    return _shaded(image, pixel_nm, points_nm, strain, (title, "strain (%)", colours))


def map_figure(
    image: NDArray[np.float32],
    pixel_nm: float,
    points_nm: NDArray[np.float64],
    values: ArrayLike,
    title: str,
    label: str,
) -> Figure:
    """Return values (N,) at points (N, 2) of (y, x) in nm, shaded between neighbours, over the image (H, W).

    `label`, with the unit, stands at the colour bar, which ends at the 2nd and 98th percentile.
    """
    numbers = np.asarray(values, dtype=float)
    known = numbers[np.isfinite(numbers)]
    low, high = np.percentile(known, (2, 98)) if len(known) else (0.0, 1.0)
    colours = {"cmap": "viridis", "vmin": float(low), "vmax": float(high) if high > low else float(low) + 1.0}
    return _shaded(image, pixel_nm, points_nm, numbers, (title, label, colours))


def _shaded(
    image: NDArray[np.float32],
    pixel_nm: float,
    points_nm: NDArray[np.float64],
    values: NDArray[np.float64],
    words: tuple[str, str, dict[str, Any]],
) -> Figure:
    """Return values shaded over the image; `words` are the title, the label of the colour bar, and its colours."""
    title, label, colours = words
    known = np.isfinite(values) & np.isfinite(points_nm).all(axis=1)
    values, y, x = values[known], points_nm[known, 0], points_nm[known, 1]
    figure = new_figure(picture_ratio(image.shape))
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    mesh = _mesh(y, x)
    shown: Any
    if mesh is None:
        shown = axes.scatter(x, y, c=values, s=18, zorder=3, **colours)
    else:
        grid_y, grid_x = (np.linspace(side.min(), side.max(), GRID) for side in (y, x))
        shade = LinearTriInterpolator(mesh, values)(*np.meshgrid(grid_x, grid_y))
        extent = (grid_x[0], grid_x[-1], grid_y[-1], grid_y[0])
        shown = axes.imshow(shade, extent=extent, interpolation="nearest", alpha=0.7, zorder=3, **colours)
    figure.colorbar(shown, ax=axes, label=label, shrink=0.8, extend="both")
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
