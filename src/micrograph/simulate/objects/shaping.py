"""Outlines that grow and shrink: every point moves along its normal by a law of the local curvature.

Outlines are closed polygons (K, 2) of y and x in nm without a repeated end. Those returned run counter-clockwise as an
image is seen (x to the right, y downwards); curvature is positive where an outline is convex.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
#: Largest move in one step, over the distance of two points.
_MOVE = 0.2
#: Largest share of its radius by which curvature moves the sharpest corner in one step.
_CURL = 0.02
#: Points are spread evenly again where two distances differ by this ratio.
_UNEVEN = 1.15
#: Turn (radians) at one point above which a corner is rounded off: sharper ones cannot be drawn.
_SHARPEST = 0.3


def evolve(outline_nm: Array, v0_nm_per_s: float, k_nm2_per_s: float, dt_s: float) -> Array:
    """Return the outline (K, 2) after `dt_s`: along its outward normal each point moves at ``v0 + k * curvature``.

    Negative values etch. Sub-steps are chosen by the outline's resolution; curvature acts as an exact diffusion, so
    any step is stable. Corners that form are rounded over some points, which takes a little more area (see `receded`
    for an exact front without curvature). An outline that vanishes comes back empty (0, 2).
    Raises `BadInput` for a positive `k_nm2_per_s`: tips would sharpen without limit.
    """
    if k_nm2_per_s > 0:
        raise BadInput(
            f"The rate changes by +{k_nm2_per_s:g} nm2/s with curvature: tips would sharpen; give 0 or less."
        )
    points, left = even(outline_nm), float(dt_s)
    while left > 0 and len(points):
        points, taken = _step(points, v0_nm_per_s, -k_nm2_per_s, left, dt_s)
        left -= taken
    return points


def _step(points: Array, v0: float, mobility: float, left: float, whole: float) -> tuple[Array, float]:
    """Return the outline after one sub-step and the time that it took; empty where nothing is left of it."""
    bend, normal, spacing = _geometry(points)
    speed = float(np.abs(v0 - mobility * bend).max())
    size = area_nm2(points)
    if size <= 0.01 * whole * speed * spacing * len(points) and v0 - mobility * float(np.median(bend)) < 0:
        return np.empty((0, 2)), left
    step = min(left, _MOVE * spacing / max(speed, 1e-300))
    sharpest = float(np.quantile(np.abs(bend), 0.98))
    if mobility > 0:
        step = min(step, max(_CURL / (mobility * sharpest**2), 0.02 * step))
    moved = points + step * v0 * normal
    stretched = perimeter_nm(moved) / len(points)
    wave = (2 - 2 * np.cos(2 * np.pi * np.fft.rfftfreq(len(points)))) / stretched**2
    moved = np.fft.irfft(np.fft.rfft(moved, axis=0) * np.exp(-step * mobility * wave)[:, None], len(points), axis=0)
    turn = np.clip(np.abs(bend) * spacing / _SHARPEST - 1, 0, 1)[:, None]
    moved += 0.25 * turn * (np.roll(moved, 1, axis=0) + np.roll(moved, -1, axis=0) - 2 * moved)
    return _slid(moved, bend, normal), step


def receded(outline_nm: Array, depth_nm: float) -> Array:
    """Return the outline of what lies deeper than `depth_nm` in an outline (K, 2), fewer points; empty if nothing does.

    This is where an edge stands that moves inwards at one speed, corners included: the points on the normals at that
    depth of an outline drawn more finely, without those that another part of the edge has overtaken.
    """
    from scipy.spatial import cKDTree

    fine = even(outline_nm, 6 * len(outline_nm))
    _, normal, spacing = _geometry(fine)
    inner = fine - depth_nm * normal
    nearest = np.asarray(cKDTree(fine).query(inner)[0])
    kept = inner[nearest >= depth_nm - 0.05 * spacing]
    return kept if len(kept) > 3 and area_nm2(kept) > 0 else np.empty((0, 2))


def _slid(points: Array, bend: Array, normal: Array) -> Array:
    """Return the points moved along their outline to equal distances, on circles of the local curvature."""
    gaps = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    if gaps.max() > _UNEVEN * gaps.min():
        return even(points)
    lag = gaps.mean() * np.arange(len(points)) - np.cumsum(gaps)
    lag = (lag - lag.mean())[:, None]
    along = np.stack([-normal[:, 1], normal[:, 0]], axis=1)
    return np.asarray(points + lag * along - 0.5 * lag**2 * bend[:, None] * normal)


def _geometry(points: Array) -> tuple[Array, Array, float]:
    """Return curvature (K,), outward normals (K, 2) and the mean distance of evenly spaced points."""
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    spacing = float(np.linalg.norm(after - points, axis=1).mean())
    along = after - before
    along /= np.maximum(np.linalg.norm(along, axis=1), 1e-300)[:, None]
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    bend = -np.sum((after + before - 2 * points) * normal, axis=1) / spacing**2
    return bend, normal, spacing


def curvature_per_nm(outline_nm: Array) -> Array:
    """Return the curvature (K,) at evenly spaced points of an outline, convex positive."""
    return _geometry(outline_nm)[0]


def area_nm2(outline_nm: Array) -> float:
    """Return the area within an outline, positive if it runs counter-clockwise as an image is seen."""
    y, x = outline_nm.T
    return 0.5 * float(np.sum(y * np.roll(x, -1) - x * np.roll(y, -1)))


def perimeter_nm(outline_nm: Array) -> float:
    """Return the length of an outline."""
    return float(np.linalg.norm(outline_nm - np.roll(outline_nm, 1, axis=0), axis=1).sum())


def centre_nm(outline_nm: Array) -> tuple[float, float]:
    """Return the centroid (y, x) of the area within an outline."""
    y, x = outline_nm.T
    cross = y * np.roll(x, -1) - x * np.roll(y, -1)
    total = 3 * float(cross.sum())
    return float(np.sum((y + np.roll(y, -1)) * cross)) / total, float(np.sum((x + np.roll(x, -1)) * cross)) / total


def even(outline_nm: Array, points: int | None = None) -> Array:
    """Return the outline with its points (as many as before, unless given) evenly spaced, counter-clockwise.

    A cubic spline runs through the points.
    """
    from scipy.interpolate import CubicSpline

    outline = outline_nm if area_nm2(outline_nm) > 0 else outline_nm[::-1]
    closed = np.concatenate([outline, outline[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], points or len(outline), endpoint=False)
    return np.asarray(CubicSpline(length, closed, bc_type="periodic")(at), dtype=float)


def rounded(corners_nm: Array, radius_nm: float, points: int = 160) -> Array:
    """Return a convex outline (points, 2) with round corners: all within `radius_nm` of a polygon (M, 2).

    The given corners are the centres of the round ones; two make a rod.
    """
    corners = np.asarray(corners_nm, dtype=float)
    if len(corners) > 2 and area_nm2(corners) < 0:
        corners = corners[::-1]
    along = np.roll(corners, -1, axis=0) - corners
    out = np.arctan2(along[:, 0], along[:, 1])  # of each side; y points downwards
    arcs = []
    for corner, before, after in zip(corners, np.roll(out, 1), out, strict=True):
        turn = (before - after) % (2 * np.pi)
        angle = before - np.linspace(0, turn, max(8, int(2 * points * turn / np.pi)))
        arcs.append(corner + radius_nm * np.stack([np.cos(angle), -np.sin(angle)], axis=1))
    return _spread(np.concatenate(arcs), points)


def _spread(polygon: Array, points: int) -> Array:
    """Return evenly spaced points on the straight sides of a polygon (M, 2)."""
    closed = np.concatenate([polygon, polygon[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], points, endpoint=False)
    return np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)


def rod_outline(length_nm: float, radius_nm: float, points: int = 160) -> Array:
    """Return the outline of a rod with round ends, its whole length along x."""
    half = max(length_nm / 2 - radius_nm, 1e-9)
    return rounded(np.array([[0.0, -half], [0.0, half]]), radius_nm, points)


def regular_outline(sides: int, edge_nm: float, corner_nm: float, points: int = 160) -> Array:
    """Return a regular polygon of so many sides of `edge_nm` (before rounding), its corners of radius `corner_nm`."""
    apothem = edge_nm / (2 * np.tan(np.pi / sides))
    if not 0 < corner_nm < apothem:
        raise BadInput(
            f"Corners of radius {corner_nm} nm do not fit sides of {edge_nm} nm: give less than {apothem:g}."
        )
    angle = 2 * np.pi * np.arange(sides) / sides
    reach = (apothem - corner_nm) / np.cos(np.pi / sides)
    return rounded(reach * np.stack([-np.sin(angle), np.cos(angle)], axis=1), corner_nm, points)


def turned(outline_nm: Array, angle_deg: float) -> Array:
    """Return an outline turned about the origin, counter-clockwise as an image is seen."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    y, x = outline_nm.T
    return np.stack([c * y - s * x, s * y + c * x], axis=1)
