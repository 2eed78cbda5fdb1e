"""Virtual detectors: sums over masks, and the centre of mass, of the patterns of a 4D-STEM scan.

The centre of mass follows the mean lateral momentum that the beam takes from the specimen's field (Mueller-Caspary et
al., doi:10.1016/j.ultramic.2016.05.004); its divergence follows the charges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: The disc is first sought where the mean pattern is brighter than this share of its plateau.
_EDGE = 0.5
#: Sums over each pattern that `sums` gives, in this order.
SUMS = ("total", "bright_field", "dark_field", "within", "y", "x", "yy", "xx")


@dataclass(frozen=True)
class BrightDisc:
    """The direct beam's disc on the detector: its middle and its radius in pixels."""

    y_px: float
    x_px: float
    radius_px: float


@dataclass(frozen=True)
class Rings:
    """Radii in pixels about the disc's middle: of the bright field, of the dark field's hole and rim, and of what the
    centre of mass is taken of; infinite means up to the detector's edge.
    """

    bright_px: float
    inner_px: float
    outer_px: float
    mass_px: float


def find_bright_disc(mean: Array, radius_px: float | None = None) -> BrightDisc:
    """Return the disc of a mean pattern (H, W), which ends where means over rings fall most; a known radius is kept.

    Raises `BadInput` where nothing stands out against the rest of the pattern.
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.nan_to_num(mean), 1.0)
    ground, top = np.percentile(smooth, (5, 99.8))
    bright = smooth > ground + _EDGE * (top - ground)
    if not bright.any():
        raise BadInput("No bright disc stands out in the mean pattern: give its radius with --set radius_px=...")
    plateau = float(np.median(smooth[bright]))
    middle, radius = _part(smooth, ground + _EDGE * (plateau - ground))
    for _ in range(2):
        level = _edge_level(smooth, middle, radius)
        middle, radius = _part(smooth, level)
    return BrightDisc(*middle, radius if radius_px is None else radius_px)


def _part(smooth: Array, level: float) -> tuple[tuple[float, float], float]:
    """Return middle (y, x) and radius of the largest part of a pattern that is brighter than a level."""
    from scipy.ndimage import label

    parts, _ = label(smooth > level)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    rows, columns = np.nonzero(parts == int(sizes.argmax()))
    return (float(rows.mean()), float(columns.mean())), float(np.sqrt(sizes.max() / np.pi))


def _edge_level(smooth: Array, middle: tuple[float, float], radius: float) -> float:
    """Return how bright a pattern is where its mean over rings about `middle` falls most, up to 1.5 radii."""
    y, x = np.indices(smooth.shape)
    ring = np.hypot(y - middle[0], x - middle[1]).astype(np.intp)
    profile = np.bincount(ring.ravel(), smooth.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    profile = profile[: max(4, int(1.5 * radius) + 3)]
    steepest = int(np.argmin(np.diff(profile)))
    return float((profile[steepest] + profile[steepest + 1]) / 2)


def masks(shape: tuple[int, int], disc: BrightDisc, rings: Rings) -> Image:
    """Return weights (8, H * W) whose products with a pattern are the `SUMS`; places count from the disc's middle.

    Pixels on a rim count with the share of them that lies inside.
    """
    y, x = np.arange(shape[0]) - disc.y_px, np.arange(shape[1]) - disc.x_px
    away = np.hypot(y[:, None], x)

    def within(radius: float) -> Array:
        return np.asarray(np.clip(radius + 0.5 - away, 0, 1))

    mass = within(rings.mass_px)
    dark = within(rings.outer_px) - within(rings.inner_px)
    parts = [np.ones(shape), within(rings.bright_px), np.clip(dark, 0, 1), mass]
    parts += [mass * y[:, None], mass * x, mass * y[:, None] ** 2, mass * x**2]
    return np.stack(parts).reshape(len(parts), -1).astype(np.float32)


def sums(patterns: Image, weights: Image) -> Array:
    """Return the `SUMS` (N, 8) of patterns (N, H, W); pixels that are not finite count as 0."""
    flat = patterns.reshape(len(patterns), -1)
    found = np.asarray(flat @ weights.T, float)
    if not np.isfinite(found).all():
        found = np.asarray(np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0) @ weights.T, float)
    return found


@dataclass(frozen=True)
class CentreOfMass:
    """Shifts (N,) of the centre of mass from the disc's middle along y and x, in pixels, and what counting leaves."""

    y_px: Array
    x_px: Array
    y_sigma_px: Array
    x_sigma_px: Array


