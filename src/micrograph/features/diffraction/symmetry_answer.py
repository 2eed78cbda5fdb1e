"""From peaks to the hierarchy of answers: family, Laue class, point groups, space groups; sets that hold the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.reciprocal import (
    Reciprocal,
    find_reciprocal,
    intensity_rotations,
    lattice_rotations,
    laue_class,
)
from micrograph.features.diffraction.space_group import Candidate, candidates, extinction_class
from micrograph.structures.space_groups import FAMILIES, POINT_GROUPS, family_of, point_group_of

Array = NDArray[np.float64]

#: Share of the probability that is spread over all space groups alike: lattice or Laue class may be wrong.
_SLIP = 0.05
#: Cumulated probability up to which point groups are listed, by the share of sets that then held the truth on random
#: crystals of all space groups (split conformal prediction).
_CONFORMAL = ((0.0, 0.0), (0.5, 0.02), (0.7, 0.35), (0.8, 0.58), (0.9, 0.82), (0.95, 0.90), (0.99, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class Symmetry:
    """What peaks say: probabilities of the 230 space groups (230,), the lattice and the Laue class."""

    space_groups: Array
    lattice: Reciprocal
    laue: str
    candidates: Sequence[Candidate]

    @property
    def families(self) -> Array:
        """Probabilities (7,) of `FAMILIES`."""
        return _summed(self.space_groups, [FAMILIES.index(family_of(n)) for n in range(1, 231)], len(FAMILIES))

    @property
    def point_groups(self) -> Array:
        """Probabilities (32,) of `POINT_GROUPS`."""
        return _summed(
            self.space_groups, [POINT_GROUPS.index(point_group_of(n)) for n in range(1, 231)], len(POINT_GROUPS)
        )

    @property
    def extinction(self) -> tuple[int, ...]:
        """All space groups that forbid the same reflections as the likeliest one."""
        return extinction_class(self.candidates[0].number) if self.candidates else ()


def _summed(shares: Array, place: list[int], size: int) -> Array:
    return np.asarray(np.bincount(place, shares, minlength=size), float)


def solve(peaks: NDArray[Any]) -> Symmetry | None:
    """Return what peaks (N, 4), rows (gx, gy, gz, intensity), say; ``None`` where they make no lattice in space."""
    rows = np.asarray(peaks, float)
    rows = rows[(rows[:, 3] > 0) & rows[:, :3].any(axis=1)]
    found = find_reciprocal(rows[:, :3], rows[:, 3])
    if found is None:
        return None
    rotations = intensity_rotations(found, lattice_rotations(found.basis))
    try:
        laue = laue_class(rotations)
    except KeyError:
        return None
    fitting = candidates(found, rotations, laue)
    if not fitting:
        return None
    shares = np.full(230, _SLIP / 230)
    for one in fitting:
        shares[one.number - 1] += (1 - _SLIP) * one.probability
    return Symmetry(shares, found, laue, fitting)


def conformal_set(shares: Array, coverage: float) -> NDArray[np.bool_]:
    """Return which classes (K,) are in the smallest set that holds the truth with probability `coverage`."""
    known, levels = np.array(_CONFORMAL).T
    level = float(np.interp(coverage, known, levels))
    order = np.argsort(-shares, kind="stable")
    before = np.cumsum(shares[order]) - shares[order]
    inside = np.zeros(len(shares), bool)
    inside[order] = before < level
    return inside


def cell_of(found: Reciprocal) -> tuple[Array, Array]:
    """Return a, b, c (nm) and alpha, beta, gamma (degrees) of the primitive cell, and their 1-sigma."""
    values = _parameters(found.basis)
    jacobian = np.empty((6, 9))
    step = 1e-6 * np.abs(found.basis).max()
    for place in range(9):
        moved = found.basis.copy()
        moved.flat[place] += step
        jacobian[:, place] = (_parameters(moved) - values) / step
    covariance = np.kron(found.covariance, np.eye(3))
    return values, np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian), 0))


def _parameters(basis: Array) -> Array:
    direct = np.linalg.inv(basis).T
    length = np.linalg.norm(direct, axis=1)
    cosines = [direct[i] @ direct[j] / (length[i] * length[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    return np.concatenate([length, np.rad2deg(np.arccos(np.clip(cosines, -1, 1)))])
