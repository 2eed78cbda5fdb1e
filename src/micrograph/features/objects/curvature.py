"""Curvature along a closed outline, smoothed over a chosen length, with its error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.features.objects.closed_curves import Border, Smoothed, evenly, perimeter, response, smoothed

Array = NDArray[np.float64]


def curvature(points: Array, smooth: float = 3.0, border: Border | None = None) -> tuple[Array, Array]:
    """Return the curvature (K,) at the points of a closed outline (K, 2) [y, x], and its 1-sigma (K,).

    Points run counter-clockwise on the screen; the curvature is positive where the outline is convex, in one over the
    points' unit. `smooth` is the sigma (same unit) of the smoothing along the outline: features much shorter are
    flattened, and the error falls as ``smooth^-2.5``.
    """
    bend = smoothed_at(points, smooth).curvature
    return bend, np.full(len(points), curvature_sigma(len(points), perimeter(points), smooth, border or Border()))


def smoothed_at(points: Array, smooth: float) -> Smoothed:
    """Return the smoothed outline, its outward normals and curvature at the `points` (K, 2) themselves."""
    number = len(points)
    length = perimeter(points)
    curve = smoothed(evenly(points, number), length, smooth)
    step = np.roll(points, -1, axis=0) - points
    along = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))[:-1]])
    even = np.arange(number) * (length / number)
    columns = np.column_stack([curve.points, curve.normals, curve.curvature])
    at = np.stack([np.interp(along, even, column, period=length) for column in columns.T], axis=1)
    normals = at[:, 2:4] / np.maximum(np.hypot(at[:, 2], at[:, 3]), 1e-300)[:, None]
    return Smoothed(at[:, :2], normals, at[:, 4])


def curvature_sigma(number: int, length: float, smooth: float, border: Border) -> float:
    """Return the 1-sigma of the curvature of an outline of `number` points whose border is uncertain.

    Displacements d(s) across the outline change its curvature by ``-d'' - d k^2``; their spectrum is the Gaussian that
    belongs to the border's correlation length.
    """
    wave = 2 * np.pi * np.fft.fftfreq(number, 1 / number) / length
    spectrum = np.exp(-0.5 * (border.correlation_px / np.sqrt(2 * np.pi) * wave) ** 2)
    bend = (wave**2 - (2 * np.pi / length) ** 2) * response(number, length, smooth)
    return float(np.max(border.sigma_px) * np.sqrt((spectrum * bend**2).sum() / spectrum.sum()))
