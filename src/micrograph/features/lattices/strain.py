"""Strain and rotation around each atom, from the places of its neighbours.

Around an atom the neighbours' measured places are fitted by an affine image of their ideal places, r = F R + t; with
F = Q U, the rotation is that of Q and the strain is U - 1 (Galindo et al., doi:10.1016/j.ultramic.2007.02.036).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.covariance import covariances, points
from micrograph.features.lattices.lattice import Lattice

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Strain:
    """Strain (N,) at N atoms, NaN where too few neighbours are known; axes x to the right, y down (increasing rows).

    exx, eyy, exy: components of U - 1 (exy is half the engineering shear); rotation_deg counter-clockwise on the
    screen; each with its 1-sigma from the position errors; neighbours: (N,) atoms used, the atom itself included.
    """

    exx: Array
    eyy: Array
    exy: Array
    rotation_deg: Array
    exx_sigma: Array
    eyy_sigma: Array
    exy_sigma: Array
    rotation_sigma_deg: Array
    neighbours: NDArray[np.intp]


def local_strain(
    lattice: Lattice,
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    sigma_nm: ArrayLike | None = None,
    *,
    reference: tuple[float, float, float] | None = None,
    reach_nm: float | None = None,
) -> Strain:
    """Return the strain at the atoms `y_nm, x_nm` (N,) that `lattice` was fitted to, against its mean cell.

    sigma_nm: position errors as in `covariances`; without them the lattice's rms displacement is taken. reference: a, b
    in nm and gamma in degrees of the unstrained cell, turned to lie best on the lattice, instead of the mean cell.
    reach_nm: neighbours' distance in the unstrained lattice, by default 1.05 times the longer cell vector. At least 4
    atoms not on a line are needed. Raises `BadInput`.
    """
    position = points(y_nm, x_nm)
    n = len(position)
    if n != len(lattice.index):
        raise BadInput(f"The lattice was fitted to {len(lattice.index)} atoms and {n} are given: give the same atoms.")
    covariance = covariances(lattice.rms_nm if sigma_nm is None else sigma_nm, n)
    known = np.flatnonzero(lattice.on_site)
    cell = lattice.cell if reference is None else oriented_cell(reference, lattice.cell)
    index = lattice.index[known]
    ideal = (index[:, :2] + lattice.basis[index[:, 2]]) @ cell
    reach = 1.05 * float(np.linalg.norm(cell, axis=1).max()) if reach_nm is None else reach_nm
    gradient, variance, count = _affine(ideal, position[known], covariance[known], reach)
    values = np.full((8, n), np.nan)
    values[:, known] = np.concatenate([_polar(gradient), np.sqrt(_variances(variance))])
    values[3::4] = np.degrees(values[3::4])
    neighbours = np.zeros(n, dtype=np.intp)
    neighbours[known] = count
    exx, eyy, exy, turn, exx_sigma, eyy_sigma, exy_sigma, turn_sigma = values
    return Strain(exx, eyy, exy, turn, exx_sigma, eyy_sigma, exy_sigma, turn_sigma, neighbours)


def oriented_cell(reference: tuple[float, float, float], cell: Array) -> Array:
    """Return the cell with a, b (nm) and gamma (degrees) of `reference`, turned (and mirrored) onto `cell`."""
    a, b, gamma = reference
    if not (a > 0 and b > 0 and 0 < gamma < 180):
        raise BadInput(
            f"The reference cell is ({a:g} nm, {b:g} nm, {gamma:g} deg): give positive lengths, gamma in 0..180."
        )
    angle = np.radians(gamma) * np.sign(cell[0, 1] * cell[1, 0] - cell[0, 0] * cell[1, 1])
    plain = np.array([[0.0, a], [b * np.sin(angle), b * np.cos(angle)]])
    u, _, vt = np.linalg.svd(np.linalg.solve(plain, cell))
    return np.asarray(plain @ u @ vt)


def _affine(ideal: Array, position: Array, covariance: Array, reach: float) -> tuple[Array, Array, NDArray[np.intp]]:
    """Return F (n, 2, 2) at each atom, its variances (n, 3, 3) [error, arm] by yy, yx, xx, and the atoms used (n,).

    With arms R to the atoms around, F = sum((r - <r>) (R - <R>)') M, M being the inverse of the arms' second moment.
    """
    n = len(ideal)
    values = np.column_stack([np.ones(n), position - position.mean(axis=0), _three(covariance)])
    one, y, x, yy, yx, xx = (sums @ values for sums in _arm_sums(ideal, reach))
    count = one[:, 0]
    mean = np.stack([y[:, 0], x[:, 0]], axis=1) / count[:, None]
    second = _square(yy[:, 0], yx[:, 0], xx[:, 0]) - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    inverse = _inverse(second, count)
    cross = np.stack([y[:, 1:3], x[:, 1:3]], axis=2) - one[:, 1:3, None] * mean[:, None, :]
    errors, variance = one[:, 3:], np.empty((n, 3, 3))
    for i in range(3):
        both = mean[:, :, None] * np.stack([y[:, 3 + i], x[:, 3 + i]], axis=1)[:, None, :]
        arms = _square(yy[:, 3 + i], yx[:, 3 + i], xx[:, 3 + i]) - both - both.transpose(0, 2, 1)
        arms += errors[:, i, None, None] * mean[:, :, None] * mean[:, None, :]
        variance[:, i] = _three(inverse @ arms @ inverse)
    return cross @ inverse, variance, count.astype(np.intp)


def _arm_sums(ideal: Array, reach: float) -> Iterator[Any]:
    """Yield sparse (n, n) matrices that sum 1, y, x, yy, yx, xx of the arms to the atoms within `reach` and itself."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    n, own = len(ideal), np.arange(len(ideal))
    pairs = cKDTree(ideal).query_pairs(reach, output_type="ndarray")
    rows, columns = np.r_[pairs[:, 0], pairs[:, 1], own], np.r_[pairs[:, 1], pairs[:, 0], own]
    plain = csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    rows = np.repeat(own, np.diff(plain.indptr))
    y, x = (ideal[plain.indices, axis] - ideal[rows, axis] for axis in (0, 1))
    for arm in (plain.data, y, x, y * y, y * x, x * x):
        yield csr_array((arm, plain.indices, plain.indptr), shape=(n, n))


def _three(matrix: Array) -> Array:
    """Return the elements (n, 3) yy, yx, xx of symmetric (n, 2, 2) matrices."""
    return np.stack([matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]], axis=1)


