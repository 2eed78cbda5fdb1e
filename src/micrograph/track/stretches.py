"""Stages of a reaction: stretches of time with one mean edge velocity or number of objects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from micrograph.core import Flag
from micrograph.track.counts import stages
from micrograph.track.levels import LEVELS, level_stages, levels_table
from micrograph.track.timeline import Array, Index

#: A change of area by more than this share between two measurements is a merger or a mistake, not a motion of edges.
_BROKEN = 0.4


def stages_of(tracks: pd.DataFrame, frames: pd.DataFrame, baseline: int = 4) -> pd.DataFrame:
    """Return the stages (`LEVELS`) of the mean edge velocity and of the number of objects.

    tracks: ``track, frame, t_s, area_nm2`` and, where known, ``perimeter_nm, flags``, by track and time; frames:
    ``frame, t_s`` of all frames. Velocities are measured over `baseline` frames; without times there are none.
    """
    if len(frames) < 2 or len(tracks) == 0:
        return pd.DataFrame(columns=[column.name for column in LEVELS])
    number, time = frames["frame"].to_numpy(np.int64), frames["t_s"].to_numpy(float)
    at = np.searchsorted(number, tracks["frame"].to_numpy(np.int64))
    count = np.bincount(at, minlength=len(number)).astype(float)
    pieces = [levels_table("count", (number, number), (time, time), stages(count))]
    if np.isfinite(time).all():
        first, velocity, sigma = edge_velocity(tracks, frames, baseline)
        if len(first) >= 4:
            frame, when = ((values[first], values[first + baseline]) for values in (number, time))
            pieces.insert(0, levels_table("edge velocity (nm/s)", frame, when, level_stages(velocity, sigma)))
    return pd.concat(pieces, ignore_index=True)


def edge_velocity(tracks: pd.DataFrame, frames: pd.DataFrame, baseline: int = 4) -> tuple[Index, Array, Array]:
    """Return the mean velocity of all edges against time: first frames (rows of `frames`), nm/s, relative 1-sigma.

    The change of area of all whole objects seen at both ends of a span of `baseline` frames over the area that their
    edges would sweep at 1 nm/s. Spans follow each other without overlap.
    """
    number, time = frames["frame"].to_numpy(np.int64), frames["t_s"].to_numpy(float)
    whole = (tracks["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0 if "flags" in tracks else slice(None)
    rows = tracks[whole]
    ends = number[::baseline]
    seen = rows[np.isin(rows["frame"].to_numpy(), ends)]
    track, area = seen["track"].to_numpy(), seen["area_nm2"].to_numpy(float)
    edge = seen["perimeter_nm"].to_numpy(float) if "perimeter_nm" in seen else 2 * np.sqrt(np.pi * area)
    at = np.searchsorted(ends, seen["frame"].to_numpy(np.int64))
    pair = (track[1:] == track[:-1]) & (at[1:] == at[:-1] + 1)
    pair &= np.abs(area[1:] - area[:-1]) < _BROKEN * area[:-1]
    span = np.diff(time[::baseline])
    swept = np.bincount(at[:-1][pair], (0.5 * (edge[1:] + edge[:-1]))[pair], len(ends))[: len(span)] * span
    gained = np.bincount(at[:-1][pair], (area[1:] - area[:-1])[pair], len(ends))[: len(span)]
    known = np.flatnonzero(swept > 0)
    return known * baseline, gained[known] / swept[known], 1 / np.sqrt(swept[known])
