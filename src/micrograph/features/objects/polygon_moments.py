"""Moments of polygons, exact: area, centre, ellipse of inertia and the seven invariants of Hu.

Green's theorem turns the integral of ``x^p y^q`` over a polygon into one around its border, a polynomial of at most
fourth degree on every side for p + q <= 3, which three Gauss-Legendre points integrate exactly. Invariants as in
Hu (1962), doi:10.1109/TIT.1962.1057692.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))


@dataclass(frozen=True)
class Polygons:
    """N closed polygons on end: `x`, `y` (T,) with y upwards; `start` (N,) first row of each; `following` (T,) next."""

    x: Array
    y: Array
    start: NDArray[np.intp]
    following: NDArray[np.intp]
    owner: NDArray[np.intp]

    @classmethod
    def of(cls, points: tuple[Array, ...]) -> Polygons:
        """Lay polygons (K, 2) [y, x], y downwards, on end."""
        size = np.array([len(each) for each in points])
        start = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.intp)
        following = np.arange(1, size.sum() + 1)
        following[start + size - 1] = start
        flat = np.concatenate(points)
        return cls(flat[:, 1].copy(), -flat[:, 0], start, following, np.repeat(np.arange(len(size)), size))

    def sums(self, values: Array) -> Array:
        """Return the sum (N,) over every polygon of values (T,)."""
        return np.asarray(np.add.reduceat(values, self.start))

    @property
    def lengths(self) -> Array:
        """Length (T,) of the side from every point to the next."""
        return np.asarray(np.hypot(self.x[self.following] - self.x, self.y[self.following] - self.y))


def central_moments(polygons: Polygons) -> tuple[Array, Array, Mapping[tuple[int, int], Array]]:
    """Return the centres' x and y (N,) and the moments mu_pq (N,) about them, p + q <= 3, by (p, q); mu_00 is the area.

    Polygons run counter-clockwise with y upwards.
    """
    number = polygons.sums(np.ones_like(polygons.x))
    x0, y0 = polygons.sums(polygons.x) / number, polygons.sums(polygons.y) / number
    raw = _moments(polygons, x0, y0, _POWERS[:3])
    x0, y0 = x0 + raw[1, 0] / raw[0, 0], y0 + raw[0, 1] / raw[0, 0]
    return x0, y0, _moments(polygons, x0, y0, _POWERS)


def _moments(
    polygons: Polygons, x0: Array, y0: Array, powers: tuple[tuple[int, int], ...]
) -> dict[tuple[int, int], Array]:
    x, y = polygons.x - x0[polygons.owner], polygons.y - y0[polygons.owner]
    step_x, step_y = x[polygons.following] - x, y[polygons.following] - y
    sums = {power: np.zeros_like(x) for power in powers}
    for node, weight in zip(*np.polynomial.legendre.leggauss(3), strict=True):
        at_x, at_y = x + 0.5 * (1 + node) * step_x, y + 0.5 * (1 + node) * step_y
        share = 0.5 * weight * step_y
        for p, q in powers:
            sums[p, q] += share * at_x ** (p + 1) * at_y**q / (p + 1)
    return {power: polygons.sums(values) for power, values in sums.items()}


def principal_axes(moments: Mapping[tuple[int, int], Array]) -> tuple[Array, Array, Array]:
    """Return the variances (N,) along the long and the short axis, and the long axis's angle in degrees (-90 .. 90]."""
    area = moments[0, 0]
    xx, yy, xy = moments[2, 0] / area, moments[0, 2] / area, moments[1, 1] / area
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    angle = np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))
    return half + spread, np.maximum(half - spread, 0), angle


def hu_invariants(moments: Mapping[tuple[int, int], Array]) -> Array:
    """Return the seven invariants (N, 7) under shift, rotation and scale; the seventh changes sign in a mirror."""
    eta = {(p, q): value / moments[0, 0] ** (1 + (p + q) / 2) for (p, q), value in moments.items()}
    twice, sides, cross = eta[2, 0] + eta[0, 2], eta[2, 0] - eta[0, 2], 2 * eta[1, 1]
    a, b = eta[3, 0] - 3 * eta[1, 2], 3 * eta[2, 1] - eta[0, 3]
    c, d = eta[3, 0] + eta[1, 2], eta[2, 1] + eta[0, 3]
    first, second = c * (c**2 - 3 * d**2), d * (3 * c**2 - d**2)
    return np.stack(
        [
            twice,
            sides**2 + cross**2,
            a**2 + b**2,
            c**2 + d**2,
            a * first + b * second,
            sides * (c**2 - d**2) + 2 * cross * c * d,
            b * first - a * second,
        ],
        axis=1,
    )
