"""Graphene: flat sheets with vacancies and silicon."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.core import BadInput
from micrograph.structures.layer import (
    MARGIN_NM,
    Array,
    Index,
    Size,
    copy_of,
    deformation,
    hexagonal_cell,
    inside,
    lattice_points,
    layer,
    part_of,
    points_of,
)

A_NM = 0.246
BOND_NM = A_NM / np.sqrt(3)

#: Si-C distance seen along the beam and height of silicon above the sheet for silicon on a carbon site: the bond is
#: 0.175 nm (doi:10.1103/PhysRevLett.109.206803), of which HAADF images show 0.155 nm (doi:10.1088/1361-6528/abb8a6).
SI_C_SEEN_NM = 0.155
SI_HEIGHT_NM = 0.081

#: Distance of two silicon atoms side by side, as it relaxes in Si2C4 (`named_defect`).
SI_SI_SEEN_NM = 0.211


def graphene(
    size_nm: Size,
    *,
    rotation_deg: float = 0.0,
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0),
    a_nm: float = A_NM,
    shift_nm: tuple[float, float] = (0.0, 0.0),
    margin_nm: float = MARGIN_NM,
) -> Atoms:
    """Return a flat sheet over the field `size_nm` (h, w), its corner at the origin, and its margin; labels 'C'.

    At rotation 0 a zigzag row runs along x; the rotation is counter-clockwise; strain is (exx, eyy, exy) and follows
    it; shift (y, x) moves an atom away from the origin.
    """
    cell = hexagonal_cell(a_nm) @ deformation(rotation_deg, strain)
    first = lattice_points(cell, size_nm, margin_nm, np.asarray(shift_nm))
    points = np.concatenate([first, first + cell.sum(axis=0) / 3])
    return layer(points[inside(points, size_nm, margin_nm)], 0.0, 6, "C")


def with_vacancies(
    atoms: Atoms, rng: np.random.Generator, *, rate: float | None = None, count: int | None = None
) -> Atoms:
    """Empty each carbon site with probability `rate`, or `count` of them: number 0, label 'vac_C'; nothing relaxes."""
    changed = copy_of(atoms)
    chosen = _drawn(np.flatnonzero(atoms.numbers == 6), rng, rate, count)
    changed.numbers[chosen] = 0
    changed.arrays["label"][chosen] = "vac_C"
    return changed


def with_silicon(
    atoms: Atoms,
    rng: np.random.Generator,
    *,
    rate: float | None = None,
    count: int | None = None,
    fourfold_fraction: float = 0.0,
) -> Atoms:
    """Put silicon on each carbon site with probability `rate`, or on `count` of them.

    A 3-fold silicon (Si1C3) stands above the sheet and pushes its neighbours out; the given share becomes 4-fold
    instead (Si1C4): it takes the place of two bonded carbons, midway between them.
    """
    chosen = _drawn(np.flatnonzero(atoms.numbers == 6), rng, rate, count)
    fourfold = rng.random(len(chosen)) < fourfold_fraction
    changed = copy_of(atoms)
    _substitute(changed, chosen[~fourfold])
    return _replace_pairs(changed, chosen[fourfold], rng)


def _drawn(rows: Index, rng: np.random.Generator, rate: float | None, count: int | None) -> Index:
    if (rate is None) == (count is None):
        raise BadInput("Give either a rate (share of the sites) or a count (number of sites), and not both.")
    if count is not None:
        if not 0 <= count <= len(rows):
            raise BadInput(f"{count} sites were asked for and there are {len(rows)}: ask for fewer.")
        return rng.choice(rows, count, replace=False)
    if rate is None or not 0 <= rate <= 1:
        raise BadInput(f"The rate is {rate}: it is the share of sites and must lie between 0 and 1.")
    return rows[rng.random(len(rows)) < rate]


def _substitute(atoms: Atoms, rows: Index) -> None:
    """Turn the atoms in `rows` into 3-fold silicon; push silicon and carbon beside them to the seen distances."""
    atoms.numbers[rows] = 14
    atoms.arrays["label"][rows] = "Si"
    atoms.positions[rows, 2] += 10 * SI_HEIGHT_NM
    for number, seen_nm, share in ((14, SI_SI_SEEN_NM, 0.5), (6, SI_C_SEEN_NM, 1.0)):
        _, other, away, length = _neighbours(atoms, rows, number)
        step = 10 * share * (seen_nm - length)[:, None] * away
        np.add.at(atoms.positions, (other[:, None], np.array([[1, 0]])), step)


def _neighbours(atoms: Atoms, rows: Index, number: int = 6) -> tuple[Index, Index, Array, Array]:
    """Return pairs (row, atom of `number` bonded to it), unit vectors (y, x) from one to other, and distances (nm)."""
    from scipy.spatial import cKDTree

    points = points_of(atoms)
    near = cKDTree(points).query_ball_point(points[rows], 1.2 * BOND_NM)
    centre = np.repeat(rows, [len(found) for found in near])
    other = np.concatenate([np.asarray(found, dtype=np.intp) for found in near] or [np.empty(0, dtype=np.intp)])
    wanted = (atoms.numbers[other] == number) & (other != centre)
    centre, other = centre[wanted], other[wanted]
    vector = points[other] - points[centre]
    length = np.hypot(vector[:, 0], vector[:, 1])
    return centre, other, vector / length[:, None], length


def _replace_pairs(atoms: Atoms, rows: Index, rng: np.random.Generator) -> Atoms:
    """Replace each atom of `rows` and one of its carbon neighbours by a silicon midway; skip what is taken already."""
    keep = np.ones(len(atoms), dtype=bool)
    first, second, _, _ = _neighbours(atoms, rows)
    for pair in rng.permutation(np.column_stack([first, second])):
        if keep[pair].all() and (atoms.numbers[pair] == 6).all():
            atoms.positions[pair[0]] = atoms.positions[pair].mean(axis=0)
            atoms.numbers[pair[0]], atoms.arrays["label"][pair[0]] = 14, "Si"
            keep[pair[1]] = False
    return part_of(atoms, keep)
