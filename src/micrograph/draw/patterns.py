"""Diffraction patterns as pictures: what was recorded beside what a fit expects, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar  # type: ignore[import-untyped]
from numpy.typing import NDArray

from micrograph.draw.image import contrast, round_length
from micrograph.draw.style import SKY, new_figure

Array = NDArray[np.float64]

#: What lies within so many radii of the disc is shown.
_SHOWN_RADII = 1.5
#: Residuals are averaged over blocks of so many expected counts.
_BLOCK_COUNTS = 20.0


@dataclass(frozen=True)
class Disc:
    """Where the direct beam's disc lies on a detector: centre and radius in pixels, and the angle of a pixel."""

    y_px: float
    x_px: float
    radius_px: float
    mrad_per_px: float | None = None


def fitted_pattern_figure(seen: Array, expected: Array, disc: Disc, title: str) -> Figure:
    """Return a pattern (H, W), what a fit expects of it, and what is left, in units of the noise of counting.

    Pixels that the fit does not reach are 0 in `expected`; the disc is circled.
    """
    figure = new_figure(0.4)
    columns = figure.subplots(1, 3)
    low, high = contrast(seen[expected > 0].astype(np.float32))
    for axes, image, words in zip(columns, (seen, expected), ("recorded", "fitted"), strict=False):
        axes.imshow(image, cmap="inferno", vmin=low, vmax=high, interpolation="nearest")
        _dress(axes, image.shape, disc, words)
    left = residuals(seen, expected)
    shown: Any = columns[2].imshow(left, cmap="RdBu_r", vmin=-4, vmax=4, interpolation="nearest")
    _dress(columns[2], left.shape, disc, "what is left", bar=False)
    figure.colorbar(shown, ax=columns[2], label="in sigma of counting", shrink=0.65, extend="both")
    figure.suptitle(title, fontsize=13)
    return figure


def residuals(seen: Array, expected: Array) -> Array:
    """Return residuals (H, W) over the noise of counting, averaged over blocks where there are few counts.

    NaN where nothing is expected.
    """
    inside = expected > 0
    mean = float(expected[inside].mean()) if inside.any() else 1.0
    side = max(1, round(float(np.sqrt(_BLOCK_COUNTS / max(mean, 1e-6)))))
    height, width = (n // side for n in seen.shape)

    def summed(image: Array) -> Array:
        cut = image[: height * side, : width * side]
        return np.asarray(cut.reshape(height, side, width, side).sum(axis=(1, 3)))

    whole, model = summed(inside.astype(float)) == side**2, summed(expected)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.where(whole, (summed(seen) - model) / np.sqrt(model), np.nan)
    return np.repeat(np.repeat(left, side, axis=0), side, axis=1)


def pattern_figure(pattern: Array, disc: Disc | None, title: str) -> Figure:
    """Return one pattern (H, W), its brightness as the root of the counts, with a scale bar and its disc."""
    figure = new_figure(0.86)
    axes = figure.subplots()
    root = np.sqrt(np.clip(pattern, 0, None))
    low, high = contrast(root.astype(np.float32))
    shown = axes.imshow(root**2, cmap="inferno", norm=_root(low, high), interpolation="nearest")
    _dress(axes, pattern.shape, disc, title, near=False)
    figure.colorbar(shown, ax=axes, label="mean counts", shrink=0.8)
    return figure


def _root(low: float, high: float) -> Any:
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, low**2, max(high**2, low**2 + 1e-12))


def _dress(
    axes: Axes, shape: tuple[int, ...], disc: Disc | None, title: str, *, bar: bool = True, near: bool = True
) -> None:
    axes.set_title(title, fontsize=13)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_autoscale_on(False)
    if disc is None:
        return
    axes.add_patch(Circle((disc.x_px, disc.y_px), disc.radius_px, fill=False, color=SKY, linewidth=1.2))
    if near:
        reach = _SHOWN_RADII * disc.radius_px
        axes.set_xlim(max(-0.5, disc.x_px - reach), min(shape[1] - 0.5, disc.x_px + reach))
        axes.set_ylim(min(shape[0] - 0.5, disc.y_px + reach), max(-0.5, disc.y_px - reach))
    if bar and disc.mrad_per_px:
        mrad = round_length(disc.radius_px * disc.mrad_per_px)
        length = mrad / disc.mrad_per_px
        drawn = AnchoredSizeBar(
            axes.transData, length, f"{mrad:g} mrad", "lower left", pad=0.4, borderpad=0.5, sep=3, color="white",
            label_top=True, size_vertical=0.03 * disc.radius_px, fontproperties=FontProperties(size=10),
        )  # fmt: skip
        drawn.patch.set(facecolor="black", alpha=0.6, linewidth=0)
        axes.add_artist(drawn)
