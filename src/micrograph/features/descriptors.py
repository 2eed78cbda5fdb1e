"""What an outline says of a shape: size, position, moments, calipers, Hu's and Fourier's invariants, with errors.

Areas, centroids and second moments are those of the polygon, exact by Green's theorem. Hu's invariants:
doi:10.1109/TIT.1962.1057692; Fourier descriptors: doi:10.1109/TC.1972.5008949.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.outlines import Outlines

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Orders of the Fourier descriptors.
ORDERS = tuple(range(2, 10))

SIZES = (
    Column("y_nm", "nm", "centroid, from the centre of the first pixel", "y_sigma_nm"),
    Column("x_nm", "nm", "centroid, from the centre of the first pixel", "x_sigma_nm"),
    Column("area_nm2", "nm^2", "area inside the outline", "area_sigma_nm2"),
    Column("perimeter_nm", "nm", "length of the outline"),
    Column("equivalent_diameter_nm", "nm", "diameter of the circle of that area", "equivalent_diameter_sigma_nm"),
    Column("feret_max_nm", "nm", "largest distance between two parallel tangents"),
    Column("feret_min_nm", "nm", "smallest distance between two parallel tangents"),
)
FORMS = (
    Column("aspect", "", "longer over shorter axis of the ellipse of the same second moments"),
    Column("circularity", "", "4 pi area / perimeter^2: 1 for a circle"),
    Column("solidity", "", "area over that of the convex hull"),
    Column("convexity", "", "perimeter of the convex hull over that of the outline"),
    Column("eccentricity", "", "of the ellipse of the same second moments: 0 for a circle"),
    Column("angle_deg", "degree", "of the longer axis, counter-clockwise from +x, 0 .. 180"),
    *(Column(f"hu_{n}", "", f"Hu's invariant {n}") for n in range(1, 8)),
    *(Column(f"fourier_{n}", "", f"Fourier descriptor of order {n} over that of order 1") for n in ORDERS),
)


def descriptors(
    outlines: Outlines, pixel_nm: float, border_sigma_px: float = 0.15, correlation_px: float = 4.0
) -> DataFrame:
    """Return one row an object, in the order of `outlines`: the columns `SIZES` with their errors, and `FORMS`.

    border_sigma_px: 1-sigma of the border's place along its normal; correlation_px: length along the outline over which
    it errs alike. Both give the errors of area and centroid.
    """
    import pandas as pd

    names = [name for column in (*SIZES, *FORMS) for name in (column.name, column.sigma) if name]
    if not len(outlines):
        return pd.DataFrame({name: np.empty(0) for name in names})
    curves = _Polygons.of(outlines.points_px)
    area, length = curves.area, curves.length
    hulls = _Polygons.of([_hull(points) for points in outlines.points_px])
    width = np.array([_widths(points) for points in hulls.separate])
    major, minor, angle = _axes(*(curves.moment(p, q) for p, q in ((2, 0), (0, 2), (1, 1))), area)
    area_sigma = border_sigma_px * np.sqrt(length * np.minimum(correlation_px, length))
    diameter = 2 * np.sqrt(area / np.pi)
    centre_sigma = area_sigma * diameter / area / np.sqrt(8)
    found = {
        "y_nm": curves.centre[:, 0] * pixel_nm,
        "y_sigma_nm": centre_sigma * pixel_nm,
        "x_nm": curves.centre[:, 1] * pixel_nm,
        "x_sigma_nm": centre_sigma * pixel_nm,
        "area_nm2": area * pixel_nm**2,
        "area_sigma_nm2": area_sigma * pixel_nm**2,
        "perimeter_nm": length * pixel_nm,
        "equivalent_diameter_nm": diameter * pixel_nm,
        "equivalent_diameter_sigma_nm": area_sigma * 2 / (np.pi * diameter) * pixel_nm,
        "feret_max_nm": width[:, 0] * pixel_nm,
        "feret_min_nm": width[:, 1] * pixel_nm,
        "aspect": major / minor,
        "circularity": 4 * np.pi * area / length**2,
        "solidity": np.minimum(area / hulls.area, 1.0),
        "convexity": np.minimum(hulls.length / length, 1.0),
        "eccentricity": np.sqrt(1 - (minor / major) ** 2),
        "angle_deg": angle,
    }
    found |= {f"hu_{n}": values for n, values in enumerate(_hu(curves), start=1)}
    orders = np.array([_fourier(points) for points in outlines.points_px])
    return pd.DataFrame(found | {f"fourier_{n}": orders[:, place] for place, n in enumerate(ORDERS)})[names]


#: Gauss-Legendre points and weights on 0 .. 1: exact to the fifth order.
_AT, _WEIGHT = (0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)), np.array([5, 8, 5]) / 18


@dataclass(frozen=True)
class _Polygons:
    """Many polygons one after the other: points (M, 2), the index of each one's first point, the next point of each."""

    points: Array
    first: NDArray[np.int64]
    after: Array

    @staticmethod
    def of(curves: Sequence[Array]) -> _Polygons:
        """Return the polygons (K_i, 2) put together."""
        counts = np.array([len(curve) for curve in curves])
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        points = np.concatenate(curves)
        after = np.roll(points, -1, axis=0)
        after[first + counts - 1] = points[first]
        return _Polygons(points, first, after)

    @property
    def separate(self) -> list[Array]:
        """The polygons one by one."""
        return np.split(self.points, self.first[1:])

    def total(self, values: Array) -> Array:
        """Return the sum of (M,) values over each polygon."""
        return np.asarray(np.add.reduceat(values, self.first))

    @cached_property
    def length(self) -> Array:
        return self.total(np.hypot(*(self.after - self.points).T))

    @cached_property
    def _origin(self) -> Array:
        counts = np.diff([*self.first, len(self.points)])
        return np.stack([self.total(values) / counts for values in self.points.T], axis=1)

    @cached_property
    def _about_origin(self) -> tuple[Array, Array, Array]:
        counts = np.diff([*self.first, len(self.points)])
        origin = np.repeat(self._origin, counts, axis=0)
        here, there = self.points - origin, self.after - origin
        return here, there, here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]

    @cached_property
    def _signed(self) -> Array:
        return 0.5 * self.total(self._about_origin[2])

    @cached_property
    def area(self) -> Array:
        """Enclosed areas (N,), never 0."""
        return np.maximum(np.abs(self._signed), 1e-9)

    @cached_property
    def centre(self) -> Array:
        """Centroids (N, 2)."""
        here, there, cross = self._about_origin
        sums = np.stack([self.total(cross * (here + there)[:, axis]) for axis in (0, 1)], axis=1)
        return self._origin + sums / (6 * self.area * np.where(self._signed < 0, -1, 1))[:, None]

    def moment(self, p: int, q: int) -> Array:
        """Return the central moment (N,) of x^p y^q, exact to the fifth order."""
        counts = np.diff([*self.first, len(self.points)])
        centre = np.repeat(self.centre, counts, axis=0)
        (y0, x0), (y1, x1) = (self.points - centre).T, (self.after - centre).T
        cross = y0 * x1 - y1 * x0
        on = [(x0 + t * (x1 - x0)) ** p * (y0 + t * (y1 - y0)) ** q for t in _AT]
        return self.total(cross * np.tensordot(_WEIGHT, on, 1)) / (p + q + 2) * np.where(self._signed < 0, -1, 1)


