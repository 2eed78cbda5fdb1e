"""How fast a boundary moves along its outward normal, from one outline to the next, free of the particle's own motion.

Every point looks along its normal for the later outline, which is exact for a boundary that moves evenly. Curvature is
given half-way in time, as the mean of both outlines': the errors of speed and curvature are then uncorrelated, while
the curvature of either outline alone shares that outline's errors with the speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.objects.closed_curves import Border, Smoothed, enclosed, perimeter
from micrograph.features.objects.curvature import curvature_sigma, smoothed_at

Array = NDArray[np.float64]

#: Directions in which an outline's radius is felt to find how far a particle has turned.
_DIRECTIONS = 360
#: Turns whose likeness differs by less than this share of its range are as good as each other.
_ALIKE = 1e-3


@dataclass(frozen=True)
class BoundaryMotion:
    """Motion at the K points of the earlier outline, in the points' unit and s.

    points: (K, 2) [y, x]; velocity: (K,) along the outward normal, positive for growth, with its 1-sigma; curvature:
    (K,) half-way in time, positive where convex, with its 1-sigma; shift: (2,) [y, x] and turn_deg (counter-clockwise)
    of the particle as a whole, which are not in the velocity. NaN where the later outline is not met.
    """

    points: Array
    velocity: Array
    velocity_sigma: Array
    curvature: Array
    curvature_sigma: Array
    shift: Array
    turn_deg: float


def normal_velocity(
    before: Array, after: Array, dt_s: float, border: Border | None = None, rigid: bool = False
) -> tuple[Array, Array]:
    """Return the velocity (K,) along the outward normal at the points of `before` (K, 2), and its 1-sigma (K,)."""
    motion = boundary_motion(before, after, dt_s, border=border, rigid=rigid)
    return motion.velocity, motion.velocity_sigma


def boundary_motion(
    before: Array, after: Array, dt_s: float, *, smooth: float = 3.0, border: Border | None = None, rigid: bool = False
) -> BoundaryMotion:
    """Return how the outline `before` (K, 2) becomes `after` (M, 2), both [y, x] and counter-clockwise on the screen.

    `smooth` (points' unit) smooths normals and curvature; `rigid` takes out the shift of the centre of area and the
    turn of the whole. A boundary that recedes on one side only moves that centre too: leave `rigid` off where
    particles lie still.
    """
    border = border or Border()
    shift, turn = rigid_motion(before, after) if rigid else (np.zeros(2), 0.0)
    aligned = turned(after - shift, -turn, centre_of(before)) if rigid else after
    first, second = smoothed_at(before, smooth), smoothed_at(aligned, smooth)
    distance, side, part = _met(before, first.normals, aligned)
    met = np.isfinite(distance)
    later = _between(second, side, part)
    lean = np.clip((later.normals * first.normals).sum(axis=1), 0.2, 1.0)
    sigma = np.max(border.sigma_px) * np.sqrt(1 + 1 / lean**2) / dt_s
    errors = [curvature_sigma(len(each), perimeter(each), smooth, border) for each in (before, after)]
    bend = np.where(met, (first.curvature + later.curvature) / 2, np.nan)
    return BoundaryMotion(
        before, distance / dt_s, sigma, bend, np.full(len(before), np.hypot(errors[0], errors[1]) / 2), shift, turn
    )


def centre_of(points: Array) -> Array:
    """Return the centre of area [y, x] of a closed polygon (K, 2)."""
    origin = points.mean(axis=0)
    here = points - origin
    there = np.roll(here, -1, axis=0)
    cross = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    moment: Array = (cross[:, None] * (here + there)).sum(axis=0) / (6 * enclosed(points))
    centre: Array = origin + moment
    return centre


def turned(points: Array, angle_deg: float, centre: Array) -> Array:
    """Return points (K, 2) turned about `centre` by an angle counter-clockwise on the screen."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    dy, dx = (points - centre).T
    moved: Array = centre + np.stack([c * dy - s * dx, s * dy + c * dx], axis=1)
    return moved


def rigid_motion(before: Array, after: Array) -> tuple[Array, float]:
    """Return the shift (2,) of the centre of area and the turn (degrees counter-clockwise) that lays shapes on another.

    The turn is where the radii around the centre, as functions of direction, correlate best.
    """
    return rigid_motions(before, [after])[0]


def rigid_motions(before: Array, afters: Sequence[Array], turns: bool = True) -> list[tuple[Array, float]]:
    """Return shift and turn of each of several later outlines, see `rigid_motion`; all turns 0 without `turns`."""
    begin = centre_of(before)
    if not turns:
        return [(centre_of(after) - begin, 0.0) for after in afters]
    first = np.conj(np.fft.rfft(_radii(before, begin)))
    found = []
    for after in afters:
        centre = centre_of(after)
        likeness = np.fft.irfft(first * np.fft.rfft(_radii(after, centre)), _DIRECTIONS)
        found.append((centre - begin, _turn(likeness)))
    return found


def _turn(likeness: Array) -> float:
    """Return the angle (degrees, -180 to 180) at which the likeness of all directions is greatest.

    Shapes that are symmetric have several such angles: the smallest turn is taken.
    """
    top = (likeness >= np.roll(likeness, 1)) & (likeness >= np.roll(likeness, -1))
    alike = np.flatnonzero(top & (likeness >= likeness.max() - _ALIKE * np.ptp(likeness)))
    best = int(alike[np.argmin(np.minimum(alike, _DIRECTIONS - alike))])
    left, middle, right = likeness[[best - 1, best, (best + 1) % _DIRECTIONS]]
    bow = left - 2 * middle + right
    fraction = 0.5 * (left - right) / bow if bow < -1e-12 * abs(middle) else 0.0
    return float(((best + fraction) * 360 / _DIRECTIONS + 180) % 360 - 180)


def _radii(points: Array, centre: Array) -> Array:
    """Return the outline's radius over its mean, less one, in all directions from its centre of area."""
    dy, dx = (points - centre).T
    angle = np.arctan2(-dy, dx)
    order = np.argsort(angle)
    grid = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    radius = np.interp(grid, angle[order], np.hypot(dy, dx)[order], period=2 * np.pi)
    relative: Array = radius / radius.mean() - 1
    return relative


def _met(points: Array, normals: Array, outline: Array) -> tuple[Array, NDArray[np.intp], Array]:
    """Return how far (K,) along each normal the outline (M, 2) lies, on which side (K,) and where along that (K,)."""
    start, end = outline, np.roll(outline, -1, axis=0)
    across = start @ np.stack([normals[:, 1], -normals[:, 0]])
    across -= (points[:, 0] * normals[:, 1] - points[:, 1] * normals[:, 0])[None]
    following = np.roll(across, -1, axis=0)
    crossed = (across <= 0) != (following <= 0)
    part = across / np.where(crossed, across - following, 1.0)
    run = start @ normals.T - (points * normals).sum(axis=1)[None]
    distance = run + part * ((end - start) @ normals.T)
    distance[~crossed] = np.inf
    side = np.abs(distance).argmin(axis=0)
    rows = np.arange(len(points))
    nearest = distance[side, rows]
    return np.where(np.isfinite(nearest), nearest, np.nan), side, np.clip(part[side, rows], 0, 1)


def _between(curve: Smoothed, side: NDArray[np.intp], part: Array) -> Smoothed:
    """Return the curve at points (K,) part of the way along its sides."""
    after = (side + 1) % len(curve.points)
    columns = np.column_stack([curve.points, curve.normals, curve.curvature])
    at = columns[side] * (1 - part)[:, None] + columns[after] * part[:, None]
    normals = at[:, 2:4] / np.maximum(np.hypot(at[:, 2], at[:, 3]), 1e-300)[:, None]
    return Smoothed(at[:, :2], normals, at[:, 4])
