"""A frame named by a user's own classes: the frame or its windows in the colours of classes, and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from micrograph.draw.image import contrast, dress_picture, extent_nm, picture_ratio
from micrograph.draw.style import GREY, line_colors, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: So many classes have a bar of their own.
_MOST = 12
#: Longer names are cut.
_LONG = 28


def named_figure(
    image: NDArray[np.float32], pixel_nm: float | None, chances: DataFrame, words: tuple[str, str]
) -> Figure:
    """Return the image (H, W) beside the probabilities of its classes.

    chances: rows with ``class, probability``; words: the title, and what the frame was called.
    """
    figure = new_figure(0.55)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _show(left, image, pixel_nm, words[0])
    order = chances.sort_values("probability", ascending=False, kind="stable")[:_MOST][::-1]
    names = [_short(str(name)) for name in order["class"]]
    colours = line_colors(chances["class"])
    right.barh(range(len(names)), order["probability"], color=[colours[str(name)] for name in order["class"]])
    right.set_yticks(range(len(names)), names, fontsize=11)
    right.set_xlim(0, 1)
    right.set_xlabel("probability, if it is one of them")
    right.set_title(f"called: {_short(words[1])}", fontsize=13)
    right.spines[["top", "right"]].set_visible(False)
    return figure


def windows_figure(image: NDArray[np.float32], pixel_nm: float | None, windows: DataFrame, title: str) -> Figure:
    """Return the image (H, W) with a tile about the middle of each window in the colour of its class.

    windows: rows with ``y_px, x_px, class, probability``; the surer, the fuller the colour. What is none of the classes
    is grey, and so is what is unsure.
    """
    figure = new_figure(picture_ratio(image.shape) + 0.08)
    axes = figure.subplots()
    _show(axes, image, pixel_nm, title)
    scale = pixel_nm or 1.0
    y, x = (windows[name].to_numpy(float) * scale for name in ("y_px", "x_px"))
    height, width = (_pitch(values, n * scale) for values, n in zip((y, x), image.shape, strict=True))
    names = windows["class"].astype(str)
    known = sorted(set(windows["nearest"].astype(str)))
    colours = line_colors(known, dark=True)
    patches = [Rectangle((c - width / 2, r - height / 2), width, height) for r, c in zip(y, x, strict=True)]
    faces = [
        to_rgba(colours.get(name, GREY), 0.15 + 0.4 * float(p))
        for name, p in zip(names, windows["probability"], strict=True)
    ]
    axes.add_collection(PatchCollection(patches, facecolor=faces, edgecolor="white", linewidth=0.4, zorder=3))
    counts = names.value_counts()[:_MOST]
    handles = [
        Patch(facecolor=colours.get(str(name), GREY), label=f"{_short(str(name))} ({count})")
        for name, count in counts.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(max(len(handles), 1), 3), frameon=False)
    return figure


def confusion_figure(labels: tuple[str, ...], confusion: NDArray[np.intp], title: str) -> Figure:
    """Return the table of true (rows) against named classes (columns) of held-out images (K, K), shares as grey."""
    figure = new_figure(0.75)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*confusion.shape):
        if confusion[row, column] or row == column:
            dark = shares[row, column] > 0.55
            axes.text(
                column, row, str(confusion[row, column]), ha="center", va="center", color="white" if dark else "k"
            )
    names = [_short(label) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("called")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=13)
    return figure


def _show(axes: Axes, image: NDArray[np.float32], pixel_nm: float | None, title: str) -> None:
    low, high = contrast(image)
    scale = pixel_nm or 1.0
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=extent_nm(image.shape, scale), interpolation="none")
    dress_picture(axes, title, image.shape[1] * pixel_nm if pixel_nm else None)


def _short(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[: _LONG - 1]}…"


def _pitch(values: NDArray[np.float64], most: float) -> float:
    steps = np.diff(np.unique(np.round(values, 6)))
    return float(np.median(steps)) if len(steps) else most
