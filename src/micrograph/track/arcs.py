"""Closed curves that move: laid on each other as rigid bodies, and what is left between them along the normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micrograph.track.timeline import Array

#: Vertices on both sides of the nearest one among which a normal may cut the other curve.
_REACH = 8
#: Rounds of laying one curve on another, and the points by which it is done.
_ROUNDS, _MARKS = 4, 120
#: A moment of a shape smaller than this does not tell how the shape is turned.
_ROUND = 0.05


@dataclass(frozen=True)
class Curve:
    """A closed curve at even steps along itself: points, outward normals (K, 2) [y, x] in nm, curvature (K,) in 1/nm.

    Curvature is positive where the curve is convex.
    """

    points: Array
    normals: Array
    curvature: Array

    @property
    def step_nm(self) -> float:
        """Length of the curve between two of its points."""
        return float(np.hypot(*np.diff(self.points, axis=0, append=self.points[:1]).T).mean())


def curve(points: Array, smooth_nm: float, least: int = 24) -> Curve | None:
    """Return the polygon `points` (K, 2) [y, x] nm as a curve whose points are averaged over about `smooth_nm`.

    ``None`` for polygons with fewer than `least` vertices or without an area.
    """
    if len(points) < least:
        return None
    even = _even(points)
    area = _area(even)
    if area == 0:
        return None
    even = even if area > 0 else even[::-1]
    step = float(np.hypot(*np.diff(even, axis=0, append=even[:1]).T).mean())
    wave = 2j * np.pi * np.fft.fftfreq(len(even), step)
    mild = np.fft.fft(even[:, 1] + 1j * even[:, 0]) * np.exp(0.5 * (wave * smooth_nm) ** 2)
    place, first, second = (np.fft.ifft(mild * wave**order) for order in range(3))
    speed = np.maximum(np.abs(first), 1e-12)
    along = first / speed
    bend = (np.conj(first) * second).imag / speed**3
    out = -1j * along
    return Curve(np.column_stack([place.imag, place.real]), np.column_stack([out.imag, out.real]), bend)


def averaged(values: Array, sigma: float) -> Array:
    """Return `values` (K,) around a closed curve averaged with a Gaussian of `sigma` steps."""
    wave = 2 * np.pi * np.fft.rfftfreq(len(values))
    return np.asarray(np.fft.irfft(np.fft.rfft(values) * np.exp(-0.5 * (wave * sigma) ** 2), len(values)))


def rigid_motion(fixed: Curve) -> Array:
    """Return (K, 3) how far each point moves along its normal per unit of shift in y, in x and of turning (rad)."""
    arm = fixed.points - fixed.points.mean(axis=0)
    turning = arm[:, 1] * fixed.normals[:, 0] - arm[:, 0] * fixed.normals[:, 1]
    return np.column_stack([fixed.normals, turning])


def laid_on(moved: Curve, fixed: Curve) -> Curve:
    """Return `moved` shifted and turned as a rigid body until it lies on `fixed` as well as it can.

    Uniform growth is allowed for. Turns of up to half a symmetry of the shape are found.
    """
    centre: Array = np.asarray(fixed.points.mean(axis=0), float)
    shift = np.asarray(centre - moved.points.mean(axis=0), float)
    result = _turned(moved, -_turn(moved, fixed), shift)
    some = slice(None, None, max(1, len(fixed.points) // _MARKS))
    marks = Curve(fixed.points[some], fixed.normals[some], fixed.curvature[some])
    design = np.column_stack([np.ones(len(marks.points)), rigid_motion(fixed)[some]])
    for _ in range(_ROUNDS):
        apart, _ = between(marks, result)
        seen = np.isfinite(apart)
        if seen.sum() < 8:
            return result
        found = np.linalg.lstsq(design[seen], apart[seen], rcond=None)[0]
        result = _turned(result, -float(found[3]), np.asarray(-found[1:3], float), about=centre)
        if np.abs(found[1:3]).max() < 1e-3 * fixed.step_nm:
            break
    return result


def between(fixed: Curve, other: Curve) -> tuple[Array, Array]:
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


def _even(points: Array) -> Array:
    """Return as many points at even steps along the polygon."""
    closed = np.vstack([points, points[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.arange(len(points)) * way[-1] / len(points)
    return np.column_stack([np.interp(at, way, closed[:, axis]) for axis in range(2)])


def _area(points: Array) -> float:
    """Return the area (nm^2), positive where the points run counter-clockwise with x to the right and y up."""
    y, x = points.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _turn(moved: Curve, fixed: Curve) -> float:
    """Return the angle (rad, from x to y) by which `moved` is turned, as far as their lowest moments tell it."""
    first, second = (_centred(one) for one in (moved, fixed))
    for order in (2, 3):
        one, other = (np.mean(shape**order) / np.mean(np.abs(shape) ** order) for shape in (first, second))
        if min(abs(one), abs(other)) > _ROUND:
            return float(np.angle(one * np.conj(other)) / order)
    return 0.0


def _centred(one: Curve) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    flat = one.points[:, 1] + 1j * one.points[:, 0]
    return np.asarray(flat - flat.mean())


def _turned(one: Curve, angle: float, shift: Array, about: Array | None = None) -> Curve:
    """Return the curve turned by `angle` (rad, from x to y) and then shifted (nm)."""
    centre = one.points.mean(axis=0) if about is None else about
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Curve((one.points - centre) @ turn.T + centre + shift, one.normals @ turn.T, one.curvature)
