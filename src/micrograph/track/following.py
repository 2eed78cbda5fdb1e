"""Objects followed while a movie runs: each new frame's objects go to the tracks that are alive, or begin new ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from micrograph.track.gaps import cheapest
from micrograph.track.timeline import Array, Index

#: A change of area by this factor costs as much as a move by the whole gate.
_AREA = np.log(3.0)


@dataclass(frozen=True)
class Alive:
    """Tracks that may still go on: their numbers (N,), last places (N, 2) nm, areas (N,) nm^2 and frames missed (N,).

    `begun` is how many tracks there have been.
    """

    track: Index = field(default_factory=lambda: np.empty(0, np.int64))
    place: Array = field(default_factory=lambda: np.empty((0, 2)))
    area: Array = field(default_factory=lambda: np.empty(0))
    missed: Index = field(default_factory=lambda: np.empty(0, np.int64))
    begun: int = 0


def follow(alive: Alive, place: Array, area: Array, reach_nm: float, gap_frames: int) -> tuple[Index, Alive]:
    """Return the track (M,) of every object of the next frame, and the tracks that are alive after it.

    place: (M, 2) nm; area: (M,) nm^2; reach_nm: how far an object may go in one frame, with the root of the frames in
    which it was missed. Cheapest assignment; distance and change of size both cost.
    """
    early, late, cost = _candidates(alive, place, area, reach_nm)
    found = cheapest(early, late, cost) if len(early) else np.empty((0, 2), np.int64)
    track = np.full(len(place), -1, np.int64)
    track[found[:, 1]] = alive.track[found[:, 0]]
    new = track < 0
    track[new] = alive.begun + np.arange(int(new.sum()))
    begun = alive.begun + int(new.sum())
    lost = np.setdiff1d(np.arange(len(alive.track)), found[:, 0])
    lost = lost[alive.missed[lost] < gap_frames]
    missed = np.concatenate([np.zeros(len(place), np.int64), alive.missed[lost] + 1])
    return track, Alive(
        np.concatenate([track, alive.track[lost]]),
        np.concatenate([place, alive.place[lost]]),
        np.concatenate([area, alive.area[lost]]),
        missed,
        begun,
    )


def unseen(alive: Alive, gap_frames: int) -> Alive:
    """Return the tracks alive after a frame in which nothing was seen."""
    still = alive.missed < gap_frames
    return replace(
        alive,
        track=alive.track[still],
        place=alive.place[still],
        area=alive.area[still],
        missed=alive.missed[still] + 1,
    )


def _candidates(alive: Alive, place: Array, area: Array, reach_nm: float) -> tuple[Index, Index, Array]:
    """Return pairs of a live track and an object, and what each costs; the price of none is 1."""
    from scipy.spatial import cKDTree

    if len(place) == 0 or len(alive.track) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    reach = reach_nm * np.sqrt(1.0 + alive.missed)
    near = cKDTree(place).query_ball_point(alive.place, reach)
    count = np.array([len(one) for one in near])
    early = np.repeat(np.arange(len(near)), count)
    late = np.array([j for one in near for j in one], np.int64)
    way = ((alive.place[early] - place[late]) ** 2).sum(axis=1) / reach[early] ** 2
    change = np.log(np.maximum(area[late], 1e-9) / np.maximum(alive.area[early], 1e-9))
    cost = way + (change / _AREA) ** 2
    cheap = cost < 1
    return early[cheap], late[cheap], cost[cheap]
