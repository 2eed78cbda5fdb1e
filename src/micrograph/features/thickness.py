"""How thick objects are, by what they take from the beam (Beer's law) or scatter to the detector.

Absorption: ``I = B exp(-t / L)`` with the mean free path L and the local background B. Scattering to a dark-field
detector: ``I - B`` in proportion to t, with a factor that is seldom known, so that thicknesses are relative.

Every object's height comes from all its pixels: mean intensities at one depth below the outline are fitted by
``t(d) = H sqrt(1 - (1 - d / r)^2)`` for depths d < r and H beyond, which is exact for balls and lying rods (r is
their radius) and close for plates with rounded edges; H is free of what the edge lacks. Noise is what the background
shows: its variance, its share that grows with the counts, and its correlation between pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Image = NDArray[np.floating]
Labels = NDArray[np.int32]

#: Pixels next to the outline are not fitted: blur and partial coverage mix them with the background.
_RIM = 1.5
#: How far beyond its outline (px) an object's volume is summed.
_MARGIN = 2.0
_RADII = 40
_BLOCK = 4


@dataclass(frozen=True)
class Surroundings:
    """The ring around an object that gives its background: from `gap_px` to `gap_px + width_px` outside any object."""

    gap_px: float = 3.0
    width_px: float = 8.0


def thickness_map(image: Image, background: Image | float, mean_free_path_nm: float, least: float = 1e-3) -> Array:
    """Return the thickness (h, w) in nm by Beer's law; transmitted fractions below `least` count as `least`.

    Noise makes single pixels thicker on average, by half their counts' relative variance times the mean free path.
    """
    fraction = np.asarray(image, dtype=np.float64) / background
    return -mean_free_path_nm * np.log(np.maximum(fraction, least))


def heights(
    image: Image,
    labels: Labels,
    pixel_nm: float,
    mean_free_path_nm: float | None = None,
    surroundings: Surroundings | None = None,
) -> pd.DataFrame:
    """Return height and volume of every object, one row a label in their order, NaN without a clear (and bright) ring.

    image: (h, w) counts with zero at zero; labels: (h, w), 0 outside. With a mean free path: ``thickness_nm``,
    ``thickness_sigma_nm``, ``volume_nm3``, ``volume_sigma_nm3``; without one, intensity over the background stands for
    thickness (either sign of contrast): ``relative_thickness``, ``relative_volume`` and their sigmas, where 1 is the
    frame's median. ``edge_nm`` is the rounding r, ``background`` the local one.
    """
    import pandas as pd

    around = surroundings or Surroundings()
    pieces = list(_pieces(np.asarray(image, dtype=np.float64), labels, around))
    noise = _noise(pieces)
    rows = [_measured(piece, noise, mean_free_path_nm) for piece in pieces]
    names = ("height", "height_sigma", "edge", "volume", "volume_sigma", "background")
    table = pd.DataFrame(np.array(rows).reshape(-1, len(names)), columns=list(names))
    return _named(table, pixel_nm, relative=mean_free_path_nm is None)


def _named(table: pd.DataFrame, pixel_nm: float, *, relative: bool) -> pd.DataFrame:
    """Return the table with its public names and units."""
    area = pixel_nm**2
    named = table.assign(volume=table.volume * area, volume_sigma=table.volume_sigma * area, edge=table.edge * pixel_nm)
    if not relative:
        return named.rename(columns=_BEER)
    for name in ("height", "volume"):
        unit = abs(named[name].median())
        named[[name, f"{name}_sigma"]] = named[[name, f"{name}_sigma"]] / (unit if unit > 0 else 1.0)
    return named.rename(columns=_RELATIVE)


_BEER = {
    "height": "thickness_nm",
    "height_sigma": "thickness_sigma_nm",
    "edge": "edge_nm",
    "volume": "volume_nm3",
    "volume_sigma": "volume_sigma_nm3",
}
_RELATIVE = {
    "height": "relative_thickness",
    "height_sigma": "relative_thickness_sigma",
    "edge": "edge_nm",
    "volume": "relative_volume",
    "volume_sigma": "relative_volume_sigma",
}


@dataclass(frozen=True)
class _Piece:
    """One object: intensity, fitted background and depth (px, negative outside) of its pixels; its ring's residuals."""

    intensity: Array
    background: Array
    depth: Array
    residual: Array
    level: float
    parameters_sigma: float


@dataclass(frozen=True)
class _Noise:
    """Variance of a pixel is ``gain * intensity`` (or `variance` where the background is no count); its correlation."""

    gain: float
    variance: float
    correlation: float

    def of(self, mean: Array) -> Array:
        """Return the variance that a mean of pixels has, times their number."""
        return self.correlation * np.maximum(self.gain * mean, self.variance)


def _pieces(image: Array, labels: Labels, around: Surroundings) -> Iterator[_Piece]:
    from scipy import ndimage

    free = np.asarray(ndimage.distance_transform_edt(labels == 0)) if (labels == 0).any() else np.zeros(labels.shape)
    reach = int(np.ceil(around.gap_px + around.width_px)) + 1
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if not box:  # no such label
            continue
        wide = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        yield _piece(image[wide], labels[wide], free[wide], number, around)


