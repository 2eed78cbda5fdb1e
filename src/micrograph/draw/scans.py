"""Maps over the places of a 4D-STEM scan, and fields of directions in the colours of a wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import dress_picture, extent_nm
from micrograph.draw.style import new_figure

Array = NDArray[np.float64]

#: Maps are shown from this percentile to 100 minus it.
_PERCENT = 1.0


@dataclass(frozen=True)
class ScanMap:
    """Values (Y, X) over a scan or image: what the colour bar says, its colours, whether they are even about zero.

    limits: the values at the ends of the colours, else percentiles.
    """

    values: Array
    label: str
    colours: str = "viridis"
    even: bool = False
    limits: tuple[float, float] | None = None


def scan_maps_figure(maps: Mapping[str, ScanMap], step_nm: float | None, title: str) -> Figure:
    """Return maps over a scan side by side, two in a row, each with its colour bar; a scale bar where `step_nm` is."""
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    shape = next(iter(maps.values())).values.shape
    ratio = float(np.clip(shape[0] / shape[1], 0.25, 1.4))
    figure = new_figure(0.06 + rows / columns * (0.78 * ratio + 0.1))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(maps) :]:
        axes.set_visible(False)
    for axes, (name, one) in zip(grid.ravel(), maps.items(), strict=False):
        low, high = _limits(one)
        shown: Any = axes.imshow(
            one.values, cmap=one.colours, vmin=low, vmax=high, extent=extent_nm(shape, step_nm or 1.0),
            interpolation="nearest",
        )  # fmt: skip
        dress_picture(axes, name, shape[1] * step_nm if step_nm else None, 12)
        figure.colorbar(shown, ax=axes, label=one.label, shrink=0.8, extend="both")
    figure.suptitle(title, fontsize=13)
    return figure


def _limits(one: ScanMap) -> tuple[float, float]:
    if one.limits is not None:
        return one.limits
    known = one.values[np.isfinite(one.values)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(known, (_PERCENT, 100 - _PERCENT)))
    if one.even:
        most = max(abs(low), abs(high)) or 1.0
        return -most, most
    return low, high if high > low else low + 1.0


def direction_figure(along_y: Array, along_x: Array, step_nm: float | None, title: str, unit: str) -> Figure:
    """Return a field of directions (Y, X): the hue says whereto on the picture, the brightness how far.

    A wheel beside it is its key; its rim is the 99th percentile of the lengths.
    """
    figure = new_figure(float(np.clip(0.74 * along_y.shape[0] / along_y.shape[1], 0.3, 1.2)) + 0.06)
    axes, key = figure.subplots(1, 2, width_ratios=(4, 1))
    length = np.hypot(along_y, along_x)
    known = length[np.isfinite(length)]
    most = float(np.percentile(known, 99)) if len(known) else 1.0
    axes.imshow(
        directed(along_y, along_x, most or 1.0),
        extent=extent_nm(along_y.shape, step_nm or 1.0),
        interpolation="nearest",
    )
    dress_picture(axes, title, along_y.shape[1] * step_nm if step_nm else None, 12)
    y, x = np.mgrid[-1:1:201j, -1:1:201j]
    wheel = directed(y, x, 1.0)
    wheel[np.hypot(y, x) > 1] = 1.0
    key.imshow(wheel, extent=(-1, 1, 1, -1))
    key.set_axis_off()
    key.set_title(f"rim: {most:.3g} {unit}", fontsize=11)
    return figure


def directed(along_y: Array, along_x: Array, most: float) -> Array:
    """Return colours (..., 3) of directions: red to the right, turning through yellow as they turn upwards."""
    from matplotlib.colors import hsv_to_rgb

    angle = np.mod(np.arctan2(-along_y, along_x) / (2 * np.pi), 1.0)
    length = np.clip(np.hypot(along_y, along_x) / most, 0, 1)
    colours = np.stack([angle, np.full_like(angle, 0.9), length], axis=-1)
    return np.asarray(hsv_to_rgb(np.nan_to_num(colours)))