def _axes(xx: Array, yy: Array, xy: Array, area: Array) -> tuple[Array, Array, Array]:
    """Return the longer and the shorter axis (4 sigma) and the angle of the longer one in degrees, each (N,)."""
    mean, half = (yy + xx) / 2 / area, np.hypot((xx - yy) / 2, xy) / area
    angle = np.rad2deg(0.5 * np.arctan2(-2 * xy, xx - yy)) % 180
    return 4 * np.sqrt(np.maximum(mean + half, 1e-9)), 4 * np.sqrt(np.maximum(mean - half, 1e-9)), angle


def _hull(points: Array) -> Array:
    from scipy.spatial import ConvexHull, QhullError

    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:  # all points on a line
        return points


def _widths(hull: Array) -> tuple[float, float]:
    """Return the largest distance between corners (K, 2), and the smallest width: one tangent lies on a side."""
    sides = np.roll(hull, -1, axis=0) - hull
    normals = np.stack([-sides[:, 1], sides[:, 0]]) / np.maximum(np.hypot(*sides.T), 1e-12)
    far = np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1)).max()
    return float(far), float(np.ptp(hull @ normals, axis=0).min())


def _hu(curves: _Polygons) -> Array:
    """Return Hu's seven invariants (7, N)."""
    def scaled(p: int, q: int) -> Array:
        return curves.moment(p, q) / curves.area ** (1 + (p + q) / 2)

    n20, n02, n11 = scaled(2, 0), scaled(0, 2), scaled(1, 1)
    n30, n03, n21, n12 = scaled(3, 0), scaled(0, 3), scaled(2, 1), scaled(1, 2)
    a, b, c, d = n30 - 3 * n12, 3 * n21 - n03, n30 + n12, n21 + n03
    return np.array(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            a**2 + b**2,
            c**2 + d**2,
            a * c * (c**2 - 3 * d**2) + b * d * (3 * c**2 - d**2),
            (n20 - n02) * (c**2 - d**2) + 4 * n11 * c * d,
            b * c * (c**2 - 3 * d**2) - a * d * (3 * c**2 - d**2),
        ]
    )


def _fourier(points: Array) -> Array:
    """Return the strength of `ORDERS` (both senses together) of a closed curve (K, 2) of even steps over the first."""
    series = np.abs(np.fft.fft(points[:, 1] - 1j * points[:, 0]))
    orders = np.array(ORDERS)
    return np.asarray(np.hypot(series[1 + orders], series[1 - orders]) / max(series[1], series[-1], 1e-12))
