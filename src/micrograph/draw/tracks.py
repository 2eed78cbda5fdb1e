"""How things moved: tracks over the image, drift of the sample, and the mean square displacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLACK, line_colors, looks, new_figure, with_error

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Only the longest tracks are drawn, so many at most, each with at most so many corners.
MOST_TRACKS, MOST_CORNERS = 1500, 400
#: With more tracks than this, their ends are not marked.
MOST_ENDS = 200


@dataclass(frozen=True)
class Path:
    """One track: times (N,), positions (N, 2) of (y, x) in nm, and the class that it mostly has."""

    time: Array
    points: Array
    name: str


def tracks_figure(
    image: NDArray[np.float32], pixel_nm: float, tracks: DataFrame, title: str, colour: str = "time"
) -> Figure:
    """Return tracks over the image (H, W), from a ring (start) to a dot (end), coloured by 'time' or by 'class'.

    tracks: rows with ``track, t_s`` or ``frame, y_nm, x_nm`` and, where known, ``class`` and ``y_sample_nm,
    x_sample_nm``, which are preferred: the drift is then removed, as in the first frame. Of more than `MOST_TRACKS`
    tracks the longest are drawn.
    """
    figure = new_figure(picture_ratio(image.shape) * (1.0 if colour == "class" else 0.87) + 0.06)
    axes = figure.subplots()
    paths, every = paths_of(tracks)
    number = f"{len(paths)} tracks" if len(paths) == every else f"the longest {len(paths)} of {every} tracks"
    show_image(axes, image, pixel_nm, f"{title} ({number})")
    width = float(np.clip(3.0 - 0.35 * np.log10(max(len(paths), 1)) * 2, 0.8, 2.2))
    handles = _by_class(axes, paths, width) if colour == "class" else _by_time(figure, axes, paths, width, tracks)
    if 0 < len(paths) <= MOST_ENDS:
        handles = [*handles, *_ends(axes, paths)]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 5), fontsize=11, frameon=False
        )
    return figure


def drift_figure(drift: DataFrame, title: str = "Drift of the sample") -> Figure:
    """Return the drift along y and x in nm over time with its 95 % band.

    drift: rows with ``frame, t_s, drift_y_nm, drift_x_nm, drift_y_sigma_nm, drift_x_sigma_nm``.
    """
    figure = new_figure()
    axes = figure.subplots()
    time, label = time_of(drift)
    for axis, color in line_colors(["x", "y"]).items():
        value, sigma = (drift[f"drift_{axis}{part}_nm"].to_numpy(float) for part in ("", "_sigma"))
        axes.plot(time, value, color=color, lw=1.6, label=f"along {axis}")
        axes.fill_between(time, value - 1.96 * sigma, value + 1.96 * sigma, color=color, alpha=0.3, lw=0)
    axes.axhline(0, color=BLACK, lw=0.6, zorder=0)
    axes.legend(fontsize=11)
    label_axes(axes, title, label, "drift since the first frame (nm)")
    return figure


def msd_figure(
    motion: DataFrame, diffusion: DataFrame | None = None, title: str = "Mean square displacement"
) -> Figure:
    """Return the mean square displacement against the lag for each class, with 95 % bars and the line 4 D t + const.

    motion: rows with ``class, lag_s, msd_nm2, msd_sigma_nm2``; diffusion: rows with ``class, d_nm2_per_s,
    d_low_nm2_per_s, d_high_nm2_per_s`` and, where known, ``offset_nm2``, else the constant is fitted to the points.
    """
    figure = new_figure()
    axes = figure.subplots()
    known = motion[np.isfinite(motion["msd_nm2"]) & (motion["msd_nm2"] > 0) & (motion["lag_s"] > 0)]
    for name, color in line_colors(known["class"]).items():
        mine = known[known["class"] == name].sort_values("lag_s")
        marker = looks([name])[name].marker
        lag, msd = mine["lag_s"].to_numpy(float), mine["msd_nm2"].to_numpy(float)
        sigma = np.nan_to_num(mine["msd_sigma_nm2"].to_numpy(float))
        bars = np.stack([np.minimum(1.96 * sigma, 0.95 * msd), 1.96 * sigma])
        row = None if diffusion is None else next(iter(diffusion[diffusion["class"] == name].to_dict("records")), None)
        label = f"{name}: {diffusion_text(row)}" if row else name
        axes.errorbar(lag, msd, bars, color=color, marker=marker, ms=5, lw=0, elinewidth=1.2, capsize=2, label=label)
        if row and np.isfinite(row["d_nm2_per_s"]):
            line = np.geomspace(lag[0], lag[-1], 100)
            height = 4 * row["d_nm2_per_s"] * line + _constant(row, lag, msd, sigma)
            axes.plot(line[height > 0], height[height > 0], color=color, lw=1.4)
    if len(known):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend(fontsize=10, title="lines: 4 D t + const", title_fontsize=10)
    label_axes(axes, title, "lag t (s)", "mean square displacement (nm²)")
    return figure


def diffusion_text(row: Any) -> str:
    """Return 'D = value (low to high) nm²/s' of one row of the table 'diffusion'."""
    low, high = row.get("d_low_nm2_per_s", np.nan), row.get("d_high_nm2_per_s", np.nan)
    if np.isfinite(low) and np.isfinite(high):
        return f"D = {row['d_nm2_per_s']:.3g} ({low:.3g} to {high:.3g}) nm²/s"
    return f"D = {with_error(row['d_nm2_per_s'], row.get('d_sigma_nm2_per_s'), 'nm²/s')}"


def paths_of(tracks: DataFrame, most: int = MOST_TRACKS) -> tuple[list[Path], int]:
    """Return the `most` longest tracks, thinned to `MOST_CORNERS` points each, and how many tracks there are."""
    sample = {"y_sample_nm", "x_sample_nm"} <= set(tracks)
    y, x = ("y_sample_nm", "x_sample_nm") if sample else ("y_nm", "x_nm")
    time, _ = time_of(tracks)
    points = tracks[[y, x]].to_numpy(float)
    ids = tracks["track"].to_numpy(np.int64)
    keep = np.isfinite(points).all(axis=1) & np.isfinite(time) & (ids >= 0)
    place = np.flatnonzero(keep)[np.lexsort((time[keep], ids[keep]))]
    starts = np.flatnonzero(np.diff(ids[place], prepend=np.iinfo(np.int64).min))
    pieces = np.split(place, starts[1:]) if len(place) else []
    names = tracks["class"].astype(str).to_numpy() if "class" in tracks else np.full(len(tracks), "tracks")
    longest = sorted(pieces, key=len, reverse=True)[:most]
    return [_path(time, points, names, _thin(piece)) for piece in longest], len(pieces)


def time_of(table: DataFrame) -> tuple[Array, str]:
    """Return the times of the rows and what to write below the axis: in s where known, else the frame's number."""
    if "t_s" in table and np.isfinite(table["t_s"].to_numpy(float)).any():
        return table["t_s"].to_numpy(float), "time (s)"
    return table["frame"].to_numpy(float), "frame"


