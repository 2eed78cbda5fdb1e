"""Closed curves that move: laid on each other as rigid bodies, and what is left between them along the normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.objects.boundary_motion import rigid_motions as rigid_between
from micrograph.features.objects.closed_curves import Smoothed, enclosed, evenly, perimeter, smoothed
from micrograph.track.timeline import Array

Complex = NDArray[np.complex128]

#: Vertices on both sides of the nearest one among which a normal may cut the other curve.
_REACH = 8
#: Rounds of laying one curve on another, and the points by which it is done.
_ROUNDS, _MARKS = 4, 120
#: Places that must meet a curve for it to be laid on.
_LEAST = 8
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


def apart(fixed: Smoothed, curves: Sequence[Smoothed]) -> Array:
    """Return the way (N, K) nm from `fixed` (K) along its normals to each of N curves, laid on it as rigid bodies.

    Uniform growth is allowed for. NaN where the normal does not meet the other curve nearby.
    """
    motion = rigid_motion(fixed)
    turns = motion.shape[1] == 3
    rough = rigid_between(fixed.points, [one.points for one in curves], turns)
    laid = [_roughly(one, shift, angle) for one, (shift, angle) in zip(curves, rough, strict=True)]
    some = slice(None, None, max(1, len(fixed.points) // _MARKS))
    centre = _complex(fixed.points).mean()
    ends = _Ends.of(fixed.points[some], fixed.normals[some], laid)
    design = np.column_stack([np.ones(ends.at.size), motion[some]])
    turn, shift = np.ones(len(curves), complex), np.zeros(len(curves), complex)
    for _ in range(_ROUNDS):
        found = _robust(design, ends.moved(turn, shift, centre).way())
        step = np.exp(-1j * found[:, 3]) if turns else np.ones(len(curves))
        turn, shift = turn * step, shift * step - (found[:, 1] + 1j * found[:, 2])
        if np.abs(found[:, 1:3]).max() < 1e-3 * step_of(fixed):
            break
    laid = [
        (centre + (line - centre) * one + way, normals * one)
        for (line, normals), one, way in zip(laid, turn, shift, strict=True)
    ]
    return _Ends.of(fixed.points, fixed.normals, laid).way()


def _roughly(one: Smoothed, shift: Array, angle_deg: float) -> tuple[Complex, Complex]:
    """Return points and normals (K,) of a curve that has moved by `shift` and turned by an angle, laid back."""
    turn, line = np.exp(-1j * np.deg2rad(angle_deg)), _complex(one.points)
    centre = line.mean()
    return centre + (line - centre) * turn - (shift[0] + 1j * shift[1]), _complex(one.normals) * turn


@dataclass(frozen=True)
class _Ends:
    """Vertices of N curves near each of K places, as complex numbers y + i x, with their normals: (N, K, W).

    at (K,) are the places and across (K,) their normals.
    """

    at: Complex
    across: Complex
    vertices: Complex
    normals: Complex

    @classmethod
    def of(cls, points: Array, normals: Array, curves: Sequence[tuple[Complex, Complex]]) -> _Ends:
        """Return the vertices around the nearest one of every curve."""
        from scipy.spatial import cKDTree

        places, reach = _complex(points), np.arange(-_REACH, _REACH + 1)
        found = []
        for line, facing in curves:
            near = np.asarray(cKDTree(np.column_stack([line.real, line.imag])).query(points)[1])
            vertex = (near[:, None] + reach) % len(line)
            found.append((line[vertex], facing[vertex]))
        vertices, facing = (np.array(each) for each in zip(*found, strict=True))
        return cls(places, _complex(normals), vertices, facing)

    def moved(self, turn: Complex, shift: Complex, centre: complex) -> _Ends:
        """Return the vertices of each curve turned about `centre` and shifted, (N,) each."""
        rod = turn[:, None, None]
        vertices = centre + (self.vertices - centre) * rod + shift[:, None, None]
        return replace(self, vertices=vertices, normals=self.normals * rod)

    def way(self) -> Array:
        """Return how far (N, K) along its normal each place is from each curve, NaN where they do not meet."""
        back = self.across[:, None].conj()
        start = (self.vertices - self.at[:, None]) * back
        along, beside = start.real, start.imag
        same = (self.normals[..., :-1] * back).real > 0
        cut = same & ((beside[..., :-1] <= 0) != (beside[..., 1:] <= 0))
        share = np.where(cut, beside[..., :-1] / np.where(cut, beside[..., :-1] - beside[..., 1:], 1.0), 0.0)
        ways = np.where(cut, along[..., :-1] + share * np.diff(along, axis=-1), np.inf)
        best = np.take_along_axis(ways, np.abs(ways).argmin(axis=-1)[..., None], axis=-1)[..., 0]
        return np.where(np.isfinite(best), best, np.nan)


def _robust(design: Array, values: Array) -> Array:
    """Return the least squares (N, C) of `values` (N, K) in which those that stand out count little (Cauchy's weights).

    A stretch of outline that something else has bent must not move the whole. Missing values do not count; rows of
    fewer than `_LEAST` are left where they are: 0.
    """
    seen = np.isfinite(values)
    known, number = np.where(seen, values, 0.0), seen.sum(axis=1)
    weight, rows = seen.astype(float), np.arange(len(values))
    sure = number >= _LEAST
    found = np.zeros((len(values), design.shape[1]))
    for _ in range(_WEIGHINGS if sure.any() else 0):
        left = np.einsum("nk,kc,kd->ncd", weight[sure], design, design, optimize=True)
        found[sure] = np.linalg.solve(left, ((weight * known)[sure] @ design)[..., None])[..., 0]
        error = np.abs(known - found @ design.T)
        ranked = np.sort(np.where(seen, error, np.inf), axis=1)
        middle = (ranked[rows, (number - 1) // 2] + ranked[rows, number // 2 * (number > 0)]) / 2
        size = _CAUCHY * 1.4826 * np.where(sure, middle, 1.0)[:, None] + 1e-12
        weight = seen / (1 + (error / size) ** 2)
    return found


def step_of(one: Smoothed) -> float:
    """Return the length of a curve between two of its points."""
    return perimeter(one.points) / len(one.points)


def _complex(points: Array) -> Complex:
    """Return [y, x] as y + i x."""
    return np.asarray(points[:, 0] + 1j * points[:, 1])


def filled(values: Array) -> Array:
    """Return `values` (K,) around a closed curve with missing ones drawn straight between their neighbours."""
    known = np.flatnonzero(np.isfinite(values))
    return np.asarray(np.interp(np.arange(len(values)), known, values[known], period=len(values)))
