"""What a foreign atom or a turned bond does to the graphene around it, and edits of networks that lead there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.kinetics.lattice import Array

if TYPE_CHECKING:
    from micrograph.structures import Network

CARBON, SILICON = 6, 14

#: Atoms further than this from the middle do not feel it.
REACH_NM = 0.9


@dataclass(frozen=True)
class Surroundings:
    """What one silicon does around its site: atoms at `offset` (M, 2) move by `shift`, `gone` ones go.

    Row 0 is the silicon itself, 1 to 3 are its neighbours in the order of the asymmetry.
    """

    offset: Array
    shift: Array
    gone: NDArray[np.bool_]

    def rotated(self, rotation_deg: float) -> Surroundings:
        """Return the same in a sheet turned counter-clockwise."""
        from micrograph.structures.layer import turn

        matrix = turn(rotation_deg)
        return replace(self, offset=self.offset @ matrix, shift=self.shift @ matrix)


def bond_nm() -> float:
    """Return the length of a bond of graphene."""
    from micrograph.structures.graphene import BOND_NM

    return float(BOND_NM)


def directions(sublattice: int, rotation_deg: float = 0.0) -> Array:
    """Return the unit vectors (3, 2; y, x) of the bonds of an atom, counter-clockwise on the screen."""
    angle = np.deg2rad((30.0, 90.0)[sublattice] + 120.0 * np.arange(3) + rotation_deg)
    return np.column_stack([-np.sin(angle), np.cos(angle)])


def patch(sublattice: int, rotation_deg: float = 0.0) -> Array:
    """Return sites (M, 2) around one at the origin: itself, its three neighbours in the order of the bonds, others."""
    bonds = bond_nm() * directions(sublattice, rotation_deg)
    i, j = np.mgrid[-9:10, -9:10].reshape(2, -1)
    same = np.column_stack([i, j]) @ (bonds[0] - bonds[1:])
    points = np.concatenate([np.zeros((1, 2)), bonds, same, same + bonds[0]])
    distance = np.hypot(*points.T)
    others = (distance > 1.2 * bond_nm()) & (distance < REACH_NM + 0.5)
    return np.concatenate([points[:4], points[others]])


def silicon(sublattice: int, *, longer_nm: Array | None = None, give_way: bool = True) -> Surroundings:
    """Return what a 3-fold silicon does; its bonds are longer than usual by `longer_nm` (3,), where that is given."""
    from micrograph.structures import Network, bonded, relaxed

    points = patch(sublattice)
    numbers = np.full(len(points), CARBON)
    numbers[0] = SILICON
    free = np.hypot(*points.T) < REACH_NM
    after = relaxed(Network(points, numbers, bonded(points)), free)
    if longer_nm is not None and np.any(longer_nm):
        after = _stretched(after, longer_nm, free if give_way else None)
    return _compared(points, after, np.ones(len(points), dtype=bool), free)


def fourfold_silicon(sublattice: int, turn: int) -> Surroundings:
    """Return what a silicon does that takes the place of its neighbour `turn` (0, 1, 2) as well."""
    from micrograph.structures import Network, bonded, relaxed

    points = patch(sublattice)
    numbers = np.full(len(points), CARBON)
    numbers[0] = SILICON
    kept = np.arange(len(points)) != 1 + turn
    free = np.hypot(*points.T) < REACH_NM
    network = merged(Network(points, numbers, bonded(points)), 0, 1 + turn)
    return _compared(points, relaxed(network.part(kept), free[kept]), kept, free)


def turned_bond(sublattice: int, turn: int) -> Surroundings:
    """Return what happens around an atom whose bond to its neighbour `turn` (0, 1, 2) turns by 90 degrees."""
    from micrograph.structures import Network, bonded, relaxed

    points = patch(sublattice)
    free = np.hypot(*points.T) < REACH_NM
    network = turned(Network(points, np.full(len(points), CARBON), bonded(points)), 0, 1 + turn)
    return _compared(points, relaxed(network, free), np.ones(len(points), dtype=bool), free)


def _compared(before: Array, after: Network, kept: NDArray[np.bool_], free: NDArray[np.bool_]) -> Surroundings:
    shift = np.zeros_like(before)
    shift[kept] = after.points - before[kept]
    return Surroundings(before[free], shift[free], ~kept[free])


def _stretched(network: Network, longer_nm: Array, free: NDArray[np.bool_] | None) -> Network:
    """Return the network with the bonds from atom 0 to 1, 2, 3 longer, and the atoms that are `free` giving way."""
    from micrograph.structures import relaxed

    points = network.points.copy()
    bond = points[1:4] - points[0]
    points[1:4] += longer_nm[:, None] * bond / np.hypot(bond[:, 0], bond[:, 1])[:, None]
    moved = replace(network, points=points)
    if free is None or not longer_nm.any():
        return moved
    return relaxed(moved, free & (np.arange(len(points)) > 3))


def merged(network: Network, row: int, other: int) -> Network:
    """Return the network with `row` midway to `other`, whose bonds it takes over."""
    points, bonds = network.points.copy(), np.where(network.bonds == other, row, network.bonds)
    points[row] = (points[row] + points[other]) / 2
    return replace(network, points=points, bonds=bonds[bonds[:, 0] != bonds[:, 1]])


def turned(network: Network, a: int, b: int) -> Network:
    """Return the network with the bond between `a` and `b` turned by 90 degrees (Stone and Wales)."""
    points = network.points.copy()
    along = (points[b] - points[a]) / 2
    left, middle = np.array([-along[1], along[0]]), (points[a] + points[b]) / 2
    of_a, of_b = ([n for n in _beside(network, one) if n not in (a, b)] for one in (a, b))
    from_a = min(of_a, key=lambda n: float((points[n] - middle) @ left))
    from_b = max(of_b, key=lambda n: float((points[n] - middle) @ left))
    pairs = {tuple(sorted(bond)) for bond in network.bonds.tolist()}
    pairs ^= {tuple(sorted(pair)) for pair in ((a, from_a), (b, from_b), (a, from_b), (b, from_a))}
    points[a], points[b] = middle + left, middle - left
    return replace(network, points=points, bonds=np.array(sorted(pairs), dtype=np.intp))


def _beside(network: Network, one: int) -> list[int]:
    """Return the atoms bonded to one."""
    return [a + b - one for a, b in network.bonds.tolist() if one in (a, b)]
