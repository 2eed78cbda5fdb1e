"""Which point of one frame is which point of the next: tracks through gaps, births and deaths, merges and splits.

Linear assignment in two steps (Jaqaman et al. 2008, doi:10.1038/nmeth.1237), done by LapTrack (Fukai and Kawaguchi
2023, doi:10.1093/bioinformatics/btac799): neighbouring frames first, then ends of tracks to later beginnings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.track.gaps import Gate, Loose, close_gaps
from micrograph.track.timeline import Array, Index, in_order, position_columns, timeline

#: Where the point lies (in gates) that stands still in every frame.
_FAR = -1e6
#: Frames whose spacing varies by less than this factor share one gate.
_EVEN = 1.25


@dataclass(frozen=True)
class LinkSettings:
    """How far and through what a point is followed.

    max_speed_nm_per_s: the gate is this speed times the time between two frames; where it or the times are unknown the
    gate is `reach_nm` from frame to frame. crowding: the gate is never so wide that it holds more than so many other
    points on average (0 .. 1), so dense fields are not mislinked. gap_frames: frames in a row in which a point may be
    missed. class_cost: what a change of class costs, in gates squared. block_frames: frames that are linked at once.
    """

    max_speed_nm_per_s: float | None = None
    reach_nm: float = 0.5
    crowding: float = 0.3
    gap_frames: int = 2
    merges: bool = False
    splits: bool = False
    class_cost: float = 0.0
    block_frames: int = 100

    def __post_init__(self) -> None:
        """Refuse limits that are not positive, and negative costs and gaps."""
        for name in ("max_speed_nm_per_s", "reach_nm", "crowding"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise BadInput(f"Setting {name} is {value}: it must be greater than zero and finite.")
        if self.gap_frames < 0 or not 0 <= self.class_cost < np.inf:
            raise BadInput(f"gap_frames is {self.gap_frames}, class_cost {self.class_cost}: neither can be negative.")
        if self.block_frames < 1:
            raise BadInput(f"Setting block_frames is {self.block_frames}: it must be 1 or more.")


def link(
    points: pd.DataFrame, settings: LinkSettings | None = None, frames: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points as tracks, and which track came from which.

    points: rows with ``frame``, ``y_nm, x_nm`` (``y_sample_nm, x_sample_nm`` are preferred: without drift), where known
    ``t_s`` and ``class`` or ``name``. frames: ``frame, t_s`` of all frames, those without a point too; else they follow
    from the points. The tracks are `points` with the column ``track`` (0, 1, ... in the order of their beginning) in
    front, by track and time; a track ends where it splits or merges. Parents: ``track, parent, kind`` ('split',
    'merge'), ``frame`` of the first row after it. Raises `BadInput` for lacking columns and positions not finite.
    """
    settings = settings or LinkSettings()
    columns = position_columns(points)
    points = in_order(points, columns)
    frame = timeline(points, frames)
    timed = frame.timed and settings.max_speed_nm_per_s is not None
    times = frame.t_s if timed else np.arange(len(frame), dtype=float)
    movie = _Movie(points[list(columns)].to_numpy(float), frame.position(points), times, _codes(points, settings))
    return _as_tracks(points, _links(movie, settings, timed), movie.at)


def _codes(points: pd.DataFrame, settings: LinkSettings) -> Array:
    """Return coordinates (N, C) in gates between which a change of class costs what it shall."""
    column = next((name for name in ("class", "name") if name in points), None)
    if column is None or settings.class_cost == 0:
        return np.empty((len(points), 0))
    kinds, code = np.unique(points[column].to_numpy(str), return_inverse=True)
    return np.asarray(np.sqrt(settings.class_cost / 2) * np.eye(len(kinds))[code])


@dataclass(frozen=True)
class _Movie:
    """Positions (N, 2) nm in the order of their frames `at` (N,), times (T,) of all frames, class codes (N, C)."""

    place: Array
    at: Index
    times: Array
    codes: Array

    def rows(self, first: int, last: int) -> list[slice]:
        """Return which points lie in each of the frames first .. last."""
        cuts = np.searchsorted(self.at, np.arange(first, last + 2)).tolist()
        return list(itertools.starmap(slice, itertools.pairwise(cuts)))


def _links(movie: _Movie, settings: LinkSettings, timed: bool) -> Index:
    """Return all links (L, 2) of an earlier and a later point: frame to frame, then over gaps."""
    links, gates = [np.empty((0, 2), np.int64)], np.ones((len(movie.at), 2))
    for first, last in _blocks(movie.times, settings.block_frames):
        rows = movie.rows(first, last)
        step = float(np.max(np.diff(movie.times[first : last + 1]), initial=0.0)) or 1.0
        gate = _gate(settings, [movie.place[row] for row in rows], step if timed else None)
        gates[rows[0].start : rows[-1].stop] = gate.free_nm / step, gate.crowded_nm / np.sqrt(step)
        links.append(_frame_to_frame(movie, rows, gate, settings))
    found = np.concatenate(links)
    if settings.gap_frames == 0 or len(movie.at) == 0:
        return found
    every = np.arange(len(movie.at))
    ends, starts = (np.setdiff1d(every, found[:, side]) for side in (0, 1))
    loose = Loose(movie.place, movie.codes, movie.at, movie.times, *gates.T)
    return np.concatenate([found, close_gaps(loose, ends, starts, settings.gap_frames)])


