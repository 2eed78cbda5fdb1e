"""States of bowl-shaped molecules on a lattice: up or down, turned one of several ways, as neighbours would have it.

The random field of Ziatdinov et al. (doi:10.1038/s41524-017-0038-7): energy over kT = -K_rotation N(neighbours turned
alike) + K_polar N(neighbours of unlike polarity) - h N(down). Temperature is 1 / K_rotation, in units of the coupling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.structures.lattice_gas import Offsets
from micrograph.structures.pair_field import Chains, PairField, PairTerm, SiteTerm

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Neighbours of a hexagonal lattice whose vectors a, b enclose 60 degrees, one of each pair.
HEXAGONAL: Offsets = ((1, 0), (0, 1), (1, -1))


@dataclass(frozen=True)
class MoleculeModel:
    """State number = polarity * rotations + rotation; polarity 0 is up, 1 is down."""

    rotations: int = 4
    polarities: int = 2

    @property
    def states(self) -> int:
        """How many states a molecule has."""
        return self.polarities * self.rotations

    @property
    def rotation(self) -> Index:
        """Rotation (q,) of each state."""
        return np.arange(self.states) % self.rotations

    @property
    def down(self) -> NDArray[np.bool_]:
        """Whether each state (q,) is down."""
        return np.arange(self.states) >= self.rotations

    def on(self, nodes: Index, offsets: Offsets) -> PairField:
        """Return the field on `nodes` (N, 2) with these neighbours; terms h, polar, rotation."""
        place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes)}
        pairs = np.array(
            [
                (number, place[u + du, v + dv])
                for du, dv in offsets
                for number, (u, v) in enumerate(nodes.tolist())
                if (u + du, v + dv) in place
            ],
            np.intp,
        ).reshape(-1, 2)
        return self.between(len(nodes), pairs)

    def between(self, number: int, pairs: Index) -> PairField:
        """Return the field of `number` molecules of which `pairs` (P, 2) are neighbours."""
        down, rotation = self.down, self.rotation
        everywhere = np.ones(number, bool)
        terms: list[SiteTerm | PairTerm] = []
        if self.polarities == 2:
            terms.append(SiteTerm("h", everywhere, down.astype(float)))
            terms.append(PairTerm("polar", pairs, -(down[:, None] != down).astype(float)))
        terms.append(PairTerm("rotation", pairs, (rotation[:, None] == rotation).astype(float)))
        return PairField(number, self.states, tuple(terms))


def draw_states(
    model: MoleculeModel,
    couplings: tuple[float, float, float],
    size: int,
    rng: np.random.Generator,
    sweeps: int = 200,
    replicas: int = 1,
) -> NDArray[np.int8]:
    """Return states (size^2, R) on a hexagonal lattice that closes on itself; couplings: h, K_polar, K_rotation."""
    u, v = np.divmod(np.arange(size * size), size)
    pairs = np.concatenate(
        [np.stack([u * size + v, (u + du) % size * size + (v + dv) % size], axis=1) for du, dv in HEXAGONAL]
    )
    field = model.between(size * size, pairs)
    chains = Chains(field, replicas, rng)
    chains.sweep(couplings[-len(field.terms) :], sweeps)
    return chains.states
