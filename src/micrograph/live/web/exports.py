"""What the page shows as files to keep: a picture at full resolution, tables, a movie."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Column, Recording
from micrograph.live.web.pages import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

#: A picture is at most so many pixels wide.
MOST_WIDTH = 6000


@dataclass(frozen=True)
class Layers:
    """What is drawn over the frame: points, outlines, tracks of the last `tail` frames; the values black and white."""

    points: bool = True
    outlines: bool = True
    tail: int = 0
    limits: tuple[float, float] | None = None


def frame_png(view: View, frame: int, layers: Layers) -> bytes:
    """Return a frame with scale bar and what was found as PNG, every pixel of the frame at least one of the picture.

    Raises `BadInput` where the frame is not kept or its pixel size is unknown.
    """
    image, state = view.image(frame), view.shown.state
    if image is None:
        raise BadInput(f"Frame {frame} is not kept: choose one that the page shows.")
    if state.pixel_nm is None:
        raise BadInput("The pixel size is unknown, so no scale bar can be drawn: give --pixel-size.")
    pixels = np.asarray(image, np.float32)
    figure = _figure(view, frame, pixels, state.pixel_nm, layers)
    axes = figure.axes[0]
    shown = axes.images[0]
    shown.set_data(pixels)
    if layers.limits is not None:
        shown.set_clim(*layers.limits)
    for track in view.tracks(frame, layers.tail) if layers.tail else ():
        axes.plot(track["x"], track["y"], color=track["color"], lw=1.2, zorder=5)
    return _full(figure, axes, pixels.shape[1])


def _figure(view: View, frame: int, image: NDArray[np.float32], pixel_nm: float, layers: Layers) -> Figure:
    from micrograph.draw import image_figure, outlines_figure, sites_figure

    objects = view.shown.table("objects", frame)
    title = f"{view.shown.state.source}, frame {frame}"
    placed = {"y_nm", "x_nm"} <= set(objects) and len(objects) > 0
    if layers.outlines and placed and "id" in objects:
        outlines = view.shown.table("outlines", frame)
        if len(outlines):
            return outlines_figure(image, pixel_nm, objects, outlines, title)
    if layers.points and placed:
        by = next((name for name in ("class", "state", "shape", "name") if name in objects), None)
        named = objects.assign(**{"class": objects[by].astype(str) if by else "object"})
        return sites_figure(image, pixel_nm, named, title)
    return image_figure(image, pixel_nm, title)


def _full(figure: Figure, axes: Axes, width: int) -> bytes:
    """Return the figure as PNG with so many dots an inch that the axes are at least `width` pixels wide."""
    figure.draw_without_rendering()
    inches = axes.get_position().width * figure.get_figwidth()
    most = MOST_WIDTH / figure.get_figwidth()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=min(max(200.0, 1.02 * width / inches), most), facecolor="white")
    return buffer.getvalue()


def table_file(view: View, name: str, suffix: str, folder: Path, frame: int | None = None) -> Path:
    """Write a table, or its rows of one frame, into `folder` as 'csv' or 'parquet' (with units); return the file."""
    from micrograph.io import write_table

    if name not in view.shown.tables:
        raise BadInput(f"There is no table '{name}': there are {', '.join(view.shown.tables) or 'none yet'}.")
    units = view.shown.state.units
    table = view.shown.table(name, frame) if frame is not None else view.shown.table(name)
    columns = [Column(str(c), units[f"{name}.{c}"], "") for c in table.columns if f"{name}.{c}" in units]
    stem = name if frame is None else f"{name}-frame-{frame}"
    parquet, text = write_table(table, folder / stem, columns)
    return parquet if suffix == "parquet" else text


def movie_file(view: View, path: Path, layers: Layers, first: int | None = None, last: int | None = None) -> Path:
    """Write the frames from `first` to `last` (all by default) with what was found as MP4; return the path.

    A frame in between that is not kept is shown as the one before it. Raises `BadInput` without any frame.
    """
    from micrograph.draw import MovieSettings, write_movie

    recording = _recording(view, first, last)
    tracked = layers.tail > 0 and "tracks" in view.shown.tables
    marks = view.table("tracks" if tracked else "objects") if layers.points or tracked else None
    if marks is not None and not {"frame", "y_nm", "x_nm"} <= set(marks):
        marks = None
    outlined = layers.outlines and "outlines" in view.shown.tables
    settings = MovieSettings(tail=layers.tail, outlines=(lambda k: _curves(view, k)) if outlined else None)
    return write_movie(path, recording, marks, None, settings)


def _recording(view: View, first: int | None, last: int | None) -> Recording:
    state, numbers = view.shown.state, view.numbers()
    numbers = numbers[(numbers >= (numbers.min(initial=0) if first is None else first))]
    numbers = numbers[numbers <= last] if last is not None else numbers
    kept = _first_kept(view, numbers)
    if not len(kept) or state.shape is None:
        raise BadInput("No frame of that range is kept, so no movie can be made: choose another range.")
    newest: list[NDArray[np.float32]] = []

    def read(number: int) -> NDArray[np.float32]:
        image = view.shown.image(number)
        if image is not None:
            newest[:] = [np.asarray(image, np.float32)]
        return newest[0] if newest else np.zeros(state.shape or (2, 2), np.float32)

    known = _known(view.table("frames"))
    steps = np.unique(np.diff(kept))
    step = int(steps[0]) if len(steps) == 1 else 1
    return Recording(
        read, range(int(kept[0]), int(kept[-1]) + 1, step), Calibration(pixel_nm=state.pixel_nm), state.shape,
        name=state.source, known=lambda number: known.get(number, {}),
    )  # fmt: skip


def _first_kept(view: View, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers from the first whose image is kept: older ones have left the ring."""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        if view.shown.image(int(numbers[middle])) is None:
            low = middle + 1
        else:
            high = middle
    return numbers[low:]


def _known(frames: DataFrame) -> dict[int, dict[str, float]]:
    if "frame" not in frames:
        return {}
    columns = [name for name in ("t_s", "temperature_C", "temperature_set_C") if name in frames]
    values = frames[columns].to_numpy(float).tolist()
    return {int(k): dict(zip(columns, row, strict=True)) for k, row in zip(frames["frame"], values, strict=True)}


def _curves(view: View, frame: int) -> Sequence[NDArray[np.float64]]:
    from micrograph.draw import curves_of

    table = view.shown.table("outlines", frame)
    return list(curves_of(table).values()) if len(table) else []
