"""The nodes of a lattice in an image of a surface, bent by drift and creep as it may be: geometric phases.

Cell and bend come from `repeats`; the phases of the cell's two waves, averaged over a few cells, say where the nodes
lie all over the image (Hytch et al., doi:10.1016/S0304-3991(98)00035-7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.lattices.bravais import reduction
from micrograph.features.surface.bends import block_side, demodulated, placed, spread
from micrograph.features.surface.motif import enlarged
from micrograph.features.surface.repeats import binning, find_lattice

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Fewest cells along each side, least share of the variance that cells foretell of others, pixels of a cell.
_FEWEST_CELLS, _FORETOLD, _FINEST_PX = 5.0, 0.02, 3.0
#: 1-sigma (in cells) over which phases are averaged, and rounds of it.
_SMOOTH, _ROUNDS = 1.6, 2
#: The waves whose crests cross at the nodes.
_FIRST = np.eye(2, dtype=np.intp)


@dataclass(frozen=True)
class Nodes:
    """Nodes of a lattice: index (N, 2) in cells, place (N, 2) [y, x] in px; cell (2, 2) in px, rows a and b."""

    index: Index
    place: Array
    cell: Array

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.index)

    @property
    def spacing_px(self) -> float:
        """Shortest distance between nodes."""
        a, b = self.cell
        return float(min(np.hypot(*a), np.hypot(*b), np.hypot(*(a + b)), np.hypot(*(a - b))))


def find_nodes(image: NDArray[np.floating], margin: float = 0.5) -> Nodes:
    """Return the nodes of the lattice of bright places in an image (H, W), those `margin` cells inside the border.

    Raises `BadInput`, in one sentence, where the image holds no lattice, or too few cells of one.
    """
    values = np.asarray(image, float)
    values = values - values.mean()
    found = find_lattice(values)
    if found is None or found.foretold < _FORETOLD:
        raise BadInput(
            "The image shows no lattice: this recipe needs an image of many sites in rows, at least five along each "
            "side."
        )
    cell = _reduced(found.cell)
    spacing = float(np.hypot(*cell.T).min())
    if spacing < _FINEST_PX or min(values.shape) < _FEWEST_CELLS * float(np.hypot(*cell.T).max()):
        raise BadInput(
            f"The lattice has a spacing of {spacing:.1f} px in an image of {values.shape[0]} x {values.shape[1]} px: "
            "this recipe needs 3 px a site and five sites along each side."
        )
    number = binning(values.shape)
    return _placed(values, cell, enlarged(found.shift / number, number, values.shape), margin)


def _reduced(cell: Array) -> Array:
    """Return the shortest vectors of a lattice, a nearest to +x, b counter-clockwise of it on the screen."""
    a, b = reduction(cell) @ cell
    options = (a, -a, b, -b, a + b, -a - b, a - b, b - a)
    shortest = min(np.hypot(*vector) for vector in options)
    short = [vector for vector in options if np.hypot(*vector) < 1.12 * shortest]
    first = max(short, key=lambda vector: (round(vector[1] / np.hypot(*vector), 3), -vector[0]))
    rest = [vector for vector in options if abs(np.linalg.det(np.stack([first, vector]))) > 0.3 * shortest**2]
    upward = [vector for vector in rest if first[1] * -vector[0] + first[0] * vector[1] > 0]
    second = min(upward, key=lambda vector: (round(float(np.hypot(*vector)) / shortest, 1), -float(first @ vector)))
    return np.stack([first, second])


def _placed(values: Array, cell: Array, shift: Array, margin: float) -> Nodes:
    """Return the nodes: where the phases of both waves are whole turns."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    everywhere = np.ones(values.shape, bool)
    sigma = _SMOOTH * float(np.hypot(*cell.T).mean())
    step = block_side(values.shape, sigma)
    shift = np.stack([gaussian_filter(one, sigma / 2, mode="nearest") for one in shift])
    turns = np.zeros(2)
    for _ in range(_ROUNDS):
        cell, shift, place = placed(cell, shift, everywhere)
        seen = demodulated(values, place, _FIRST, step, sigma)
        turns = np.angle(seen.sum(axis=(1, 2)))
        rest = np.angle(seen * np.exp(-1j * turns)[:, None, None])
        shift = shift - spread(np.einsum("kyx,ki->iyx", rest / (2 * np.pi), cell), step, values.shape)
    size = np.array(values.shape)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * size @ np.linalg.inv(cell)
    low, high = np.floor(corners.min(axis=0)).astype(int) - 3, np.ceil(corners.max(axis=0)).astype(int) + 3
    index = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].reshape(2, -1).T
    straight = (index - turns / (2 * np.pi)) @ cell
    at = straight
    for _ in range(4):
        inside = np.clip(at, 0, size - 1).T
        at = straight + np.stack([map_coordinates(one, inside, order=1, mode="nearest") for one in shift], axis=1)
    edge = margin * float(np.hypot(*cell.T).min())
    seen_there = ((at >= edge) & (at <= size - 1 - edge)).all(axis=1)
    return Nodes(index[seen_there], np.asarray(at[seen_there]), cell)


def neighbours_of(nodes: Nodes) -> Index:
    """Return the pairs (P, 2) of nodes that are neighbours: no farther apart than 1.3 times the shortest vector."""
    a, b = nodes.cell
    steps = [(1, 0), (0, 1), (1, 1), (1, -1)]
    near = [step for step in steps if np.hypot(*(step[0] * a + step[1] * b)) < 1.3 * nodes.spacing_px]
    place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes.index)}
    found = [
        (number, place[u + du, v + dv])
        for (u, v), number in place.items()
        for du, dv in near
        if (u + du, v + dv) in place
    ]
    return np.array(found, np.intp).reshape(-1, 2)
