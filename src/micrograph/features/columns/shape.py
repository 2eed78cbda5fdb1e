"""The shape that all columns of an image share, and the canvas on which columns are drawn and felt.

The shape is ``h(r) = (1 - w) G(r; C) + w G(r; t^2 I)``: an elliptical Gaussian core and a wider round tail, of integral
one. Its Fourier transform is as simple as itself, so columns are drawn on a periodic canvas: each column's intensity is
spread over 4 x 4 pixels by the cubic B-spline, the canvas is transformed once, multiplied by ``H(k) / B(k)`` and
transformed back. The transposed road gives the sum of any image against every column's shape and its derivatives with
respect to y and x; being the exact transpose, it gives the exact gradient of the drawn model. What the spline
aliases is below 5e-4 of the peak when the core's sigma is 2 canvas pixels, 3e-3 at 1.3 (the canvas is refined for
narrower ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class ColumnShape:
    """Core variances and covariance (px^2, axes y and x), tail sigma (px) and the tail's share of the intensity."""

    core_yy: float
    core_xx: float
    core_xy: float = 0.0
    tail_sigma: float = 0.0
    tail_weight: float = 0.0

    @property
    def core(self) -> Array:
        """Covariance (2, 2) of the core in px^2, axes [y, x]."""
        return np.array([[self.core_yy, self.core_xy], [self.core_xy, self.core_xx]])

    @property
    def sigma_px(self) -> float:
        """Geometric mean of the core's two principal sigmas."""
        return float(max(self.core_yy * self.core_xx - self.core_xy**2, 1e-12) ** 0.25)

    def scaled(self, factor: float) -> ColumnShape:
        """Return the same shape on a grid with `factor` times as many pixels to the length."""
        square = factor**2
        return ColumnShape(
            core_yy=self.core_yy * square,
            core_xx=self.core_xx * square,
            core_xy=self.core_xy * square,
            tail_sigma=self.tail_sigma * factor,
            tail_weight=self.tail_weight,
        )


@dataclass(frozen=True)
class Touch:
    """Where K columns touch the canvas: flat pixel numbers (K, 4, 4), spline weights and their slopes (K, 4) each."""

    pixels: NDArray[np.intp]
    wy: Array
    wx: Array
    slope_y: Array
    slope_x: Array


