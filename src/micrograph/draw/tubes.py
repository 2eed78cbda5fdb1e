"""Nanotubes over their image, and the layer lines of one in its Fourier transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import picture_ratio, show_image
from micrograph.draw.style import BLUE, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Highest spatial frequency (1/nm) that is shown.
_SHOWN_PER_NM = 6.5


def tubes_figure(image: NDArray[np.float32], pixel_nm: float, objects: DataFrame, title: str) -> Figure:
    """Return the image (H, W) with the walls of every tube, its (n, m) and how probable that is.

    objects: rows with ``y_nm, x_nm, axis_deg, length_nm, diameter_nm, n, m, p, flags``. Doubted tubes are dashed.
    """
    figure = new_figure(picture_ratio(image.shape))
    axes = figure.subplots()
    show_image(axes, image, pixel_nm, title)
    for row in objects.to_dict("records"):
        turn = np.deg2rad(row["axis_deg"])
        along, across = np.array([-np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), np.sin(turn)])
        middle, half = np.array([row["y_nm"], row["x_nm"]]), row["length_nm"] / 2
        style = ":" if row["flags"] else "-"
        for side in (-0.5, 0.5):
            wall = middle + side * row["diameter_nm"] * across
            ends = np.array([wall - half * along, wall + half * along])
            axes.plot(ends[:, 1], ends[:, 0], color=ORANGE, lw=1.6, ls=style)
        text = f"({row['n']},{row['m']})  {100 * row['p']:.3g} %\n{row['diameter_nm']:.3f} nm, {row['angle_deg']:.1f}°"
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2.5}
        axes.text(float(middle[1]), float(middle[0]), text, fontsize=10, ha="center", va="center", bbox=box)
    return figure


def layer_lines_figure(
    image: NDArray[np.float32], pixel_nm: float, axis_deg: float, along_per_nm: Sequence[float], title: str
) -> Figure:
    """Return the Fourier transform of an image (H, W), the tube's axis upwards, and where its layer lines are.

    along_per_nm: frequencies of the layer lines along the axis, as the fit has them.
    """
    from scipy.ndimage import rotate

    contrast = np.nan_to_num(image / max(float(np.nanmean(image)), 1e-30) - 1)
    side = min(contrast.shape)
    upright = rotate(contrast, 90 - axis_deg, reshape=False, order=1)[:side, :side]
    window = np.hanning(side)[:, None] * np.hanning(side)
    power = np.log(np.abs(np.fft.fftshift(np.fft.fft2(upright * window))) ** 2 + 1e-9)
    edge = 0.5 / pixel_nm
    figure = new_figure(0.9)
    axes = figure.subplots()
    low, high = np.percentile(power, (40, 99.9))
    axes.imshow(power, cmap="gray", vmin=low, vmax=high, extent=(-edge, edge, -edge, edge))
    for along in along_per_nm:
        for sign in (-1, 1):
            axes.axhline(sign * along, color=BLUE if along else GREY, lw=1.0, ls="--", xmax=0.3)
    shown = min(_SHOWN_PER_NM, edge)
    axes.set(xlim=(-shown, shown), ylim=(-shown, shown), title=title)
    axes.set(xlabel="across the tube (1/nm)", ylabel="along the tube (1/nm)")
    return figure