def _blocks(times: Array, most: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) frame of blocks with even steps between frames; the next begins with the last of the one."""
    steps, first = np.diff(times), 0
    while first < len(times) - 1:
        ahead = steps[first : first + most]
        wide = np.maximum.accumulate(ahead) > _EVEN * np.minimum.accumulate(ahead)
        last = first + (int(np.argmax(wide)) if wide.any() else len(ahead))
        yield first, last
        first = last


def _gate(settings: LinkSettings, points: list[Array], step_s: float | None) -> Gate:
    """Return the gate for frames that are `step_s` apart, or whose times are not used."""
    speed = settings.max_speed_nm_per_s
    free = settings.reach_nm if speed is None or step_s is None else speed * step_s
    crowded = float(np.sqrt(settings.crowding / np.log(2)) * neighbour_distance(points))
    return Gate(free, crowded if np.isfinite(crowded) else free)


def neighbour_distance(points: list[Array], most: int = 25) -> float:
    """Return the median distance of points to their nearest neighbour in the same frame; NaN if no frame holds two.

    points: (N, 2) of every frame; at most `most` frames are looked at. Equal positions are left out.
    """
    from scipy.spatial import cKDTree

    several = [frame for frame in points if len(frame) > 1]
    some = several[:: max(1, len(several) // most)]
    near = [np.asarray(cKDTree(frame).query(frame, k=2)[0])[:, 1] for frame in some]
    found = np.concatenate(near) if near else np.empty(0)
    return float(np.median(found[found > 0])) if (found > 0).any() else float("nan")


def _frame_to_frame(movie: _Movie, rows: list[slice], gate: Gate, settings: LinkSettings) -> Index:
    """Return the links (L, 2) among the frames of a block, merges and splits too if they are wanted.

    A link is made if it costs less than one gate squared, the price of an end (half) and a beginning (half). To
    LapTrack a link costs in addition the least cost there is; a far point that stands still makes that nothing.
    """
    from laptrack import LapTrack

    costs = dict.fromkeys(("track_start", "track_end", "segment_start", "segment_end"), 0.5)
    options: dict[str, Any] = {f"{name}_cost": cost for name, cost in costs.items()}
    options |= {"no_splitting_cost": 1.0, "no_merging_cost": 1.0, "cutoff": 1.0, "gap_closing_cutoff": False}
    options |= {"splitting_cutoff": 1.0 if settings.splits else False}
    options |= {"merging_cutoff": 1.0 if settings.merges else False}
    scaled = np.column_stack([movie.place / gate.nm, movie.codes]) if rows else movie.place
    far = np.where(np.arange(scaled.shape[1]) == 0, _FAR, 0.0)
    tree = LapTrack(**options).predict([np.vstack([scaled[row], far]) for row in rows])
    found = np.array([[*early, *late] for early, late in tree.edges()], dtype=np.int64).reshape(-1, 4)
    starts, stops = (np.array([getattr(row, end) for row in rows]) for end in ("start", "stop"))
    early, late = (starts[found[:, i]] + found[:, i + 1] for i in (0, 2))
    return np.column_stack([early, late])[early < stops[found[:, 0]]]


def _as_tracks(points: pd.DataFrame, edges: Index, at: NDArray[Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return points with their track numbers, and the parents, from the links."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    out, into = (np.bincount(edges[:, side], minlength=len(points)) for side in (0, 1))
    splits, merges = out[edges[:, 0]] > 1, into[edges[:, 1]] > 1
    plain = edges[~splits & ~merges]
    graph = coo_array((np.ones(len(plain)), (plain[:, 0], plain[:, 1])), shape=(len(points),) * 2)
    _, label = connected_components(graph, directed=False) if len(points) else (0, np.empty(0, np.int64))
    _, first = np.unique(label, return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    track = rank[label] if len(points) else label
    tracks = points.copy()
    tracks.insert(0, "track", track)
    order = np.lexsort([at, track])
    family = edges[splits | merges]
    parents = pd.DataFrame(
        {
            "track": track[family[:, 1]],
            "parent": track[family[:, 0]],
            "kind": np.where(merges[splits | merges], "merge", "split").astype(object),
            "frame": points["frame"].to_numpy(np.int64)[family[:, 1]],
        }
    )
    return tracks.iloc[order].reset_index(drop=True), parents.sort_values(["frame", "track"], ignore_index=True)
