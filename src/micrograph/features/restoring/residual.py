"""What a denoised image took away: whether it was noise, and whether that noise was of the kind that can be taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
#: White noise has the same power in all bands: below this ratio of the weakest to the strongest it is not white.
_UNEVEN = 0.5
#: Structure stands out at few frequencies; the power of a band is that at this quantile.
_QUIET = 0.3
#: Lines of a scan that jump put this many times the power of their neighbours on one axis of the spectrum.
_LINES = 3.0


@dataclass(frozen=True)
class Whiteness:
    """Whether noise differs from pixel to pixel: 1 is white in all three.

    evenness: weakest over strongest power of fine detail along y, along x and along both (blurred noise falls off
    towards the last); rows, columns: power of what whole rows or columns of the image have in common, over its
    neighbours'.
    """

    evenness: float
    rows: float
    columns: float

    @property
    def lines(self) -> bool:
        """Whether whole rows or columns jump."""
        return max(self.rows, self.columns) > _LINES

    @property
    def said(self) -> str:
        """One sentence on noise that is alike in neighbouring pixels; '' for white noise."""
        if self.lines:
            which = "rows" if self.rows >= self.columns else "columns"
            return (
                f"Whole {which} of the image jump together (scan lines): such noise is not seen as noise within one "
                "frame and stays in the denoised image; give a movie, or take the lines off before."
            )
        if self.evenness < _UNEVEN:
            return (
                "Fine detail is not equally strong in all directions: the noise is alike in neighbouring pixels "
                "(interpolated or filtered images, a camera's point spread) and stays in part; bin the image "
                "(--bin 2) or give the raw one."
            )
        return ""


def whiteness(image: Image) -> Whiteness:
    """Return how white the noise of an image (H, W) is, from its finest detail, where images hold little but noise.

    The difference of two frames that show the same serves as well. An image of less than 32 pixels a side counts as
    white.
    """
    import scipy.fft

    height, width = image.shape
    if min(height, width) < 32:
        return Whiteness(1.0, 1.0, 1.0)
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    power = np.abs(scipy.fft.fft2((image - image.mean(dtype=np.float64)) * window)) ** 2
    ky, kx = np.abs(np.fft.fftfreq(height))[:, None], np.abs(np.fft.fftfreq(width))[None, :]
    fine_y, fine_x = (ky > 0.4) & (ky < 0.495), (kx > 0.4) & (kx < 0.495)
    beside_y, beside_x = (ky > 0.1) & (ky < 0.3), (kx > 0.1) & (kx < 0.3)
    parts = ((fine_y, beside_x), (beside_y, fine_x), (fine_y, fine_x))
    bands = [float(np.quantile(power[a & b], _QUIET)) for a, b in parts]
    if max(bands) <= 0:
        return Whiteness(1.0, 1.0, 1.0)
    high_y, high_x = (axis.ravel() > 0.25 for axis in (ky, kx))
    rows = _on_axis(power[high_y]), _on_axis(power.T[high_x])
    return Whiteness(min(bands) / max(bands), *rows)


def _on_axis(power: NDArray[np.float64]) -> float:
    """Return the median power at frequency 0 along the last axis over that a few frequencies away."""
    beside = float(np.median(np.concatenate([power[:, 4:24], power[:, -24:-4]], axis=1)))
    return float(np.median(power[:, 0])) / beside if beside > 0 else 1.0


@dataclass(frozen=True)
class Residual:
    """What was taken away, over its 1-sigma: nothing but noise has scatter 1 and no correlation.

    scatter: root mean square; likeness: correlation with the detail of the denoised image (above 0: structure was
    taken away with the noise); along_y, along_x: correlation of neighbouring pixels.
    """

    scatter: float
    likeness: float
    along_y: float
    along_x: float
    pixels: int

    @property
    def said(self) -> str:
        """One sentence where the residual holds structure; '' where it is noise."""
        sure = 5 / np.sqrt(max(self.pixels, 1))
        if self.likeness > max(0.08, sure):
            return (
                f"What was taken away resembles the image (correlation {self.likeness:.2f}): structure was lost, "
                "train for more steps."
            )
        if max(self.along_y, self.along_x) > max(0.1, sure):
            return (
                f"What was taken away is alike in neighbouring pixels (correlation "
                f"{max(self.along_y, self.along_x):.2f}): it is not noise alone."
            )
        return ""


def examine(noisy: Image, denoised: Image, variance: Image) -> Residual:
    """Return what the difference of two images (H, W) holds, given the variance that it should have in every pixel."""
    from scipy.ndimage import gaussian_filter

    left = (noisy - denoised) / np.sqrt(variance)
    left = left - left.mean(dtype=np.float64)
    detail = denoised - gaussian_filter(denoised, 4.0)
    power = float((left**2).mean(dtype=np.float64))
    if power <= 0:
        return Residual(0.0, 0.0, 0.0, 0.0, left.size)
    like = float((left * detail).mean(dtype=np.float64)) / max(np.sqrt(power) * float(detail.std()), 1e-30)
    along_y = float((left[1:] * left[:-1]).mean(dtype=np.float64)) / power if left.shape[0] > 1 else 0.0
    along_x = float((left[:, 1:] * left[:, :-1]).mean(dtype=np.float64)) / power if left.shape[1] > 1 else 0.0
    return Residual(float(np.sqrt(power)), like, along_y, along_x, left.size)
