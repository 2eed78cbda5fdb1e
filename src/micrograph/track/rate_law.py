"""How fast a boundary moves and how that depends on its curvature: v = v0 + k * curvature, from outlines with noise.

Four things would bend the law. What passes a particle spoils its outline for a frame: velocities are those of straight
courses through several frames, from which such stretches are set aside. Noise of the outline makes curvature look more
varied than it is, and a straight fit then too flat: curvature of some frames is therefore the instrument for that of
others, whose noise is independent (Wald 1940, doi:10.1214/aoms/1177731868). Averages along the outline flatten corners:
velocity and curvature are averaged with the same weights, between which a linear law holds as it does point by point.
Moving particles would add their own velocity: shift and turn along the normal are fitted with the law in each window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from micrograph.core import Column
from micrograph.features.objects.closed_curves import Smoothed, perimeter, smoothed
from micrograph.track.arcs import apart, averaged, curve, filled, rigid_motion, step_of
from micrograph.track.courses import course
from micrograph.track.timeline import Array, Index

RATE_LAW = (
    Column("name", "", "class of the objects; 'all' together"),
    Column("track", "", "the track, -1 for all of them"),
    Column("v0_nm_per_s", "nm s^-1", "velocity of a straight edge, outwards positive", sigma="v0_sigma_nm_per_s"),
    Column("v0_sigma_nm_per_s", "nm s^-1", "1-sigma of it"),
    Column("k_nm2_per_s", "nm^2 s^-1", "change of the velocity with curvature", sigma="k_sigma_nm2_per_s"),
    Column("k_sigma_nm2_per_s", "nm^2 s^-1", "1-sigma of it"),
    Column("points", "", "independent stretches of outline that count"),
    Column("tracks", "", "tracks that count"),
    Column("aside", "", "share of the outlines set aside: stretches that stand out from the frames before and after"),
)
BOUNDARIES = (
    Column("track", "", "the object"),
    Column("frame", "", "frame in the middle of the motion"),
    Column("t_s", "s", "its time"),
    Column("y_nm", "nm", "place on the outline"),
    Column("x_nm", "nm", "place on the outline"),
    Column("curvature_per_nm", "nm^-1", "curvature, convex positive"),
    Column("velocity_nm_per_s", "nm s^-1", "along the outward normal, without the motion as a rigid body",
           sigma="velocity_sigma_nm_per_s"),
    Column("velocity_sigma_nm_per_s", "nm s^-1", "1-sigma of it"),
)  # fmt: skip
RATE_BINS = (
    Column("curvature_per_nm", "nm^-1", "mean curvature"),
    Column("velocity_nm_per_s", "nm s^-1", "mean velocity there", sigma="velocity_sigma_nm_per_s"),
    Column("velocity_sigma_nm_per_s", "nm s^-1", "1-sigma of it, from the scatter between objects and times"),
    Column("number", "", "points of outlines"),
)
#: Share of the points of an outline that may not be met by the others.
_UNMET = 0.05
#: Share of the frames that must be met.
_MET = 0.6
#: Outlines are not trusted to less than this share of the step between their points.
_EXACT = 0.02
#: So many tracks tell the error of the law by their differences; fewer do it by their times.
_MANY = 8


@dataclass(frozen=True)
class Window:
    """What one object's outline did between two frames.

    left (2, 2), right (2,): sums of the law's normal equations, over the square of the velocity's error; length_nm:
    outline that went in; mean: mean velocity (nm/s); stretches: independent stretches of outline. points (P, 6): y, x,
    one and another curvature, velocity and its 1-sigma; aside: share of the outlines that was set aside.
    """

    left: Array
    right: Array
    length_nm: float
    mean: float
    stretches: float
    points: Array
    aside: float = 0.0


def window(
    outlines: Sequence[Array], times_s: Sequence[float], smooth_nm: float | None = None, most: int = 60
) -> Window | None:
    """Return what an object did between the first and the last of its `outlines`, (K, 2) [y, x] in nm; two or more.

    smooth_nm: length over which velocity and curvature are averaged; ``None``: 4 % of the object's diameter, four
    steps between its points at least. At most `most` points are kept. ``None`` where the outlines do not fit together.
    """
    step = float(np.median([np.hypot(*np.diff(one, axis=0).T).mean() for one in outlines]))
    wide_nm = max(0.04 * step * len(outlines[0]) / np.pi, 4 * step) if smooth_nm is None else smooth_nm
    fixed = curve(outlines[len(outlines) // 2], wide_nm / 2)
    curves = [curve(one, 2 * step) for one in outlines]
    if fixed is None or any(one is None for one in curves):
        return None
    ways = apart(fixed, [one for one in curves if one is not None])
    met = [i for i, way in enumerate(ways) if np.isnan(way).mean() <= _UNMET]
    if len(met) < 2 or len(met) < _MET * len(ways):
        return None
    wide = wide_nm / step_of(fixed)
    times = np.asarray(times_s, float)[met]
    seen = course(np.stack([filled(ways[i]) for i in met]), times, wide / 2)
    bends = [averaged(_bend(fixed, place, wide), wide) for place in (seen.first, seen.second)]
    noise = _noise(seen.velocity, wide)
    aside = 1 - (1 - seen.aside) * len(met) / len(ways)
    found = _summed(_moved(fixed, seen.place), averaged(seen.velocity, wide), (bends[0], bends[1]), noise, wide, most)
    sure = 1 / (noise**2 + (_EXACT * step / np.ptp(times)) ** 2)
    return replace(found, left=sure * found.left, right=sure * found.right, aside=aside)


def _moved(fixed: Smoothed, place: Array) -> Smoothed:
    """Return the curve with its points moved by `place` (K,) along their normals."""
    return replace(fixed, points=fixed.points + place[:, None] * fixed.normals)


def _bend(fixed: Smoothed, place: Array, wide: float) -> Array:
    """Return the curvature (K,) of the curve moved so."""
    moved = _moved(fixed, place).points
    length = perimeter(moved)
    return smoothed(moved, length, min(wide / 2, 2.0) * length / len(moved)).curvature


def _summed(
    fixed: Smoothed, velocity: Array, bends: tuple[Array, Array], sigma: float, wide: float, most: int
) -> Window:
    nuisance, step = rigid_motion(fixed), step_of(fixed)
    basis = np.linalg.qr(nuisance)[0]
    ones = np.ones(len(velocity))
    left, right = np.zeros((2, 2)), np.zeros(2)
    for use, instrument in (bends, bends[::-1]):
        free = np.column_stack([ones, instrument])
        free = free - basis @ (basis.T @ free)
        left += 0.5 * step * free.T @ np.column_stack([ones, use])
        right += 0.5 * step * free.T @ velocity
    bend = (bends[0] + bends[1]) / 2
    fit = np.linalg.lstsq(np.column_stack([ones, bend, nuisance]), velocity, rcond=None)[0]
    own = velocity - nuisance @ fit[2:]
    pick = np.linspace(0, len(own), min(most, len(own)), endpoint=False).astype(np.int64)
    points = np.column_stack([fixed.points, *bends, own, np.full(len(own), sigma)])[pick]
    length = step * len(own)
    return Window(left, right, length, float(own.mean()), len(own) / (2 * np.sqrt(np.pi) * wide), points)


def _noise(raw: Array, wide: float) -> float:
    """Return the 1-sigma of `raw` averaged with a Gaussian of `wide` steps, from the noise just too fine to pass it."""
    wave = 2 * np.pi * np.fft.rfftfreq(len(raw))
    power = np.abs(np.fft.rfft(raw)) ** 2 / len(raw)
    band = (wave * wide > 1.5) & (wave * wide < 4)
    if not band.any():
        return float("nan")
    return float(np.sqrt(power[band].mean() / (2 * np.sqrt(np.pi) * wide)))


@dataclass(frozen=True)
class Law:
    """v = v0 + k * curvature with 1-sigma (nm/s, nm^2/s), the stretches of outline and the tracks that it rests on."""

    v0: float
    v0_sigma: float
    k: float
    k_sigma: float
    points: float = 0.0
    tracks: int = 0


def rate_law(track: Array | Index, left: Array, right: Array, stretches: Array) -> Law:
    """Return the law that windows of outlines follow together.

    track: (W,) whose window it is, in the order of time within a track; left: (W, 2, 2), right: (W, 2), stretches: (W,)
    of every `Window`. Errors come from the scatter between tracks, or between times where there are few tracks.
    """
    number = len(np.unique(track))
    if len(track) == 0:
        return Law(np.nan, np.nan, np.nan, np.nan)
    total = left.sum(axis=0)
    if abs(np.linalg.det(total)) <= 1e-9 * abs(total[0, 0] * total[1, 1]):
        return Law(np.nan, np.nan, np.nan, np.nan, float(stretches.sum()), number)
    found = np.linalg.solve(total, right.sum(axis=0))
    score = right - left @ found
    inverse = np.linalg.inv(total)
    cover = inverse @ _scatter(track, score) @ inverse.T
    v0_sigma, k_sigma = np.sqrt(np.maximum(np.diag(cover), 0.0))
    v0, k = float(found[0]), float(found[1])
    return Law(v0, float(v0_sigma), k, float(k_sigma), float(stretches.sum()), number)


def _scatter(track: Array | Index, score: Array) -> Array:
    """Return the covariance (2, 2) of the summed `score` (W, 2): between tracks, or along time."""
    _, own = np.unique(track, return_inverse=True)
    number = int(own.max()) + 1
    if number >= _MANY:
        sums = np.column_stack([np.bincount(own, score[:, i], number) for i in range(2)])
        return np.asarray(sums.T @ sums * number / (number - 2))
    if len(score) < 3:
        return np.full((2, 2), np.nan)
    same = own[1:] == own[:-1]
    beside = 0.5 * score[1:][same].T @ score[:-1][same]
    return np.asarray((score.T @ score + beside + beside.T) * len(score) / (len(score) - 2))


def rate_bins(points: Array, group: Index, count: int = 12) -> pd.DataFrame:
    """Return mean velocity against mean curvature (`RATE_BINS`) in `count` bins that hold equally many points.

    points: (P, 6) as in `Window`; group: (P,) which window each comes from. Bins go by one measurement of the curvature
    and show the mean of another, or noise would widen the range of curvature.
    """
    names = [column.name for column in RATE_BINS]
    if len(points) < 2 * count:
        return pd.DataFrame(columns=names, dtype=float)
    pieces = []
    for sort, show in ((2, 3), (3, 2)):
        edges = np.quantile(points[:, sort], np.linspace(0, 1, count + 1)[1:-1])
        at = np.searchsorted(edges, points[:, sort])
        pieces.append([_bin(points[at == i], group[at == i], show) for i in range(count)])
    return pd.DataFrame(np.mean(pieces, axis=0), columns=names).astype({"number": np.int64})


def _bin(points: Array, group: Index, show: int) -> list[float]:
    if len(points) == 0:
        return [np.nan, np.nan, np.nan, 0.0]
    mean = float(points[:, 4].mean())
    _, own = np.unique(group, return_inverse=True)
    sums = np.bincount(own, points[:, 4] - mean)
    return [float(points[:, show].mean()), mean, float(np.sqrt(np.sum(sums**2)) / len(points)), float(len(points))]
