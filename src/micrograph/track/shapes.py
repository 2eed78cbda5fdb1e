"""Fold over outlined objects: tracks, boundaries and their law, growth or closing, counts, stages, sizes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.track.boundaries import Boundaries, Pending, Seen
from micrograph.track.counts import counts_table
from micrograph.track.following import Alive, follow, unseen
from micrograph.track.gather import Gather, Gathered
from micrograph.track.motion import diffusion_table
from micrograph.track.msd import msd_table
from micrograph.track.sizes import growth_table, sizes_table, steady_areas
from micrograph.track.stretches import stages_of
from micrograph.track.timeline import Array, Index

_POINTS = (
    "track", "y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "area_nm2", "area_sigma_nm2", "perimeter_nm",
    "equivalent_diameter_nm", "aspect", "circularity", "angle_deg", "thickness_nm", "thickness_sigma_nm", "volume_nm3",
    "class", "shape", "score", "flags",
)  # fmt: skip
_FRAMES = ("t_s", "temperature_C", "area_nm2", "flags")
#: An object may go this share of the typical diameter in a frame.
_REACH = 0.5
#: Outlines of such objects end where the object does not, or are no outlines at all.
_CUT = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT)


@dataclass(frozen=True)
class Shapes:
    """Running state: what was gathered, the tracks alive and their last outlines, what the boundaries did."""

    points: Gathered
    alive: Alive = field(default_factory=Alive)
    boundaries: Boundaries = field(default_factory=Boundaries)
    typical_nm: float = 0.0


@dataclass(frozen=True)
class Outlined:
    """Follow outlined objects and measure how their outlines move.

    reach_nm: how far an object may go from frame to frame (None: half the typical diameter); gap_frames: frames it may
    be missed in a row; least_frames: shorter tracks do not count in growth and motion; smoothing_nm: length along the
    outline over which velocity and curvature are averaged (None: 4 % of the diameter); baseline_frames: frames over
    which the velocity of 'stages' is measured; law_frames: frames over which outlines are followed for 'boundaries' and
    'rate_law', fewer where the area changes by a fifth; most_points: rows of 'boundaries' at most.
    """

    reach_nm: float | None = None
    gap_frames: int = 2
    least_frames: int = 5
    smoothing_nm: float | None = None
    baseline_frames: int = 4
    law_frames: int = 12
    most_points: int = 20_000

    def start(self) -> Shapes:
        """Return the state before the first frame."""
        return Shapes(self._gather.start())

    def step(self, state: Shapes, tables: Mapping[str, pd.DataFrame]) -> Shapes:
        """Return the state after one more frame with the tables 'frames', 'objects' and 'outlines'."""
        return self.steps(state, tables)

    def steps(self, state: Shapes, tables: Mapping[str, pd.DataFrame]) -> Shapes:
        """Return the state after several more frames: `step` for each of them, at a fraction of its cost."""
        if len(tables["frames"]) == 0:
            return state
        seen, tracks = _PerFrame(tables), []
        for index, t_s in seen.times:
            track, state = self._followed(state, seen, index, t_s)
            tracks.append(track)
        objects = tables["objects"].assign(track=np.concatenate(tracks))
        found = {"frames": tables["frames"], "objects": objects}
        return replace(state, points=self._gather.step(state.points, found))

    def _followed(self, state: Shapes, seen: _PerFrame, index: int, t_s: float) -> tuple[Index, Shapes]:
        """Return the tracks of the objects of one frame, and the state with all but its points."""
        place, area = seen.objects(index)
        if len(place) == 0:
            return np.empty(0, np.int64), replace(state, alive=unseen(state.alive, self.gap_frames))
        typical = self._typical(state, area)
        track, alive = follow(state.alive, place, area, self.reach_nm or _REACH * typical, self.gap_frames)
        boundaries = state.boundaries
        if seen.outlined and np.isfinite(t_s):
            outlines = Seen(index, t_s, seen.outlines(index, track))
            boundaries = boundaries.after(outlines, alive.track, self._pending)
        return track, Shapes(state.points, alive, boundaries, typical)

    def result(self, state: Shapes) -> dict[str, pd.DataFrame]:
        """Return all tables over time; without times those of rates, growth and motion are empty."""
        frames = kept(self._gather.frames(state.points), _FRAMES)
        tracks = _tracked(kept(self._gather.table(state.points, "objects"), ("t_s", *_POINTS)))
        timed = len(frames) > 1 and bool(np.isfinite(frames["t_s"]).all())
        whole = tracks[(tracks["flags"].to_numpy(np.int64) & _CUT) == 0] if "flags" in tracks else tracks
        long = whole[whole.groupby("track")["frame"].transform("size") >= self.least_frames]
        moving = long if timed else long.iloc[:0]
        named = tracks.assign(**{"class": _kind(tracks)})
        counts = counts_table(named.sort_values("frame", kind="stable"), frames, () if len(named) else ("object",))
        return {
            "summary": sizes_table(whole.assign(**{"class": _kind(whole)}), frames),
            "tracks": steady_areas(tracks),
            "counts": counts,
            "growth": growth_table(moving, tracks),
            "stages": stages_of(tracks, frames, self.baseline_frames),
            **state.boundaries.tables(dict(zip(tracks["track"], _kind(tracks), strict=True)), self._pending),
            "motion": msd_table(moving),
            "diffusion": diffusion_table(moving),
        }

    @property
    def _gather(self) -> Gather:
        return Gather(("objects",), _POINTS, _FRAMES)

    @property
    def _pending(self) -> Pending:
        return Pending(self.law_frames, self.smoothing_nm, self.most_points)

    def _typical(self, state: Shapes, area: Array) -> float:
        """Return the typical diameter (nm), slowly following that of the frames."""
        now = float(np.median(2 * np.sqrt(area / np.pi)))
        return now if state.typical_nm == 0 else 0.9 * state.typical_nm + 0.1 * now


class _PerFrame:
    """The tables of some frames as arrays, cut frame by frame."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        frames, objects = tables["frames"], tables["objects"]
        index = frames["frame"].to_numpy(np.int64)
        t_s = frames["t_s"].to_numpy(float) if "t_s" in frames else np.full(len(frames), np.nan)
        self.times = list(zip(index.tolist(), t_s.tolist(), strict=True))
        self.outlined = "outlines" in tables
        self._tables = tables
        self._rows = _spans(objects, index)
        self._place = objects[["y_nm", "x_nm"]].to_numpy(float) if len(objects) else np.empty((0, 2))
        self._area = objects["area_nm2"].to_numpy(float) if len(objects) else np.empty(0)

    def objects(self, index: int) -> tuple[Array, Array]:
        """Return the places (N, 2) nm and the areas (N,) nm^2 of the objects of a frame."""
        rows = self._rows.get(index, slice(0))
        return self._place[rows], self._area[rows]

    def outlines(self, index: int, track: Index) -> dict[int, Array]:
        """Return the outlines (K, 2) [y, x] nm of the objects of a frame that are whole, by track."""
        ids, whole = self._ids
        rows = self._rows[index]
        number = dict(zip(ids[rows][whole[rows]].tolist(), track[whole[rows]].tolist(), strict=True))
        owner, point, place, spans = self._points
        rows = spans.get(index, slice(0))
        order = np.lexsort((point[rows], owner[rows]))
        known, begin = np.unique(owner[rows][order], return_index=True)
        pieces = zip(known.tolist(), np.split(place[rows][order], begin[1:]), strict=False)  # none: one empty piece
        return {number[one]: piece for one, piece in pieces if one in number}

    @functools.cached_property
    def _ids(self) -> tuple[Index, NDArray[np.bool_]]:
        objects = self._tables["objects"]
        flags = objects["flags"].to_numpy(np.int64) if "flags" in objects else np.zeros(len(objects), np.int64)
        return objects["id"].to_numpy(np.int64), (flags & _CUT) == 0

    @functools.cached_property
    def _points(self) -> tuple[Index, Index, Array, dict[int, slice]]:
        outlines = self._tables["outlines"]
        spans = _spans(outlines, np.array([index for index, _ in self.times]))
        owner, point = (outlines[name].to_numpy(np.int64) for name in ("id", "point"))
        return owner, point, outlines[["y_nm", "x_nm"]].to_numpy(float), spans


