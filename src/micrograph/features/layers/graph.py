"""Bonds and rings of a layer of atoms seen in projection.

A bond joins two atoms whose distance is at most the cut-off of their pair of labels. Measured positions have errors,
so every pair gets the probability that its true distance is within the cut-off; the graph holds the pairs with at least
one half, and remembers the near misses so that a name given to a defect carries its probability. Cut-offs for silicon
in graphene: doi:10.1126/sciadv.aaw8989.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.covariance import covariances, points

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Cutoffs = float | Mapping[tuple[str, str], float]

#: Longest bonds of graphene with silicon, nm.
CUTOFFS_NM: Mapping[tuple[str, str], float] = {("C", "C"): 0.175, ("C", "Si"): 0.210, ("Si", "Si"): 0.250}

#: Pairs less probable than this are neither bonds nor near misses.
LEAST_P = 1e-3


@dataclass(frozen=True)
class Graph:
    """Bonds of `size` atoms; every bond is listed once, with ``edges[:, 0] < edges[:, 1]``.

    edges: (E, 2) row numbers; length_nm, length_sigma_nm, p: (E,) length (corrected for the bias that position errors
    across the bond cause), its 1-sigma, probability that the true distance is within the cut-off, 0.5..1.
    near: (M, 2) pairs that are probably no bonds, with near_length_nm, near_length_sigma_nm and near_p (M,) 0.001..0.5.
    """

    size: int
    edges: Index
    length_nm: Array
    length_sigma_nm: Array
    p: Array
    near: Index
    near_length_nm: Array
    near_length_sigma_nm: Array
    near_p: Array

    @cached_property
    def degree(self) -> Index:
        """Number of bonds of every atom, (size,)."""
        return np.bincount(self.edges.ravel(), minlength=self.size)

    def keep(self, which: NDArray[np.bool_]) -> Graph:
        """Return the graph with only the bonds where `which` (E,) is true."""
        return Graph(
            self.size, self.edges[which], self.length_nm[which], self.length_sigma_nm[which], self.p[which],
            self.near, self.near_length_nm, self.near_length_sigma_nm, self.near_p,
        )  # fmt: skip


#: How much rarer than a bond longer than its cut-off two neighbouring atoms are that both lack a bond.
BROKEN_ODDS = 0.01


@dataclass(frozen=True)
class BondStatistics:
    """Bonds of one pair of labels: number, weighted mean length with 1-sigma, spread beyond the position errors."""

    pair: tuple[str, str]
    count: int
    mean_nm: float
    mean_sigma_nm: float
    spread_nm: float


def neighbours(
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    cutoffs_nm: Cutoffs = 0.175,
    labels: ArrayLike | None = None,
    *,
    sigma_nm: ArrayLike | None = None,
    max_degree: int | None = 4,
) -> Graph:
    """Return the bonds between atoms at `y_nm, x_nm` (N,).

    cutoffs_nm: one length for all pairs, or one for each pair of `labels` (N,) such as ``CUTOFFS_NM``; pairs that are
    not named never bond. sigma_nm: position errors as in `covariances`. An atom with more than `max_degree` bonds
    keeps its shortest ones; of two bonds that cross, the less probable goes. Raises `BadInput`.
    """
    from scipy.spatial import cKDTree
    from scipy.special import ndtr

    position = points(y_nm, x_nm)
    covariance = covariances(sigma_nm, len(position))
    longest = max(cutoffs_nm.values()) if isinstance(cutoffs_nm, Mapping) else cutoffs_nm
    reach = longest + 3.1 * np.sqrt(2 * covariance.max(initial=0.0))
    pairs: Index = cKDTree(position).query_pairs(reach, output_type="ndarray").astype(np.intp).reshape(-1, 2)
    cutoff = _cutoff_of(pairs, cutoffs_nm, labels, len(position))
    length, sigma = _lengths(position, covariance, pairs)
    p = ndtr((cutoff - length) / np.maximum(sigma, 1e-9))
    bond, miss = p >= 0.5, (p >= LEAST_P) & (p < 0.5)
    graph = Graph(
        len(position), pairs[bond], length[bond], sigma[bond], p[bond], pairs[miss], length[miss], sigma[miss], p[miss]
    )  # fmt: skip
    if max_degree is not None:
        graph = graph.keep(_within_degree(graph, max_degree))
    return graph.keep(_uncrossed(graph, position))


def without_triangles(graph: Graph, which: NDArray[np.bool_]) -> Graph:
    """Return the graph with no three atoms of `which` (N,) that are all bonded to one another: the least probable bond
    of the three goes (of equals the longest).

    In a layer of carbon no ring is so small; two second neighbours have come too close by the errors.
    """
    among = np.asarray(which[graph.edges].all(axis=1))
    keep = np.ones(len(graph.edges), dtype=np.bool_)
    closing = np.flatnonzero(among)[_share_neighbour(graph.keep(among), graph.edges[among])]
    for bond in closing[np.lexsort((-graph.length_nm[closing], graph.p[closing]))].tolist():
        keep[bond] = not _share_neighbour(graph.keep(among & keep), graph.edges[[bond]])[0]
    return graph.keep(keep)


def with_likely_bonds(graph: Graph, y_nm: ArrayLike, x_nm: ArrayLike, valence: ArrayLike = 3) -> Graph:
    """Return the graph with those near misses as bonds that join two atoms which both have fewer bonds than `valence`
    (a number, or (N,): 0 for atoms whose bonds may lie outside of the field).

    With positions off by 10 pm, one bond of graphene in a hundred is measured longer than its cut-off. Two neighbours
    that both lack a bond are far rarer (`BROKEN_ODDS`), so the odds of such a pair are raised by that factor; it
    becomes a bond, with that probability, if it reaches one half. The most probable come first, and no
    triangles are made: atoms bonded to a common neighbour are second neighbours.
    """
    p = graph.near_p / (graph.near_p + BROKEN_ODDS * (1 - graph.near_p))
    likely = np.flatnonzero((p >= 0.5) & (graph.degree < np.asarray(valence))[graph.near].all(axis=1))
    likely = likely[np.argsort(-p[likely])]
    likely = likely[~_share_neighbour(graph, graph.near[likely])]
    new = likely[_once(graph.near[likely])]
    rest = np.delete(np.arange(len(p)), new)
    more = Graph(
        graph.size,
        np.concatenate([graph.edges, graph.near[new]]),
        np.concatenate([graph.length_nm, graph.near_length_nm[new]]),
        np.concatenate([graph.length_sigma_nm, graph.near_length_sigma_nm[new]]),
        np.concatenate([graph.p, p[new]]),
        graph.near[rest],
        graph.near_length_nm[rest],
        graph.near_length_sigma_nm[rest],
        graph.near_p[rest],
    )
    if not len(new):
        return graph
    return with_likely_bonds(more.keep(_uncrossed(more, points(y_nm, x_nm))), y_nm, x_nm, valence)


def _share_neighbour(graph: Graph, pairs: Index) -> NDArray[np.bool_]:
    """Return whether the two atoms of each pair (K, 2) are bonded to a common third one."""
    from scipy.sparse import csr_array

    ends = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    bonded = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(graph.size, graph.size))
    return np.asarray((bonded[pairs[:, 0]] * bonded[pairs[:, 1]]).sum(axis=1) > 0).ravel()


def _once(pairs: Index) -> Index:
    """Return the rows of `pairs` (K, 2), in order, that share no number with an earlier row taken."""
    seen: set[int] = set()
    rows = []
    for row, (i, j) in enumerate(pairs.tolist()):
        if i not in seen and j not in seen:
            rows.append(row)
            seen.update((i, j))
    return np.array(rows, dtype=np.intp)


def bond_statistics(graph: Graph, labels: ArrayLike) -> tuple[BondStatistics, ...]:
    """Return the statistics of the bonds for every pair of `labels` (N,) that occurs, pairs in alphabetical order."""
    label = np.sort(np.asarray(labels, dtype=np.str_)[graph.edges], axis=1)
    return tuple(
        _bonds_of(graph.keep((label == pair).all(axis=1)), (str(pair[0]), str(pair[1])))
        for pair in np.unique(label, axis=0)
    )


def _bonds_of(graph: Graph, pair: tuple[str, str]) -> BondStatistics:
    length, variance = graph.length_nm, graph.length_sigma_nm**2
    spread2 = max(0.0, float(length.var(ddof=1) - variance.mean())) if len(length) > 1 else 0.0
    weight = 1 / np.maximum(variance + spread2, 1e-18)
    mean = float((weight * length).sum() / weight.sum())
    return BondStatistics(pair, len(length), mean, float(weight.sum() ** -0.5), spread2**0.5)


def _cutoff_of(pairs: Index, cutoffs_nm: Cutoffs, labels: ArrayLike | None, n: int) -> Array:
    """Return the cut-off of every pair, minus infinity where the labels never bond."""
    if not isinstance(cutoffs_nm, Mapping):
        return np.full(len(pairs), float(cutoffs_nm))
    if labels is None or len(np.asarray(labels)) != n:
        raise BadInput(f"Cut-offs by pair of labels need one label for each of the {n} atoms.")
    names, code = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    place = {str(name): i for i, name in enumerate(names)}
    table = np.full((len(names), len(names)), -np.inf)
    for (a, b), value in cutoffs_nm.items():
        if a in place and b in place:
            table[place[a], place[b]] = table[place[b], place[a]] = value
    return np.asarray(table[code[pairs[:, 0]], code[pairs[:, 1]]])


def _lengths(position: Array, covariance: Array, pairs: Index) -> tuple[Array, Array]:
    """Return distances without the bias of the errors across the line, and their 1-sigma along it."""
    step = position[pairs[:, 1]] - position[pairs[:, 0]]
    distance = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-12)
    c = covariance[pairs[:, 0]] + covariance[pairs[:, 1]]
    y, x = step[:, 0] / distance, step[:, 1] / distance
    along = c[:, 0, 0] * y * y + 2 * c[:, 0, 1] * x * y + c[:, 1, 1] * x * x
    across = c[:, 0, 0] + c[:, 1, 1] - along
    return distance - np.minimum(across / (2 * distance), 0.2 * distance), np.sqrt(np.maximum(along, 0.0))


def _within_degree(graph: Graph, limit: int) -> NDArray[np.bool_]:
    """Return which bonds are among the `limit` shortest at both ends."""
    ends = graph.edges.ravel()
    edge = np.repeat(np.arange(len(graph.edges)), 2)
    order = np.lexsort((graph.length_nm[edge], ends))
    first = np.searchsorted(ends[order], ends[order])
    keep = np.ones(len(graph.edges), dtype=np.bool_)
    keep[edge[order[np.arange(len(order)) - first >= limit]]] = False
    return keep


def _uncrossed(graph: Graph, position: Array) -> NDArray[np.bool_]:
    """Return which bonds stay when of each crossing two the less probable (then the longer) is taken away."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(graph.edges), dtype=np.bool_)
    if len(graph.edges) < 2:
        return keep
    ends = position[graph.edges]
    near = cKDTree(ends.mean(axis=1)).query_pairs(float(graph.length_nm.max()), output_type="ndarray")
    i, j = near[:, 0], near[:, 1]
    shared = (graph.edges[i][:, :, None] == graph.edges[j][:, None, :]).any(axis=(1, 2))
    i, j = i[~shared], j[~shared]
    crossing = _opposite(ends[i], ends[j]) & _opposite(ends[j], ends[i])
    i, j = i[crossing], j[crossing]
    worse = (graph.p[i] < graph.p[j]) | ((graph.p[i] == graph.p[j]) & (graph.length_nm[i] > graph.length_nm[j]))
    loser, winner = np.where(worse, i, j), np.where(worse, j, i)
    for k in np.argsort(graph.length_nm[winner]):
        if keep[winner[k]]:
            keep[loser[k]] = False
    return keep


def _opposite(line: Array, other: Array) -> NDArray[np.bool_]:
    """Return whether the two ends of `other` (K, 2, 2) lie on opposite sides of `line` (K, 2, 2)."""
    along = (line[:, 1] - line[:, 0])[:, None, :]
    to = other - line[:, :1]
    side = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    return np.asarray(side[:, 0] * side[:, 1] < 0)