def _path(time: Array, points: Array, names: NDArray[Any], rows: NDArray[np.intp]) -> Path:
    kinds, number = np.unique(names[rows], return_counts=True)
    return Path(time[rows], points[rows], str(kinds[np.argmax(number)]))


def _thin(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    if len(rows) <= MOST_CORNERS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_CORNERS).round().astype(np.intp)]


def _segments(paths: list[Path]) -> tuple[Array, Array]:
    """Return all pieces (N, 2, 2) of (x, y) and the time (N,) in the middle of each."""
    pieces = [np.stack([path.points[:-1, ::-1], path.points[1:, ::-1]], axis=1) for path in paths]
    times = [(path.time[:-1] + path.time[1:]) / 2 for path in paths]
    return (np.concatenate(pieces), np.concatenate(times)) if paths else (np.empty((0, 2, 2)), np.empty(0))


def _by_time(figure: Figure, axes: Axes, paths: list[Path], width: float, tracks: DataFrame) -> list[Line2D]:
    segments, times = _segments(paths)
    _, label = time_of(tracks)
    if len(segments):
        lines = LineCollection(list(segments), cmap="plasma", array=times, linewidths=width, zorder=3)
        lines.set_clim(min(p.time[0] for p in paths), max(p.time[-1] for p in paths))
        axes.add_collection(lines, autolim=False)
        figure.colorbar(lines, ax=axes, label=label, shrink=0.8)
    return []


def _by_class(axes: Axes, paths: list[Path], width: float) -> list[Line2D]:
    handles = []
    for name, look in looks([path.name for path in paths]).items():
        mine = [path for path in paths if path.name == name]
        lines = [path.points[:, ::-1] for path in mine]
        axes.add_collection(LineCollection(lines, colors=look.color, linewidths=width, zorder=3), autolim=False)
        handles.append(Line2D([], [], color=look.color, lw=2, label=f"{name} ({len(mine)})"))
    return handles


def _ends(axes: Axes, paths: list[Path]) -> list[Line2D]:
    handles = []
    for label, place, fill in (("start", 0, "none"), ("end", -1, "white")):
        at = np.array([path.points[place] for path in paths]).reshape(-1, 2)
        style: dict[str, Any] = {
            "marker": "o",
            "markeredgecolor": "white",
            "markerfacecolor": fill,
            "linestyle": "none",
        }
        size = 7.0 if fill == "none" else 4.0
        axes.plot(at[:, 1], at[:, 0], markersize=size, markeredgewidth=1.2, zorder=4, **style)
        style["markeredgecolor"], style["markerfacecolor"] = BLACK, "none" if fill == "none" else BLACK
        handles.append(Line2D([], [], markersize=size, label=label, **style))
    return handles


def _constant(row: Any, lag: Array, msd: Array, sigma: Array) -> float:
    """Return the constant of the line: as fitted, else the weighted mean of what the first quarter of lags leaves."""
    if np.isfinite(row.get("offset_nm2", np.nan)):
        return float(row["offset_nm2"])
    first = slice(0, max(3, len(lag) // 4))
    weight = 1 / np.maximum(sigma[first], 0.01 * msd[first]) ** 2
    return float(np.average((msd - 4 * row["d_nm2_per_s"] * lag)[first], weights=weight))
