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
from micrograph.track.timeline import Array, Index, in_order, position_columns, timeline

#: Time per frame counts so little as a coordinate that it changes no cost; the cost of a gap reads it.
_TICK = 1e-3
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
        for name in ("max_speed_nm_per_s", "reach_nm", "crowding"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise BadInput(f"Setting {name} is {value}: it must be greater than zero and finite.")
        if self.gap_frames < 0 or not 0 <= self.class_cost < np.inf:
            raise BadInput(f"gap_frames is {self.gap_frames}, class_cost {self.class_cost}: neither can be negative.")
        if self.block_frames < 4 * (self.gap_frames + 2):
            raise BadInput(f"Setting block_frames is {self.block_frames}: it must be 4 (gap_frames + 2) or more.")


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
    at = frame.position(points)
    times = frame.t_s if frame.timed else None
    movie = _Movie(points[list(columns)].to_numpy(float), at, times, _codes(points, settings), settings)
    edges = _joined(list(_blocks(movie)))
    return _as_tracks(points, edges, at)


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
    times: Array | None
    codes: Array
    settings: LinkSettings

    def block(self, first: int, stop: int) -> tuple[list[Array], int]:
        """Return the points of the frames first .. stop - 1, and the number of the first of them."""
        cuts = np.searchsorted(self.at, np.arange(first, stop + 1)).tolist()
        return [self.place[a:b] for a, b in itertools.pairwise(cuts)], cuts[0]

    def steps(self, first: int, stop: int) -> Array:
        """Return the time from each frame of a block to the next, 1 where the gate is not a speed."""
        if self.times is None or self.settings.max_speed_nm_per_s is None:
            return np.ones(max(stop - first - 1, 0))
        return np.diff(self.times[first:stop])

    @property
    def frames(self) -> int:
        """Number of frames that may hold points."""
        return int(self.at[-1]) + 1 if len(self.at) else 0


def _blocks(movie: _Movie) -> Iterator[tuple[Index, Index]]:
    """Yield the links of one block of frames after another as (earlier point, later point), each link once."""
    settings = movie.settings
    reserve = settings.gap_frames + 2
    first = taken = int(movie.at[0]) if len(movie.at) else 0
    while first < movie.frames:
        stop = min(first + settings.block_frames, movie.frames)
        last = stop == movie.frames
        until = stop if last else stop - reserve
        early, late = _link_block(movie, first, stop)
        mine = (movie.at[early] >= taken) & (movie.at[early] < until)
        yield early[mine], late[mine]
        if last:
            return
        taken, first = until, until - reserve


def _link_block(movie: _Movie, first: int, stop: int) -> tuple[Index, Index]:
    """Return the links among the frames first .. stop - 1."""
    points, offset = movie.block(first, stop)
    steps = movie.steps(first, stop)
    if len(steps) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    gate = _Gate.of(movie.settings, points, float(np.max(steps)))
    ticks = np.concatenate([[0.0], np.cumsum(steps / np.max(steps))])
    coordinates, at = [], offset
    for frame, tick in zip(points, ticks, strict=True):
        codes = movie.codes[at : at + len(frame)]
        coordinates.append(np.column_stack([frame / gate.nm, np.full(len(frame), tick * _TICK), codes]))
        at += len(frame)
    even = float(np.max(steps)) <= _EVEN * float(np.min(steps))
    starts = offset + np.concatenate([[0], np.cumsum([len(frame) for frame in points])])
    pairs = _assigned(coordinates, movie.settings, gate, even)
    return starts[pairs[:, 0]] + pairs[:, 1], starts[pairs[:, 2]] + pairs[:, 3]


@dataclass(frozen=True)
class _Gate:
    """How far a point may go: `free_nm` a step, growing with time, but where points lie close, `crowded_nm` a step.

    The latter grows with the root of time: the area then holds so many other points a step, however long the gap.
    """

    free_nm: float
    crowded_nm: float

    @classmethod
    def of(cls, settings: LinkSettings, points: list[Array], step: float) -> _Gate:
        """Return the gate for frames that are at most `step` apart (s, or 1 where the times are not used)."""
        speed = settings.max_speed_nm_per_s
        free = settings.reach_nm if speed is None else speed * step
        crowded = float(np.sqrt(settings.crowding / np.log(2)) * neighbour_distance(points))
        return cls(free, crowded if np.isfinite(crowded) else free)

    @property
    def nm(self) -> float:
        """The gate of one step."""
        return min(self.free_nm, self.crowded_nm)

    def __call__(self, early: Array, late: Array) -> float:
        """Return the cost of a link over a shorter or longer time: distance over gate, squared."""
        y, x = early[0] - late[0], early[1] - late[1]
        passed = max(abs(early[2] - late[2]) / _TICK, 1e-9)
        wide = min(self.free_nm * passed, self.crowded_nm * passed**0.5) / self.nm
        other = float(((early[3:] - late[3:]) ** 2).sum()) if len(early) > 3 else 0.0
        return float((y * y + x * x) / wide**2 + other + _TICK**2)

    def halved(self, early: Array, late: Array) -> float:
        """Return half the cost."""
        return self(early, late) / 2


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


def _assigned(coordinates: list[Array], settings: LinkSettings, gate: _Gate, even: bool) -> Index:
    """Return links (L, 4): frame and place of the earlier and of the later point, in the block.

    A link is made if it costs less than one gate, the price of an end (half) and a beginning (half). To LapTrack a link
    costs in addition the least cost there is: from frame to frame that is next to nothing as long as one point stands
    still, so a far one is put in that does; between ends of tracks it is half a gate, so costs are halved there.
    """
    from laptrack import LapTrack

    wide = 1.0 + 2 * _TICK**2
    costs = ("track_start", "track_end", "segment_start", "segment_end", "no_splitting", "no_merging")
    options: dict[str, Any] = {f"{name}_cost": wide / 2 for name in costs}
    options |= {f"{kind}_metric": gate.halved for kind in ("gap_closing", "splitting", "merging")}
    wanted = {"gap_closing": settings.gap_frames > 0, "splitting": settings.splits, "merging": settings.merges}
    options |= {f"{kind}_cutoff": wide / 2 if on else False for kind, on in wanted.items()}
    tracker = LapTrack(
        metric="sqeuclidean" if even else gate,
        cutoff=wide,
        gap_closing_max_frame_count=settings.gap_frames + 1,
        **options,
    )
    far = [np.where(np.arange(frame.shape[1]) == 0, _FAR, 0.0) for frame in coordinates]
    tree = tracker.predict([np.vstack([frame, still]) for frame, still in zip(coordinates, far, strict=True)])
    links = np.array([[*early, *late] for early, late in tree.edges()], dtype=np.int64).reshape(-1, 4)
    return np.asarray(links[links[:, 1] < np.array([len(frame) for frame in coordinates])[links[:, 0]]])


def _joined(blocks: list[tuple[Index, Index]]) -> Index:
    """Return the links (L, 2) of all blocks; where two blocks lead to one point, that of the later block counts."""
    if not blocks:
        return np.empty((0, 2), np.int64)
    pairs: Index = np.concatenate([np.column_stack(block) for block in blocks])
    block = np.repeat(np.arange(len(blocks)), [len(early) for early, _ in blocks])
    latest = np.zeros(int(pairs.max()) + 1 if len(pairs) else 0, np.int64)
    np.maximum.at(latest, pairs[:, 1], block)
    return np.asarray(pairs[block == latest[pairs[:, 1]]])


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
