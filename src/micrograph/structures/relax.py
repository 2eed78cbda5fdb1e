"""Flat networks of bonds and their relaxation with Keating's bond and angle energies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.structures.graphene import A_NM, SI_HEIGHT_NM
from micrograph.structures.layer import Array, Index, layer

#: Stiffness of bonds and angles, N/m (Lobo and Martins, Z. Phys. D 39, 159 (1997)).
_ALPHA, _BETA = 155.9, 25.5

CARBON, SILICON = 6, 14

#: Natural lengths of bonds in projection (nm): C-C; Si-Si; C-Si by the number of neighbours of the silicon. A 3-fold
#: silicon relaxes to a seen bond of 0.155 nm and stands above the sheet, a 4-fold one lies in it.
CC_NM, SI_SI_NM = A_NM / np.sqrt(3), 0.225
SI_C_NM = {3: 0.161, 4: 0.187}


@dataclass(frozen=True)
class Network:
    """Atoms in a plane and bonds: points (N, 2) as (y, x) in nm, numbers (N,), bonds (E, 2) of rows, each once."""

    points: Array
    numbers: Index
    bonds: Index

    @property
    def degree(self) -> Index:
        """Number of bonds of every atom, (N,)."""
        return np.bincount(self.bonds.ravel(), minlength=len(self.points))

    def part(self, which: NDArray[np.bool_]) -> Network:
        """Return the atoms where `which` (N,) is true and the bonds among them."""
        row = np.cumsum(which) - 1
        return Network(self.points[which], self.numbers[which], row[self.bonds[which[self.bonds].all(axis=1)]])

    def atoms(self) -> Atoms:
        """Return ASE atoms labelled 'C' and 'Si'; silicon with three neighbours stands above the sheet."""
        silicon = self.numbers == SILICON
        height = np.where(silicon & (self.degree <= 3), SI_HEIGHT_NM, 0.0)
        return layer(self.points, height, self.numbers, np.where(silicon, "Si", "C"))


def bonded(points: Array, reach_nm: float = 1.25 * CC_NM) -> Index:
    """Return the pairs (E, 2) of points that are at most `reach_nm` apart."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(points).query_pairs(reach_nm, output_type="ndarray"), dtype=np.intp)


def relaxed(network: Network, free: NDArray[np.bool_] | None = None, *, steps: int = 40) -> Network:
    """Return `network` with its energy at a minimum; atoms where `free` (N,) is false stay in place.

    Energy (Keating 1966, doi:10.1103/PhysRev.145.637): every bond has its natural length, every pair of bonds of a
    carbon 120 degrees; angles at silicon are free. Found by damped Gauss-Newton steps; it ends when no atom moves by
    more than 0.1 pm, or after `steps`.
    """
    mobile = np.flatnonzero(np.ones(len(network.points), dtype=bool) if free is None else free)
    springs = _springs(network, mobile)
    column = np.full(len(network.points), -1, dtype=np.intp)
    column[mobile] = np.arange(len(mobile))
    points = network.points.copy()
    damping = 1e-2
    residual = springs.residual(points)
    for _ in range(steps):
        step = _step(springs, points, column, damping)
        trial = points.copy()
        trial[mobile] += step
        after = springs.residual(trial)
        if after @ after > residual @ residual:
            damping *= 8
            continue
        points, residual, damping = trial, after, damping / 4
        if np.abs(step).max(initial=0.0) < 1e-4:
            break
    return replace(network, points=points)


@dataclass(frozen=True)
class _Springs:
    """Residuals ``weight * (u . v - target)`` with u = end_u - centre, v = end_v - centre; a bond has u = v."""

    centre: Index
    end_u: Index
    end_v: Index
    weight: Array
    target: Array

    def part(self, which: NDArray[np.bool_]) -> _Springs:
        return _Springs(
            self.centre[which], self.end_u[which], self.end_v[which], self.weight[which], self.target[which]
        )

    def vectors(self, points: Array) -> tuple[Array, Array]:
        return points[self.end_u] - points[self.centre], points[self.end_v] - points[self.centre]

    def residual(self, points: Array) -> Array:
        u, v = self.vectors(points)
        return np.asarray(self.weight * ((u * v).sum(axis=1) - self.target))


def _springs(network: Network, mobile: Index) -> _Springs:
    """Return the springs of all bonds, and of all pairs of bonds of carbons, that a mobile atom takes part in."""
    length = _natural_lengths(network)
    centre, end = np.concatenate([network.bonds, network.bonds[:, ::-1]]).T
    natural = np.tile(length, 2)
    order = np.argsort(centre, kind="stable")
    centre, end, natural = centre[order], end[order], natural[order]
    u, v = _pairs_of_equal(centre)
    keep = network.numbers[centre[u]] == CARBON
    u, v = u[keep], v[keep]
    springs = _Springs(
        np.concatenate([network.bonds[:, 0], centre[u]]),
        np.concatenate([network.bonds[:, 1], end[u]]),
        np.concatenate([network.bonds[:, 1], end[v]]),
        np.concatenate([np.sqrt(3 * _ALPHA / 16) / length, np.sqrt(3 * _BETA / 8 / (natural[u] * natural[v]))]),
        np.concatenate([length**2, -0.5 * natural[u] * natural[v]]),
    )
    moves = np.zeros(len(network.points), dtype=bool)
    moves[mobile] = True
    felt = moves[springs.centre] | moves[springs.end_u] | moves[springs.end_v]
    return springs.part(felt)


def _natural_lengths(network: Network) -> Array:
    silicon = (network.numbers == SILICON)[network.bonds]
    degree = np.where(silicon, network.degree[network.bonds], 0).max(axis=1)
    mixed = np.where(degree >= 4, SI_C_NM[4], SI_C_NM[3])
    return np.select([silicon.all(axis=1), silicon.any(axis=1)], [np.full(len(mixed), SI_SI_NM), mixed], CC_NM)


def _pairs_of_equal(key: Index) -> tuple[Index, Index]:
    """Return all pairs of places i < j with ``key[i] == key[j]`` in the sorted array `key`."""
    first, second = [], []
    apart = 1
    while len(same := np.flatnonzero(key[apart:] == key[:-apart])):
        first.append(same)
        second.append(same + apart)
        apart += 1
    none = [np.empty(0, dtype=np.intp)]
    return np.concatenate(first or none), np.concatenate(second or none)


def _step(springs: _Springs, points: Array, column: Index, damping: float) -> Array:
    """Return the damped Gauss-Newton step (M, 2) of the mobile atoms, whose `column` is 0 or greater."""
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.linalg import splu

    u, v = springs.vectors(points)
    slope = {"end_u": v, "end_v": u, "centre": -(u + v)}
    atom = np.concatenate([column[getattr(springs, name)] for name in slope])
    row = np.tile(np.arange(len(u)), 3)
    value = np.concatenate([springs.weight[:, None] * part for part in slope.values()])
    mobile = atom >= 0
    atom, row, value = atom[mobile], row[mobile], value[mobile]
    size = 2 * (int(column.max(initial=-1)) + 1)
    places = (np.repeat(row, 2), np.stack([2 * atom, 2 * atom + 1], axis=1).ravel())
    jacobian = coo_array((value.ravel(), places), shape=(len(u), size)).tocsr()
    normal = jacobian.T @ jacobian
    right = -(jacobian.T @ springs.residual(points))
    system = (normal + damping * eye_array(size)).tocsc()
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(right)).reshape(-1, 2)
