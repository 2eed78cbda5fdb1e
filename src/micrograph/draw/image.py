"""A frame as a picture: contrast by percentiles, a scale bar in nm, the network's score beside it."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar  # type: ignore[import-untyped]
from numpy.typing import NDArray

from micrograph.draw.style import new_figure

#: Pictures are at most so many pixels a side: more is not seen and only makes files large.
MOST_PIXELS = 1600
_STEPS = (1, 2, 5)


def image_figure(image: NDArray[np.float32], pixel_nm: float, title: str) -> Figure:
    """Return the picture of an image (H, W) with a scale bar."""
    figure = new_figure(picture_ratio(image.shape))
    show_image(figure.subplots(), image, pixel_nm, title)
    return figure


def score_figure(score: NDArray[np.float32], pixel_nm: float, title: str) -> Figure:
    """Return the picture of a score map (h, w) in 0..1 with its colour bar and a scale bar."""
    figure = new_figure(picture_ratio(score.shape))
    axes = figure.subplots()
    shown = axes.imshow(_thinned(score), cmap="magma", vmin=0, vmax=1, extent=extent_nm(score.shape, pixel_nm))
    dress_picture(axes, title, score.shape[1] * pixel_nm)
    figure.colorbar(shown, ax=axes, label="score (0 to 1)", shrink=0.8)
    return figure


def beside_figure(
    image: NDArray[np.float32], score: NDArray[np.float32], pixel_nm: float, titles: tuple[str, str]
) -> Figure:
    """Return the pictures of an image (H, W) and of a score map (H, W) in 0..1 side by side, 2 to 1."""
    figure = new_figure(0.5)
    left, right = figure.subplots(1, 2)
    show_image(left, image, pixel_nm, titles[0])
    right.imshow(_thinned(score), cmap="magma", vmin=0, vmax=1, extent=extent_nm(score.shape, pixel_nm))
    dress_picture(right, titles[1], score.shape[1] * pixel_nm)
    return figure


def show_image(axes: Axes, image: NDArray[np.float32], pixel_nm: float, title: str) -> None:
    """Draw an image (H, W) in grey into `axes`, whose data coordinates are then x_nm, y_nm, with a scale bar."""
    low, high = contrast(image)
    axes.imshow(_thinned(image), cmap="gray", vmin=low, vmax=high, extent=extent_nm(image.shape, pixel_nm))
    dress_picture(axes, title, image.shape[1] * pixel_nm)


def contrast(image: NDArray[np.float32], percent: float = 0.5) -> tuple[float, float]:
    """Return the values shown black and white: the `percent` and 100 - `percent` percentiles of finite pixels."""
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, (percent, 100 - percent))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def extent_nm(shape: tuple[int, ...], pixel_nm: float) -> tuple[float, float, float, float]:
    """Return matplotlib's extent (left, right, bottom, top) in nm, pixel centres at integers, y downwards."""
    return -0.5 * pixel_nm, (shape[1] - 0.5) * pixel_nm, (shape[0] - 0.5) * pixel_nm, -0.5 * pixel_nm


def picture_ratio(shape: tuple[int, ...]) -> float:
    """Return the height of a figure over its width that suits an image of `shape` with a title."""
    return float(np.clip(0.92 * shape[0] / shape[1], 0.12, 1.3)) + 0.06


def add_scale_bar(axes: Axes, width_nm: float) -> None:
    """Draw a white bar of a round length, about a fifth of the width, with its length, on a dark ground, lower left."""
    length = round_length(width_nm / 5)
    bar = AnchoredSizeBar(
        axes.transData, length, length_text(length), "lower left", pad=0.4, borderpad=0.5, sep=3, color="white",
        label_top=True, size_vertical=0.006 * width_nm, fontproperties=FontProperties(size=11),
    )  # fmt: skip
    bar.patch.set(facecolor="black", alpha=0.6, linewidth=0)
    bar.set_zorder(9)
    axes.add_artist(bar)


def round_length(nm: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above `nm`.

    >>> round_length(3.7)
    2.0
    """
    power = 10.0 ** math.floor(math.log10(nm))
    return max(step * power for step in _STEPS if step * power <= nm * (1 + 1e-9))


def length_text(nm: float) -> str:
    """Return a length with the unit that suits it.

    >>> length_text(0.05), length_text(0.5), length_text(5000)
    ('50 pm', '0.5 nm', '5 µm')
    """
    if nm < 0.1:
        return f"{nm * 1000:g} pm"
    return f"{nm:g} nm" if nm < 1000 else f"{nm / 1000:g} µm"


def _thinned(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image averaged over blocks so that it has at most `MOST_PIXELS` a side."""
    block = math.ceil(max(image.shape) / MOST_PIXELS)
    if block == 1:
        return image
    height, width = (size // block * block for size in image.shape)
    blocks = image[:height, :width].reshape(height // block, block, width // block, block)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return mean


def dress_picture(axes: Axes, title: str, width_nm: float | None, size: int = 13) -> None:
    """Give a picture its title in letters of a size, no ticks, and a scale bar where its width is known."""
    axes.set_title(title, fontsize=size)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_autoscale_on(False)
    if width_nm:
        add_scale_bar(axes, width_nm)
