"""Order on a lattice: pairs of each shell, how often they are alike, Moran's I with permutations, domains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.nodes import Nodes
from micrograph.structures.lattice_gas import shells_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Permutations of Moran's test.
_PERMUTATIONS = 999


def shells_pairs(nodes: Nodes, number: int) -> tuple[list[Index], Array]:
    """Return the pairs (P, 2) of nodes of each shell, and the distances (px)."""
    offsets, distances = shells_of(nodes.cell, number, tolerance=0.1)
    place = {(int(u), int(v)): row for row, (u, v) in enumerate(nodes.index)}
    found = []
    for shell in offsets:
        pairs = [
            (row, place[u + du, v + dv])
            for (u, v), row in place.items()
            for du, dv in shell
            if (u + du, v + dv) in place
        ]
        found.append(np.array(pairs, np.intp).reshape(-1, 2))
    return found, distances


def alike(labels: NDArray[np.integer], pairs: Index) -> Array:
    """Return (R,): how much oftener `pairs` of labels (N, R) are alike than by chance, over the most there could be."""
    same = np.mean(labels[pairs[:, 0]] == labels[pairs[:, 1]], axis=0)
    chance = np.zeros(labels.shape[1])
    for value in range(int(labels.max()) + 1):
        chance += np.mean(labels == value, axis=0) ** 2
    return np.asarray((same - chance) / np.maximum(1 - chance, 1e-9))


def morans(values: Array, pairs: Index, rng: np.random.Generator) -> tuple[float, float]:
    """Return Moran's I of values (N, C), the mean over C, and how often a random order gives as much.

    doi:10.1093/biomet/37.1-2.17; two-sided, by permutations.
    """
    centred = values - values.mean(axis=0)
    scale = np.sum(centred**2, axis=0)
    used = scale > 1e-9 * len(values)
    if not used.any() or not len(pairs):
        return np.nan, np.nan
    centred, scale = centred[:, used], scale[used]

    def index(order: Index) -> float:
        moved = centred[order]
        joint = np.sum(moved[pairs[:, 0]] * moved[pairs[:, 1]], axis=0)
        return float(np.mean(len(values) / len(pairs) * joint / scale))

    own = index(np.arange(len(values)))
    drawn = np.array([index(rng.permutation(len(values))) for _ in range(_PERMUTATIONS)])
    middle = drawn.mean()
    p = (1 + np.sum(np.abs(drawn - middle) >= abs(own - middle))) / (_PERMUTATIONS + 1)
    return own, float(p)


def domains_of(rotation: Index, pairs: Index) -> Index:
    """Return the number (N,) of each molecule's domain, the largest first; -1 for those that stand alone."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    like = pairs[rotation[pairs[:, 0]] == rotation[pairs[:, 1]]]
    graph = csr_array((np.ones(len(like)), (like[:, 0], like[:, 1])), shape=(len(rotation),) * 2)
    count, label = connected_components(graph, directed=False)
    sizes = np.bincount(label, minlength=count)
    rank = np.empty(count, np.intp)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    return np.where(sizes[label] > 1, rank[label], -1)
