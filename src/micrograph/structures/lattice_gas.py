"""Lattice gases of a surface: two species on a lattice, and adatoms or none on a second one, with energies in kT.

One lattice (species A counted, B not), energy over kT = sum over shells k of w_k N_k(A-B): w_k is what an unlike pair
of the k-th shell of neighbours costs more than like ones. Above zero the species segregate, below they mix.

Two lattices, as for La/Ca and oxygen on a manganite (Vlcek et al., doi:10.1021/acsnano.8b07980; their symbols in
brackets, the geometry is this module's: their text gives three effective pair energies, not which pairs they count):

    E / kT = w_1 N_1(A-B) + w_2 N_2(A-A) + w_3 N(A-O)      [w'_CL 0.194, w'_LL 0.739, w'_LO -0.890]

with N_1 the unlike nearest pairs (Ca-La), N_2 the pairs of A (La-La) that are second neighbours, and N(A-O) the
contacts of A with an adatom in the hollow beside it. Compositions are held, or kept by chemical potentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.structures.pair_field import Chains, PairField, PairTerm, SiteTerm

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Offsets = tuple[tuple[int, int], ...]

#: Energies of the published inversion in kT: unlike nearest pairs, like second pairs, contacts with adatoms.
PUBLISHED_KT = (0.194, 0.739, -0.890)
_UNLIKE, _BOTH = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
_COUNTED = np.array([0.0, 1.0])


@dataclass(frozen=True)
class LatticeGas:
    """Which sites interact.

    shells: per shell one offset (du, dv) in cells of each pair +-; contacts: offsets from a site of the second lattice
    to those of the first that it touches, none where there is one lattice.
    """

    shells: tuple[Offsets, ...]
    contacts: Offsets = ()

    @property
    def layers(self) -> int:
        """How many lattices there are."""
        return 2 if self.contacts else 1

    @property
    def energies(self) -> int:
        """How many energies there are."""
        return 3 if self.contacts else len(self.shells)

    def theta(self, energies_kT: Sequence[float], potentials: Sequence[float] = (0.0, 0.0)) -> Array:
        """Return the parameters of `on`'s field: chemical potentials over kT, then minus the energies."""
        return np.array([*potentials[: self.layers], *(-value for value in energies_kT)], float)

    def on(self, nodes: Index) -> PairField:
        """Return the field on `nodes` (N, 2) of the first lattice, and on those of the second at the same cells."""
        place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes)}
        first = [self._pairs(nodes, shell, place, 0) for shell in self.shells]
        number = len(nodes)
        is_first = np.arange(self.layers * number) < number
        if not self.contacts:
            terms = [PairTerm(f"w_{k + 1}", pairs, _UNLIKE) for k, pairs in enumerate(first)]
            return PairField(number, 2, (SiteTerm("mu_1", is_first, _COUNTED), *terms))
        touching = self._pairs(nodes, self.contacts, place, number)
        return PairField(
            2 * number,
            2,
            (
                SiteTerm("mu_1", is_first, _COUNTED),
                SiteTerm("mu_2", ~is_first, _COUNTED),
                PairTerm("w_1", first[0], _UNLIKE),
                PairTerm("w_2", first[1], _BOTH),
                PairTerm("w_3", touching, _BOTH),
            ),
        )

    def periodic(self, size: int) -> PairField:
        """Return the field on size x size cells that close on themselves."""
        u, v = np.divmod(np.arange(size * size), size)
        wide = self.on(np.stack([u, v], axis=1))
        terms: list[SiteTerm | PairTerm] = []
        offsets = [*self.shells[: 2 if self.contacts else None], *([self.contacts] if self.contacts else [])]
        shifts = [0] * (len(offsets) - bool(self.contacts)) + [size * size] * bool(self.contacts)
        for term in wide.terms:
            if isinstance(term, SiteTerm):
                terms.append(term)
                continue
            steps, shift = offsets.pop(0), shifts.pop(0)
            pairs = [np.stack([shift + u * size + v, (u + du) % size * size + (v + dv) % size], 1) for du, dv in steps]
            terms.append(PairTerm(term.name, np.concatenate(pairs), term.table))
        return PairField(wide.number, 2, tuple(terms))

    @staticmethod
    def _pairs(nodes: Index, offsets: Offsets, place: dict[tuple[int, int], int], shift: int) -> Index:
        found = [
            (shift + number, place[u + du, v + dv])
            for du, dv in offsets
            for number, (u, v) in enumerate(nodes.tolist())
            if (u + du, v + dv) in place
        ]
        return np.array(found, np.intp).reshape(-1, 2)


#: A square lattice with nearest and second neighbours, and adatoms in the hollows between four sites.
MANGANITE = LatticeGas(
    shells=(((0, 1), (1, 0)), ((1, 1), (1, -1))), contacts=((0, 0), (0, 1), (1, 0), (1, 1))
)  # fmt: skip


def canonical(
    gas: LatticeGas,
    energies_kT: Sequence[float],
    compositions: Sequence[float],
    size: int,
    rng: np.random.Generator,
    *,
    replicas: int = 1,
    sweeps: int = 120,
) -> tuple[PairField, NDArray[np.int8]]:
    """Return the periodic field and configurations (N, R) drawn with given compositions (share of 1 a lattice)."""
    field = gas.periodic(size)
    chains = Chains(field, replicas, rng)
    number = size * size
    start = np.zeros((field.number, replicas), np.int8)
    for layer, share in zip(range(gas.layers), compositions, strict=False):
        order = rng.random((number, replicas)).argsort(axis=0)
        start[layer * number : (layer + 1) * number] = order < round(share * number)
    chains.place(start)
    theta = gas.theta(energies_kT)
    for _ in range(sweeps):
        for layer in range(gas.layers):
            chains.exchange(theta, np.arange(layer * number, (layer + 1) * number))
    return field, chains.states


def shells_of(cell: Array, number: int, tolerance: float = 0.08) -> tuple[tuple[Offsets, ...], Array]:
    """Return the first shells of a lattice with `cell` (2, 2), one of each pair +- of offsets, and their distances."""
    steps = [(u, v) for u in range(-3, 4) for v in range(-3, 4) if u > 0 or (u == 0 and v > 0)]
    length = np.hypot(*(np.array(steps) @ cell).T)
    order = np.argsort(length, kind="stable")
    groups: list[list[int]] = []
    for place in order:
        if groups and length[place] <= (1 + tolerance) * length[groups[-1][0]]:
            groups[-1].append(int(place))
        else:
            groups.append([int(place)])
    chosen = groups[:number]
    distances = np.array([length[group].mean() for group in chosen])
    return tuple(tuple(steps[place] for place in group) for group in chosen), distances


def contacts_of(cell: Array, offset: Array, tolerance: float = 0.12) -> tuple[Offsets, float]:
    """Return the sites of the first lattice that one of the second, `offset` (2,) cells away, touches; the distance."""
    steps = [(u, v) for u in range(-2, 4) for v in range(-2, 4)]
    length = np.hypot(*((np.array(steps) - offset) @ cell).T)
    near = np.flatnonzero(length <= (1 + tolerance) * length.min())
    return tuple(steps[place] for place in near), float(length[near].mean())
