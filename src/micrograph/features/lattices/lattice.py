"""The lattice of a layer: cell, sites, where each atom belongs and how far it is from there.

The cell is found from the vectors between neighbours, every atom is indexed from neighbour to neighbour, and origin,
cell and offsets follow by robust weighted least squares, in which the indices make the problem linear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.covariance import covariances, points
from micrograph.features.lattices.cell import PointSet, find_cell, point_set, reduced
from micrograph.features.lattices.indexing import index_points, site_numbers

Array = NDArray[np.float64]
Index = NDArray[np.intp]
#: A field in nm: lowest y, lowest x, highest y, highest x.
Extent = tuple[float, float, float, float]

#: Part of the atoms that must be on sites, or the points have no lattice.
LEAST_ON_SITES = 0.4
#: Least gain in log-likelihood over random points; the best of many small random sets reach about 16.
LEAST_EVIDENCE = 18.0
#: Least gain per coordinate: the scatter is at most two thirds of that of points that lie anywhere.
LEAST_GAIN = 0.4
#: Part of the sites that must be filled in the cells that hold an atom.
LEAST_FILLED = 0.55
#: With fewer points than this, the search does not look for a lattice in a part of the field.
MANY = 200


@dataclass(frozen=True)
class LatticeSites:
    """Ideal sites: ``y_nm, x_nm`` (M,) and ``index`` (M, 3) [h, k, site]."""

    y_nm: Array
    x_nm: Array
    index: Index

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.y_nm)

    def __getitem__(self, which: NDArray[np.bool_] | Index) -> LatticeSites:
        """Return the sites of a mask or of rows."""
        return LatticeSites(self.y_nm[which], self.x_nm[which], self.index[which])


@dataclass(frozen=True)
class Lattice:
    """A 2-D lattice with a basis, fitted to N atoms; vectors are [y, x] in nm.

    origin: (2,) site (0, 0, 0); cell: (2, 2) rows a and b, reduced, gamma 90..120 degrees; covariance: (4, 4) of
    (a_y, a_x, b_y, b_x) in nm^2; basis: (n, 2) offsets of the sites in cells, the first is (0, 0);
    index: (N, 3) [h, k, site] with site -1 for atoms on no site; displacement_nm: (N, 2) from the ideal site, NaN if on
    none; rms_nm: root mean square displacement along one axis.
    """

    origin: Array
    cell: Array
    covariance: Array
    basis: Array
    index: Index
    displacement_nm: Array
    rms_nm: float

    @property
    def a_nm(self) -> float:
        """Length of a."""
        return float(np.hypot(*self.cell[0]))

    @property
    def b_nm(self) -> float:
        """Length of b."""
        return float(np.hypot(*self.cell[1]))

    @property
    def gamma_deg(self) -> float:
        """Angle between a and b."""
        return float(np.degrees(np.arccos(self.cell[0] @ self.cell[1] / (self.a_nm * self.b_nm))))

    @property
    def a_sigma_nm(self) -> float:
        """1-sigma of the length of a."""
        return self._sigma(np.concatenate([self.cell[0] / self.a_nm, [0, 0]]))

    @property
    def b_sigma_nm(self) -> float:
        """1-sigma of the length of b."""
        return self._sigma(np.concatenate([[0, 0], self.cell[1] / self.b_nm]))

    @property
    def gamma_sigma_deg(self) -> float:
        """1-sigma of gamma."""
        turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        gradient = np.concatenate([self.cell[0] @ turn / self.a_nm**2, -self.cell[1] @ turn / self.b_nm**2])
        return float(np.degrees(self._sigma(gradient)))

    @property
    def on_site(self) -> NDArray[np.bool_]:
        """Whether each atom is on a site, (N,)."""
        return self.index[:, 2] >= 0

    @property
    def fraction_on_sites(self) -> float:
        """Part of the atoms that are on sites."""
        return float(self.on_site.mean())

    @property
    def site_spacing_nm(self) -> float:
        """Shortest distance between two sites."""
        shifts = np.mgrid[-1:2, -1:2].reshape(2, -1).T
        steps = (self.basis[:, None, None] - self.basis[None, :, None] + shifts).reshape(-1, 2) @ self.cell
        length = np.hypot(steps[:, 0], steps[:, 1])
        return float(length[length > 1e-9].min())

    def position(self, index: Index) -> Array:
        """Return the ideal position (M, 2) of the sites with `index` (M, 3)."""
        return np.asarray(self.origin + (index[:, :2] + self.basis[index[:, 2]]) @ self.cell)

    def sites_in(self, extent: Extent) -> LatticeSites:
        """Return all ideal sites within `extent`, borders included."""
        y0, x0, y1, x1 = extent
        corners = np.array([[y0, x0], [y0, x1], [y1, x0], [y1, x1]])
        cells = (corners - self.origin) @ np.linalg.inv(self.cell)
        low, high = np.floor(cells.min(axis=0)).astype(int) - 1, np.ceil(cells.max(axis=0)).astype(int) + 1
        h, k, site = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1, 0 : len(self.basis)].reshape(3, -1)
        index = np.stack([h, k, site], axis=1)
        place = self.position(index)
        inside = ((place >= [y0, x0]) & (place <= [y1, x1])).all(axis=1)
        return LatticeSites(place[inside, 0], place[inside, 1], index[inside])

    def _sigma(self, gradient: Array) -> float:
        return float(np.sqrt(gradient @ self.covariance @ gradient))


@dataclass(frozen=True)
class _Fit:
    """Linear fit of positions: parameters (n + 2, 2) [sites..., a, b] by [y, x], their covariance, residuals."""

    parameters: Array
    covariance: Array
    residual: Array


def fit_lattice(
    y_nm: ArrayLike, x_nm: ArrayLike, sigma_nm: ArrayLike | None = None, *, guess: ArrayLike | None = None
) -> Lattice | None:
    """Return the lattice of the atoms at `y_nm, x_nm` (N,), ``None`` if there is none or if N < 8.

    sigma_nm: position errors as in `covariances`; they weigh the atoms. guess: (2, 2) cell vectors a and b as [y, x]
    nm to start from (a previous frame's ``lattice.cell``); the search follows if they do not fit. The cell's 1-sigma
    comes from the scatter of the residuals, taken as independent from atom to atom. Raises `BadInput`.
    """
    position = points(y_nm, x_nm)
    covariance = covariances(sigma_nm, len(position))
    cloud = point_set(position)
    if cloud is None:
        return None
    for cell in _cells(cloud, guess):
        index, basis = index_points(cloud, cell)
        lattice = _refined(position, covariance, index, basis)
        if lattice is not None:
            return lattice
    return None


def _cells(cloud: PointSet, guess: ArrayLike | None) -> Iterator[Array]:
    """Yield cells to try: the guess, that of all points, and of many points (two grains?) those of the quarters."""
    if guess is not None:
        yield reduced(_as_cell(guess))
    whole = find_cell(cloud)
    if whole is not None:
        yield whole
    if len(cloud.position) < MANY:
        return
    after = cloud.position > np.median(cloud.position, axis=0)
    for quarter in range(4):
        part = point_set(cloud.position[2 * after[:, 0] + after[:, 1] == quarter])
        cell = None if part is None else find_cell(part)
        if cell is not None:
            yield cell


def _as_cell(guess: ArrayLike) -> Array:
    cell = np.asarray(guess, dtype=np.float64)
    if cell.shape != (2, 2) or not abs(np.linalg.det(cell)) > 0:
        raise BadInput("The guessed cell must be two vectors [[a_y, a_x], [b_y, b_x]] in nm that are not parallel.")
    return cell


def _refined(position: Array, covariance: Array, index: Index, basis: Array) -> Lattice | None:
    """Return the least-squares lattice of indexed atoms, ``None`` where the atoms do not follow it."""
    known = index[:, 2] >= 0
    n = len(basis)
    if known.mean() < LEAST_ON_SITES or known.sum() < max(7, n + 4):
        return None
    index = index.copy()
    index[known, :2] -= np.rint(np.median(index[known, :2], axis=0)).astype(np.intp)
    fit = _fit(position[known], np.trace(covariance[known], axis1=1, axis2=2) / 2, index[known], n)
    if fit is None:
        return None
    cell, origin = fit.parameters[n:], fit.parameters[0]
    offsets = (fit.parameters[:n] - origin) @ np.linalg.inv(cell)
    whole = np.floor(offsets + 1e-6).astype(np.intp)
    index[known, :2] += whole[index[known, 2]]
    displacement = np.full(position.shape, np.nan)
    displacement[known] = fit.residual
    rms = float(np.sqrt((fit.residual**2).mean()))
    lattice = Lattice(origin, cell, fit.covariance[-4:, -4:], offsets - whole, index, displacement, rms)
    filled = known.sum() / (n * len(np.unique(site_numbers(index[known, :2]))))
    return lattice if filled > LEAST_FILLED and _evidence(lattice, position[known]) > LEAST_EVIDENCE else None


def _evidence(lattice: Lattice, position: Array) -> float:
    """Return the gain in log-likelihood over atoms that lie anywhere, less the cost of free offsets and stray atoms."""
    count, sites = len(position), len(lattice.basis)
    displacement = lattice.displacement_nm[lattice.on_site]
    free = 2 * count - 2 * sites - 4
    scatter = _roughness(position, displacement) if count > 60 else np.sqrt((displacement**2).sum() / free)
    anywhere = np.sqrt(abs(np.linalg.det(lattice.cell)) / (12 * sites))
    gain = float(np.log(anywhere / max(scatter, 1e-12)))
    stray = len(lattice.index) - count
    return free * gain - 1.5 * stray - 3 * (sites - 1) if gain > LEAST_GAIN else -np.inf


def _roughness(position: Array, displacement: Array) -> float:
    """Return the rms displacement (per axis) of the atoms against the mean of the 5 nearest atoms and themselves."""
    from scipy.spatial import cKDTree

    some = np.arange(0, len(position), len(position) // 1000 + 1)
    near = cKDTree(position).query(position[some], k=6)[1]
    return float(np.sqrt(((displacement[some] - displacement[near].mean(axis=1)) ** 2).mean() * 6 / 5))


def _fit(position: Array, variance: Array, index: Index, sites: int) -> _Fit | None:
    """Return the weighted fit of positions to sites, without those off by more than 5 robust sigma."""
    design = np.column_stack([index[:, 2, None] == np.arange(sites), index[:, :2]]).astype(np.float64)
    trust, scatter2 = np.ones(len(position)), float(variance.mean()) + 1e-12
    for _ in range(4):
        weight = trust / (variance + scatter2)
        normal = design.T @ (design * weight[:, None])
        if np.linalg.cond(normal) > 1e12:
            return None
        parameters: Array = np.linalg.solve(normal, design.T @ (position * weight[:, None])).astype(np.float64)
        residual = position - design @ parameters
        size2 = (residual**2).sum(axis=1)
        typical2 = float(np.median(size2)) / (2 * np.log(2))
        trust = (size2 <= 25 * max(typical2, 1e-24)).astype(np.float64)
        scatter2 = max(typical2 - float(np.median(variance)), 0.01 * typical2, 1e-24)
    free = max(1.0, float(np.count_nonzero(weight) - len(parameters)))
    covariance = np.kron(np.linalg.inv(normal), (residual * weight[:, None]).T @ residual / free)
    return _Fit(parameters, covariance.astype(np.float64), residual)
