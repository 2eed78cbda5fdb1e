"""Closed curves: even spacing, smoothing and derivatives by Fourier series.

Points are [y, x] with y downwards, as in images; a curve runs counter-clockwise as seen on the screen (x to the right,
y up). Smoothing by a plain Gaussian draws a closed curve in: a circle of radius R shrinks by ``sigma^2 / (2 R)``. The
filter used here, ``1 - (1 - G)^2`` with the Gaussian ``G``, leaves the lowest orders alone, so that a circle of
radius 5 px smoothed over 1 px keeps its radius to 4e-4 (Taubin's smoothing without shrinkage,
doi:10.1109/ICCV.1995.466848).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Border:
    """How well an outline is known: 1-sigma across it (one number, or (N,) for N outlines), and over which length.

    `correlation_px` is the integral of the errors' correlation along the outline: ``sqrt(2 pi) s`` for errors whose
    correlation is a Gaussian of sigma s. Both in px, or in the unit of the points where these are in another.
    """

    sigma_px: float | Array = 0.3
    correlation_px: float = 5.0


@dataclass(frozen=True)
class Smoothed:
    """A closed curve (K, 2) [y, x] with its outward normals (K, 2) and curvature (K,), positive where convex."""

    points: Array
    normals: Array
    curvature: Array


def perimeter(points: Array) -> float:
    """Return the length of the closed polygon `points` (K, 2)."""
    return float(_steps(points).sum())


def enclosed(points: Array) -> float:
    """Return the area inside the closed polygon `points` (K, 2), negative where it runs clockwise on the screen."""
    y, x = points[:, 0], points[:, 1]
    open_part = y[:-1] @ x[1:] - x[:-1] @ y[1:]
    return float(0.5 * (open_part + y[-1] * x[0] - x[-1] * y[0]))


def evenly(points: Array, number: int) -> Array:
    """Return `number` points (number, 2) at even steps along the closed polygon `points` (K, 2)."""
    closed = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(_steps(points))])
    at = np.arange(number) * (along[-1] / number)
    return np.stack([np.interp(at, along, closed[:, 0]), np.interp(at, along, closed[:, 1])], axis=1)


def response(number: int, length: float, sigma: float) -> Array:
    """Return the filter (number,) of the orders of a Fourier series over a curve of that length, FFT order."""
    wave = 2 * np.pi * _orders(number) / length
    held: Array = 1 - (1 - np.exp(-0.5 * (sigma * wave) ** 2)) ** 2
    return held


def smoothed(points: Array, length: float, sigma: float) -> Smoothed:
    """Return the curve through evenly spaced `points` (K, 2), smoothed over `sigma` (the points' unit) along it."""
    number = len(points)
    order = _orders(number)
    series = np.fft.fft(points[:, 1] - 1j * points[:, 0]) * response(number, length, sigma)
    curve, slope, bend = np.fft.ifft(np.array([series, 1j * order * series, -(order**2) * series]), axis=1)
    speed = np.maximum(np.abs(slope), 1e-300)
    outward = -1j * slope / speed
    curvature = (np.conj(slope) * bend).imag / speed**3
    return Smoothed(_rows(curve), _rows(outward), curvature)


@lru_cache(maxsize=1024)
def _orders(number: int) -> Array:
    """Return the orders (number,) of a Fourier series of so many points, FFT order; not to be written to."""
    order: Array = np.fft.fftfreq(number, 1 / number).astype(np.float64)
    order.flags.writeable = False
    return order


def _steps(points: Array) -> Array:
    step = np.empty_like(points)
    np.subtract(points[1:], points[:-1], out=step[:-1])
    np.subtract(points[0], points[-1], out=step[-1])
    return np.asarray(np.hypot(step[:, 0], step[:, 1]))


def _rows(curve: NDArray[np.complex128]) -> Array:
    return np.array([-curve.imag, curve.real]).T
