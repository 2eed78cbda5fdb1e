"""Position against time: one line a track, or the intensity along a line of the image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame
from micrograph.draw.charts import label_axes
from micrograph.draw.image import contrast
from micrograph.draw.style import BLUE, line_colors, new_figure
from micrograph.draw.tracks import time_of

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
MOST_TRACKS = 300


def kymograph_figure(tracks: DataFrame, title: str, along: str | float = "motion") -> Figure:
    """Return the position of every track along one direction against time, in the colour of its state.

    along: 'motion' (the direction in which the tracks scatter most), 'y' (down), 'x', or an angle in degrees,
    counter-clockwise from +x. tracks: rows with ``track, t_s`` or ``frame, y_nm, x_nm`` (``y_sample_nm, x_sample_nm``
    are preferred) and, where known, ``state`` or else ``class``. Of more than `MOST_TRACKS` the longest are drawn.
    """
    sample = {"y_sample_nm", "x_sample_nm"} <= set(tracks)
    points = tracks[["y_sample_nm", "x_sample_nm"] if sample else ["y_nm", "x_nm"]].to_numpy(float)
    time, label = time_of(tracks)
    keep = np.isfinite(points).all(axis=1) & np.isfinite(time)
    tracks, points, time = tracks[keep], points[keep], time[keep]
    degrees = angle_of(points, tracks["track"].to_numpy(), along)
    position = points[:, 1] * np.cos(np.radians(degrees)) - points[:, 0] * np.sin(np.radians(degrees))
    position -= position.min(initial=np.inf if len(position) else 0.0)
    figure = new_figure()
    axes = figure.subplots()
    kinds = next((tracks[name].astype(str) for name in ("state", "class") if name in tracks), None)
    names = np.full(len(tracks), "tracks") if kinds is None else kinds.to_numpy(dtype=str)
    segments, drawn, every = _segments(tracks["track"].to_numpy(), time, position, names)
    palette = {"tracks": BLUE} if kinds is None else line_colors(names)
    for name, color in palette.items():
        axes.add_collection(LineCollection(segments.get(name, []), colors=color, linewidths=1.6))
    axes.autoscale_view()
    if kinds is not None and len(palette):
        handles = [Line2D([], [], color=color, lw=2, label=name) for name, color in palette.items()]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(6, len(handles)), fontsize=11, frameon=False
        )
    number = f"{drawn} tracks" if drawn == every else f"the longest {drawn} of {every} tracks"
    where = {0.0: "along x", -90.0: "along y, downwards"}.get(degrees, f"at {degrees:.0f}° from x")
    label_axes(axes, f"{title} ({number})", label, f"position {where} (nm)")
    return figure


def angle_of(points: Array, tracks: NDArray[Any], along: str | float) -> float:
    """Return a direction in degrees, counter-clockwise from +x, in (-90, 90] for the principal axis of the motion.

    points (N, 2) of (y, x) in nm with their track (N,); the axis is that of each track's scatter about its own mean.
    """
    if along in ("x", "y"):
        return 0.0 if along == "x" else -90.0
    if along != "motion":
        return float(along)
    _, own = np.unique(tracks, return_inverse=True)
    number = np.maximum(np.bincount(own), 1)
    centred = [axis - (np.bincount(own, axis) / number)[own] for axis in (points[:, 1], -points[:, 0])]
    xx, yy, xy = (float(np.sum(a * b)) for a, b in ((centred[0],) * 2, (centred[1],) * 2, (centred[0], centred[1])))
    return float(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)))


def line_kymograph(
    frames: Iterable[Frame], start_nm: tuple[float, float], end_nm: tuple[float, float], width_nm: float = 0.0
) -> NDArray[np.float32]:
    """Return the intensity (T, N) along the line from `start_nm` to `end_nm` (y, x), one row a frame.

    Points are a pixel apart; across the line the mean over `width_nm` is taken. Frames are read one by one.
    Raises `BadInput` for frames without a pixel size and for a line that leaves the image.
    """
    rows: list[NDArray[np.float32]] = []
    places: Array | None = None
    for frame in frames:
        if places is None:
            places = _places(frame, np.array(start_nm), np.array(end_nm), width_nm)
        rows.append(_bilinear(frame.data, places).mean(axis=0))
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def line_kymograph_figure(intensity: NDArray[np.float32], length_nm: float, last_s: float | None, title: str) -> Figure:
    """Return the intensity (T, N) along a line of `length_nm` against time; `last_s` is the last frame's time."""
    figure = new_figure()
    axes = figure.subplots()
    low, high = contrast(intensity)
    until = float(len(intensity) - 1) if last_s is None else last_s
    extent = (0.0, max(until, 1e-12), length_nm, 0.0)
    shown = axes.imshow(intensity.T, cmap="gray", vmin=low, vmax=high, extent=extent, aspect="auto")
    figure.colorbar(shown, ax=axes, label="intensity (detector units)", shrink=0.8, extend="both")
    label_axes(axes, title, "frame" if last_s is None else "time (s)", "position along the line (nm)")
    return figure