def _spans(table: pd.DataFrame, frames: Index) -> dict[int, slice]:
    """Return which rows are those of a frame; rows of a frame lie together. Tables of one frame may not number it."""
    if "frame" not in table:
        return {int(frames[0]): slice(len(table))}
    index = table["frame"].to_numpy(np.int64)
    begin = np.flatnonzero(np.diff(index, prepend=index[:1] - 1)).tolist()
    return {int(index[one]): slice(one, end) for one, end in zip(begin, [*begin[1:], len(index)], strict=False)}


def kept(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the frame and those of the columns that there are."""
    return table[[name for name in ("frame", *columns) if name in table]]


def _kind(tracks: pd.DataFrame) -> Array:
    """Return the class of every row; 'object' where none is known."""
    column = next((name for name in ("class", "shape") if name in tracks), None)
    return tracks[column].to_numpy(object) if column else np.full(len(tracks), "object", dtype=object)


def _tracked(points: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by track and time with ``track`` in front, each class being the commonest of its track."""
    points = points.assign(track=points["track"].astype(np.int64))
    points = points.sort_values(["track", "frame"], kind="stable", ignore_index=True)
    points = points[["track", *(name for name in points if name != "track")]]
    for name in ("class", "shape"):
        if name in points and len(points):
            points[name] = points["track"].map(_commonest(points, name))
    return points


def _commonest(points: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return the commonest value of a column by track, the first in order among equally common ones."""
    numbers = points.groupby(["track", name]).size().reset_index(name="number")
    numbers = numbers.sort_values(["track", "number", name], ascending=[True, False, True])
    return numbers.drop_duplicates("track").set_index("track")[name]
