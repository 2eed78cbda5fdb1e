"""Graphene: flat sheets, vacancies, silicon, holes."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.structures.sites import hexagonal_cell, labelled, lattice_points, within

#: Lattice constant (nm); the bond is a / sqrt(3) = 0.142 nm.
A_NM = 0.246


def graphene(
    size_nm: tuple[float, float],
    *,
    rotation_deg: float = 0.0,
    a_nm: float = A_NM,
    strain: NDArray[np.float64] | None = None,
    shift_nm: tuple[float, float] = (0.0, 0.0),
    margin_nm: float = 0.6,
) -> Atoms:
    """Return a flat sheet over a field of `size_nm` (h, w) from the origin and `margin_nm` around it; labels 'C'.

    `strain` is a 2 x 2 matrix in (x, y); `shift_nm` (x, y) moves the lattice.
    """
    cell = hexagonal_cell(a_nm, rotation_deg, strain)
    points = lattice_points(cell, size_nm, margin_nm, np.asarray(shift_nm, float))
    basis = np.array([[0.0, 0.0], [1 / 3, 2 / 3]]) @ cell
    points = (points[:, None, :] + basis).reshape(-1, 2)
    points = points[within(points, size_nm, margin_nm)]
    return labelled(np.c_[points, np.zeros(len(points))], np.full(len(points), 6), ["C"] * len(points))


def without(atoms: Atoms, which: NDArray[np.intp] | NDArray[np.bool_]) -> Atoms:
    """Return a copy of `atoms` without the atoms of the given rows."""
    keep = np.ones(len(atoms), dtype=bool)
    keep[which] = False
    kept: Atoms = atoms[keep]
    return kept


def with_vacancies(atoms: Atoms, rate: float, rng: np.random.Generator) -> Atoms:
    """Remove every atom with probability `rate`."""
    return without(atoms, rng.random(len(atoms)) < rate)


def with_silicon(atoms: Atoms, rate: float, rng: np.random.Generator) -> Atoms:
    """Replace every carbon with probability `rate` by 3-fold silicon; its neighbours are pushed out to 0.170 nm."""
    chosen = np.flatnonzero((rng.random(len(atoms)) < rate) & (atoms.numbers == 6))
    return substituted(atoms, chosen)


def substituted(atoms: Atoms, rows: NDArray[np.intp], *, bond_nm: float = 0.170) -> Atoms:
    """Put silicon on the given rows and push each one's carbon neighbours (within 0.17 nm) out to `bond_nm`."""
    from scipy.spatial import cKDTree

    copy: Atoms = atoms.copy()
    xy = copy.positions[:, :2] / 10.0
    tree = cKDTree(xy)
    silicon = set(map(int, rows))
    moved = xy.copy()
    for row in rows:
        for neighbour in tree.query_ball_point(xy[row], 0.17):
            if neighbour in silicon:
                continue
            direction = xy[neighbour] - xy[row]
            length = np.hypot(*direction)
            moved[neighbour] += direction / length * (bond_nm - length)
    copy.positions[:, :2] = moved * 10.0
    copy.numbers[rows] = 14
    copy.arrays["label"][rows] = "Si"
    return copy


def with_hole(atoms: Atoms, centre_nm: tuple[float, ...], radius_nm: float, rng: np.random.Generator) -> Atoms:
    """Cut a rough hole about `centre_nm` (x, y), and every atom that is left with fewer than two neighbours."""
    offset = atoms.positions[:, :2] / 10.0 - np.asarray(centre_nm)
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    lobes = sum(rng.normal(0, 0.15 / k) * np.cos(k * angle + rng.uniform(0, 6.28)) for k in (1, 2, 3, 4))
    return without_dangling(without(atoms, np.hypot(offset[:, 0], offset[:, 1]) < radius_nm * (1 + lobes)))


def without_dangling(atoms: Atoms, bond_nm: float = 0.19) -> Atoms:
    """Remove, until none is left, atoms with fewer than two neighbours within `bond_nm`."""
    from scipy.spatial import cKDTree

    while len(atoms):
        tree = cKDTree(atoms.positions[:, :2] / 10.0)
        pairs = tree.query_pairs(bond_nm, output_type="ndarray")
        degree = np.bincount(pairs.ravel(), minlength=len(atoms))
        if (degree >= 2).all():
            break
        atoms = without(atoms, degree < 2)
    return atoms


def displaced(atoms: Atoms, sigma_nm: float, rng: np.random.Generator) -> Atoms:
    """Move every column in the plane by a normal random step of `sigma_nm` per axis; stacked atoms move together."""
    from micrograph.structures.sites import _columns

    copy: Atoms = atoms.copy()
    group = _columns(copy.positions[:, [1, 0]] / 10.0)
    steps = rng.normal(0, sigma_nm * 10.0, (int(group.max(initial=-1)) + 1, 2))
    copy.positions[:, :2] += steps[group]
    return copy
