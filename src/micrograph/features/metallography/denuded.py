"""The zone without particles beside a carbide network: how wide it is, from the network's edge to the particles.

As DeCost et al. do (doi:10.1017/S1431927618015635) the network is made whole, distances are Euclidean. Two things are
measured: from every place on the network's edge the distance to the nearest particle; and where particles begin. The
first is larger than the second by what particles happen to leave free. The second follows from how many particles lie
how far from the network: as many as there is area for them, from the zone's edge on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Holes in the network up to this area (px^2), and pieces of it up to as large a one, are none.
_SPECK_PX = 40
#: The zone's edge follows from the particles nearest to the network: from and up to these shares of all of them.
_NEAREST = (0.03, 0.35)
#: From fewer particles than this nothing follows.
FEWEST = 12


@dataclass(frozen=True)
class Gaps:
    """Places (N, 2; y, x in px) on the network's edge and their distance (N,) from the nearest particle; of particles
    (M,) the distance of their edge from the network, and their radius; distances (A,) of all other pixels, sorted."""

    place_px: Array
    clear_px: Array
    edge_px: Array
    radius_px: Array
    away_px: Array


def find_gaps(network: Mask, particles: NDArray[np.integer[Any]]) -> Gaps:
    """Return the distances between a network (H, W) and the particles of a label image (H, W; 0 for none).

    Places that are nearer to the border of the image than to a particle are left out: a nearer one may lie outside.
    """
    from scipy import ndimage as ndi

    whole, number = made_whole(network & (particles == 0)), int(particles.max(initial=0))
    if not whole.any() or not number:
        return Gaps(np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    edge = whole & ~ndi.binary_erosion(whole, border_value=1)
    at, clear = np.argwhere(edge), np.asarray(ndi.distance_transform_edt(particles == 0), float)[edge] - 1.0
    inner = np.minimum(at, np.array(whole.shape) - 1 - at).min(axis=1) >= clear
    away = np.asarray(ndi.distance_transform_edt(~whole), float) - 0.5
    nearest = np.asarray(ndi.minimum(away, particles, np.arange(1, number + 1)), float) - 0.5
    radius = np.sqrt(np.bincount(particles.ravel(), minlength=number + 1)[1:] / np.pi)
    return Gaps(at[inner].astype(float), clear[inner], nearest, radius, np.sort(away[~whole]))


def zone_width(gaps: Gaps, rng: np.random.Generator, resamples: int = 200) -> tuple[float, ...]:
    """Return the width (px) of the zone without particles, its 1-sigma and 95 % interval, NaN where nothing tells.

    Particles are ranked by their distance; the area up to where their middles lie grows with the rank in a straight
    line, which begins at the zone's edge. The interval draws the particles anew.
    """
    number = len(gaps.edge_px)
    if number < FEWEST:
        return (np.nan,) * 4
    middle = float(np.median(gaps.radius_px))
    area = np.sort(np.searchsorted(gaps.away_px, gaps.edge_px + middle)).astype(float)
    width = _begin(area, gaps.away_px) - middle
    drawn = [_begin(np.sort(rng.choice(area, number)), gaps.away_px) - middle for _ in range(resamples)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return max(width, 0.0), float(np.std(drawn)), max(float(low), 0.0), float(high)


def _begin(area: Array, away_px: Array) -> float:
    """Return the distance up to which there are no middles of particles; area (N,): up to each of them, sorted."""
    number = len(area)
    first = int(_NEAREST[0] * number)
    last = min(max(int(_NEAREST[1] * number), first + 6), number)
    rank = np.arange(number)[first:last] + 0.5
    begun = float(np.polyfit(rank, area[first:last], 1)[1])
    return float(away_px[int(np.clip(begun, 0, len(away_px) - 1))])


def made_whole(network: Mask) -> Mask:
    """Return the network without small holes in it and small pieces beside it."""
    from scipy import ndimage as ndi

    parts, _ = ndi.label(network, np.ones((3, 3), bool))
    area = np.bincount(parts.ravel())
    area[0] = 0
    kept = (area > _SPECK_PX)[parts]
    holes, _ = ndi.label(~kept)
    small = np.bincount(holes.ravel()) <= _SPECK_PX
    small[0] = False
    return np.asarray(kept | small[holes])


def middle_width(width: Array, at_px: Array, rng: np.random.Generator, resamples: int = 400) -> tuple[float, ...]:
    """Return the median of widths (N,), its 1-sigma, and its 95 % interval; neighbours are drawn together.

    Places (N, 2) within tiles as wide as twice the median are no independent measurements: tiles are drawn anew.
    """
    if len(width) == 0:
        return (np.nan,) * 4
    middle = float(np.median(width))
    tile = np.floor(at_px / max(2 * middle, 8.0)).astype(np.int64)
    _, group = np.unique(tile, axis=0, return_inverse=True)
    group = group.ravel()
    number = int(group.max()) + 1
    if number < 3:
        return middle, np.nan, np.nan, np.nan
    order = np.argsort(width)
    width, group = width[order], group[order]
    drawn = np.stack([np.bincount(rng.integers(number, size=number), minlength=number) for _ in range(resamples)])
    total = np.cumsum(drawn[:, group], axis=1)
    place = (total >= 0.5 * total[:, -1:]).argmax(axis=1)
    medians = width[place]
    low, high = np.quantile(medians, (0.025, 0.975))
    return middle, float(medians.std()), float(low), float(high)
