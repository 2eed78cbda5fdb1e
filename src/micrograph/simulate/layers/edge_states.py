"""Five ways in which a silicon is bonded at the edge of graphene and beside it, and the sheets that show them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.kinetics.lattice import Array, Index
from micrograph.simulate.layers.surroundings import CARBON, SILICON, merged, turned

if TYPE_CHECKING:
    from micrograph.structures import Network

Mask = NDArray[np.bool_]

#: Silicon with two neighbours on a zigzag or an armchair edge; in the sheet with three or four neighbours; with three
#: neighbours, in a pentagon and two heptagons (on a turned bond).
EDGE_STATES = ("zigzag", "armchair", "bulk-3", "bulk-4", "bulk-57")

#: Sizes of the rings around the silicon, ascending.
RING_SIZES = {"zigzag": "6", "armchair": "6", "bulk-3": "6-6-6", "bulk-4": "5-5-6-6", "bulk-57": "5-7-7"}

#: Atoms within this distance of a corner change with the silicon's state.
REACH_NM = 1.0

#: How far from the corner silicon sits: along an edge; along both edges into the sheet.
_ALONG_NM, _INTO_NM = 0.30, 0.22


@dataclass(frozen=True)
class Hole:
    """A flat sheet around a rectangular hole whose middle is at (0, 0) and whose half size is `half_nm` (y, x)."""

    network: Network
    half_nm: Array

    @property
    def corners(self) -> Array:
        """The four corners, (4, 2)."""
        return np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * self.half_nm


def holed_sheet(size_nm: float, hole_nm: tuple[float, float], bearded: float = 0.0) -> Hole:
    """Return a square sheet with a hole of about `hole_nm` (y, x): zigzag edges above and below, armchair beside it.

    `bearded`: share of the zigzag edges, from their middle on, whose atoms carry one more carbon on a single bond.
    """
    from micrograph.structures import Network, bonded, graphene
    from micrograph.structures.graphene import A_NM, BOND_NM

    points = graphene(size_nm, margin_nm=0.0).positions[:, [1, 0]] / 10
    atom = points[np.argmin(np.hypot(*(points - size_nm / 2).T))]
    points = points - atom + _ring_beside(points, atom)
    row, column = np.sqrt(3) / 2 * A_NM, A_NM / 2
    half = np.array([round(hole_nm[0] / 2 / row) * row, (round(hole_nm[1] / 2 / column - 0.5) + 0.5) * column])
    network = Network(points, np.full(len(points), CARBON), bonded(points))
    near = (np.abs(points) < half + 0.5).all(axis=1)
    network, near = _cut(network, near, ~(np.abs(points) < half).all(axis=1))
    while (dangling := near & (network.degree < 2)).any():
        network, near = _cut(network, near, ~dangling)
    if bearded > 0:
        network = _bearded(network, bearded * half[1], half[0] + BOND_NM / 2 + 0.02)
    return Hole(network, half)


def _ring_beside(points: Array, atom: Array) -> Array:
    """Return the way (y, x) from the centre of a ring to `atom`, which is on it."""
    from micrograph.structures.graphene import BOND_NM

    above = np.hypot(*(points - atom - np.array([BOND_NM, 0.0])).T).min() < BOND_NM / 2
    return np.array([-BOND_NM if not above else BOND_NM, 0.0])


def _cut(network: Network, near: Mask, keep: Mask) -> tuple[Network, Mask]:
    return network.part(keep), near[keep]


def _bearded(network: Network, reach_x_nm: float, reach_y_nm: float) -> Network:
    """Return the network with a carbon on a single bond at each edge atom within reach of the hole's middle."""
    from micrograph.structures.graphene import BOND_NM

    y, x = network.points.T
    edge = np.flatnonzero((network.degree == 2) & (np.abs(x) < reach_x_nm) & (np.abs(y) < reach_y_nm))
    beards = network.points[edge] - np.column_stack([np.sign(y[edge]) * BOND_NM, np.zeros(len(edge))])
    new = len(y) + np.arange(len(edge))
    return replace(
        network,
        points=np.concatenate([network.points, beards]),
        numbers=np.concatenate([network.numbers, np.full(len(edge), CARBON)]),
        bonds=np.concatenate([network.bonds, np.column_stack([edge, new])]),
    )


def silicon_at(hole: Hole, corner: Array, state: str) -> tuple[Network, int, Index]:
    """Return the sheet around `corner` (y, x), relaxed, with silicon in the given state.

    Also its row, and the rows of `hole.network` that this sheet replaces: atoms up to `REACH_NM` from the corner.
    """
    from micrograph.structures import relaxed

    distance = np.hypot(*(hole.network.points - corner).T)
    around = distance < REACH_NM + 0.4
    network = hole.network.part(around)
    free = distance[around] < REACH_NM
    row = _row_of(network, hole, corner, state)
    changed, kept = _dressed(network, row, corner, state)
    settled = relaxed(changed.part(kept), free[kept])
    inner = free[kept]
    silicon = int(np.cumsum(kept)[row] - 1)
    return settled.part(inner), int(np.cumsum(inner)[silicon] - 1), np.flatnonzero(distance < REACH_NM)


def _row_of(network: Network, hole: Hole, corner: Array, state: str) -> int:
    """Return the row of the atom near the `corner` that silicon takes in a state."""
    outward = np.sign(corner)
    target = {
        "zigzag": corner + outward * [0.07, -_ALONG_NM],
        "armchair": corner + outward * [-_ALONG_NM, 0.06],
    }.get(state, corner + outward * _INTO_NM)
    beyond = np.abs(network.points) > hole.half_nm
    edge = network.degree == 2
    inner = np.bincount(network.bonds.ravel(), edge[network.bonds[:, ::-1]].ravel(), len(edge)) == 0
    fits = {
        "zigzag": edge & beyond[:, 0] & ~beyond[:, 1],
        "armchair": edge & beyond[:, 1] & ~beyond[:, 0],
    }.get(state, (network.degree == 3) & inner)
    return int(np.argmin(np.where(fits, np.hypot(*(network.points - target).T), np.inf)))


def _dressed(network: Network, row: int, corner: Array, state: str) -> tuple[Network, Mask]:
    """Return the network with silicon at `row`, bonded as in `state`, and which atoms (N,) are left."""
    numbers = network.numbers.copy()
    numbers[row] = SILICON
    changed = replace(network, numbers=numbers)
    kept = np.ones(len(numbers), dtype=bool)
    if state in ("bulk-4", "bulk-57"):
        beside = network.bonds[(network.bonds == row).any(axis=1)].sum(axis=1) - row
        other = int(beside[np.argmax((network.points[beside] - corner) @ np.sign(corner))])
        if state == "bulk-57":
            return turned(changed, row, other), kept
        kept[other] = False
        return merged(changed, row, other), kept
    return changed, kept
