"""Where a surface differs from its motif: missing and added atoms, islands, as regions with place, area and height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.bends import block_means, spread
from micrograph.features.surface.motif import Followed

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What a region is called: lower than the motif, higher, or larger than so many cells and squares between sites.
KINDS = ("missing", "added", "island")
_ISLAND_CELLS, _ISLAND_SITES = 0.6, 2.5
#: A region grows to where the difference falls below this share of the least that begins one.
_GROWS = 0.5
#: Sites of a motif are farther apart than so much of its cell's mean side.
_APART = 0.09
#: Smoothing (1 sigma) over the distance between neighbouring sites.
_SMOOTH = 0.16
#: Atoms may lie so far from where the motif says, over that distance, before that is a difference.
_MISPLACED = 0.1
#: Maxima of one region that are farther apart than so much of it are places of their own.
_PARTED = 0.5
#: Ground that changes over so many of that distance (1 sigma) is no difference; beyond so many sigma it is no ground.
_GROUND, _PLAIN = 2.5, 4.0


@dataclass(frozen=True)
class Sites:
    """Maxima of a motif: ``place`` (N, 2) in the cell, 0 to 1; ``height`` (N,); ``apart_px`` between neighbours."""

    place: Array
    height: Array
    apart_px: float


@dataclass(frozen=True)
class Regions:
    """N regions: ``y_px, x_px`` middle, ``kind``, ``value`` extreme difference, ``score``, ``area_px``, ``cut``.

    ``label`` (H, W) holds the number of each region from 1 on, 0 elsewhere; ``noise`` is the difference's 1-sigma;
    ``cut`` regions reach an edge of the image.
    """

    y_px: Array
    x_px: Array
    kind: NDArray[np.str_]
    value: Array
    score: Array
    area_px: Array
    cut: Mask
    label: NDArray[np.int32]
    noise: float


def sites_of(motif: Array, cell: Array) -> Sites:
    """Return the maxima of a motif (Na, Nb) of a `cell` (2, 2) in px that rise above a fifth of its whole range."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    sides = np.array(motif.shape)
    filled = np.where(np.isfinite(motif), motif, np.nanmedian(motif))
    smooth = gaussian_filter(filled, 0.04 * sides, mode="wrap")
    least = float(smooth.min() + 0.4 * np.ptp(smooth))
    around = _disc(sides, cell, _APART * float(np.linalg.norm(cell, axis=1).mean()))
    found = np.argwhere((maximum_filter(smooth, footprint=around, mode="wrap") == smooth) & (smooth > least))
    order = np.argsort(-smooth[tuple(found.T)])
    place = ((found[order] + 0.5 + _between(smooth, found[order])) / sides).reshape(-1, 2) % 1.0
    images = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    steps = (place[:, None, None] - place[None, :, None] + images) @ cell
    away = np.linalg.norm(steps, axis=-1)
    near = away[away > 1e-9]
    apart = float(near.min()) if near.size else float(np.linalg.norm(cell, axis=1).min())
    return Sites(place, smooth[tuple(found[order].T)], apart)


def _disc(sides: NDArray[np.intp], cell: Array, radius: float) -> Mask:
    """Return which samples (odd, odd) of a motif lie within `radius` px of the middle one, and those next to it."""
    reach = np.maximum(1, np.ceil(1.2 * radius * np.linalg.norm(np.linalg.inv(cell), axis=0) * sides)).astype(int)
    step = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1)
    return np.asarray((np.linalg.norm(step / sides @ cell, axis=-1) <= radius) | (np.abs(step).max(axis=-1) <= 1))


def _between(values: Array, places: NDArray[np.intp]) -> Array:
    """Return where the parabolas through maxima (N, 2) and their neighbours have theirs, in samples from them."""
    offset = np.zeros(places.shape)
    for axis in range(2):
        low, high = (np.roll(values, step, axis)[tuple(places.T)] for step in (1, -1))
        bend = low + high - 2 * values[tuple(places.T)]
        offset[:, axis] = np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.clip(offset, -0.5, 0.5)


def odd_places(image: Array, followed: Followed, apart_px: float, *, sigmas: float, least: float) -> Regions:
    """Return the regions of an image (H, W) that differ from the motif by `sigmas` of the noise and by `least`.

    least: in units of the motif's range (its 2nd to 98th percentile). Pixels that are not finite count as the motif.
    """
    smooth, noise, enough = _difference(image, followed, apart_px, (sigmas, least))
    island_px = max(_ISLAND_CELLS * abs(float(np.linalg.det(followed.cell))), _ISLAND_SITES * apart_px**2)
    return _measured(smooth, _parted(smooth, _regions(smooth, enough), enough, apart_px, island_px), noise, island_px)


def odd_pixels(image: Array, followed: Followed, apart_px: float, *, sigmas: float, least: float) -> Mask:
    """Return where an image (H, W) differs so from the motif, whatever that is; arguments are those of `odd_places`."""
    smooth, _, enough = _difference(image, followed, apart_px, (sigmas, least))
    return _regions(smooth, enough) > 0


