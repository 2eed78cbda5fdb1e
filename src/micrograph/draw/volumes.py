"""Volumes of elements as pictures: slices through the middle, colours laid over one another, and a turning view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from micrograph.core.provenance import whole
from micrograph.draw.image import dress_picture, extent_nm
from micrograph.draw.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, new_figure

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[np.float64]
Volume = NDArray[np.float32]

#: Colours of elements in order, which colour-blind readers can tell apart (see `draw.style`).
COLOURS = (ORANGE, SKY, PURPLE, GREEN, YELLOW, RED, BLUE)
#: White is this percentile of the voxels that hold something.
_WHITE = 99.0
_NAMES = ("y against x", "z against x", "y against z")


@dataclass(frozen=True)
class Profile:
    """Concentrations (N,) of an element at distances from a particle's middle, with 1-sigma (NaN: not known)."""

    values: Array
    sigma: Array


def slices(volume: Volume, at: tuple[int, int, int]) -> tuple[Volume, Volume, Volume]:
    """Return the three slices through a place (z, y, x) of a volume (Z, Y, X): (Y, X), (Z, X) and (Y, Z)."""
    z, y, x = at
    return volume[z], volume[:, y], volume[:, :, x].T


def slices_figure(
    volumes: Mapping[str, Volume], sigma: Mapping[str, Volume], at: tuple[int, int, int], voxel_nm: float, title: str
) -> Figure:
    """Return three slices of each element in a row, in one scale of grey, and the 1-sigma of the first of them."""
    columns = 4 if sigma else 3
    figure = new_figure(0.06 + len(volumes) * 1.02 / columns)
    grid = figure.subplots(len(volumes), columns, squeeze=False)
    for row, (name, volume) in zip(grid, volumes.items(), strict=True):
        top = _top(volume)
        for axes, image, words in zip(row, slices(volume, at), _NAMES, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=top, extent=extent_nm(image.shape, voxel_nm))
            dress_picture(axes, f"{name}: {words}", image.shape[1] * voxel_nm, 11)
        if name in sigma:
            shown = row[3].imshow(
                sigma[name][at[0]], cmap="magma", vmin=0, vmax=top / 2, extent=extent_nm(volume.shape[1:], voxel_nm)
            )
            dress_picture(row[3], f"{name}: 1-sigma", None, 11)
            figure.colorbar(shown, ax=row[3], shrink=0.75, label="counts a voxel")
    figure.suptitle(title, fontsize=13)
    return figure


def views_figure(volumes: Mapping[str, Volume], at: tuple[int, int, int], voxel_nm: float, title: str) -> Figure:
    """Return three slices through the middle with the colours of all elements laid over one another, and a key."""
    figure = new_figure(0.46)
    parts = {name: slices(volume, at) for name, volume in volumes.items()}
    tops = [_top(volume) for volume in volumes.values()]
    for number, (axes, words) in enumerate(zip(figure.subplots(1, 3), _NAMES, strict=True)):
        images = [part[number] / top for part, top in zip(parts.values(), tops, strict=True)]
        axes.imshow(overlaid(images), extent=extent_nm(images[0].shape, voxel_nm), interpolation="nearest")
        dress_picture(axes, words, images[0].shape[1] * voxel_nm, 11)
    keys = [Line2D([], [], color=colour, lw=6, label=name) for name, colour in zip(volumes, COLOURS, strict=False)]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    figure.suptitle(title, fontsize=13)
    return figure


def profile_figure(radius_nm: Array, profiles: Mapping[str, Profile], title: str, shell_nm: Sequence[float]) -> Figure:
    """Return concentrations over the distance from a particle's middle, 1-sigma shaded; lines at the two surfaces."""
    figure = new_figure(0.55)
    axes = figure.subplots()
    styles = ("-", "--", "-.", ":")
    for number, (name, one) in enumerate(profiles.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(radius_nm, one.values, color=colour, lw=2, ls=styles[number % len(styles)], label=name)
        if np.isfinite(one.sigma).all():
            axes.fill_between(radius_nm, one.values - one.sigma, one.values + one.sigma, color=colour, alpha=0.25, lw=0)
    for place in shell_nm:
        axes.axvline(place, color="#8A8A8A", lw=1)
    axes.set_xlabel("distance from the middle (nm)")
    axes.set_ylabel("counts a view from 1 nm³")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.set_title(title, fontsize=12)
    return figure


def overlaid(images: Sequence[Volume]) -> Array:
    """Return colours (H, W, 3) of images in 0..1, each in the colour of its element; where several are, their mean."""
    lit = [np.clip(np.nan_to_num(image), 0, 1) for image in images]
    found = np.zeros((*images[0].shape, 3))
    for image, colour in zip(lit, COLOURS, strict=False):
        found += image[..., None] * np.array(to_rgb(colour))
    return np.asarray(np.clip(found / np.maximum(np.sum(lit, axis=0), 1)[..., None], 0, 1))


def write_turning(path: Path, views: Mapping[str, Volume], voxel_nm: float, side_px: int = 320) -> Path:
    """Write views (V, Y, X) of elements from all sides as a GIF that turns, with a key and a scale bar; return `path`.

    The file appears whole or not at all.
    """
    from PIL import Image

    tops = [_top(one) for one in views.values()]
    count, height, width = next(iter(views.values())).shape
    zoom = max(1, round(side_px / max(height, width)))
    frames = []
    for number in range(count):
        colours = overlaid([one[number] / top for one, top in zip(views.values(), tops, strict=True)])
        image = Image.fromarray((colours * 255).astype(np.uint8)).resize(
            (width * zoom, height * zoom), Image.Resampling.BICUBIC
        )
        frames.append(_labelled(image, tuple(views), voxel_nm / zoom))
    with whole(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=80, loop=0, optimize=True
        )
    return path


def _labelled(image: Image.Image, names: tuple[str, ...], pixel_nm: float) -> Image.Image:
    """Return an image with the names of elements in their colours, and a scale bar."""
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    left = 8.0
    for name, colour in zip(names, COLOURS, strict=False):
        pen.text((left, 6), name, fill=colour, font=font)
        left += pen.textlength(f"{name}  ", font=font)
    length = _round_length(image.width * pixel_nm / 4)
    low = image.height - 12
    pen.rectangle((8, low, 8 + length / pixel_nm, low + 4), fill="white")
    pen.text((8, low - 18), f"{length:g} nm", fill="white", font=font)
    return image.quantize(255)


def _round_length(nm: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is no longer."""
    power = 10 ** np.floor(np.log10(max(nm, 1e-9)))
    return float(max(step for step in (1, 2, 5) if step * power <= nm * 1.0001) * power)


def _top(values: Volume) -> float:
    """Return the value shown brightest."""
    held = values[values > 0.05 * float(np.nan_to_num(values).max())] if values.size else values
    top = float(np.percentile(held, _WHITE)) if held.size else 0.0
    return top if top > 0 else 1.0