def _square(yy: Array, yx: Array, xx: Array) -> Array:
    """Return symmetric (n, 2, 2) matrices of their elements (n,)."""
    return np.stack([yy, yx, yx, xx], axis=1).reshape(-1, 2, 2)


def _inverse(moment: Array, count: Array) -> Array:
    """Return the inverses of second moments (n, 2, 2), NaN where atoms are fewer than 4 or nearly on a line."""
    yy, yx, xx = _three(moment).T
    determinant = yy * xx - yx * yx
    poor = (count < 4) | (determinant < 0.045 * (yy + xx) ** 2)
    return _square(xx, -yx, yy) / np.where(poor, np.nan, determinant)[:, None, None]


def _polar(gradient: Array) -> Array:
    """Return exx, eyy, exy, rotation (4, n) in radians of F (n, 2, 2), whose axes are [y, x]."""
    yy, yx, xy, xx = gradient.reshape(-1, 4).T
    angle = np.arctan2(xy - yx, xx + yy)
    cos, sin = np.cos(angle), np.sin(angle)
    stretch_xx, stretch_yy = cos * xx - sin * yx, cos * yy + sin * xy
    stretch_xy = (cos * xy - sin * yy + cos * yx + sin * xx) / 2
    return np.stack([stretch_xx - 1, stretch_yy - 1, stretch_xy, angle])


def _variances(variance: Array) -> Array:
    """Return the variances (4, n) of exx, eyy, exy, rotation for small strain and rotation."""
    yx, xy, cross = variance[:, 0, 2], variance[:, 2, 0], variance[:, 1, 1]
    return np.stack([variance[:, 2, 2], variance[:, 0, 0], (yx + xy + 2 * cross) / 4, (yx + xy - 2 * cross) / 4])
