"""Ends of tracks joined to later beginnings, over frames in which a point was missed: the cheapest set of joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micrograph.track.timeline import Array, Index


@dataclass(frozen=True)
class Gate:
    """How far a point may go: `free_nm` a step, growing with time, but where points lie close, `crowded_nm` a step.

    The latter grows with the root of time: the area then holds so many other points a step, however long the gap.
    """

    free_nm: float
    crowded_nm: float

    @property
    def nm(self) -> float:
        """The gate of one step."""
        return min(self.free_nm, self.crowded_nm)


@dataclass(frozen=True)
class Loose:
    """What gap closing looks at: N points in the order of their frames.

    place: (N, 2) nm; codes: (N, C) class coordinates in gates; at: (N,) frame of each, 0 .. T - 1; times: (T,) in
    steps; free_nm, crowded_nm: (N,) gates of one step where the point lies, see `Gate`.
    """

    place: Array
    codes: Array
    at: Index
    times: Array
    free_nm: Array
    crowded_nm: Array


def close_gaps(points: Loose, ends: Index, starts: Index, missed: int) -> Index:
    """Return links (L, 2) from some of the points `ends` to some of the points `starts`, one to one at most.

    Up to `missed` frames may lie between. A link costs (distance / gate)^2, and one gate is the price of none.
    """
    pairs = [_candidates(points, ends, starts, frames) for frames in range(2, missed + 2)]
    pairs = [pair for pair in pairs if len(pair)]
    if not pairs:
        return np.empty((0, 2), np.int64)
    early, late = np.concatenate(pairs).T
    cost = _cost(points, early, late)
    cheap = cost < 1
    return cheapest(early[cheap], late[cheap], cost[cheap])


def _candidates(points: Loose, ends: Index, starts: Index, frames: int) -> Index:
    """Return pairs (P, 2) of an end and a start so many frames later within the widest gate."""
    from scipy.spatial import cKDTree

    ends = ends[points.at[ends] + frames < len(points.times)]
    if len(ends) == 0 or len(starts) == 0:
        return np.empty((0, 2), np.int64)
    reach = _reach(points, ends, points.at[ends] + frames)
    apart = 3 * float(reach.max()) + 1e-9
    tree = cKDTree(np.column_stack([points.place[starts], points.at[starts] * apart]))
    near = tree.query_ball_point(np.column_stack([points.place[ends], (points.at[ends] + frames) * apart]), reach)
    count = np.array([len(one) for one in near], np.int64)
    found = np.concatenate([np.asarray(one, np.int64) for one in near]) if count.any() else np.empty(0, np.int64)
    return np.column_stack([np.repeat(ends, count), starts[found]])


def _reach(points: Loose, early: Index, frame: Index) -> Array:
    """Return how far (nm) the points `early` may be found in the given later frames."""
    passed = points.times[frame] - points.times[points.at[early]]
    return np.minimum(points.free_nm[early] * passed, points.crowded_nm[early] * np.sqrt(passed))


def _cost(points: Loose, early: Index, late: Index) -> Array:
    moved = ((points.place[late] - points.place[early]) ** 2).sum(axis=1)
    other = ((points.codes[late] - points.codes[early]) ** 2).sum(axis=1)
    return np.asarray(moved / _reach(points, early, points.at[late]) ** 2 + other)


def cheapest(early: Index, late: Index, cost: Array) -> Index:
    """Return the links of the cheapest assignment in which every point may also stay alone, for the price of 1."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    rows, row = np.unique(early, return_inverse=True)
    columns, column = np.unique(late, return_inverse=True)
    alone = np.arange(len(rows))
    index = np.concatenate([row, alone]), np.concatenate([column, len(columns) + alone])
    values = np.concatenate([cost + 1e-9, np.ones(len(rows))])
    matrix = coo_array((values, index), shape=(len(rows), len(columns) + len(rows))).tocsr()
    one, other = min_weight_full_bipartite_matching(matrix)
    linked = other < len(columns)
    return np.column_stack([rows[one[linked]], columns[other[linked]]])