def _piece(image: Array, labels: Labels, free: Array, number: int, around: Surroundings) -> _Piece:
    from scipy import ndimage

    mine = labels == number
    outside = np.asarray(ndimage.distance_transform_edt(~mine)) if not mine.all() else np.zeros(mine.shape)
    inside = np.asarray(ndimage.distance_transform_edt(np.pad(mine, 1, mode="edge"))[1:-1, 1:-1])
    ring = (free >= around.gap_px) & (outside <= around.gap_px + around.width_px)
    near = mine | ((labels == 0) & (outside <= _MARGIN) & (outside <= free + 1e-9))
    depth = np.where(mine, inside - 0.5, 0.5 - outside)[near]
    if ring.sum() < 20:
        nothing = np.full(depth.shape, np.nan)
        return _Piece(image[near], nothing, depth, np.zeros(0), np.nan, np.nan)
    plane, residual, sigma = _plane(image, ring)
    return _Piece(image[near], plane[near], depth, residual, float(plane[near].mean()), sigma)


def _plane(image: Array, ring: NDArray[np.bool_]) -> tuple[Array, Array, float]:
    """Return the plane (h, w) through the ring's pixels without outliers, residuals there, and 1 / sqrt(number)."""
    y, x = np.indices(image.shape, dtype=np.float64)
    design = np.stack([np.ones_like(y), y - y.mean(), x - x.mean()], axis=-1)
    used = ring
    for _ in range(2):
        found, *_rest = np.linalg.lstsq(design[used], image[used], rcond=None)
        plane = design @ found
        spread = 1.4826 * np.median(np.abs(image - plane)[used])
        used = ring & (np.abs(image - plane) <= 4 * spread + 1e-12)
    return plane, np.where(used, image - plane, np.nan), float(1 / np.sqrt(used.sum()))


def _noise(pieces: list[_Piece]) -> _Noise:
    """Return the noise that the rings show, their correlation by the scatter of the means of blocks of pixels."""
    rings = [piece.residual for piece in pieces if piece.residual.size]
    if not rings:
        return _Noise(0.0, 0.0, 1.0)
    single = np.concatenate([ring[np.isfinite(ring)] for ring in rings])
    variance = float(single @ single / len(single))
    level = float(np.nanmean([piece.level for piece in pieces]))
    blocks = np.concatenate([_block_means(ring) for ring in rings])
    correlation = float((blocks**2).mean() * _BLOCK**2 / variance) if len(blocks) > 30 and variance > 0 else 1.0
    return _Noise(variance / level if level > 0 else 0.0, 0.0 if level > 0 else variance, max(correlation, 1.0))


def _block_means(residual: Array) -> Array:
    """Return the means of the blocks of 4 x 4 pixels that lie whole in the ring."""
    height, width = (size // _BLOCK * _BLOCK for size in residual.shape)
    blocks = residual[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    return np.asarray(blocks[np.isfinite(blocks)])


def _measured(piece: _Piece, noise: _Noise, free_path: float | None) -> tuple[float, ...]:
    """Return height, its sigma, edge, volume (px^2 times height), its sigma and the background of one object."""
    if not np.isfinite(piece.level) or (free_path is not None and piece.background.min() <= 0):
        return (np.nan,) * 6
    shell = np.floor(piece.depth + _MARGIN).astype(int)
    number = np.bincount(shell)
    full = number > 0
    sums = [np.bincount(shell, weights=values)[full] for values in (piece.intensity, piece.background, piece.depth)]
    number = number[full]
    intensity, background, depth = (each / number for each in sums)
    sigma = np.sqrt(noise.of(intensity) / number)
    thick, slope = _thickness(intensity, background, free_path)
    shared = np.sqrt(noise.of(np.array(piece.level))) * piece.parameters_sigma
    height, height_sigma, edge = _rounded(depth, thick, sigma * slope)
    tilt = (slope * intensity / background if free_path else slope)[depth >= _RIM] if (depth >= _RIM).any() else slope
    volume_sigma = np.hypot(np.sqrt(((number * sigma * slope) ** 2).sum()), (number * slope).sum() * shared)
    return (
        height,
        float(np.hypot(height_sigma, shared * tilt.mean())),
        edge,
        float((number * thick).sum()),
        float(volume_sigma),
        piece.level,
    )


def _thickness(intensity: Array, background: Array, free_path: float | None) -> tuple[Array, Array]:
    """Return thickness of mean intensities, and by how much it changes with the intensity (absolute)."""
    if free_path is None:
        return intensity - background, np.ones_like(intensity)
    safe = np.maximum(intensity, 1e-3 * background)
    return -free_path * np.log(safe / background), free_path / safe


def _rounded(depth: Array, thick: Array, sigma: Array) -> tuple[float, float, float]:
    """Return height, its sigma and the edge's rounding r of the profile that fits mean thicknesses at given depths."""
    used = depth >= _RIM if (depth >= _RIM).sum() >= 2 else depth >= depth.max() - 0.5
    d, t, weight = depth[used], thick[used], 1 / np.maximum(sigma[used], 1e-12) ** 2
    radii = np.linspace(min(0.5, d.max()), d.max() + 1, _RADII)
    form = np.sqrt(1 - (1 - np.minimum(d[None] / radii[:, None], 1)) ** 2)
    power = (form**2 * weight).sum(axis=1)
    height = (form * weight * t).sum(axis=1) / power
    misfit = ((t - height[:, None] * form) ** 2 * weight).sum(axis=1)
    chance = np.exp(-0.5 * (misfit - misfit.min()))
    chance /= chance.sum()
    mean = float(chance @ height)
    variance = float(chance @ (1 / power + (height - mean) ** 2))
    return mean, float(np.sqrt(variance)), float(chance @ radii)
