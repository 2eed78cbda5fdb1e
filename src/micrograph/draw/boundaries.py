"""How boundaries move: velocity along the outline over the image, and against curvature with the fitted law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLACK, BLUE, ORANGE, new_figure, with_error

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Outlines of one object at different times, evenly spread; with more objects than `FEW` only the first is drawn.
MOST_TIMES, FEW = 6, 30
#: Around what is drawn so much of its size is shown too.
_MARGIN = 0.15
#: A piece of outline longer than this many typical ones bridges a gap.
_GAP = 4.0


def velocity_figure(
    image: NDArray[np.float32], pixel_nm: float, boundaries: DataFrame, title: str = "Velocity of the boundaries"
) -> Figure:
    """Return outlines over the image (H, W), cut to where they are, coloured by their velocity along the normal.

    boundaries: rows with ``track, frame, y_nm, x_nm, velocity_nm_per_s``, in order along each outline. Of few objects
    outlines at several times lie inside each other. Colours are symmetric about zero: red moves outwards, blue inwards.
    """
    curves = _curves(boundaries)
    part, corner = _around(image, pixel_nm, [points for points, _ in curves])
    figure = new_figure(picture_ratio(part.shape) * 0.87 + 0.06)
    axes = figure.subplots()
    show_image(axes, part, pixel_nm, title)
    pieces = [_pieces(points - corner, values) for points, values in curves]
    if pieces:
        segments, speed = (np.concatenate([pair[k] for pair in pieces]) for k in (0, 1))
        limit = float(np.nanpercentile(np.abs(speed), 98)) or 1.0
        width = 3.0 if len(curves) <= 2 * MOST_TIMES else 2.0
        rim = LineCollection(list(segments), colors=[(0, 0, 0, 0.7)], linewidths=width + 1.6, capstyle="round")
        axes.add_collection(rim, autolim=False)
        lines = LineCollection(list(segments), cmap="RdBu_r", array=speed, linewidths=width, capstyle="round")
        lines.set_clim(-limit, limit)
        axes.add_collection(lines, autolim=False)
        label = "velocity along the normal (nm/s), outwards positive"
        figure.colorbar(lines, ax=axes, label=label, shrink=0.8, extend="both")
    return figure


def rate_law_figure(
    bins: DataFrame, law: Mapping[Any, Any] | None, title: str = "Velocity of the boundaries against their curvature"
) -> Figure:
    """Return mean velocities against mean curvatures with 95 % bars, and the line v0 + k curvature with its 95 % band.

    bins: rows with ``curvature_per_nm, velocity_nm_per_s, velocity_sigma_nm_per_s``; law: ``v0_nm_per_s, k_nm2_per_s``
    and their 1-sigma; the band takes the errors of the two as independent.
    """
    figure = new_figure()
    axes = figure.subplots()
    known = bins[np.isfinite(bins[["curvature_per_nm", "velocity_nm_per_s"]]).all(axis=1)]
    x, y, sigma = (
        known[name].to_numpy(float) for name in ("curvature_per_nm", "velocity_nm_per_s", "velocity_sigma_nm_per_s")
    )
    label = "boundaries, averaged in bins (bars: 95 %)"
    axes.errorbar(x, y, 1.96 * np.nan_to_num(sigma), color=BLUE, marker="o", ms=6, lw=0, elinewidth=1.5, capsize=3,
                  label=label, zorder=4)  # fmt: skip
    axes.axhline(0, color=BLACK, lw=0.6, zorder=0)
    axes.axvline(0, color=BLACK, lw=0.6, zorder=0)
    if law is not None and len(x) and np.isfinite(law["v0_nm_per_s"]) and np.isfinite(law["k_nm2_per_s"]):
        room = 0.05 * float(np.ptp(x)) or 0.1
        line = np.linspace(min(0.0, x.min() - room), max(0.0, x.max() + room), 200)
        height = law["v0_nm_per_s"] + law["k_nm2_per_s"] * line
        half = 1.96 * np.hypot(np.nan_to_num(law["v0_sigma_nm_per_s"]), np.nan_to_num(law["k_sigma_nm2_per_s"]) * line)
        axes.plot(line, height, color=ORANGE, lw=2, label=law_text(law))
        axes.fill_between(line, height - half, height + half, color=ORANGE, alpha=0.25, lw=0, label="its 95 % band")
    axes.legend(fontsize=11)
    label_axes(axes, title, "curvature κ (1/nm), convex positive", "velocity v along the normal (nm/s)")
    return figure


def law_text(law: Mapping[Any, Any]) -> str:
    """Return 'v = v0 + k κ' with both numbers, their 1-sigma and units, in three lines."""
    v0 = with_error(law["v0_nm_per_s"], law.get("v0_sigma_nm_per_s"), "nm/s")
    k = with_error(law["k_nm2_per_s"], law.get("k_sigma_nm2_per_s"), "nm²/s")
    return f"v = v0 + k κ\nv0 = {v0}\nk = {k}"


def _curves(boundaries: DataFrame) -> list[tuple[Array, Array]]:
    """Return positions (K, 2) and velocities (K,) of the outlines that are drawn, early ones first."""
    rows = boundaries[np.isfinite(boundaries["velocity_nm_per_s"].to_numpy(float))]
    most = MOST_TIMES if rows["track"].nunique() <= FEW else 1
    found = []
    for _, track in rows.groupby("track", sort=True):
        frames = np.unique(track["frame"].to_numpy())
        for frame in frames[np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))]:
            one = track[track["frame"] == frame]
            found.append((one[["y_nm", "x_nm"]].to_numpy(float), one["velocity_nm_per_s"].to_numpy(float)))
    return [pair for pair in found if len(pair[0]) > 2]


def _pieces(points: Array, values: Array) -> tuple[Array, Array]:
    """Return the pieces (M, 2, 2) of (x, y) of a closed outline and the mean value (M,) of each; gaps are left out."""
    following = np.roll(points, -1, axis=0)
    length = np.hypot(*(following - points).T)
    kept = length <= _GAP * np.median(length)
    segments = np.stack([points[:, ::-1], following[:, ::-1]], axis=1)
    return segments[kept], ((values + np.roll(values, -1)) / 2)[kept]


def _around(image: NDArray[np.float32], pixel_nm: float, curves: list[Array]) -> tuple[NDArray[np.float32], Array]:
    """Return the part of the image around all curves with some margin, and its corner (y, x) in nm."""
    if not curves:
        return image, np.zeros(2)
    points = np.concatenate(curves) / pixel_nm
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * float((high - low).max()) + 2
    first = np.clip(np.floor(low - margin), 0, np.array(image.shape) - 8).astype(int)
    last = np.clip(np.ceil(high + margin), first + 8, image.shape).astype(int)
    return image[first[0] : last[0], first[1] : last[1]], first * pixel_nm
