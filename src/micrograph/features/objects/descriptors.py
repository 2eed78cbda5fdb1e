"""Size and shape of outlined objects, one row an object, with what the border's uncertainty makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.objects.closed_curves import Border
from micrograph.features.objects.hulls import hull_of
from micrograph.features.objects.outlines import Outlines
from micrograph.features.objects.polygon_moments import Polygons, central_moments, hu_invariants, principal_axes

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: Points from which the Fourier descriptors of an outline are taken.
_SAMPLES = 128
_FOURIER = range(2, 10)

#: Columns of `descriptors`, in this order.
SHAPE_COLUMNS = (
    Column("y_nm", "nm", "row position of the centre of area", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position of the centre of area", sigma="x_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm from the border's"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm from the border's"),
    Column("area_nm2", "nm^2", "area inside the outline, holes included", sigma="area_sigma_nm2"),
    Column("area_sigma_nm2", "nm^2", "1-sigma of the area from the border's"),
    Column("perimeter_nm", "nm", "length of the outline"),
    Column(
        "equivalent_diameter_nm", "nm", "diameter of the disc of the same area", sigma="equivalent_diameter_sigma_nm"
    ),
    Column("equivalent_diameter_sigma_nm", "nm", "1-sigma of the equivalent diameter"),
    Column("feret_max_nm", "nm", "greatest caliper width"),
    Column("feret_min_nm", "nm", "least caliper width"),
    Column("length_nm", "nm", "longer side of the smallest rectangle around the outline"),
    Column("width_nm", "nm", "shorter side of the smallest rectangle around the outline"),
    Column("aspect", "", "length_nm over width_nm"),
    Column("circularity", "", "4 pi area / perimeter^2, 1 for a disc"),
    Column("solidity", "", "area over the area of the convex hull"),
    Column("convexity", "", "length of the convex hull over the perimeter"),
    Column("eccentricity", "", "of the ellipse with the same second moments, 0 for a disc"),
    Column("angle_deg", "degrees", "long axis of that ellipse, counter-clockwise from +x, -90 to 90"),
    *(Column(f"hu_{k}", "", f"moment invariant {k} of Hu") for k in range(1, 8)),
    *(Column(f"fourier_{k}", "", f"amplitude of {k} lobes around the outline over its radius") for k in _FOURIER),
)


def descriptors(outlines: Outlines, pixel_nm: float, border: Border | None = None) -> pd.DataFrame:
    """Return `SHAPE_COLUMNS` of every outline, one row an object in the outlines' order, see `shape_values`."""
    import pandas as pd

    return pd.DataFrame(shape_values(outlines, pixel_nm, border))


def shape_values(outlines: Outlines, pixel_nm: float, border: Border | None = None) -> dict[str, Array]:
    """Return each of `SHAPE_COLUMNS` by its name, one value (N,) an outline in the outlines' order.

    Fourier descriptors come from the series ``x + iy = sum c_n exp(i n s)`` along the outline:
    ``fourier_k = (|c_(1+k)| + |c_(1-k)|) / |c_1|``, which is e for a radius of ``1 + e cos(k phi)`` with small e, and
    free of place, size and turn (after Granlund, doi:10.1109/TC.1972.5008926).
    """
    names = [column.name for column in SHAPE_COLUMNS]
    if len(outlines) == 0:
        return {name: np.zeros(0) for name in names}
    polygons = Polygons.of(outlines.points_px)
    x, y, moments = central_moments(polygons)
    values: dict[str, Array] = {"y_nm": -y * pixel_nm, "x_nm": x * pixel_nm}
    values |= _sizes(moments, polygons, pixel_nm) | _calipers(outlines, moments[0, 0], pixel_nm)
    values["convexity"] = values.pop("hull_nm") / values["perimeter_nm"]
    values |= _ellipse(moments) | _uncertain((x, y), moments[0, 0], polygons, border or Border(), pixel_nm)
    values |= {f"hu_{k}": column for k, column in enumerate(hu_invariants(moments).T, start=1)}
    values |= {f"fourier_{k}": column for k, column in zip(_FOURIER, _lobes(polygons).T, strict=True)}
    return {name: values[name] for name in names}