def centre_of_mass(found: Array) -> CentreOfMass:
    """Return the centre of mass that sums (N, 8) give; NaN where a pattern is empty."""
    total = np.where(found[:, 3] > 0, found[:, 3], np.nan)
    y, x, yy, xx = (found[:, number] / total for number in (4, 5, 6, 7))
    return CentreOfMass(y, x, np.sqrt(np.maximum(yy - y**2, 0) / total), np.sqrt(np.maximum(xx - x**2, 0) / total))


def descanned(shift: Array, kind: str) -> Array:
    """Return a component (Y, X) of the centre of mass without its 'plane' or 'mean' (of the descan), or 'none'.

    The plane is fitted twice, the second time without the tenth of the places that lie farthest from the first.
    """
    if kind == "none":
        return shift
    known = np.isfinite(shift)
    if kind == "mean" or min(shift.shape) < 3 or known.sum() < 9:
        return shift - (np.nanmedian(shift) if known.any() else 0.0)
    y, x = np.indices(shift.shape)
    design = np.stack([np.ones(shift.shape), y, x], axis=-1)
    used = known
    for _ in range(2):
        plane = design @ np.linalg.lstsq(design[used], shift[used], rcond=None)[0]
        off = np.abs(shift - plane)
        used = known & (off <= np.nanpercentile(off, 90))
    return np.asarray(shift - plane)


@dataclass(frozen=True)
class Field:
    """What a field of shifts (Y, X) says: its divergence and curl (unit of the shifts a step), and its potential."""

    divergence: Array
    curl: Array
    potential: Array


def field_of(along_y: Array, along_x: Array) -> Field:
    """Return divergence, curl and the potential (Y, X) whose slopes are the field, by least squares in Fourier space.

    The field is mirrored at the edges of the scan, so that its two sides need not match. The curl is nought for a
    field of a potential whose axes are those of the scan: what it is not tells of a turned detector.
    """
    if min(along_y.shape) < 2:
        nothing = np.full(along_y.shape, np.nan)
        return Field(nothing, nothing, nothing)
    y, x = np.nan_to_num(along_y), np.nan_to_num(along_x)
    divergence = np.gradient(y, axis=0) + np.gradient(x, axis=1)
    curl = np.gradient(y, axis=1) - np.gradient(x, axis=0)
    return Field(divergence, curl, _integrated(y, x))


def _integrated(y: Array, x: Array) -> Array:
    down, across = y.shape
    wide_y = np.block([[y, y[:, ::-1]], [-y[::-1], -y[::-1, ::-1]]])
    wide_x = np.block([[x, -x[:, ::-1]], [x[::-1], -x[::-1, ::-1]]])
    ky, kx = 2j * np.pi * np.fft.fftfreq(2 * down)[:, None], 2j * np.pi * np.fft.fftfreq(2 * across)
    square = np.abs(ky) ** 2 + np.abs(kx) ** 2
    square[0, 0] = np.inf
    spectrum = -(ky * np.fft.fft2(wide_y) + kx * np.fft.fft2(wide_x)) / square
    return np.asarray(np.fft.ifft2(spectrum).real[:down, :across])


def least_curl_deg(along_y: Array, along_x: Array) -> float:
    """Return by how many degrees (-90..90, counter-clockwise) a field must be turned for the least curl."""
    if min(along_y.shape) < 2:
        return float("nan")
    found = field_of(along_y, along_x)
    div, curl = found.divergence.ravel(), found.curl.ravel()
    # A turn by t makes the curl  curl cos t - div sin t  (y downwards, t counter-clockwise as seen on the picture).
    angle = 0.5 * np.arctan2(2 * float(div @ curl), float(div @ div - curl @ curl))
    return float(np.rad2deg(angle))


def turned(along_y: Array, along_x: Array, degrees: float) -> tuple[Array, Array]:
    """Return a field (y downwards) turned counter-clockwise as seen on the picture."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.asarray(along_y * cos - along_x * sin), np.asarray(along_y * sin + along_x * cos)
