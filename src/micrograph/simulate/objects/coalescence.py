"""Two spheres that fuse into one: the neck grows, the volume stays.

The profile is that of two viscous cylinders (Hopper 1984, J. Am. Ceram. Soc. 67, C262): the inverse of an ellipse, from
two touching circles to one, here turned about the common axis and scaled so that the volume is kept.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fused:
    """A solid of two spheres of `radius_nm` with a neck.

    neck: 0 (they touch) to 1 (one sphere), its radius over half the whole length; the axis at `angle_deg` from +x,
    counter-clockwise as an image is seen.
    """

    radius_nm: float
    neck: float
    angle_deg: float = 0.0

    @functools.cached_property
    def reach_nm(self) -> float:
        """Half of the whole length."""
        x = np.linspace(0, 1, 4001)
        half = float(np.sum(np.pi * (_profile(x, self.neck)[1:] + _profile(x, self.neck)[:-1]) / 2) / 4000)
        return float((4 / 3 * np.pi * self.radius_nm**3 / half) ** (1 / 3))

    @property
    def half_width_nm(self) -> float:
        """Greatest radius about the axis."""
        return float(self.reach_nm * np.sqrt(_profile(np.linspace(0, 1, 501), self.neck).max()))

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the length (nm) of the beam's path inside, at points (any shape) of the image plane."""
        c, s = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        along, across = (c * x_nm - s * y_nm) / self.reach_nm, (s * x_nm + c * y_nm) / self.reach_nm
        chord: Array = 2 * self.reach_nm * np.sqrt(np.clip(_profile(along, self.neck) - across**2, 0, None))
        return chord

    def outline(self, points: int = 200) -> Array:
        """Return the outline (points, 2; y, x in nm), counter-clockwise as an image is seen."""
        angle = 2 * np.pi * np.arange(points) / points
        r = self.reach_nm * np.sqrt(np.cos(angle) ** 2 + (self.neck * np.sin(angle)) ** 2)
        turn = angle + np.deg2rad(self.angle_deg)
        return np.stack([-r * np.sin(turn), r * np.cos(turn)], axis=1)


def neck_at(t_s: float, fusing_s: float, exponent: float = 2.0) -> float:
    """Return the neck (0 .. 1) at a time after contact: ``(t / fusing_s) ** (1 / exponent)``, at most 1.

    Exponent 2: viscous flow (Frenkel); 5 to 7: diffusion in the lattice and over the surface.
    """
    return float(np.clip(t_s / fusing_s, 0, 1) ** (1 / exponent))


def _profile(x: Array, neck: float) -> Array:
    """Return the squared radius at `x` (-1 .. 1) along the axis, over the squared half length; 0 beyond."""
    square = np.asarray(x) ** 2
    radius = (neck**2 - 2 * square + np.sqrt(neck**4 + 4 * square * (1 - neck**2))) / 2
    return np.where(square <= 1, np.clip(radius, 0, None), 0.0)
