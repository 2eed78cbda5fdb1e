"""The zone without particles beside a carbide network: how wide it is, from the network's edge to the particles.

As DeCost et al. do (doi:10.1017/S1431927618015635): the network is made whole, ferrite that does not touch it is not of
its zone, and distances are Euclidean. Two widths are given: to where the grain full of particles begins, and to the
nearest particle itself, which lies deeper by what the particles happen to leave free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Holes in the network up to this area (px^2), and pieces of it up to as large a one, are none.
_SPECK_PX = 40
#: Edges closer to the image's border than the zone is wide are left out: their nearest particle may lie outside.
_BORDER = 1.0


@dataclass(frozen=True)
class Widths:
    """Places (N, 2; y, x in px) on the edge of a grain and their distance (N,) from the network; places (M, 2) on the
    network's edge and their distance (M,) from the nearest particle."""

    edge_px: Array
    width_px: Array
    network_px: Array
    clear_px: Array


def denuded_widths(network: Mask, zone: Mask, particles: Mask, grain: Mask | None = None) -> Widths:
    """Return the widths of the zone beside a network, from masks (H, W) of network, ferrite, particles, and grains.

    Without `grain`, all that is neither network nor zone counts as grain.
    """
    from scipy import ndimage as ndi

    nothing = Widths(np.empty((0, 2)), np.empty(0), np.empty((0, 2)), np.empty(0))
    whole = made_whole(network)
    if not whole.any():
        return nothing
    away = ndi.distance_transform_edt(~whole)
    touching = connected_to(zone & ~whole, whole)
    beside = whole | touching
    rim = ~beside & ndi.binary_dilation(beside)
    rim &= ~zone if grain is None else grain
    rim &= ndi.binary_dilation(touching)  # where grains begin right at the network there is no zone
    at, near, clear = np.argwhere(rim), np.zeros((0, 2), np.intp), np.empty(0)
    width = away[rim] - 1.0  # both edges lie half a pixel before the middle of the first pixel beyond
    inner = _inner(at, width, whole.shape)
    if particles.any():
        to_particle = ndi.distance_transform_edt(~particles)
        edge = whole & ~ndi.binary_erosion(whole, border_value=1)
        near, clear = np.argwhere(edge), to_particle[edge] - 1.0
        kept = _inner(near, clear, whole.shape)
        near, clear = near[kept], clear[kept]
    return Widths(at[inner].astype(float), width[inner], near.astype(float), clear)


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


def connected_to(mask: Mask, network: Mask) -> Mask:
    """Return those connected parts of a mask that touch the network."""
    from scipy import ndimage as ndi

    parts, number = ndi.label(mask)
    touched = np.zeros(number + 1, bool)
    touched[np.unique(parts[ndi.binary_dilation(network, np.ones((3, 3), bool))])] = True
    touched[0] = False
    return np.asarray(touched[parts])


def _inner(at: NDArray[np.intp], distance: Array, shape: tuple[int, ...]) -> Mask:
    """Return which places are farther from the border than what they measure is wide."""
    border = np.minimum(at, np.array(shape) - 1 - at).min(axis=1) if len(at) else np.empty(0)
    return np.asarray(border >= _BORDER * distance)


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
