"""Names of defects: silicon clusters, vacancies and ring defects of graphene; vacancies and dopants of other layers.

Silicon atoms bonded to each other form one cluster SixCy, y being the carbon atoms bonded to it
(doi:10.1126/sciadv.aaw8989). Defects of the carbon network are groups of rings other than hexagons that share bonds:
V1 and V2 (one and two atoms missing, reconstructed or not), SW (Stone-Wales, 5-7-7-5), 5-7; see
doi:10.1021/nn102598m. What the field's border cuts off is named 'edge' and flagged, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Flag
from micrograph.features.columns.covariance import points
from micrograph.features.lattices.lattice import Extent
from micrograph.features.layers.graph import Graph, with_likely_bonds
from micrograph.features.layers.rings import Rings, rings

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Ring sizes of the known defects, and the number of two-fold atoms that belong to each.
KNOWN_RINGS: Mapping[tuple[int, ...], str] = {
    (12,): "V1", (5, 9): "V1",
    (14,): "V2", (5, 11): "V2", (5, 5, 8): "V2", (5, 5, 5, 7, 7, 7): "V2", (5, 5, 5, 5, 7, 7, 7, 7): "V2",
    (5, 7): "5-7",
}  # fmt: skip

#: Rings at the rim closer than this to the field's border go on outside of it, nm (a little more than a hexagon).
BORDER_NM = 0.3
#: A silicon atom whose bonds leave a wider gap than this towards the border may have a bond outside, degrees.
OPEN_GAP_DEG = 160.0
#: Groups of more rings than this are 'boundary' (grain boundaries, disordered patches).
MOST_RINGS = 8


@dataclass(frozen=True)
class Defects:
    """Named defects, one entry each: names as in the literature, 'hole', 'boundary', 'edge', or ring sizes '5-8'.

    y_nm, x_nm: (D,) centre; score: (D,) probability that the bonds (and labels) are those of the name, 0..1;
    flags: (D,) `Flag` values; atoms: row numbers of the atoms of each; ring_sizes: sizes of its rings, ascending.
    """

    name: NDArray[np.str_]
    y_nm: Array
    x_nm: Array
    score: Array
    flags: Index
    atoms: tuple[Index, ...]
    ring_sizes: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        """Number of defects."""
        return len(self.name)

    def columns(self) -> dict[str, list[object]]:
        """Return the columns of a table of defects: name, y_nm, x_nm, score, flags, atoms, rings."""
        return {
            "name": self.name.tolist(), "y_nm": self.y_nm.tolist(), "x_nm": self.x_nm.tolist(),
            "score": self.score.tolist(), "flags": self.flags.tolist(),
            "atoms": [rows.tolist() for rows in self.atoms], "rings": ["-".join(map(str, s)) for s in self.ring_sizes],
        }  # fmt: skip


@dataclass(frozen=True)
class _Found:
    name: str
    atoms: Index
    centre: Array
    score: float
    cut: bool
    ring_sizes: tuple[int, ...]


@dataclass(frozen=True)
class _Sheet:
    """A layer with its graph and rings, and what each atom needs to be judged."""

    position: Array
    label: NDArray[np.str_]
    label_p: Array
    graph: Graph
    rings: Rings
    to_border: Array
    dopant: NDArray[np.bool_]

    def score(self, atoms: Index) -> float:
        """Return the probability that the bonds among `atoms` are as they are in the graph."""
        inside = np.zeros(len(self.position), dtype=np.bool_)
        inside[atoms] = True
        bonds, misses = (inside[pair[:, 0]] & inside[pair[:, 1]] for pair in (self.graph.edges, self.graph.near))
        return float(self.graph.p[bonds].prod() * (1 - self.graph.near_p[misses]).prod())


def name_defects(
    y_nm: ArrayLike,
    x_nm: ArrayLike,
    labels: ArrayLike,
    graph: Graph,
    *,
    extent: Extent | None = None,
    label_p: ArrayLike | None = None,
) -> Defects:
    """Return the defects of a graphene sheet: atoms at `y_nm, x_nm` (N,), elements `labels` (N,), bonds `graph`
    (completed by `with_likely_bonds`).

    extent: the field in nm (default: the box around the atoms). label_p: (N,) probability of each label, which enters
    the score of clusters of silicon (or of any element but C). A defect that the border may cut has `Flag.EDGE` and is
    named 'edge', unless it is a 'boundary'. Rings that hold silicon belong to its cluster. Raises `BadInput`.
    """
    sheet = _sheet(y_nm, x_nm, labels, graph, label_p, extent)
    return _table([*_dopant_clusters(sheet), *_ring_defects(sheet)])


def _sheet(
    y_nm: ArrayLike, x_nm: ArrayLike, labels: ArrayLike, graph: Graph, label_p: ArrayLike | None, extent: Extent | None
) -> _Sheet:
    position = points(y_nm, x_nm)
    n = len(position)
    label = np.asarray(labels, dtype=np.str_)
    certainty = np.ones(n) if label_p is None else np.asarray(label_p, dtype=np.float64)
    if not graph.size == len(label) == len(certainty) == n:
        raise BadInput(f"{n} positions, {len(label)} labels, {len(certainty)} label_p, a graph of {graph.size} atoms.")
    low, high = (position.min(axis=0, initial=np.inf), position.max(axis=0, initial=-np.inf))
    if extent is not None:
        low, high = np.array(extent[:2]), np.array(extent[2:])
    to_border = np.minimum(position - low, high - position).min(axis=1)
    graph = with_likely_bonds(graph, position[:, 0], position[:, 1], np.where(to_border < BORDER_NM / 2, 0, 3))
    found = rings(graph, position[:, 0], position[:, 1])
    return _Sheet(position, label, certainty, graph, found, to_border, label != "C")


def _table(found: list[_Found]) -> Defects:
    """Return the defects sorted by place."""
    found = sorted(found, key=lambda each: (each.centre[0], each.centre[1]))
    centre = np.array([each.centre for each in found]).reshape(-1, 2)
    return Defects(
        name=np.array(["edge" if each.cut and each.name != "boundary" else each.name for each in found], dtype=np.str_),
        y_nm=centre[:, 0],
        x_nm=centre[:, 1],
        score=np.array([each.score for each in found], dtype=np.float64),
        flags=np.array([int(Flag.EDGE if each.cut else Flag.OK) for each in found], dtype=np.intp),
        atoms=tuple(each.atoms for each in found),
        ring_sizes=tuple(each.ring_sizes for each in found),
    )


def _groups(pairs: Index, members: Index, n: int) -> list[Index]:
    """Return the members of each connected group; `pairs` (K, 2) join members, all numbers below n."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    links = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    group = connected_components(links, directed=False)[1][members]
    order = np.argsort(group, kind="stable")
    if not len(members):
        return []
    return np.split(members[order], np.flatnonzero(np.diff(group[order])) + 1)


