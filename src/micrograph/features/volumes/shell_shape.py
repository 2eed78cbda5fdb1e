"""The shape of a particle with core and shell as spherical harmonics, and its sizes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Directions over which surfaces are integrated (Gauss-Legendre times even angles).
_POLAR, _AROUND = 32, 64


@dataclass(frozen=True)
class Body:
    """One particle: `centre` (z, y, x) in voxels of the volume's own grid; `outer` (H,) harmonics of the radius in nm.

    shell: (K,) harmonics of the shell's share of that radius: the core's surface is ``outer * (1 - shell)``.
    """

    centre: tuple[float, float, float]
    outer: Array
    shell: Array


def harmonics(directions: Array, degree: int) -> NDArray[np.float32]:
    """Return the real spherical harmonics (N, (degree + 1)^2) of unit vectors (N, 3) z, y, x; the first one is 1."""
    from scipy.special import sph_harm_y

    z, y, x = directions.T
    polar, around = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    found = np.empty((len(directions), (degree + 1) ** 2), np.float32)
    for level in range(degree + 1):
        for order in range(level + 1):
            value = sph_harm_y(level, order, polar, around) * np.sqrt(4 * np.pi * (2 if order else 1))
            found[:, level * (level + 1) + order] = value.real
            if order:
                found[:, level * (level + 1) - order] = value.imag
    return found


def degree_of(coefficients: Array) -> int:
    """Return the highest degree of harmonics (H,)."""
    return int(np.sqrt(len(coefficients)) + 0.5) - 1


@dataclass(frozen=True)
class Sizes:
    """Sizes of a body in nm: of a ball of equal volume (whole and core), and the shell's mean thickness."""

    diameter_nm: float
    core_nm: float
    shell_nm: float


def sizes(body: Body) -> Sizes:
    """Return the sizes of a body.

    The thickness is that of similar bodies of the two volumes: ``3 V / S (1 - (Vc / V)^(1/3))``, with the surface S of
    the whole; for a ball, and for a polyhedron about a ball, it is exactly the distance of the surfaces.
    """
    share, basis, slopes = _sphere(degree_of(body.outer))
    outer = np.maximum(basis @ body.outer, 0)
    inner = outer * (1 - np.clip(basis[:, : len(body.shell)] @ body.shell, 0, 1))
    slope = slopes @ body.outer
    surface = float((share * outer * np.sqrt(outer**2 + (slope**2).sum(axis=0))).sum())
    volume, core = (float((share * radius**3).sum() / 3) for radius in (outer, inner))
    thickness = 3 * volume / max(surface, 1e-12) * (1 - (core / max(volume, 1e-12)) ** (1 / 3))
    return Sizes(_ball(volume), _ball(core), thickness)


@functools.cache
def _sphere(degree: int, by: float = 1e-3) -> tuple[Array, Array, Array]:
    """Return shares (N,) of directions, the harmonics there (N, H), and their slopes (2, N, H) along two tangents."""
    nodes, weights = np.polynomial.legendre.leggauss(_POLAR)
    around = np.arange(_AROUND) * 2 * np.pi / _AROUND
    cos, turn = (each.ravel() for each in np.meshgrid(nodes, around, indexing="ij"))
    sin = np.sqrt(1 - cos**2)
    unit = np.column_stack([cos, sin * np.sin(turn), sin * np.cos(turn)])
    polar = np.column_stack([-sin, cos * np.sin(turn), cos * np.cos(turn)])
    slopes = []
    for step in (polar, np.column_stack([np.zeros_like(turn), np.cos(turn), -np.sin(turn)])):
        ahead, behind = (unit + sign * by * step for sign in (1, -1))
        ends = [harmonics(one / np.linalg.norm(one, axis=1)[:, None], degree).astype(float) for one in (ahead, behind)]
        slopes.append((ends[0] - ends[1]) / (2 * by))
    share = np.repeat(weights, _AROUND) * 2 * np.pi / _AROUND
    return share, harmonics(unit, degree).astype(float), np.stack(slopes).astype(float)


def _ball(volume: float) -> float:
    return float(2 * (3 * volume / (4 * np.pi)) ** (1 / 3))
