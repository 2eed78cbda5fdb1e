"""Points at exact positions onto a grid and back: a type-1 non-uniform Fourier transform with a compact kernel.

Points are spread with a Kaiser-Bessel kernel of six grid points on a grid that oversamples the image's band at least
1.5 times; division by the kernel's transform removes its blur (Fessler and Sutton 2003, doi:10.1109/TSP.2002.807005).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.optics import Microscope

_WIDTH = 6
_OVERSAMPLING = 1.6
_BETA = np.pi * np.sqrt((_WIDTH / _OVERSAMPLING * (_OVERSAMPLING - 0.5)) ** 2 - 0.8)


@dataclass(frozen=True)
class Grid:
    """A periodic working grid of `shape` over `size_nm` that holds an image of `image_shape` and a border.

    Pixel (0, 0) of the image lies `margin_nm` from the grid's origin. `fine_shape` is the grid on which the pixels
    lie: `stride` fine steps make a pixel (more than one where a pixel is coarser than the image's finest detail).
    """

    shape: tuple[int, int]
    size_nm: tuple[float, float]
    margin_nm: tuple[float, float]
    image_shape: tuple[int, int]
    fine_shape: tuple[int, int]
    stride: int

    def frequencies(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Spatial frequencies (1/nm) of ``rfft2`` along y and x."""
        (h, w), (size_y, size_x) = self.shape, self.size_nm
        return np.fft.fftfreq(h, size_y / h), np.fft.rfftfreq(w, size_x / w)

    def reaches(self, positions_nm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points (N, 2 or more; y, x first) lie in the image or in its border."""
        from_start = positions_nm[:, :2] + self.margin_nm
        return np.asarray(np.all((from_start >= 0) & (from_start < self.size_nm), axis=1))


def grid_for(shape: tuple[int, int], pixel_nm: float, margin_nm: float, microscope: Microscope) -> Grid:
    """Return the working grid for an image: a border of at least `margin_nm` on each side, fast lengths."""
    import scipy.fft

    border = int(np.ceil(margin_nm / pixel_nm))
    band = 2e-3 * microscope.convergence_mrad / microscope.wavelength_nm
    pixels = [scipy.fft.next_fast_len(n + 2 * border, real=True) for n in shape]
    size = (pixels[0] * pixel_nm, pixels[1] * pixel_nm)
    working = [max(scipy.fft.next_fast_len(int(np.ceil(2 * _OVERSAMPLING * band * s)), real=True), 16) for s in size]
    stride = max(1, int(np.ceil(2.05 * band * pixel_nm)))
    return Grid(
        shape=(working[0], working[1]),
        size_nm=size,
        margin_nm=(border * pixel_nm, border * pixel_nm),
        image_shape=shape,
        fine_shape=(pixels[0] * stride, pixels[1] * stride),
        stride=stride,
    )


def spread(positions_nm: NDArray[np.float64], weights: NDArray[np.float64], grid: Grid) -> NDArray[np.complex64]:
    """Return the ``rfft2`` spectrum on `grid` of ``sum(weights * delta(r - position))`` times the area of a grid cell.

    positions_nm: (N, 2) as (y, x) from pixel (0, 0); weights: (N,). The result is right up to the image's band.
    """
    import scipy.fft

    rows, across_y = _kernel_weights((positions_nm[:, 0] + grid.margin_nm[0]) / grid.size_nm[0], grid.shape[0])
    columns, across_x = _kernel_weights((positions_nm[:, 1] + grid.margin_nm[1]) / grid.size_nm[1], grid.shape[1])
    place = rows[:, :, None] * grid.shape[1] + columns[:, None, :]
    value = (weights[:, None] * across_y)[:, :, None] * across_x[:, None, :]
    density = np.bincount(place.ravel(), value.ravel(), minlength=grid.shape[0] * grid.shape[1])
    spectrum = np.asarray(scipy.fft.rfft2(density.reshape(grid.shape).astype(np.float32)), np.complex64)
    cell_nm2 = grid.size_nm[0] * grid.size_nm[1] / (grid.shape[0] * grid.shape[1])
    spectrum *= (_undo_kernel(grid.shape[0]) / np.float32(cell_nm2))[:, None]
    spectrum *= _undo_kernel(grid.shape[1])[None, : spectrum.shape[1]]
    return spectrum


def evaluate(spectrum: NDArray[np.complex64], grid: Grid) -> NDArray[np.float32]:
    """Return the image (H, W) float32 that the ``rfft2`` `spectrum` on `grid` describes, at the image's pixels."""
    import scipy.fft

    fine = np.zeros((grid.fine_shape[0], grid.fine_shape[1] // 2 + 1), np.complex64)
    keep_y = (min(grid.shape[0], grid.fine_shape[0]) - 1) // 2
    keep_x = (min(grid.shape[1], grid.fine_shape[1]) - 1) // 2 + 1
    fine[: keep_y + 1, :keep_x] = spectrum[: keep_y + 1, :keep_x]
    fine[-keep_y:, :keep_x] = spectrum[-keep_y:, :keep_x]
    gain = grid.fine_shape[0] * grid.fine_shape[1] / (grid.shape[0] * grid.shape[1])
    image = scipy.fft.irfft2(fine, s=grid.fine_shape, overwrite_x=True)
    start_y, start_x = (round(m / s * n) for m, s, n in zip(grid.margin_nm, grid.size_nm, grid.fine_shape, strict=True))
    h, w = grid.image_shape
    image = image[start_y :: grid.stride, start_x :: grid.stride][:h, :w]
    return np.ascontiguousarray(image * np.float32(gain), np.float32)


def _kernel_weights(turns: NDArray[np.float64], length: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Grid points (N, 6) that a point at `turns` (fractions of the period) touches, and the kernel's values there."""
    import scipy.special

    at = turns * length
    first = np.ceil(at - _WIDTH / 2).astype(np.intp)
    points = first[:, None] + np.arange(_WIDTH)
    reach = np.clip(1 - (2 * (points - at[:, None]) / _WIDTH) ** 2, 0, None)
    return points % length, scipy.special.i0(_BETA * np.sqrt(reach)) / scipy.special.i0(_BETA)


@functools.lru_cache(maxsize=64)
def _undo_kernel(length: int) -> NDArray[np.float32]:
    """One over the kernel's Fourier transform at the frequencies of ``fft`` of `length` points."""
    import scipy.special

    cycles = np.fft.fftfreq(length)
    root = np.sqrt((_BETA**2 - (np.pi * _WIDTH * cycles) ** 2).astype(complex))
    transform = _WIDTH / scipy.special.i0(_BETA) * np.real(np.sinh(root) / root)
    return np.asarray(1 / transform, np.float32)
