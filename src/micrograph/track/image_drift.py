"""The drift of a recording without objects to follow: each image against a running mean of the aligned ones before it.

Sub-pixel cross-correlation by a matrix-multiplied Fourier transform (Guizar-Sicairos et al. 2008,
doi:10.1364/OL.33.000156), done by scikit-image. Memory holds one frame and the mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Frame
from micrograph.track.drift import drift_table
from micrograph.track.timeline import Array, Timeline

Image = NDArray[np.float32]
#: An image is refused that is less than this share as like the mean as usual; after so many in a row one is believed.
_UNLIKE, _REFUSED = 0.4, 5


@dataclass(frozen=True)
class ImageDriftSettings:
    """How images are aligned.

    remember: frames that the running mean reaches back; smooth_px: noise is smoothed over so many pixels; coarse_share:
    shading wider than this share of the image is removed; upsample: steps a pixel; most_px: larger images are binned.
    """

    remember: int = 20
    smooth_px: float = 1.0
    coarse_share: float = 0.06
    upsample: int = 20
    most_px: int = 1024


def image_drift(frames: Iterable[Frame], settings: ImageDriftSettings | None = None) -> pd.DataFrame:
    """Return the drift (table `DRIFT`) of frames that show about the same field; jumps up to a third of it are found.

    Frames that are constant or show something else keep the drift before them, with a 1-sigma as large as the field.
    The 1-sigma of the others is the scatter between the quarters of the image. Raises `BadInput` if the pixel size is
    unknown or the frames differ in shape.
    """
    settings = settings or ImageDriftSettings()
    found: list[_Aligned] = []
    mean: _Mean | None = None
    for frame in frames:
        pixel = frame.calibration.pixel_nm
        if pixel is None:
            raise BadInput("The pixel size is unknown, so that drift has no unit: give it with --pixel-size.")
        image, binned = _prepared(frame.data, settings)
        if mean is None:
            mean = _Mean(image, np.zeros(2), 1) if image is not None else None
            shift: Array = np.zeros(2)
            sigma: Array = np.zeros(2)
        else:
            shift, sigma, mean = mean.followed(image, settings)
        t_s = frame.known.get("t_s", frame.index * (frame.calibration.frame_time_s or np.nan))
        found.append(_Aligned(frame.index, t_s, shift * binned * pixel, sigma * binned * pixel))
    time = Timeline(np.array([one.frame for one in found], np.int64), np.array([one.t_s for one in found], float))
    drift, sigma = (np.array(rows).reshape(-1, 2) for rows in ([o.drift for o in found], [o.sigma for o in found]))
    return drift_table(time, drift - drift[:1].sum(axis=0), _grown(sigma, settings.remember))


def correct(image: ArrayLike, drift_nm: ArrayLike, pixel_nm: float) -> Image:
    """Return the image (H, W) moved back by its drift (2,) [y, x] nm, so that the sample stands still.

    What was not recorded takes the median of the image.
    """
    from scipy.ndimage import shift

    data = np.asarray(image, dtype=np.float32)
    middle = float(np.nanmedian(data))
    moved = shift(np.nan_to_num(data, nan=middle), -np.asarray(drift_nm, float) / pixel_nm, order=1, cval=middle)
    return np.asarray(moved, dtype=np.float32)


@dataclass(frozen=True)
class _Aligned:
    """One frame: its number, time, drift and 1-sigma (2,) nm."""

    frame: int
    t_s: float
    drift: Array
    sigma: Array


@dataclass(frozen=True)
class _Mean:
    """Running mean (h, w) of `count` aligned images, a whole number of pixels `offset` (2,) away from the first.

    likeness: usual correlation of an image with the mean; refused: images in a row that were too unlike it.
    """

    image: Image
    offset: Array
    count: int
    likeness: float = 0.0
    refused: int = 0

    def followed(self, image: Image | None, settings: ImageDriftSettings) -> tuple[Array, Array, _Mean]:
        """Return drift and 1-sigma (2,) in pixels of the next image, and the mean with that image in it."""
        from scipy.ndimage import shift

        if image is None:
            return self._doubted()
        if image.shape != self.image.shape:
            raise BadInput(f"A frame of {image.shape} pixels follows one of {self.image.shape}: all must be alike.")
        coarse = np.rint(_shift(self.image, image, 1))
        moved = _rolled(self.image, coarse, image)
        rest = _shift(moved, image, settings.upsample)
        alike = _likeness(moved, image)
        if alike < _UNLIKE * self.likeness and self.refused < _REFUSED:
            return self._doubted()
        drift = self.offset + coarse + rest
        whole = np.rint(drift)
        kept = _rolled(moved, whole - self.offset - coarse, image)
        count = min(self.count + 1, settings.remember) if self.refused < _REFUSED else 1
        aligned = shift(image, whole - drift, order=3, mode="nearest")
        mean = np.asarray(kept + (aligned - kept) / count, np.float32)
        usual = self.likeness + (alike - self.likeness) / min(count, 10)
        return drift, _scatter(moved, image, settings.upsample), _Mean(mean, whole, count, usual)

    def _doubted(self) -> tuple[Array, Array, _Mean]:
        """Return the drift as before, with the field as its error: the image shows something else."""
        return self.offset, np.array(self.image.shape, float), replace(self, refused=self.refused + 1)


def _prepared(data: Image, settings: ImageDriftSettings) -> tuple[Image | None, int]:
    """Return the image without shading and noise of single pixels, binned, and the binning; ``None`` if flat."""
    from scipy.ndimage import gaussian_filter

    binned = max(1, int(np.ceil(max(data.shape) / settings.most_px)))
    height, width = (size // binned * binned for size in data.shape)
    image = np.asarray(data[:height, :width], np.float32)
    middle = float(np.nanmedian(image)) if np.isfinite(image).any() else np.nan
    image = np.nan_to_num(image, nan=middle, posinf=middle, neginf=middle)
    image = image.reshape(height // binned, binned, width // binned, binned).mean(axis=(1, 3))
    wide = settings.coarse_share * min(image.shape)
    flat = gaussian_filter(image, settings.smooth_px) - gaussian_filter(image, wide)
    spread = float(np.std(flat))
    if not np.isfinite(spread) or spread <= 1e-9 * max(abs(middle), 1e-30):
        return None, binned
    return np.clip(flat / spread, -5, 5).astype(np.float32), binned


def _shift(reference: Image, moving: Image, upsample: int) -> Array:
    """Return by how much (2,) px `moving` lies from `reference`."""
    from skimage import registration

    correlate: Any = registration.phase_cross_correlation
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in reference.shape)).astype(np.float32)
    found = correlate(reference * window, moving * window, upsample_factor=upsample, normalization=None)
    return -np.asarray(found[0], dtype=float)


def _likeness(reference: Image, moving: Image) -> float:
    """Return the correlation of two aligned images over their inner part, 0 .. 1."""
    inner = tuple(slice(size // 8, size - size // 8) for size in reference.shape)
    one, other = reference[inner].ravel(), moving[inner].ravel()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return max(float(one @ other) / scale, 0.0) if scale > 0 else 0.0


def _scatter(reference: Image, moving: Image, upsample: int) -> Array:
    """Return the 1-sigma (2,) px of the shift: the scatter between the quarters of the image, over the root of four."""
    height, width = (size // 2 for size in reference.shape)
    quarters = [(slice(y, y + height), slice(x, x + width)) for y in (0, height) for x in (0, width)]
    shifts = np.array([_shift(reference[part], moving[part], upsample) for part in quarters])
    return np.asarray(np.maximum(shifts.std(axis=0, ddof=1) / 2, 0.5 / upsample))


def _rolled(image: Image, by: Array, fill: Image) -> Image:
    """Return the image moved by a whole number of pixels (2,); what enters comes from `fill`."""
    if not by.any():
        return image
    moved = fill.copy()
    target, source = zip(*(_overlap(int(b), size) for b, size in zip(by, image.shape, strict=True)), strict=True)
    moved[target] = image[source]
    return moved


def _overlap(by: int, size: int) -> tuple[slice, slice]:
    """Return which pixels are filled, and from which, when a row of `size` pixels moves by `by`."""
    by = int(np.clip(by, -size, size))
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


def _grown(sigma: Array, remember: int) -> Array:
    """Return the 1-sigma since the first frame: each frame's own, and what the mean took over from those before.

    Four quarters tell little of one frame: its variance is the mean over its neighbours' unless it is the worst.
    """
    from scipy.ndimage import uniform_filter1d

    if len(sigma) < 2:
        return sigma
    variance = sigma**2
    seen = (np.arange(len(sigma)) > 0) & (sigma < 8 * np.median(sigma[1:], axis=0)).all(axis=1)
    if seen.any():
        usual = uniform_filter1d(variance[seen], min(9, int(seen.sum())), axis=0)
        variance[seen] = np.maximum(usual, 0.25 * variance[seen])
        variance[0] = variance[seen][0]
    taken = np.cumsum(np.where(seen[:, None], variance, 0.0), axis=0) / remember**2
    grown = np.sqrt(variance + taken + variance[0])
    grown[0] = 0.0
    return np.asarray(grown)
