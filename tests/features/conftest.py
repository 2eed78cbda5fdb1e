"""Small sheets with planted defects for the tests of graph, lattice and defects: positions (N, 2) [y, x] in nm."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree

A_NM = 0.246
BOND_NM = A_NM / np.sqrt(3)


def lattice_points(cell, basis, size_nm):
    """All points of the lattice with rows `cell` and fractional offsets `basis` in a square field from the origin."""
    reach = int(2 * size_nm / np.linalg.norm(cell, axis=1).min()) + 4
    whole = np.mgrid[-reach:reach, -reach:reach].reshape(2, -1).T
    points = np.concatenate([(whole + offset) @ cell for offset in basis]) + size_nm / 2
    return points[(points >= 0).all(axis=1) & (points <= size_nm).all(axis=1)]


def graphene(size_nm, turn_deg=0.0):
    turn = np.radians(turn_deg)
    cell = A_NM * np.array([[0.0, 1.0], [np.sqrt(3) / 2, -0.5]])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return lattice_points(cell @ matrix, [(0, 0), (1 / 3 + 1e-9, 2 / 3)], size_nm)


def bonds_of(points, reach=0.16):
    return cKDTree(points).query_pairs(reach, output_type="ndarray")


def centre_bond(points):
    """Row numbers of the two atoms of the bond nearest to the centre of the field."""
    bonds = bonds_of(points)
    return bonds[np.linalg.norm(points[bonds].mean(axis=1) - points.mean(axis=0), axis=1).argmin()]


def relaxed(points, bonds, steps=400):
    """Positions with the bonds near their length and second neighbours apart, by damped springs."""
    place = points.copy()
    wide = np.array([(b, c) for near in _partners(bonds, len(place)) for b in near for c in near if b < c])
    rim = np.bincount(bonds.ravel(), minlength=len(place)) < 2
    for _ in range(steps):
        force = np.zeros_like(place)
        for pairs, length, stiff in ((bonds, BOND_NM, 0.2), (wide, A_NM, 0.05)):
            step = place[pairs[:, 1]] - place[pairs[:, 0]]
            distance = np.linalg.norm(step, axis=1, keepdims=True)
            pull = stiff * (distance - length) * step / distance
            np.add.at(force, pairs[:, 0], pull)
            np.subtract.at(force, pairs[:, 1], pull)
        place += np.where(rim[:, None], 0, force)
    return place


def _partners(bonds, n):
    out = [[] for _ in range(n)]
    for i, j in bonds:
        out[i].append(int(j))
        out[j].append(int(i))
    return out


def stone_wales(size_nm):
    points = graphene(size_nm)
    i, j = centre_bond(points)
    turned = points.copy()
    middle, half = points[[i, j]].mean(axis=0), (points[j] - points[i]) / 2
    turned[i], turned[j] = middle - half[::-1] * [1, -1], middle + half[::-1] * [1, -1]
    bonds = bonds_of(points)
    rest = bonds[~(np.isin(bonds, [i, j]).any(axis=1))]
    outer = np.setdiff1d(bonds[np.isin(bonds, [i, j]).any(axis=1)], [i, j])
    near_i = np.argsort(np.linalg.norm(points[outer] - turned[i], axis=1))[:2]
    new = [(i, j), *((i, outer[k]) for k in near_i), *((j, outer[k]) for k in set(range(4)) - set(near_i.tolist()))]
    return relaxed(turned, np.concatenate([rest, np.array(new)]))


def vacancy(size_nm, atoms=1):
    points = graphene(size_nm)
    return np.delete(points, centre_bond(points)[:atoms], axis=0)


def reconstructed(points, closed):
    """Close `closed` pairs of two-fold atoms around the vacancy by new bonds, and relax."""
    bonds = bonds_of(points)
    degree = np.bincount(bonds.ravel(), minlength=len(points))
    inner = np.flatnonzero((degree == 2) & (np.linalg.norm(points - points.mean(axis=0), axis=1) < 0.4))
    pairs = [(i, j) for i in inner for j in inner if i < j and np.linalg.norm(points[i] - points[j]) < 0.26]
    return relaxed(points, np.concatenate([bonds, np.array(pairs[:closed])]))


@pytest.fixture(scope="session")
def sheets():
    """The makers of sheets, by name."""
    makers = (lattice_points, graphene, bonds_of, centre_bond, relaxed, stone_wales, vacancy, reconstructed)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})
