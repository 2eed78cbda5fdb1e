"""Scan distortion: what drift, scan gain and slow wander of the beam do to a lattice whose symmetry is known.

In a scanned image the line direction x is fast, so drift during the frame shears the lattice along x and stretches it
along y: measured = D true with x' = (1 + s_x) x + k y, y' = (1 + s_y) y. Wander on the time scale of lines moves whole
lines: it is the part of the atoms' displacements that depends on y only. Strain that varies along a line is left alone.
(Sang & LeBeau, doi:10.1016/j.ultramic.2013.12.004.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.covariance import points
from micrograph.features.lattices.lattice import Lattice
from micrograph.features.lattices.strain import oriented_cell

Array = NDArray[np.float64]

#: Ratio b/a and gamma of cells that symmetry fixes.
SYMMETRIES: Mapping[str, tuple[float, float]] = {"hexagonal": (1.0, 120.0), "square": (1.0, 90.0)}

#: Distortion is removed only if chance gives as much with at most this probability.
P_MAX = 1e-3


@dataclass(frozen=True)
class Distortion:
    """Measured scan distortion, with 1-sigma; parts that are not significant are measured but not removed.

    stretch_x, stretch_y: relative lengthening along and across the lines (x is 0 with sigma 0 if only the symmetry is
    known); shear: shift along x per length along y; affine_p: probability of as much by chance.
    row_y_nm: (K,) places of the wander's nodes; row_shift_nm: (K, 2) shift [y, x] there, linear between; row_sigma_nm:
    (K, 2); row_p: probability of as much by chance. centre_nm: (2,) point [y, x] that stays in place.
    """

    stretch_x: float
    stretch_y: float
    shear: float
    stretch_x_sigma: float
    stretch_y_sigma: float
    shear_sigma: float
    affine_p: float
    row_y_nm: Array
    row_shift_nm: Array
    row_sigma_nm: Array
    row_p: float
    centre_nm: Array

    @property
    def matrix(self) -> Array:
        """(2, 2) map of true to measured [y, x] differences, whether significant or not."""
        return np.array([[1 + self.stretch_y, 0.0], [self.shear, 1 + self.stretch_x]])

    def correct(self, y_nm: ArrayLike, x_nm: ArrayLike) -> tuple[Array, Array]:
        """Return positions (N,) without the significant parts of the distortion."""
        place = points(y_nm, x_nm)
        if self.row_p <= P_MAX:
            place = place - np.stack(
                [np.interp(place[:, 0], self.row_y_nm, each) for each in self.row_shift_nm.T], axis=1
            )
        if self.affine_p <= P_MAX:
            place = self.centre_nm + (place - self.centre_nm) @ np.linalg.inv(self.matrix).T
        return place[:, 0], place[:, 1]


def scan_distortion(
    lattice: Lattice, y_nm: ArrayLike, x_nm: ArrayLike, known: str | tuple[float, float, float], *, node_nm: float = 1.0
) -> Distortion:
    """Return the scan distortion of the atoms `y_nm, x_nm` (N,) that `lattice` was fitted to.

    known: 'hexagonal' or 'square' (the scale along x is then taken as right), or the true a, b in nm and gamma in
    degrees. node_nm: distance along y of the wander's nodes (more where atoms are few). Raises `BadInput`.
    """
    place = points(y_nm, x_nm)
    if len(place) != len(lattice.index):
        raise BadInput(f"The lattice was fitted to {len(lattice.index)} atoms, {len(place)} are given: give the same.")
    values, sigma, affine_p = _affine_part(lattice, known)
    nodes, shift, shift_sigma, row_p = _row_part(lattice, place, node_nm)
    (x, y, shear), (x_sigma, y_sigma, shear_sigma) = map(float, values), map(float, sigma)
    centre = place.mean(axis=0)
    return Distortion(
        x, y, shear, x_sigma, y_sigma, shear_sigma, affine_p, nodes, shift, shift_sigma, row_p, centre
    )  # fmt: skip


def _affine_part(lattice: Lattice, known: str | tuple[float, float, float]) -> tuple[Array, Array, float]:
    """Return stretch x, stretch y, shear with their 1-sigma, and the probability of as much by chance."""
    from scipy.stats import chi2

    if isinstance(known, str) and known not in SYMMETRIES:
        raise BadInput(f"The symmetry is '{known}': give one of {', '.join(SYMMETRIES)}, or a, b and gamma.")
    free_scale = isinstance(known, str)
    values = _stretches(lattice.cell, known)
    jacobian = np.empty((3, 4))
    step = 1e-5 * lattice.a_nm
    for i in range(4):
        change = step * (np.arange(4) == i).reshape(2, 2)
        jacobian[:, i] = (_stretches(lattice.cell + change, known) - _stretches(lattice.cell - change, known)) / (
            2 * step
        )
    covariance = jacobian @ lattice.covariance @ jacobian.T
    kept = slice(1, 3) if free_scale else slice(0, 3)
    statistic = values[kept] @ np.linalg.pinv(covariance[kept, kept]) @ values[kept]
    p = float(chi2.sf(statistic, 2 if free_scale else 3))
    return values, np.sqrt(np.maximum(np.diag(covariance), 0)), p


def _stretches(cell: Array, known: str | tuple[float, float, float]) -> Array:
    """Return stretch x, stretch y and shear of the triangular map that makes the true cell, turned somehow, `cell`."""
    if isinstance(known, str):
        ratio, gamma = SYMMETRIES[known]
        reference = (1.0, ratio, gamma)
    else:
        reference = known
    true = oriented_cell(reference, cell)
    change = np.linalg.solve(true, cell).T
    yy, yx = change[0]
    length = np.hypot(yy, yx)
    turned = change @ np.array([[yy, -yx], [yx, yy]]) / length
    if isinstance(known, str):
        turned = turned / turned[1, 1]
    return np.array([turned[1, 1] - 1, turned[0, 0] - 1, turned[1, 0]])


def _row_part(lattice: Lattice, place: Array, node_nm: float) -> tuple[Array, Array, Array, float]:
    """Return nodes (K,), shift (K, 2) and 1-sigma of the displacements that depend on y only, and their probability."""
    from scipy.stats import chi2

    on = lattice.on_site
    y, displacement = place[on, 0], lattice.displacement_nm[on]
    span = float(np.ptp(y))
    count = int(np.clip(min(span / node_nm, len(y) / 12), 1, 500)) + 1
    nodes = np.linspace(y.min(), y.max(), count)
    if count < 3:
        return nodes, np.zeros((count, 2)), np.full((count, 2), np.nan), 1.0
    shift, sigma, gain = zip(*(_piecewise(y, displacement[:, axis], nodes) for axis in (0, 1)), strict=True)
    p = float(chi2.sf(sum(gain), 2 * (count - 2)))
    return nodes, np.stack(shift, axis=1), np.stack(sigma, axis=1), p


def _piecewise(y: Array, value: Array, nodes: Array) -> tuple[Array, Array, float]:
    """Return the robust piecewise-linear fit at `nodes`, its 1-sigma, and its weighted gain over no shift at all."""
    width = nodes[1] - nodes[0]
    hats = np.clip(1 - np.abs(y[:, None] - nodes) / width, 0, None)
    trust = np.ones(len(y))
    ridge = 1e-9 * len(y) * np.eye(len(nodes))
    for _ in range(3):
        inverse = np.linalg.inv(hats.T @ (hats * trust[:, None]) + ridge)
        shift = inverse @ (hats.T @ (value * trust))
        residual = value - hats @ shift
        scale = max(float(np.median(np.abs(residual))) / 0.6745, 1e-12)
        trust = (np.abs(residual) <= 5 * scale).astype(np.float64)
    inverse = np.linalg.inv(hats.T @ (hats * trust[:, None]) + ridge)
    variance = float((trust * residual**2).sum() / max(trust.sum() - len(nodes), 1))
    gain = float(shift @ np.linalg.solve(inverse, shift)) / max(variance, 1e-30)
    return shift, np.sqrt(np.diag(inverse) * variance), gain