def _difference(
    image: Array, followed: Followed, apart_px: float, bounds: tuple[float, float]
) -> tuple[Array, float, float]:
    """Return how far an image lies beyond the motif (H, W), the 1-sigma of the noise, and what is enough to count."""
    from scipy.ndimage import gaussian_filter

    sigma = _SMOOTH * apart_px
    rest = np.where(np.isfinite(image), image - followed.periodic, 0.0)
    seen = gaussian_filter(followed.periodic + rest - _ground(rest, _GROUND * apart_px), sigma)
    periodic = gaussian_filter(followed.periodic, sigma)
    noise = _spread(seen - periodic)
    contrast = float(np.ptp(np.nanpercentile(followed.motif, (2, 98))))
    smooth = _beyond(seen, periodic, max(1, round(_MISPLACED * apart_px)))
    return smooth, noise, max(bounds[0] * noise, bounds[1] * contrast)


def _regions(smooth: Array, enough: float) -> NDArray[np.int32]:
    """Return the numbers (H, W), from 1 on, of regions that are higher, or lower, than `enough` somewhere."""
    from scipy.ndimage import label

    numbered, total = np.zeros(smooth.shape, np.int32), 0
    for sign in (-1, 1):
        found, count = label(sign * smooth > _GROWS * enough)
        top = np.zeros(count + 1)
        np.maximum.at(top, found, sign * smooth)
        kept = (top > enough) & (np.arange(count + 1) > 0)
        renumbered = np.where(kept, total + np.cumsum(kept), 0)
        numbered = np.where(kept[found], renumbered[found], numbered).astype(np.int32)
        total += int(kept.sum())
    return numbered


def _parted(
    smooth: Array, numbered: NDArray[np.int32], enough: float, apart_px: float, island_px: float
) -> NDArray[np.int32]:
    """Return the regions numbered anew, those that are no islands parted at their maxima: one for each.

    A maximum at the very edge of the image belongs to a place outside.
    """
    from scipy.ndimage import distance_transform_edt, maximum_filter

    height, area = np.abs(smooth), np.bincount(numbered.ravel())
    island = (area > island_px) & (np.arange(len(area)) > 0)
    islands = np.where(island[numbered], np.cumsum(island)[numbered], 0)
    side = 2 * max(1, round(_PARTED * apart_px)) + 1
    top = (height > enough) & (height == maximum_filter(height, side)) & (numbered > 0) & (islands == 0)
    top[[0, -1]] = top[:, [0, -1]] = False
    if not top.any():
        return islands.astype(np.int32)
    number = np.zeros(numbered.shape, np.int32)
    number[top] = np.arange(1, int(top.sum()) + 1) + int(island.sum())
    near = distance_transform_edt(~top, return_distances=False, return_indices=True)
    own = (numbered > 0) & (numbered == numbered[tuple(near)])
    return np.where(islands > 0, islands, np.where(own, number[tuple(near)], 0)).astype(np.int32)


def _ground(rest: Array, sigma: float) -> Array:
    """Return what changes slowly (1-sigma in px) in what the motif leaves, islands and odd places apart."""
    from scipy.ndimage import gaussian_filter

    plain = np.abs(rest - np.median(rest)) < _PLAIN * _spread(rest)
    step = max(1, int(sigma / 3))
    sums = [block_means(part, step) for part in (np.where(plain, rest, 0.0), plain.astype(float))]
    total, weight = (gaussian_filter(one, sigma / step, mode="constant", truncate=3.0) for one in sums)
    return np.asarray(spread((total / np.maximum(weight, 1e-3))[None], step, rest.shape)[0])


def _spread(values: Array) -> float:
    """Return the robust 1-sigma of values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _beyond(seen: Array, periodic: Array, reach: int) -> Array:
    """Return by how much an image lies above the highest, or below the lowest, value of the motif within `reach` px."""
    from scipy.ndimage import maximum_filter, minimum_filter

    side = 2 * reach + 1
    above, below = seen - maximum_filter(periodic, side), seen - minimum_filter(periodic, side)
    return np.asarray(np.maximum(above, 0) + np.minimum(below, 0))


def _measured(smooth: Array, numbered: NDArray[np.int32], noise: float, island_px: float) -> Regions:
    rows, columns = np.nonzero(numbered)
    number, values = numbered[rows, columns], smooth[rows, columns]
    total = int(number.max(initial=0))
    value = np.zeros(total + 1)
    order = np.argsort(np.abs(values), kind="stable")
    value[number[order]] = values[order]  # the last one written is the largest
    weight = [np.bincount(number, np.abs(values) * part, total + 1)[1:] for part in (1.0, rows, columns)]
    area = np.bincount(number, minlength=total + 1)[1:].astype(float)
    value = value[1:]
    kind = np.where(area > island_px, KINDS[2], np.where(value < 0, KINDS[0], KINDS[1])).astype(np.str_)
    border = np.concatenate([numbered[[0, -1]].ravel(), numbered[:, [0, -1]].ravel()])
    return Regions(
        weight[1] / weight[0], weight[2] / weight[0], kind, value, np.abs(value) / max(noise, 1e-300), area,
        np.isin(np.arange(1, total + 1), border), numbered, noise,
    )  # fmt: skip
