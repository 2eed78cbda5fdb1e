"""Integer coordinates of the points of a lattice, found from neighbour to neighbour.

Going from point to point tolerates strain, drift and holes that would put a rigid lattice out of step. Points that are
joined by lattice vectors form one part; the parts' offsets against the largest one are the sites of the cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.cell import PointSet

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A site of the cell must hold at least this part of the points that the fullest site holds.
LEAST_FILLED = 0.4


def index_points(cloud: PointSet, cell: Array) -> tuple[Index, Array]:
    """Return the index (N, 3) [h, k, site] of each point (site -1: on none) and the sites' offsets (n, 2) in cells."""
    part, walked = _walk(cloud, cell)
    size = np.bincount(part)
    main = part == size.argmax()
    anchor = np.flatnonzero(main)[_nearest_of(cloud.position[main], cloud.position)]
    step: Array = np.asarray((cloud.position - cloud.position[anchor]) @ np.linalg.inv(cell), dtype=np.float64)
    offset = step - walked + walked[anchor]
    typical = _offsets_by_part(offset, part, size)
    basis, site = _sites(typical, size, cell, cloud.tolerance)
    whole = np.rint(typical - np.append(basis, typical[-1:], axis=0)[site]).astype(np.intp)
    out = np.column_stack([walked + whole[part], site[part]])
    out[out[:, 2] < 0] = -1
    _adopt(out, basis, cloud, cell)
    _one_point_a_site(out, basis, cloud, cell)
    return out, basis


def _walk(cloud: PointSet, cell: Array) -> tuple[Index, Index]:
    """Return the connected part (N,) of each point and its integer coordinates (N, 2) within that part."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    n = len(cloud.position)
    steps = np.array([[1, 0], [0, 1], [1, 1] if cell[0] @ cell[1] < 0 else [1, -1]])
    found = [_links(cloud, step @ cell, code) for code, step in enumerate(steps)]
    start, end, code = (np.concatenate(each) for each in zip(*found, strict=True))
    rows, columns, value = np.r_[start, end], np.r_[end, start], np.r_[code + 1, code + 4]
    once = np.unique(rows * n + columns, return_index=True)[1]
    rows, columns, value = rows[once], columns[once], value[once]
    count, part = connected_components(csr_array((value, (rows, columns)), shape=(n, n)), directed=False)
    root = np.unique(part, return_index=True)[1]
    rows, columns, value = np.r_[rows, np.full(count, n)], np.r_[columns, root], np.r_[value, np.full(count, 7)]
    links = csr_array((value, (rows, columns)), shape=(n + 1, n + 1))
    before = breadth_first_order(links, n, return_predecessors=True)[1].astype(np.intp)
    before[n] = n
    taken = np.zeros(n + 1, dtype=np.intp)
    taken[:n] = np.asarray(links[before[:n], np.arange(n)]).ravel()
    moves = np.concatenate([np.zeros((1, 2), dtype=np.intp), steps, -steps, np.zeros((1, 2), dtype=np.intp)])
    index = moves[taken]
    while (before != n).any():
        index, before = index + index[before], before[before]
    return part.astype(np.intp), index[:n]


def _links(cloud: PointSet, vector: Array, code: int) -> tuple[Index, Index, Index]:
    """Return pairs of points that `vector` joins, each point at most once at either end."""
    distance, end = cloud.nearest(cloud.position + vector, cloud.tolerance)
    start = np.flatnonzero(np.isfinite(distance))
    order = start[np.argsort(distance[start])]
    once = np.unique(end[order], return_index=True)[1]
    start = order[once]
    return start, end[start], np.full(len(start), code)


def _nearest_of(some: Array, position: Array) -> Index:
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(some).query(position)[1], dtype=np.intp)


def _offsets_by_part(offset: Array, part: Index, size: Index) -> Array:
    """Return the median offset (P, 2) of each part."""
    order = np.lexsort((offset[:, 0], part))
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    middle = first + size // 2
    columns = [offset[order, 0][middle], offset[np.lexsort((offset[:, 1], part)), 1][middle]]
    return np.stack(columns, axis=1)


def _sites(typical: Array, size: Index, cell: Array, tolerance: float) -> tuple[Array, Index]:
    """Group parts of 3 points or more by offset modulo the cell; return site offsets (n, 2) and site (P,) or -1."""
    site = np.full(len(size), -1, dtype=np.intp)
    basis: list[Array] = []
    filled: list[int] = []
    for p in np.argsort(-size, kind="stable"):
        if size[p] < 3:
            break
        gaps = [float(np.hypot(*(_wrapped(typical[p] - known) @ cell))) for known in basis]
        if gaps and min(gaps) < tolerance:
            site[p] = int(np.argmin(gaps))
            filled[site[p]] += int(size[p])
        elif not gaps or min(gaps) > 1.5 * tolerance:
            site[p] = len(basis)
            basis.append(typical[p] % 1.0 if basis else np.zeros(2))
            filled.append(int(size[p]))
    keep = np.asarray(filled) >= LEAST_FILLED * max(filled, default=0)
    new = np.where(keep, np.cumsum(keep) - 1, -1)
    return np.array(basis).reshape(-1, 2)[keep], np.append(new, -1)[site]


def _wrapped(fraction: Array) -> Array:
    return np.asarray(fraction - np.rint(fraction))


def _adopt(index: Index, basis: Array, cloud: PointSet, cell: Array) -> None:
    """Give the points without index the site that their nearest indexed neighbour foresees at their place."""
    lost, known = np.flatnonzero(index[:, 2] < 0), np.flatnonzero(index[:, 2] >= 0)
    if not len(lost) or not len(known):
        return
    anchor = known[_nearest_of(cloud.position[known], cloud.position[lost])]
    step = cloud.position[lost] - cloud.position[anchor]
    place = step @ np.linalg.inv(cell) + index[anchor, :2] + basis[index[anchor, 2]]
    rest = place[:, None] - basis[None]
    whole = np.rint(rest)
    miss = np.linalg.norm((rest - whole) @ cell, axis=2)
    best = miss.argmin(axis=1)
    row = np.arange(len(lost))
    fits = (miss[row, best] < cloud.tolerance) & (np.hypot(step[:, 0], step[:, 1]) < 1.2 * np.hypot(*cell[1]))
    index[lost[fits]] = np.column_stack([whole[row, best], best])[fits].astype(np.intp)


def site_numbers(index: Index) -> Index:
    """Return one number (M,) for each index (M, K), the same for the same index."""
    if not len(index):
        return np.empty(0, dtype=np.intp)
    low = index.min(axis=0)
    return np.asarray(np.ravel_multi_index(tuple((index - low).T), tuple(index.max(axis=0) - low + 1)), dtype=np.intp)


def _one_point_a_site(index: Index, basis: Array, cloud: PointSet, cell: Array) -> None:
    """Where two points claim one site, leave it to the one nearer to where the lattice has it."""
    claimed = np.flatnonzero(index[:, 2] >= 0)
    unique, back, count = np.unique(site_numbers(index[claimed]), return_inverse=True, return_counts=True)
    if len(unique) == len(claimed):
        return
    ideal = (index[claimed, :2] + basis[index[claimed, 2]]) @ cell
    shift = cloud.position[claimed] - ideal
    shift = np.linalg.norm(shift - np.median(shift, axis=0), axis=1)
    order = np.lexsort((shift, back.ravel()))
    winner = order[np.concatenate([[0], np.cumsum(count)[:-1]])]
    loser = np.setdiff1d(np.arange(len(claimed)), winner)
    index[claimed[loser]] = -1
