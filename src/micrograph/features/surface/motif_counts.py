"""How often each local motif occurs: a site's state with the number of ones among its neighbours of each kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.structures.pair_field import PairField, PairTerm

Array = NDArray[np.float64]


def motif_counts(field: PairField, states: NDArray[np.int8], known: NDArray[np.bool_]) -> list[Array]:
    """Return for each term of pairs the counts (R, B) of motifs (own state, ones around) in configurations (N, R).

    Sites count that are `known` (N,) with as many known neighbours as most have.
    """
    from scipy.sparse import csr_array

    found = []
    for term in field.terms:
        if not isinstance(term, PairTerm):
            continue
        pairs = term.pairs[known[term.pairs].all(axis=1)]
        ends = np.concatenate([pairs, pairs[:, ::-1]])
        if not len(ends):
            continue
        ends = ends[ends[:, 0] < _first_only(term, field.number)]
        degree = np.bincount(ends[:, 0], minlength=field.number)
        most = int(degree.max())
        rows = np.flatnonzero(degree == most)
        matrix = csr_array((np.ones(len(ends), np.int16), (ends[:, 0], ends[:, 1])), shape=(field.number,) * 2)[rows]
        around = matrix @ states.astype(np.int16)
        codes = states[rows].astype(np.int64) * (most + 1) + around
        bins = 2 * (most + 1)
        shifted = codes + bins * np.arange(states.shape[1])
        found.append(np.bincount(shifted.ravel(), minlength=bins * states.shape[1]).reshape(-1, bins).astype(float))
    return found


def _first_only(term: PairTerm, number: int) -> int:
    """Return the end of the sites that are looked at: of pairs between two lattices those of the first."""
    smallest = term.pairs.min(axis=0)
    return int(smallest.max()) if abs(int(smallest[0]) - int(smallest[1])) > number // 4 else number


def statistical_distance(one: Array, other: Array) -> Array:
    """Return the angle between distributions (..., B) of counts: 0 where alike, pi / 2 where they share nothing.

    Wootters' statistical distance (doi:10.1103/PhysRevD.23.357); N times its square is about chi-square / 4.
    """
    p, q = (counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-12) for counts in (one, other))
    return np.asarray(np.arccos(np.clip(np.sum(np.sqrt(p * q), axis=-1), 0, 1)))
