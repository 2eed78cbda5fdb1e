"""Rings of atoms: the faces of the planar graph of bonds.

Every bond is two half-edges. From the half-edge u -> v the walk goes on to the next bond of v in the order of angles;
that rule is a permutation of the half-edges whose cycles are the faces (de Berg, Computational Geometry, ch. 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.features.columns.covariance import points
from micrograph.features.layers.graph import Graph

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Rings:
    """Inner faces of a planar graph, in no particular order.

    size: (R,) atoms in the ring; atoms: (sum of sizes,) row numbers in the order of the walk, ring r being
    ``atoms[first[r]:first[r + 1]]``; y_nm, x_nm, area_nm2: (R,) mean of the atoms' positions and enclosed area;
    p: (R,) product of the probabilities of the ring's bonds; adjacent: (K, 2) rings that share a bond, each pair once;
    outer: (N,) bool, atoms that the outer face touches (the rim of the sheet) and atoms in no ring.
    """

    size: Index
    atoms: Index
    first: Index
    y_nm: Array
    x_nm: Array
    area_nm2: Array
    p: Array
    adjacent: Index
    outer: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of rings."""
        return len(self.size)

    def members(self, ring: int) -> Index:
        """Return the row numbers of the atoms of one ring, in order around it."""
        return self.atoms[self.first[ring] : self.first[ring + 1]]

    @property
    def ring_of(self) -> Index:
        """Ring of every entry of `atoms`."""
        return np.repeat(np.arange(len(self.size)), self.size)


def rings(graph: Graph, y_nm: ArrayLike, x_nm: ArrayLike) -> Rings:
    """Return the rings of a planar graph whose atoms lie at `y_nm, x_nm` (N,).

    The outer face of each connected part is left out, and so are atoms and chains that hang on a single bond.
    """
    position = points(y_nm, x_nm)
    edge = _core_edges(graph)
    if not len(edge):
        return _no_rings(graph.size)
    source, target = np.concatenate([graph.edges[edge], graph.edges[edge][:, ::-1]]).T
    following = _next_half_edge(source, target, position)
    face, walk, first = _cycles(following)
    ends = position[source], position[target]
    double_area = np.add.reduceat((ends[0][:, 1] * ends[1][:, 0] - ends[0][:, 0] * ends[1][:, 1])[walk], first)
    inner = double_area < 0
    number = np.where(inner, np.cumsum(inner) - 1, -1)
    ring = number[face]
    twin = np.roll(ring, len(edge))
    pair = np.sort(np.stack([ring, twin], axis=1)[: len(edge)], axis=1)
    size = np.diff(np.append(first, len(walk)))
    mean = [np.add.reduceat(position[source[walk], axis], first) / size for axis in (0, 1)]
    return Rings(
        size=size[inner],
        atoms=source[walk[ring[walk] >= 0]],
        first=np.concatenate([[0], np.cumsum(size[inner])]),
        y_nm=mean[0][inner],
        x_nm=mean[1][inner],
        area_nm2=-double_area[inner] / 2,
        p=np.multiply.reduceat(np.tile(graph.p[edge], 2)[walk], first)[inner],
        adjacent=np.unique(pair[(pair[:, 0] >= 0) & (pair[:, 0] != pair[:, 1])], axis=0),
        outer=_outer(graph.size, source, ring),
    )


def _no_rings(n: int) -> Rings:
    none, nothing = np.empty(0, dtype=np.intp), np.empty(0)
    pairs = np.empty((0, 2), dtype=np.intp)
    first = np.zeros(1, dtype=np.intp)
    return Rings(none, none, first, nothing, nothing, nothing, nothing, pairs, np.ones(n, dtype=np.bool_))


def _outer(n: int, source: Index, ring: Index) -> NDArray[np.bool_]:
    outer = np.ones(n, dtype=np.bool_)
    outer[source] = False
    outer[source[ring < 0]] = True
    return outer


def _core_edges(graph: Graph) -> Index:
    """Return the bonds that remain when atoms with a single bond are taken away again and again."""
    edge = np.arange(len(graph.edges))
    while len(edge):
        degree = np.bincount(graph.edges[edge].ravel(), minlength=graph.size)
        inside = (degree[graph.edges[edge]] > 1).all(axis=1)
        if inside.all():
            break
        edge = edge[inside]
    return edge


def _next_half_edge(source: Index, target: Index, position: Array) -> Index:
    """Return for every half-edge the one after it around its face; half-edge i and i +- E are twins."""
    step = position[target] - position[source]
    order = np.argsort(7.0 * source + np.arctan2(step[:, 0], step[:, 1]))
    start = np.searchsorted(source[order], source[order], side="left")
    end = np.searchsorted(source[order], source[order], side="right")
    place = np.arange(len(order)) + 1
    turned = np.empty_like(order)
    turned[order] = order[np.where(place < end, place, start)]
    twin = np.roll(np.arange(len(source)), len(source) // 2)
    return turned[twin]


def _cycles(following: Index) -> tuple[Index, Index, Index]:
    """Return the cycle of each element, all elements in walking order cycle by cycle, and where each cycle starts."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = len(following)
    links = csr_array((np.ones(n, dtype=np.int8), (np.arange(n), following)), shape=(n, n))
    count, face = connected_components(links, directed=False)
    size = np.bincount(face, minlength=count)
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.intp)
    walk = np.empty(n, dtype=np.intp)
    active = np.arange(count)
    at = np.empty(count, dtype=np.intp)
    at[face[::-1]] = np.arange(n)[::-1]
    for step in range(int(size.max())):
        active = active[size[active] > step]
        walk[first[active] + step] = at[active]
        at[active] = following[at[active]]
    return face.astype(np.intp), walk, first
