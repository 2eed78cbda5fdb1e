"""Fold over outlined objects: tracks, boundaries and their law, growth or closing, counts, stages, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

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
        if len(tables["frames"]) == 0:
            return state
        objects = tables["objects"]
        if len(objects) == 0:
            points = self._gather.step(state.points, {**tables, "objects": objects.assign(track=0)})
            return replace(state, points=points, alive=unseen(state.alive, self.gap_frames))
        typical = self._typical(state, objects)
        reach = self.reach_nm or _REACH * typical
        place = objects[["y_nm", "x_nm"]].to_numpy(float)
        track, alive = follow(state.alive, place, objects["area_nm2"].to_numpy(float), reach, self.gap_frames)
        points = self._gather.step(state.points, {**tables, "objects": objects.assign(track=track)})
        boundaries = state.boundaries
        if "outlines" in tables and np.isfinite(_time(tables)):
            seen = self._seen(tables, track)
            boundaries = boundaries.after(seen, alive.track, self._pending)
        return Shapes(points, alive, boundaries, typical)

    def result(self, state: Shapes) -> dict[str, pd.DataFrame]:
        """Return all tables over time; without times those of rates, growth and motion are empty."""
        frames = self._gather.frames(state.points)
        tracks = self._gather.table(state.points, "objects")
        tracks = _tracked(tracks, frames)
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

    def _typical(self, state: Shapes, objects: pd.DataFrame) -> float:
        """Return the typical diameter (nm), slowly following that of the frames."""
        now = float(np.median(2 * np.sqrt(objects["area_nm2"].to_numpy(float) / np.pi)))
        return now if state.typical_nm == 0 else 0.9 * state.typical_nm + 0.1 * now

    @staticmethod
    def _seen(tables: Mapping[str, pd.DataFrame], track: Index) -> Seen:
        """Return the outlines (nm) of the objects that are whole, by track."""
        objects, outlines = tables["objects"], tables["outlines"]
        whole = (objects["flags"].to_numpy(np.int64) & _CUT) == 0 if "flags" in objects else np.ones(len(objects), bool)
        number = dict(zip(objects["id"].to_numpy()[whole], track[whole], strict=True))
        ids = outlines["id"].to_numpy(np.int64)
        order = np.lexsort((outlines["point"].to_numpy(), ids))
        points = outlines[["y_nm", "x_nm"]].to_numpy(float)[order]
        known, begin = np.unique(ids[order], return_index=True)
        pieces = zip(known.tolist(), np.split(points, begin[1:]), strict=False)  # no outlines: one empty piece
        shape = {int(number[one]): piece for one, piece in pieces if one in number}
        return Seen(int(tables["frames"]["frame"].iloc[0]), _time(tables), shape)


def _time(tables: Mapping[str, pd.DataFrame]) -> float:
    frames = tables["frames"]
    return float(frames["t_s"].iloc[0]) if "t_s" in frames and pd.notna(frames["t_s"].iloc[0]) else float("nan")


def _kind(tracks: pd.DataFrame) -> Array:
    """Return the class of every row; 'object' where none is known."""
    column = next((name for name in ("class", "shape") if name in tracks), None)
    return tracks[column].to_numpy(object) if column else np.full(len(tracks), "object", dtype=object)


def _tracked(points: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by track and time with ``track`` in front, each class being the commonest of its track."""
    points = points.assign(track=points["track"].astype(np.int64))
    points = points.sort_values(["track", "frame"], kind="stable", ignore_index=True)
    points = points[["track", *(name for name in points if name != "track")]]
    for name in ("class", "shape"):
        if name in points and len(points):
            points[name] = points.groupby("track")[name].transform(lambda s: s.mode().iloc[0])
    return points
