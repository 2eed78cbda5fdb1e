"""A straight strip of an image along a nanotube, as Fourier coefficients whose noise is white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Complex = NDArray[np.complex128]

#: Frequencies (1/nm) that are looked at: from slow changes of brightness to the tails of graphene's first reflections.
LOWEST_PER_NM, HIGHEST_PER_NM = 0.3, 6.6
#: Nothing is read beyond this share of the pixels' Nyquist frequency.
_NYQUIST = 0.9
#: Width (1/nm) of the rings in which the noise is measured.
_RING_PER_NM = 0.4
#: Strips that are shorter show no layer lines.
LEAST_NM = 1.5


@dataclass(frozen=True)
class Line:
    """A straight line in an image: a point (y, x) in nm and its angle counter-clockwise from +x."""

    y_nm: float
    x_nm: float
    axis_deg: float

    @property
    def along(self) -> Array:
        """Unit vector (y, x) along the line."""
        turn = np.deg2rad(self.axis_deg)
        return np.array([-np.sin(turn), np.cos(turn)])

    @property
    def across(self) -> Array:
        """Unit vector (y, x) at right angles to it."""
        turn = np.deg2rad(self.axis_deg)
        return np.array([np.cos(turn), np.sin(turn)])

    def moved(self, along_nm: float = 0.0, across_nm: float = 0.0) -> Line:
        """Return the line with its point moved."""
        y, x = np.array([self.y_nm, self.x_nm]) + along_nm * self.along + across_nm * self.across
        return Line(float(y), float(x), self.axis_deg)


@dataclass(frozen=True)
class Noise:
    """The noise of an image: its variance (R,) per pixel in rings of spatial frequency `k_per_nm` (R,)."""

    k_per_nm: Array
    variance: Array

    def __call__(self, k: Array) -> Array:
        """Return the variance at frequencies `k`."""
        return np.asarray(np.exp(np.interp(k, self.k_per_nm, np.log(self.variance))))


def noise_of(contrast: NDArray[np.floating], pixel_nm: float) -> Noise:
    """Return the noise of an image (H, W) of contrasts, by the median of its power in rings: few lines do not count."""
    import scipy.fft

    height, width = contrast.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(scipy.fft.rfft2(contrast * window)) ** 2 / (window**2).sum()
    k = np.hypot(np.fft.fftfreq(height, pixel_nm)[:, None], np.fft.rfftfreq(width, pixel_nm)[None])
    ring = (k / _RING_PER_NM).astype(int)
    number = int(_NYQUIST * 0.5 / pixel_nm / _RING_PER_NM)
    medians = [float(np.median(power[ring == i])) if (ring == i).sum() > 10 else np.nan for i in range(number)]
    variance = np.array(medians) / np.log(2)
    known = np.isfinite(variance) & (variance > 0)
    return Noise((np.arange(number)[known] + 0.5) * _RING_PER_NM, variance[known])


@dataclass(frozen=True)
class Strip:
    """Coefficients of a strip: `data` (R, C) in units of their noise, at `kx` (R,) >= 0 along and `ky` (C,) across it.

    `gain` (R, C) turns the Fourier transform (nm^2) of a contrast into the same units; `weight` (R, 1) is 1/2 where
    `ky` and -`ky` say the same. `line` passes through its middle; it is `length_nm` long and `width_nm` wide.
    """

    data: Complex
    gain: Array
    kx: Array
    ky: Array
    weight: Array
    line: Line
    length_nm: float
    width_nm: float


def span(shape: tuple[int, ...], pixel_nm: float, line: Line, width_nm: float) -> tuple[float, float] | None:
    """Return from where to where (nm from the line's point, along it) a strip lies inside an image, or ``None``."""
    low, high = -np.inf, np.inf
    for side in (-0.5, 0.5):
        edge = np.array([line.y_nm, line.x_nm]) + side * width_nm * line.across
        for place, step, pixels in zip(edge, line.along, shape, strict=True):
            if abs(step) > 1e-9:
                ends = sorted((-place / step, ((pixels - 1) * pixel_nm - place) / step))
                low, high = max(low, ends[0]), min(high, ends[1])
            elif not 0 <= place <= (pixels - 1) * pixel_nm:
                return None
    return (low, high) if high - low >= LEAST_NM else None


def sampled(
    spline: NDArray[np.float32], pixel_nm: float, line: Line, ends_nm: tuple[float, float], width_nm: float
) -> tuple[Array, Line]:
    """Return the values (N, M) of an image along and across a strip on its own pixel, and the line through its middle.

    `spline` holds the image's cubic spline coefficients.
    """
    from scipy.ndimage import map_coordinates

    n, m = (max(int(size / pixel_nm) // 2 * 2, 2) for size in (ends_nm[1] - ends_nm[0], width_nm))
    middle = line.moved(along_nm=(ends_nm[0] + ends_nm[1]) / 2)
    u, v = np.arange(n) - (n - 1) / 2, np.arange(m) - (m - 1) / 2
    start = np.array([middle.y_nm, middle.x_nm]) / pixel_nm
    grid = start[:, None, None] + line.along[:, None, None] * u[:, None] + line.across[:, None, None] * v
    return map_coordinates(spline, grid, order=3, prefilter=False, mode="nearest"), middle


def strip_of(values: Array, line: Line, pixel_nm: float, noise: Noise) -> Strip:
    """Return the coefficients of a strip's values (N, M); phases count from its middle."""
    import scipy.fft

    n, m = values.shape
    kx, ky = np.fft.fftfreq(n, pixel_nm), np.fft.fftfreq(m, pixel_nm)
    top = min(HIGHEST_PER_NM, _NYQUIST * 0.5 / pixel_nm)
    rows, columns = np.flatnonzero((kx >= 0) & (kx < top)), np.argsort(ky)
    columns = columns[np.abs(ky[columns]) < top]
    spectrum = scipy.fft.fft2(values - values.mean())[np.ix_(rows, columns)]
    kx, ky = kx[rows], ky[columns]
    spectrum = spectrum * np.exp(1j * np.pi * pixel_nm * ((n - 1) * kx[:, None] + (m - 1) * ky))
    k = np.hypot(kx[:, None], ky)
    inside = (k >= LOWEST_PER_NM) & (k < top)
    scale = inside / np.sqrt(n * m * noise(k))
    weight = np.where(kx > 0, 1.0, 0.5)[:, None]
    return Strip(spectrum * scale, scale / pixel_nm**2, kx, ky, weight, line, n * pixel_nm, m * pixel_nm)
