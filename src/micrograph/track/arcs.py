"""Closed curves that move: laid on each other as rigid bodies, and what is left between them along the normal."""

from __future__ import annotations

import numpy as np

from micrograph.features.boundary_motion import rigid_motion as rigid_between
from micrograph.features.boundary_motion import turned
from micrograph.features.closed_curves import Smoothed, enclosed, evenly, perimeter, smoothed
from micrograph.track.timeline import Array

#: Vertices on both sides of the nearest one among which a normal may cut the other curve.
_REACH = 8
#: Rounds of laying one curve on another, and the points by which it is done.
_ROUNDS, _MARKS = 4, 120
#: Cauchy's weights: their width in standard deviations (95 % efficient), and how often they are renewed.
_CAUCHY, _WEIGHINGS = 2.385, 3
#: Outlines whose radius changes less than this per radian (root mean square, over the radius) are round.
_ROUND = 0.06


def curve(points: Array, smooth_nm: float, least: int = 24) -> Smoothed | None:
    """Return the polygon `points` (K, 2) [y, x] nm as a curve at even steps, smoothed over `smooth_nm`.

    ``None`` for polygons with fewer than `least` vertices or without an area.
    """
    area = enclosed(points) if len(points) >= least else 0.0
    if area == 0:
        return None
    along = points if area > 0 else points[::-1]
    return smoothed(evenly(along, len(along)), perimeter(along), smooth_nm)


def averaged(values: Array, sigma: float) -> Array:
    """Return `values` (K,) around a closed curve averaged with a Gaussian of `sigma` steps."""
    wave = 2 * np.pi * np.fft.rfftfreq(len(values))
    return np.asarray(np.fft.irfft(np.fft.rfft(values) * np.exp(-0.5 * (wave * sigma) ** 2), len(values)))


def rigid_motion(fixed: Smoothed) -> Array:
    """Return (K, 3) how far each point moves along its normal per unit of shift in y, in x and of turning (rad).

    Round outlines, whose noise alone would tell how they are turned, do not turn: (K, 2).
    """
    arm = fixed.points - fixed.points.mean(axis=0)
    turning = arm[:, 1] * fixed.normals[:, 0] - arm[:, 0] * fixed.normals[:, 1]
    coarse = averaged(turning, len(turning) / 25)
    if np.sqrt(np.mean(coarse**2)) < _ROUND * np.hypot(*arm.T).mean():
        return fixed.normals
    return np.column_stack([fixed.normals, -turning])


def laid_on(moved: Smoothed, fixed: Smoothed) -> Smoothed:
    """Return `moved` shifted and turned as a rigid body until it lies on `fixed` as well as it can.

    Uniform growth is allowed for.
    """
    centre, motion = np.asarray(fixed.points.mean(axis=0), float), rigid_motion(fixed)
    shift, angle = rigid_between(fixed.points, moved.points)
    angle = angle if motion.shape[1] == 3 else 0.0
    result = _placed(moved, -shift, -angle, np.asarray(moved.points.mean(axis=0), float))
    some = slice(None, None, max(1, len(fixed.points) // _MARKS))
    marks = Smoothed(fixed.points[some], fixed.normals[some], fixed.curvature[some])
    design = np.column_stack([np.ones(len(marks.points)), motion[some]])
    for _ in range(_ROUNDS):
        apart, _ = between(marks, result)
        seen = np.isfinite(apart)
        if seen.sum() < 8:
            return result
        found = _robust(design[seen], apart[seen])
        turn = float(np.rad2deg(found[3])) if len(found) == 4 else 0.0
        result = _placed(result, np.asarray(-found[1:3], float), -turn, centre)
        if np.abs(found[1:3]).max() < 1e-3 * step_of(fixed):
            break
    return result


def _robust(design: Array, values: Array) -> Array:
    """Return the least squares (C,) of `values` (N,) in which those that stand out count little (Cauchy's weights).

    A stretch of outline that something else has bent must not move the whole.
    """
    half = np.ones(len(values))
    for _ in range(_WEIGHINGS):
        found = np.linalg.lstsq(design * half[:, None], values * half, rcond=None)[0]
        left = values - design @ found
        size = _CAUCHY * 1.4826 * float(np.median(np.abs(left))) + 1e-12
        half = 1 / np.sqrt(1 + (left / size) ** 2)
    return np.asarray(found, float)


def step_of(one: Smoothed) -> float:
    """Return the length of a curve between two of its points."""
    return perimeter(one.points) / len(one.points)


def _placed(one: Smoothed, shift: Array, angle_deg: float, centre: Array) -> Smoothed:
    """Return the curve turned about `centre`, counter-clockwise on the screen, and then shifted."""
    normals = turned(one.normals, angle_deg, np.zeros(2))
    return Smoothed(turned(one.points, angle_deg, centre) + shift, normals, one.curvature)


def between(fixed: Smoothed, other: Smoothed) -> tuple[Array, Array]:
    """Return the way (K,) nm from `fixed` along its normals to `other`, and the curvature (K,) met there.

    Both are NaN where the normal does not meet the other curve nearby.
    """
    from scipy.spatial import cKDTree

    count = len(other.points)
    near = np.asarray(cKDTree(other.points).query(fixed.points)[1])
    first = (near[:, None] + np.arange(-_REACH, _REACH)) % count
    after = (first + 1) % count
    start = other.points[first] - fixed.points[:, None]
    side = np.stack([-fixed.normals[:, 1], fixed.normals[:, 0]], axis=1)
    across = np.einsum("kwc,kc->kw", start, side)
    across_after = np.einsum("kwc,kc->kw", other.points[after] - fixed.points[:, None], side)
    cut = (across <= 0) != (across_after <= 0)
    share = np.where(cut, across / np.where(cut, across - across_after, 1.0), 0.0)
    out = np.einsum("kwc,kc->kw", start, fixed.normals)
    out_after = np.einsum("kwc,kc->kw", other.points[after] - fixed.points[:, None], fixed.normals)
    same = np.einsum("kwc,kc->kw", other.normals[first], fixed.normals) > 0
    way = np.where(cut & same, out + share * (out_after - out), np.inf)
    best = np.abs(way).argmin(axis=1)
    row = np.arange(len(best))
    bend = (1 - share) * other.curvature[first] + share * other.curvature[after]
    met = np.isfinite(way[row, best])
    return np.where(met, way[row, best], np.nan), np.where(met, bend[row, best], np.nan)


def filled(values: Array) -> Array:
    """Return `values` (K,) around a closed curve with missing ones drawn straight between their neighbours."""
    known = np.flatnonzero(np.isfinite(values))
    return np.asarray(np.interp(np.arange(len(values)), known, values[known], period=len(values)))