def _segments(
    tracks: NDArray[Any], time: Array, position: Array, names: NDArray[Any]
) -> tuple[dict[str, Any], int, int]:
    """Return the pieces (N, 2, 2) of the longest tracks by the name of their end, and how many tracks of how many."""
    kinds, length = np.unique(tracks, return_counts=True)
    chosen = kinds[np.argsort(-length, kind="stable")[:MOST_TRACKS]]
    keep = np.flatnonzero(np.isin(tracks, chosen))
    order = keep[np.lexsort((time[keep], tracks[keep]))]
    same = np.flatnonzero(tracks[order][1:] == tracks[order][:-1]) if len(order) else np.empty(0, np.intp)
    points = np.column_stack([time[order], position[order]])
    pieces = np.stack([points[same], points[same + 1]], axis=1) if len(same) else np.empty((0, 2, 2))
    ends = names[order][same + 1] if len(same) else np.empty(0, str)
    return {str(name): list(pieces[ends == name]) for name in np.unique(ends)}, len(chosen), len(kinds)


def _places(frame: Frame, start: Array, end: Array, width_nm: float) -> Array:
    """Return the points (2, W, N) in pixels, N along the line and W across it."""
    pixel_nm = frame.calibration.pixel_nm
    if pixel_nm is None:
        raise BadInput("A line in nm needs the pixel size: give it, for example '0.02 nm'.")
    along = (end - start) / pixel_nm
    length = float(np.hypot(*along))
    if length < 1:
        raise BadInput(f"The line is {length * pixel_nm:.3g} nm long, less than a pixel: give points further apart.")
    line = start[:, None] / pixel_nm + along[:, None] * np.linspace(0, 1, round(length) + 1)
    half = width_nm / pixel_nm / 2
    across = np.linspace(-half, half, max(1, round(2 * half) + 1))
    normal = np.array([along[1], -along[0]]) / length
    places: Array = line[:, None, :] + normal[:, None, None] * across[None, :, None]
    limits = np.array(frame.data.shape)[:, None, None] - 1
    if (places < -0.5).any() or (places > limits + 0.5).any():
        height, width = (size * pixel_nm for size in frame.data.shape)
        raise BadInput(f"The line leaves the image of {height:.4g} x {width:.4g} nm (y, x): give points inside it.")
    return np.clip(places, 0, limits)


def _bilinear(image: NDArray[np.float32], places: Array) -> NDArray[np.float32]:
    low = np.minimum(places.astype(np.intp), np.array(image.shape)[:, None, None] - 2)
    y, x = places - low
    (i, j), corner = low, image
    mixed: NDArray[np.float32] = (
        (1 - y) * ((1 - x) * corner[i, j] + x * corner[i, j + 1])
        + y * ((1 - x) * corner[i + 1, j] + x * corner[i + 1, j + 1])
    ).astype(np.float32)
    return mixed
