"""A hexagonal layer of two kinds of sites, laid into one standard orientation whatever way the image shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.lattice import Index, Lattice

Array = NDArray[np.float64]
#: A lattice is taken as hexagonal if its sides agree to this share and its angle to this many degrees.
TOLERANCE, TOLERANCE_DEG = 0.05, 5.0


@dataclass(frozen=True)
class Honeycomb:
    """The standard orientation of a lattice: a first kind of site at the origin, its nearest second kind along +x.

    Of the three equivalent neighbours the one that lies nearest to the image's +x is taken. cell: (2, 2) exact
    hexagonal cell in the standard orientation, rows as [y, x] nm; basis: (2, 2) sites as measured, in cells; turn:
    (2, 2) takes a standard offset to the image, ``offset @ turn``, with what distorts the image; first: which of the
    lattice's sites is of the first kind.
    """

    cell: Array
    basis: Array
    turn: Array
    first: int

    @property
    def a_nm(self) -> float:
        """Lattice constant."""
        return float(np.hypot(*self.cell[0]))

    def offset(self, index: Index, centre: Index) -> Array:
        """Return standard offsets (M, 2) in nm of sites with `index` (M, 3) from the site `centre` (3,)."""
        place = index[:, :2] + self.basis[index[:, 2]]
        return np.asarray((place - centre[:2] - self.basis[centre[2]]) @ self.cell)

    def key(self, offset_nm: Array) -> NDArray[np.int64]:
        """Return whole numbers (M, 2) that name an offset: in steps of a / 2 along y, of a / (2 sqrt 3) along x."""
        steps = np.array([self.a_nm / 2, self.a_nm / (2 * np.sqrt(3))])
        return np.asarray(np.rint(offset_nm / steps), dtype=np.int64)


def honeycomb(lattice: Lattice, first: int) -> Honeycomb | None:
    """Return the standard orientation of `lattice`, whose site `first` is of the first kind; ``None`` if it has none.

    It has none unless it is hexagonal with two sites in its cell.
    """
    if len(lattice.basis) != 2 or abs(lattice.gamma_deg - 120) > TOLERANCE_DEG:
        return None
    if abs(lattice.b_nm / lattice.a_nm - 1) > TOLERANCE:
        return None
    shifts = np.mgrid[-2:3, -2:3].reshape(2, -1).T
    apart = lattice.basis[1 - first] - lattice.basis[first] + shifts
    vector = apart @ lattice.cell
    length = np.hypot(*vector.T)
    near = np.argsort(length)[:3]
    bond = vector[near[np.argmax(vector[near, 1] / length[near])]]
    angle = np.arctan2(-bond[0], bond[1])
    a_nm = float(np.sqrt(abs(np.linalg.det(lattice.cell)) * 2 / np.sqrt(3)))
    seen = np.arctan2(-lattice.cell[:, 0], lattice.cell[:, 1]) - angle
    exact = np.pi / 6 + np.pi / 3 * np.rint((seen - np.pi / 6) / (np.pi / 3))
    cell = a_nm * np.stack([-np.sin(exact), np.cos(exact)], axis=1)
    turn = np.asarray(np.linalg.solve(cell, lattice.cell), dtype=np.float64)
    return Honeycomb(cell, lattice.basis, turn, first)