def _sizes(moments: Mapping[tuple[int, int], Array], polygons: Polygons, pixel_nm: float) -> dict[str, Array]:
    area, length = moments[0, 0], polygons.sums(polygons.lengths)
    return {
        "area_nm2": area * pixel_nm**2,
        "perimeter_nm": length * pixel_nm,
        "equivalent_diameter_nm": 2 * np.sqrt(area / np.pi) * pixel_nm,
        "circularity": 4 * np.pi * area / length**2,
    }


def _calipers(outlines: Outlines, area: Array, pixel_nm: float) -> dict[str, Array]:
    hulls = [hull_of(points) for points in outlines.points_px]
    length, width = np.array([hull.length for hull in hulls]), np.array([hull.width for hull in hulls])
    return {
        "feret_max_nm": np.array([hull.feret_max for hull in hulls]) * pixel_nm,
        "feret_min_nm": np.array([hull.feret_min for hull in hulls]) * pixel_nm,
        "length_nm": length * pixel_nm,
        "width_nm": width * pixel_nm,
        "aspect": length / width,
        "solidity": area / np.array([hull.area for hull in hulls]),
        "hull_nm": np.array([hull.perimeter for hull in hulls]) * pixel_nm,
    }


def _ellipse(moments: Mapping[tuple[int, int], Array]) -> dict[str, Array]:
    long, short, angle = principal_axes(moments)
    return {"eccentricity": np.sqrt(1 - short / long), "angle_deg": angle}


def _uncertain(
    centre: tuple[Array, Array], area: Array, polygons: Polygons, border: Border, pixel_nm: float
) -> dict[str, Array]:
    """Return the 1-sigmas of area, diameter and centre: the border's errors, independent beyond their correlation."""
    length = polygons.sums(polygons.lengths)
    strength = border.sigma_px * np.sqrt(np.minimum(border.correlation_px, length))
    area_sigma = strength * np.sqrt(length)
    dx, dy = polygons.x - centre[0][polygons.owner], polygons.y - centre[1][polygons.owner]
    reach_x = np.sqrt(polygons.sums(dx**2 * polygons.lengths))
    reach_y = np.sqrt(polygons.sums(dy**2 * polygons.lengths))
    return {
        "area_sigma_nm2": area_sigma * pixel_nm**2,
        "equivalent_diameter_sigma_nm": area_sigma / np.sqrt(np.pi * area) * pixel_nm,
        "y_sigma_nm": strength * reach_y / area * pixel_nm,
        "x_sigma_nm": strength * reach_x / area * pixel_nm,
    }


def _lobes(polygons: Polygons) -> Array:
    """Return the amplitudes (N, 8) of 2 .. 9 lobes around every outline, over its radius."""
    along = np.concatenate([[0.0], np.cumsum(polygons.lengths)])
    stop = np.append(polygons.start[1:], len(polygons.x))
    share = np.arange(_SAMPLES) / _SAMPLES
    at = along[polygons.start][:, None] + share * (along[stop] - along[polygons.start])[:, None]
    side = np.clip(np.searchsorted(along, at, side="right") - 1, polygons.start[:, None], stop[:, None] - 1)
    part = (at - along[side]) / np.maximum(along[side + 1] - along[side], 1e-300)
    curve = polygons.x + 1j * polygons.y
    series = np.fft.fft(curve[side] * (1 - part) + curve[polygons.following[side]] * part, axis=1)
    size = np.abs(series)
    lobes = [(size[:, 1 + k] + size[:, 1 - k]) / size[:, 1] for k in _FOURIER]
    return np.stack(lobes, axis=1)
