"""Images of a scanning electron microscope: where secondary electrons leave a surface, and what the scan makes of them.

Yield as 1 / cos of the slope, more at edges within the escape length, less in pits out of which few electrons find
their way (Reimer, Scanning Electron Microscopy, doi:10.1007/978-3-540-38967-5, chapters 4 and 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

#: 1-sigma of a Gaussian over its full width at half maximum.
SIGMA_PER_FWHM = 0.42466
#: Most that a slope brightens: beyond it the electrons leave through both sides of what is thinner than their range.
STEEPEST = 5.0
#: Elevation that a box's mean height shows of a round pit's rim, beside the tangent of the true one.
_RIM = 0.434
#: Decay of a charged halo along the fast scan, in pixels, and its share of the contrast at full charging.
_HALO_PX, _HALO = 24.0, 0.8
#: 1-sigma of a line's brightness at full charging.
_STREAK = 0.12


@dataclass(frozen=True)
class SemBeam:
    """The probe, its dose and the detector.

    probe_nm: full width at half maximum; electrons_per_px: primaries; charging: 0 (a conductor) to 1 (streaks along the
    lines, dark tails behind what is bright); jitter_px: 1-sigma by which a line is displaced along the fast scan;
    gain: counts per secondary electron; offset: counts without any; read_noise: 1-sigma in counts.
    """

    probe_nm: float
    electrons_per_px: float
    charging: float = 0.0
    jitter_px: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no beam can be."""
        if self.probe_nm < 0 or self.electrons_per_px <= 0 or not 0 <= self.charging <= 1:
            raise ValueError("A beam needs probe_nm >= 0, electrons_per_px > 0 and a charging between 0 and 1.")


def secondary_yield(
    height_nm: NDArray[np.floating],
    material: NDArray[np.floating],
    pixel_nm: float,
    *,
    escape_nm: float = 5.0,
    edge: float = 1.0,
    side: float = 0.0,
    toward_deg: float = 0.0,
    slope_power: float = 1.0,
) -> Image:
    """Return secondary electrons per primary (H, W) of a surface seen from above.

    height_nm, material: (H, W), the latter the yield of each material where it is flat; escape_nm: the length out of
    which secondaries escape, also sideways through an edge; edge: how much brighter a high sharp edge is (1: twice);
    side: the part of the detector that only sees slopes towards `toward_deg` (counter-clockwise from +x); slope_power:
    the yield of a slope is the reciprocal of its cosine to this power, 1 for light materials, less for heavy ones.
    """
    height = np.asarray(height_nm, np.float32) / np.float32(pixel_nm)
    down, right = np.gradient(height)
    steepness = np.sqrt(1 + down**2 + right**2)
    slope = STEEPEST * np.tanh((steepness - 1) / STEEPEST) + 1
    bright = slope**slope_power * (1 + edge * _edges(height, escape_nm / pixel_nm)) * _open_share(height)
    if side:
        angle = np.deg2rad(toward_deg)
        facing = (np.cos(angle) * right - np.sin(angle) * down) / steepness
        bright = bright * np.clip(1 - side * facing, 0.05, None)
    return np.asarray(bright * np.asarray(material, np.float32), np.float32)


def expose_sem(
    yield_map: NDArray[np.floating], beam: SemBeam, pixel_nm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the image (H, W) in counts that a scan along +x makes of secondary electrons per primary (H, W).

    Primaries come at random, and each gives a random number of secondaries: n electrons and a yield of d scatter by
    n d (1 + d).
    """
    from scipy.ndimage import gaussian_filter

    seen = np.clip(np.asarray(yield_map, np.float32), 0, None)
    sigma = SIGMA_PER_FWHM * beam.probe_nm / pixel_nm
    if sigma > 0.05:
        seen = gaussian_filter(seen, sigma, mode="nearest")
    if beam.jitter_px:
        seen = _displaced(seen, beam.jitter_px * rng.standard_normal((len(seen), 1))[:, 0])
    if beam.charging:
        seen = _charged(seen, beam.charging, rng)
    primaries = rng.poisson(beam.electrons_per_px, seen.shape)
    counts = rng.poisson(primaries * seen).astype(np.float32) * np.float32(beam.gain) + np.float32(beam.offset)
    if beam.read_noise:
        counts += np.float32(beam.read_noise) * rng.standard_normal(seen.shape, np.float32)
    return np.asarray(counts, np.float32)


def _edges(height: Image, escape_px: float) -> Image:
    """Return how much of an edge (0 to 1) is within `escape_px` of each pixel: only the upper side is bright."""
    from scipy.ndimage import gaussian_filter

    reach = max(escape_px, 0.7)
    above = height - gaussian_filter(height, reach, mode="nearest")
    # Half of a high step's height is missing right at its edge; thinner than a pixel it fills a part of one.
    return np.asarray(1 - np.exp(-np.clip(above, 0, None) * 2 / reach), np.float32) * min(1.0, escape_px / 0.7)


def _open_share(height: Image) -> Image:
    """Return the share of the secondaries (0 to 1) that leave a place past what rises around it.

    A round pit of radius R and depth D is open by R^2 / (R^2 + D^2) at its bottom: the steepest elevation over boxes of
    several sizes stands for D / R.
    """
    from scipy.ndimage import uniform_filter

    steepest = np.zeros_like(height)
    wide = min(height.shape)
    for half in (1.5, 3.0, 6.0, 12.0, 24.0, 48.0):
        width = 2 * int(half) + 1
        if width > wide:
            break
        around = uniform_filter(height, width, mode="nearest")
        np.maximum(steepest, (around - height) / np.float32(width / 2), out=steepest)
    return np.asarray(1 / (1 + (steepest / _RIM) ** 2), np.float32)


def _displaced(image: Image, shift_px: NDArray[np.float64]) -> Image:
    """Return the image (H, W) with each line displaced along +x by `shift_px` (H,)."""
    rows, columns = image.shape
    at = np.clip(np.arange(columns) - shift_px[:, None], 0, columns - 1)
    left = np.minimum(at.astype(np.intp), columns - 2) if columns > 1 else np.zeros_like(at, dtype=np.intp)
    part = (at - left).astype(np.float32)
    lines = np.arange(rows)[:, None]
    right = np.minimum(left + 1, columns - 1)
    return np.asarray((1 - part) * image[lines, left] + part * image[lines, right], np.float32)


def _charged(image: Image, charging: float, rng: np.random.Generator) -> Image:
    """Return the image (H, W) of a surface that charges: tails along +x, dark behind what is bright; uneven lines."""
    from scipy.signal import lfilter

    stay = np.float32(np.exp(-1 / _HALO_PX))
    mean = float(image.mean())
    behind = lfilter([0.0, 1 - stay], [1.0, -stay], image - mean, axis=1)
    lines = 1 + _STREAK * charging * rng.standard_normal((len(image), 1))
    return np.asarray(np.clip((image - _HALO * charging * behind) * lines, 0.02 * mean, None), np.float32)