class Canvas:
    """Draws columns on an (H, W) grid whose pixels are sums of `binning` x `binning` samples of the shape.

    `refined` canvas pixels make one grid pixel; `margin` grid pixels keep opposite borders from seeing each other.
    All lengths in grid pixels.
    """

    def __init__(self, shape: tuple[int, int], *, binning: int = 1, refined: int = 1, margin: int = 16) -> None:
        import scipy.fft

        self._fft = scipy.fft
        self.shape, self.binning, self.refined = shape, binning, refined
        self.size = tuple(scipy.fft.next_fast_len((n + margin) * refined, real=True) for n in shape)

    @classmethod
    def fitting(cls, shape: tuple[int, int], column: ColumnShape, binning: int = 1) -> Canvas:
        """Return a canvas with the margin and the refinement that a column shape (in grid pixels) needs."""
        widest = max(4.5 * np.sqrt(max(column.core_yy, column.core_xx)), 3.2 * column.tail_sigma)
        margin = int(np.clip(np.ceil(2 * widest), 8, 2 * max(shape)))
        refined = 1 if column.sigma_px >= 1.6 else 2 if column.sigma_px >= 0.8 else 4
        return cls(shape, binning=binning, refined=refined, margin=margin)

    @cached_property
    def frequencies(self) -> tuple[Image, Image]:
        """Angular frequencies (radians per grid pixel) along y (Ly, 1) and along x (1, Lx // 2 + 1)."""
        ky = 2 * np.pi * self.refined * np.fft.fftfreq(self.size[0])
        kx = 2 * np.pi * self.refined * np.fft.rfftfreq(self.size[1])
        return ky.astype(np.float32)[:, None], kx.astype(np.float32)[None, :]

    @cached_property
    def _grid_transfer(self) -> tuple[Image, Image]:
        """Transfer of the binning over that of the spline, along y and x."""
        ky, kx = self.frequencies
        return self._axis_transfer(ky), self._axis_transfer(kx)

    def _axis_transfer(self, k: Image) -> Image:
        spline = np.sinc(k / (2 * np.pi * self.refined)) ** 4
        if self.binning == 1:
            return np.asarray(self.refined / spline, dtype=np.float32)
        fine = np.sin(k / (2 * self.binning))
        whole = np.sin(k / 2)
        safe = np.where(np.abs(fine) > 1e-6, fine, 1.0)
        dirichlet = np.where(np.abs(fine) > 1e-6, whole / (self.binning * safe), 1.0)
        return np.asarray(dirichlet / spline * self.refined, dtype=np.float32)

    def gaussian(self, yy: float, xx: float, xy: float = 0.0) -> Image:
        """Return the transfer (Ly, Lx // 2 + 1) of a Gaussian with these variances, binning and spline included."""
        ky, kx = self.frequencies
        ty, tx = self._grid_transfer
        along_y, along_x = np.exp(-0.5 * yy * ky**2) * ty, np.exp(-0.5 * xx * kx**2) * tx
        separable: Image = along_y * along_x
        if xy != 0:
            separable *= np.exp(np.clip(np.float32(-xy) * ky * kx, -60, 60))
        return separable

    def transfer(self, shape: ColumnShape) -> Image:
        """Return the transfer of a column shape (in grid pixels)."""
        core = self.gaussian(shape.core_yy, shape.core_xx, shape.core_xy)
        if shape.tail_weight == 0:
            return core
        core *= np.float32(1 - shape.tail_weight)
        core += np.float32(shape.tail_weight) * self.gaussian(shape.tail_sigma**2, shape.tail_sigma**2)
        return core

    def touch(self, y: Array, x: Array) -> Touch:
        """Return where columns at ``y, x`` (K,) in grid pixels touch the canvas."""
        py, wy, slope_y = _spline(y * self.refined, self.size[0])
        px, wx, slope_x = _spline(x * self.refined, self.size[1])
        pixels = py[:, :, None] * self.size[1] + px[:, None, :]
        return Touch(pixels, wy, wx, slope_y * self.refined, slope_x * self.refined)

    def spread(self, touch: Touch, amplitude: Array) -> NDArray[np.complex64]:
        """Return the spectrum of the columns' B-splines with these integrals (K,)."""
        weights = (amplitude[:, None] * touch.wy)[:, :, None] * touch.wx[:, None, :]
        flat = np.bincount(touch.pixels.ravel(), weights.ravel(), self.size[0] * self.size[1]).astype(np.float32)
        spectrum: NDArray[np.complex64] = self._fft.rfft2(flat.reshape(self.size))
        return spectrum

    def spectrum(self, image: Image) -> NDArray[np.complex64]:
        """Return the spectrum of an image (H, W), zeros between its pixels where the canvas is refined."""
        m, fine = self.refined, image
        if m > 1:
            fine = np.zeros(self.size, np.float32)
            fine[: self.shape[0] * m : m, : self.shape[1] * m : m] = image
        spectrum: NDArray[np.complex64] = self._fft.rfft2(fine, s=self.size)
        return spectrum

    def draw(self, spectrum: NDArray[np.complex64], transfer: Image) -> Image:
        """Return the image (H, W) of a spread spectrum under a transfer."""
        canvas = self._fft.irfft2(spectrum * transfer, s=self.size, overwrite_x=True)
        m = self.refined
        image: Image = canvas[: self.shape[0] * m : m, : self.shape[1] * m : m]
        return image

    def feel(self, image: Image, transfer: Image) -> Image:
        """Return the canvas on which `read` finds the sums of `image` (H, W) against the column shape."""
        canvas: Image = self._fft.irfft2(self.spectrum(image) * transfer, s=self.size, overwrite_x=True)
        return canvas

    @staticmethod
    def read(felt: Image, touch: Touch) -> Array:
        """Return (K, 3): sums of the felt image against h, dh/dy_k and dh/dx_k of every column."""
        patch = felt.ravel()[touch.pixels].astype(np.float64)
        rows = np.stack([touch.wx, touch.slope_x], axis=2)
        both = patch @ rows
        value = np.einsum("ki,kij->kj", touch.wy, both)
        along_y = np.einsum("ki,ki->k", touch.slope_y, both[:, :, 0])
        return np.column_stack([value[:, 0], along_y, value[:, 1]])


def _spline(position: Array, size: int) -> tuple[NDArray[np.intp], Array, Array]:
    """Return the four canvas pixels (K, 4) a cubic B-spline at `position` covers, its values there and their slopes."""
    whole = np.floor(position)
    f = position - whole
    g = 1 - f
    pixels = (whole.astype(np.intp)[:, None] + np.arange(-1, 3)) % size
    values = np.stack([g**3, 3 * f**3 - 6 * f**2 + 4, 3 * g**3 - 6 * g**2 + 4, f**3], axis=1) / 6
    slopes = np.stack([-(g**2), 3 * f**2 - 4 * f, 4 * g - 3 * g**2, f**2], axis=1) / 2
    return pixels, values, slopes
