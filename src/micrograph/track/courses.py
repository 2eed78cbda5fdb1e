"""How every point of an outline goes through several frames: a straight course, whatever spoils single frames there.

What passes a particle or touches it for a frame bends its outline along one stretch. There the frame stands out from
the course of the others, and is set aside for that stretch alone (Tukey's biweight, doi:10.2307/2285666).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micrograph.track.arcs import averaged
from micrograph.track.timeline import Array

#: Errors beyond this many standard deviations count nothing (95 % efficient where errors are normal).
_BEYOND = 4.685
#: With fewer frames nothing can stand out.
_LEAST = 4
_ROUNDS = 6
#: A point of a frame with less weight than this was set aside.
_ASIDE = 0.1


@dataclass(frozen=True)
class Course:
    """Where the points of an outline were in the middle of the time, and how fast they went.

    velocity (K,): along the normals; first, second (K,): places by two sets of frames without a frame in common, whose
    errors depend neither on each other's nor on the velocity's; aside: share of the points of all frames set aside.
    """

    velocity: Array
    first: Array
    second: Array
    aside: float

    @property
    def place(self) -> Array:
        """Places (K,) by all frames."""
        return (self.first + self.second) / 2


def course(places: Array, times_s: Array, wide: float) -> Course:
    """Return the course of the points of a closed outline, whose `places` along their normals are (F, K) at F times.

    Frames are judged by their mean over `wide` points along the outline.
    """
    since = times_s - times_s.mean()
    weight = np.ones_like(places)
    start, slope = _line(places, since, weight)
    for turn in range(_ROUNDS if len(places) >= _LEAST else 0):
        left = places - start - slope * since[:, None]
        left = np.stack([averaged(row, wide) for row in left])
        size = 1.4826 * float(np.median(np.abs(left))) * np.sqrt(len(places) / (len(places) - 2))
        size = max(size, 1e-9 * float(np.abs(places).max()), 1e-300)
        share = np.abs(left) / size
        # Absolute errors first: the mean that begins is itself bent by what must be set aside.
        weight = 1 / np.maximum(share, 0.5) if turn < _ROUNDS // 2 else (1 - np.minimum(share / _BEYOND, 1) ** 2) ** 2
        weight = np.where((weight > 0).sum(axis=0) > 2, weight, 1.0)
        start, slope = _line(places, since, weight)
    first, second = _halves(len(places))
    going = slope if len(places) > 2 else np.zeros_like(slope)
    steady = places - going * since[:, None]
    return Course(slope, _mean(steady, weight, first), _mean(steady, weight, second), float(np.mean(weight < _ASIDE)))


def _line(places: Array, since: Array, weight: Array) -> tuple[Array, Array]:
    """Return (K,) places at time 0 and velocities of weighted straight lines."""
    total = weight.sum(axis=0)
    middle = since @ weight / total
    mean = (weight * places).sum(axis=0) / total
    apart = since[:, None] - middle
    slope = (weight * apart * (places - mean)).sum(axis=0) / (weight * apart**2).sum(axis=0)
    return mean - slope * middle, slope


def _halves(count: int) -> tuple[Array, Array]:
    """Return which frames (F,) are in either half: both lie evenly around the middle, so that velocities cancel."""
    if count == 2:
        return np.array([1.0, 0.0]), np.array([0.0, 1.0])
    rank = np.floor(np.abs(np.arange(count) - (count - 1) / 2))
    even = (rank % 2 == 0).astype(float)
    return even, 1 - even


def _mean(steady: Array, weight: Array, half: Array) -> Array:
    """Return the mean (K,) over a half of the frames; of all where none of them counts."""
    own = weight * half[:, None]
    own = np.where(own.sum(axis=0) > 1e-3, own, weight)
    return np.asarray((own * steady).sum(axis=0) / own.sum(axis=0))
