"""Random fields of states on a graph of sites: lattice gases, Ising and Potts models, and their Monte Carlo.

Every site holds one of q states. The probability of a configuration x is proportional to

    exp(sum over terms k of theta_k S_k(x) + sum over sites i of evidence[i, x_i]),

where S_k adds up a table of one state (`SiteTerm`) or of two states (`PairTerm`) over sites or pairs of sites. For a
lattice gas theta_k is minus an energy in units of kT. Many replicas are drawn side by side; sites of one colour touch
no other of that colour and are drawn at once (heat bath, Geman and Geman, doi:10.1109/TPAMI.1984.4767596).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
States = NDArray[np.int8]


@dataclass(frozen=True)
class SiteTerm:
    """Adds ``table[x_i]`` (q,) over the sites of the mask `sites` (N,)."""

    name: str
    sites: NDArray[np.bool_]
    table: Array


@dataclass(frozen=True)
class PairTerm:
    """Adds ``table[x_i, x_j]`` (q, q), symmetric, over `pairs` (P, 2) of sites."""

    name: str
    pairs: Index
    table: Array


@dataclass(frozen=True)
class _Coupling:
    """One term of pairs, ready for sampling: per colour the neighbours as a matrix, and what they add to the logits."""

    matrices: tuple[Any, ...]
    degrees: tuple[NDArray[np.float32], ...]
    plain: NDArray[np.float32]
    joint: NDArray[np.float32]


@dataclass(frozen=True)
class PairField:
    """A random field of `number` sites with `states` states and its terms."""

    number: int
    states: int
    terms: tuple[SiteTerm | PairTerm, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(term.name for term in self.terms)

    @cached_property
    def pairs(self) -> Index:
        """All pairs of sites that touch in any term (P, 2)."""
        found = [term.pairs for term in self.terms if isinstance(term, PairTerm)]
        return np.concatenate([*found, np.empty((0, 2), np.intp)])

    @cached_property
    def colours(self) -> tuple[Index, ...]:
        """Sites of each colour: no two of one colour touch."""
        neighbours: list[list[int]] = [[] for _ in range(self.number)]
        for one, other in self.pairs.tolist():
            neighbours[one].append(other)
            neighbours[other].append(one)
        colour = np.full(self.number, -1)
        for site in range(self.number):
            taken = {int(colour[near]) for near in neighbours[site]}
            colour[site] = next(number for number in range(len(taken) + 1) if number not in taken)
        return tuple(np.flatnonzero(colour == number) for number in range(int(colour.max(initial=-1)) + 1))

    @cached_property
    def _couplings(self) -> tuple[_Coupling | None, ...]:
        return tuple(self._coupling(term) if isinstance(term, PairTerm) else None for term in self.terms)

    def _coupling(self, term: PairTerm) -> _Coupling:
        from scipy.sparse import csr_array

        ends = np.concatenate([term.pairs, term.pairs[:, ::-1]])
        ones = np.ones(len(ends), np.float32)
        whole = csr_array((ones, (ends[:, 0], ends[:, 1])), shape=(self.number, self.number))
        degree = np.bincount(ends[:, 0], minlength=self.number).astype(np.float32)
        steps = (term.table - term.table[0]).astype(np.float32)
        return _Coupling(
            matrices=tuple(whole[colour] for colour in self.colours),
            degrees=tuple(degree[colour] for colour in self.colours),
            plain=steps[1:, 0],
            joint=steps[1:, 1:] - steps[1:, :1],
        )

    def statistics(self, states: States) -> Array:
        """Return S (R, K) of configurations (N, R)."""
        found = np.empty((states.shape[1], len(self.terms)))
        for place, term in enumerate(self.terms):
            if isinstance(term, SiteTerm):
                found[:, place] = term.table[states[term.sites]].sum(axis=0)
            elif self.states == 2:
                found[:, place] = self._of_two(term, states)
            else:
                codes = states[term.pairs[:, 0]] * np.int8(self.states) + states[term.pairs[:, 1]]
                found[:, place] = term.table.ravel()[codes].sum(axis=0)
        return found

    def _of_two(self, term: PairTerm, states: States) -> Array:
        one, other = states[term.pairs[:, 0]], states[term.pairs[:, 1]]
        both = np.sum(one & other, axis=0, dtype=np.int64)
        single = np.sum(one, axis=0, dtype=np.int64) + np.sum(other, axis=0, dtype=np.int64)
        table = term.table
        plain = table[0, 0] * len(term.pairs) + (table[1, 0] - table[0, 0]) * single
        return np.asarray(plain + (table[1, 1] - 2 * table[1, 0] + table[0, 0]) * both, float)


class Chains:
    """Replicas of a field that are drawn side by side; they remember where they are.

    evidence (N, q): logarithm of the likelihood of what was seen at each site, for each state; ``None`` for nothing.
    """

    def __init__(
        self, field: PairField, replicas: int, rng: np.random.Generator, evidence: NDArray[np.floating] | None = None
    ) -> None:
        self.field = field
        self._rng = np.random.Generator(np.random.SFC64(int(rng.integers(2**62))))
        told = np.zeros((field.number, field.states)) if evidence is None else np.asarray(evidence, float)
        self._evidence = (told[:, 1:] - told[:, :1]).astype(np.float32)
        start = np.exp(told - told.max(axis=1, keepdims=True))
        self.states: States = np.zeros((field.number, replicas), np.int8)
        edges = np.cumsum(start / start.sum(axis=1, keepdims=True), axis=1)[:, :-1]
        drawn = self._rng.random((field.number, replicas))
        for edge in edges.T:
            self.states += drawn > edge[:, None]
        self._seen = np.stack([self.states == state for state in range(1, field.states)], axis=2).astype(np.float32)

    def place(self, states: States) -> None:
        """Put the replicas where `states` (N, R) says."""
        self.states = np.array(states, np.int8)
        self._seen = np.stack([self.states == state for state in range(1, self.field.states)], axis=2).astype(
            np.float32
        )

    def _logits(self, theta: Array, number: int, colour: Index) -> NDArray[np.float32]:
        """Return log p(state) / p(state 0) (n, R, q - 1) of the sites of a colour, all others held."""
        replicas, free = self.states.shape[1], self.field.states - 1
        unary = self._evidence[colour].copy()
        found = np.zeros((len(colour), replicas, free), np.float32)
        for weight, term, coupling in zip(theta, self.field.terms, self.field._couplings, strict=True):
            if isinstance(term, SiteTerm):
                unary += np.float32(weight) * np.outer(term.sites[colour], term.table[1:] - term.table[0]).astype("f4")
            elif coupling is not None and len(term.pairs):
                near = coupling.matrices[number] @ self._seen.reshape(self.field.number, -1)
                near = near.reshape(len(colour), replicas, free)
                found += (
                    near * (np.float32(weight) * coupling.joint[0, 0])
                    if free == 1
                    else near @ (np.float32(weight) * coupling.joint.T)
                )
                unary += np.float32(weight) * coupling.degrees[number][:, None] * coupling.plain
        return found + unary[:, None]

    def sweep(self, theta: Sequence[float] | Array, sweeps: int = 1) -> None:
        """Draw every site anew so many times, colour by colour, at the parameters `theta` (K,)."""
        weights = np.asarray(theta, float)
        for _ in range(sweeps):
            for number, colour in enumerate(self.field.colours):
                logits = self._logits(weights, number, colour)
                drawn = self._rng.random(logits.shape[:2], dtype=np.float32)
                self._draw(colour, logits, drawn)

    def _draw(self, colour: Index, logits: NDArray[np.float32], drawn: NDArray[np.float32]) -> None:
        if self.field.states == 2:
            np.clip(logits, -60, 60, out=logits)
            chosen = drawn * (1 + np.exp(-logits[..., 0])) < 1
            self.states[colour] = chosen
            self._seen[colour, :, 0] = chosen
            return
        top = np.maximum(logits.max(axis=2), 0)
        weight = np.exp(logits - top[..., None])
        edge = np.exp(-top)
        aim = drawn * (edge + weight.sum(axis=2))
        state = np.zeros(aim.shape, np.int8)
        for place in range(self.field.states - 1):
            state += aim > edge
            edge = edge + weight[..., place]
        self.states[colour] = state
        self._seen[colour] = state[..., None] == np.arange(1, self.field.states)

    def exchange(self, theta: Sequence[float] | Array, sites: Index, sweeps: int = 1, share: float = 0.25) -> None:
        """Exchange the states of random pairs among `sites` (Kawasaki, heat bath): their numbers stay as they are.

        Each turn takes sites that do not touch, about `share` of them, pairs them at random, and exchanges where the
        heat bath says so; a sweep is as many turns as it takes to offer every site one exchange. For two states.
        """
        weights = np.asarray(theta, float)
        for _ in range(sweeps * max(1, round(1 / share))):
            chosen = self._apart(sites, share)
            half = len(chosen) // 2
            if half == 0:
                continue
            one, other = chosen[:half], chosen[half : 2 * half]
            logits = self._all_logits(weights, chosen[: 2 * half])
            gain = logits[:half] - logits[half:]
            x, y = self.states[one].copy(), self.states[other].copy()
            change = gain * (y.astype(np.float32) - x)
            swap = self._rng.random(change.shape, dtype=np.float32) * (1 + np.exp(-np.clip(change, -60, 60))) < 1
            self.states[one], self.states[other] = np.where(swap, y, x), np.where(swap, x, y)
            for rows in (one, other):
                self._seen[rows, :, 0] = self.states[rows]

    def _apart(self, sites: Index, share: float) -> Index:
        """Return random sites of which no two touch, in random order."""
        taken = np.zeros(self.field.number, bool)
        taken[self._rng.permutation(sites)[: max(2, int(share * len(sites)))]] = True
        one, other = self.field.pairs.T
        both = taken[one] & taken[other]
        first = self._rng.random(int(both.sum())) < 0.5
        taken[np.where(first, one[both], other[both])] = False
        return np.asarray(self._rng.permutation(np.flatnonzero(taken)), np.intp)

    def _all_logits(self, theta: Array, rows: Index) -> NDArray[np.float32]:
        """Return the logits (n, R) of any sites of a field with two states."""
        found = np.repeat(self._evidence[rows], self.states.shape[1], axis=1)
        for weight, term, whole in zip(theta, self.field.terms, self._whole, strict=True):
            if isinstance(term, SiteTerm):
                found += (np.float32(weight) * (term.table[1] - term.table[0]) * term.sites[rows])[:, None]
            else:
                matrix, degree = whole
                steps = (term.table - term.table[0]).astype(np.float32)
                near = matrix[rows] @ self._seen[..., 0]
                found += np.float32(weight) * (steps[1, 0] * degree[rows][:, None] + (steps[1, 1] - steps[1, 0]) * near)
        return np.asarray(found, np.float32)

    @cached_property
    def _whole(self) -> list[Any]:
        from scipy.sparse import csr_array

        found: list[Any] = []
        for term in self.field.terms:
            pairs = term.pairs if isinstance(term, PairTerm) else np.empty((0, 2), np.intp)
            ends = np.concatenate([pairs, pairs[:, ::-1]])
            shape = (self.field.number, self.field.number)
            matrix = csr_array((np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), shape=shape)
            found.append((matrix, np.bincount(ends[:, 0], minlength=self.field.number).astype(np.float32)))
        return found

    def statistics(self) -> Array:
        """Return S (R, K) of the replicas as they are."""
        return self.field.statistics(self.states)


def exact_moments(field: PairField, theta: Sequence[float] | Array) -> tuple[Array, Array]:
    """Return the exact mean (K,) and covariance (K, K) of S by going through all configurations (for few sites)."""
    count = field.states**field.number
    if count > 2**20:
        raise ValueError(f"{count} configurations are too many to go through.")
    codes = np.arange(count)
    states = np.stack([(codes // field.states**site) % field.states for site in range(field.number)]).astype(np.int8)
    found = field.statistics(states)
    weight = found @ np.asarray(theta, float)
    p = np.exp(weight - weight.max())
    p /= p.sum()
    mean = p @ found
    return mean, np.asarray((found - mean).T @ (p[:, None] * (found - mean)))