def _dopant_clusters(sheet: _Sheet) -> list[_Found]:
    edges = sheet.graph.edges
    both = edges[sheet.dopant[edges].all(axis=1)]
    return [_cluster(sheet, each) for each in _groups(both, np.flatnonzero(sheet.dopant), len(sheet.position))]


def _cluster(sheet: _Sheet, dopants: Index) -> _Found:
    """Name one cluster of bonded foreign atoms and the carbon atoms bonded to it."""
    graph = sheet.graph
    inside = np.zeros(len(sheet.position), dtype=np.bool_)
    inside[dopants] = True
    bonds, misses = (inside[pair[:, 0]] | inside[pair[:, 1]] for pair in (graph.edges, graph.near))
    ends = np.unique(graph.edges[bonds])
    carbon = ends[~inside[ends]]
    name = "".join(f"{e}{k}" for e, k in zip(*np.unique(sheet.label[dopants], return_counts=True), strict=True))
    score = graph.p[bonds].prod() * (1 - graph.near_p[misses]).prod()
    score *= sheet.label_p[dopants].prod() * sheet.label_p[carbon].prod()
    at = np.unique(sheet.rings.ring_of[inside[sheet.rings.atoms]])
    return _Found(
        name=f"{name}C{len(carbon)}" if len(carbon) else name,
        atoms=np.concatenate([dopants, carbon]),
        centre=sheet.position[dopants].mean(axis=0),
        score=float(score),
        cut=any(_open_to_border(sheet, row) for row in dopants),
        ring_sizes=tuple(sorted(sheet.rings.size[at].tolist())),
    )


def _open_to_border(sheet: _Sheet, row: int) -> bool:
    """Return whether an atom is so near to the border, and its bonds so one-sided, that a neighbour may lie outside."""
    if sheet.to_border[row] > BORDER_NM:
        return False
    start, end = sheet.graph.edges.T
    other = np.concatenate([end[start == row], start[end == row]])
    if len(other) < 2:
        return True
    step = sheet.position[other] - sheet.position[row]
    angle = np.sort(np.degrees(np.arctan2(step[:, 0], step[:, 1])))
    return bool(np.diff(np.append(angle, angle[0] + 360)).max() > OPEN_GAP_DEG)


def _ring_defects(sheet: _Sheet) -> list[_Found]:
    """Return the groups of rings other than hexagons that share bonds and hold carbon only."""
    found = sheet.rings
    foreign = np.zeros(len(found), dtype=np.bool_)
    foreign[found.ring_of[sheet.dopant[found.atoms]]] = True
    odd = (found.size != 6) & ~foreign
    pairs = found.adjacent[odd[found.adjacent].all(axis=1)]
    hexagon = float(np.median(found.area_nm2[found.size == 6])) if (found.size == 6).any() else 0.0524
    return [_ring_group(sheet, each, pairs, hexagon / 2) for each in _groups(pairs, np.flatnonzero(odd), len(found))]


def _ring_group(sheet: _Sheet, group: Index, pairs: Index, atom_nm2: float) -> _Found:
    atoms = np.unique(np.concatenate([sheet.rings.members(ring) for ring in group]))
    sizes = tuple(sorted(sheet.rings.size[group].tolist()))
    missing = float(sheet.rings.area_nm2[group].sum() / atom_nm2 - sum(size - 2 for size in sizes) / 2)
    return _Found(
        name=_ring_name(sheet.rings, group, pairs, sizes, missing),
        atoms=atoms,
        centre=sheet.position[atoms].mean(axis=0),
        score=sheet.score(atoms),
        cut=bool((sheet.rings.outer[atoms] & (sheet.to_border[atoms] < BORDER_NM)).any()),
        ring_sizes=sizes,
    )


def _ring_name(found: Rings, group: Index, pairs: Index, sizes: tuple[int, ...], missing: float) -> str:
    """Return the name of a group of rings; `missing` is the number of atoms that its area lacks."""
    if sizes in KNOWN_RINGS:
        return KNOWN_RINGS[sizes]
    if sizes == (5, 5, 7, 7):
        shared = np.sort(found.size[pairs[np.isin(pairs[:, 0], group)]], axis=1).tolist()
        return "SW" if sorted(shared) == [[5, 7]] * 4 + [[7, 7]] else "5-5-7-7"
    if max(sizes) >= 9 and missing > 0.5:
        return f"V{round(missing)}" if missing < 2.5 else "hole"
    return "-".join(map(str, sizes)) if len(sizes) <= MOST_RINGS else "boundary"
