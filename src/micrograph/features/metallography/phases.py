"""What each pixel of a micrograph is: the likeliest constituent, one vote an object, shares of the area with intervals.

Objects are voted on as a whole, as Azimi et al. do (doi:10.1038/s41598-018-20037-5): what an island is, most of its
pixels say. Shares have the interval of a random set seen through a window (integral range, Lantuejoul 1991,
doi:10.1111/j.1365-2818.1991.tb03108.x): n pixels that are alike over an area a count as n / a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core.depth import normalised_depth
from micrograph.core.errors import BadInput
from micrograph.features.objects.instances import find_objects

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Labels = NDArray[np.int32]

#: Parts of the foreground are several objects where they are narrower than elsewhere by this share of their depth.
_RISE = 0.25
#: The correlation of a random set is summed up to where it falls below this.
_ALIKE = 0.05
#: No image shows fewer independent places than this; so many where nothing tells.
_FEWEST = 4.0


@dataclass(frozen=True)
class Phases:
    """names (K,); share (K, H, W): probability of each, 1 together; winner (H, W): place of the likeliest in names."""

    names: tuple[str, ...]
    share: Image
    winner: NDArray[np.intp]


@dataclass(frozen=True)
class Objects:
    """labels (H, W): 1 .. N, 0 in the ground; kind (N,): place in the names of the phases; of each object's pixels the
    share that voted for it, and the mean probability of its kind (N,)."""

    labels: Labels
    kind: NDArray[np.intp]
    votes: Array
    score: Array


def phases_of(maps: Mapping[str, NDArray[np.floating[Any]]], apart: Sequence[str] = ()) -> Phases:
    """Return the phases of maps (H, W) of probability by name; those named in `apart` are no phases.

    With a single phase what it leaves is called 'rest'. Raises `BadInput` where no phase is left.
    """
    names = tuple(name for name in maps if name not in apart)
    if not names:
        raise BadInput(f"The weights know no constituents, only {', '.join(maps) or 'nothing'}: give others.")
    share = np.stack([np.asarray(maps[name], np.float32) for name in names])
    if len(names) == 1:
        names, share = (*names, "rest"), np.concatenate([share, 1 - share])
    share = np.clip(share, 1e-6, 1)
    share /= share.sum(axis=0)
    return Phases(names, share, share.argmax(axis=0))


def ground_of(phases: Phases, wish: str = "") -> int | None:
    """Return the place of the phase that objects lie in: `wish`, or one whose name says so, else ``None``."""
    if wish and wish not in phases.names:
        raise BadInput(f"There is no constituent '{wish}': the weights know {', '.join(phases.names)}.")
    for name in (wish, "ferrite", "matrix", "background", "rest"):
        if name and name in phases.names:
            return phases.names.index(name)
    return None


def voted(phases: Phases, ground: int | None, own: Sequence[str] = (), least_px: int = 30) -> tuple[Phases, Objects]:
    """Return the phases with one vote an object, and the objects.

    Objects are connected parts of what is not `ground`; of the phases named in `own` the connected parts of each.
    Parts of less than `least_px` go to the object that is nearest, or to the ground.
    """
    from scipy import ndimage as ndi

    alone = [phases.names.index(name) for name in own if name in phases.names]
    masks = [phases.winner == place for place in alone]
    together = ~np.isin(phases.winner, [*alone, *(() if ground is None else (ground,))])
    if ground is None:  # nothing that objects lie in: each phase has its own
        places = [place for place in range(len(phases.names)) if place not in alone]
        masks += [phases.winner == place for place in places]
        together = np.zeros_like(together)
    labels = np.zeros(phases.winner.shape, np.int32)
    number = 0
    for parts in (*(np.asarray(ndi.label(mask, np.ones((3, 3)))[0], np.int32) for mask in masks), _parts(together)):
        labels[parts > 0] = parts[parts > 0] + number
        number += int(parts.max(initial=0))
    labels = _large(labels, least_px)
    objects = _judged(phases, labels)
    winner = phases.winner.copy()
    winner[labels > 0] = np.concatenate([[0], objects.kind])[labels[labels > 0]]
    winner = _settled(winner, labels, ground, phases.names, least_px)
    return replace(phases, winner=winner), objects


def _parts(mask: NDArray[np.bool_]) -> Labels:
    """Return the parts of a mask, cut where they are narrow between wide places; 0 outside."""
    from scipy import ndimage as ndi

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    whole, _ = ndi.label(mask)
    return find_objects(mask.astype(np.float32), normalised_depth(whole), 0.5, _RISE, 1, 0.0).labels


def _large(labels: Labels, least_px: int) -> Labels:
    """Return the labels of at least so many pixels, numbered anew from 1."""
    area = np.bincount(labels.ravel())
    kept = area >= least_px
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[labels], np.int32)


def _judged(phases: Phases, labels: Labels) -> Objects:
    """Return the objects with the kind that most of their pixels have."""
    number = int(labels.max(initial=0))
    inside = labels > 0
    tally = np.zeros((number, len(phases.names)))
    np.add.at(tally, (labels[inside] - 1, phases.winner[inside]), 1)
    kind = tally.argmax(axis=1) if number else np.zeros(0, np.intp)
    area = np.maximum(tally.sum(axis=1), 1)
    means = np.stack(
        [np.bincount(labels[inside] - 1, values[inside], number) / area for values in phases.share], axis=1
    )
    rows = np.arange(number)
    return Objects(labels, kind, tally[rows, kind] / area, means[rows, kind])


def _settled(
    winner: NDArray[np.intp], labels: Labels, ground: int | None, names: tuple[str, ...], least_px: int
) -> NDArray[np.intp]:
    """Return the phases (H, W) in which specks too small for an object have become what surrounds them."""
    from scipy.ndimage import distance_transform_edt

    speck = (labels == 0) & (winner != ground)
    if not speck.any() or speck.all():
        return winner
    nearest = distance_transform_edt(speck, return_distances=False, return_indices=True)
    return np.asarray(winner[tuple(nearest)])


@dataclass(frozen=True)
class AreaShare:
    """Share of the area of one phase: value, 1-sigma, 95 % interval, and how many independent places it rests on."""

    value: float
    sigma: float
    low: float
    high: float
    places: float


def area_shares(phases: Phases) -> tuple[AreaShare, ...]:
    """Return the share of the area of each phase in the metal that an image (H, W) shows a part of.

    The value corrects the count of pixels for wrong names: it is the mean probability (for calibrated probabilities
    unbiased), each voted object counted as a whole. 1-sigma and interval are those of the metal, not of the image: they
    hold that another place would look different, and that names may be wrong.
    """
    from micrograph.features.objects.distributions import wilson

    masks = [(phases.winner == place).astype(np.float32) for place in range(len(phases.names))]
    values = [float(mask.mean()) for mask in masks]
    places = [
        mask.size / alike_area(mask) if 0 < value < 1 else np.nan for mask, value in zip(masks, values, strict=True)
    ]
    unseen = float(np.nanmin(places)) if np.isfinite(places).any() else _FEWEST
    found = []
    for place, (mask, value, number) in enumerate(zip(masks, values, places, strict=True)):
        number = max(number, _FEWEST) if np.isfinite(number) else max(unseen, _FEWEST)
        low, high = wilson(value, number)
        wrong = abs(float((mask - phases.share[place]).mean()))
        spread = np.sqrt(value * (1 - value) / number) if 0 < value < 1 else (high - low) / 3.92
        sigma = float(np.hypot(spread, wrong))
        found.append(
            AreaShare(value, sigma, max(min(low, value - wrong), 0.0), min(max(high, value + wrong), 1.0), number)
        )
    return tuple(found)


def alike_area(mask: NDArray[np.floating[Any]]) -> float:
    """Return over which area (px) a mask (H, W) is alike: its correlation, summed over all distances where it counts.

    The correlation is taken as equal in all directions, and its fall at small distances is what is summed.
    """
    height, width = mask.shape
    centred = np.zeros((2 * height, 2 * width), np.float32)
    centred[:height, :width] = mask - mask.mean()
    power = np.fft.irfft2(np.abs(np.fft.rfft2(centred)) ** 2, centred.shape)
    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in centred.shape)
    overlap = np.maximum(height - y, 0)[:, None] * np.maximum(width - x, 0)
    reach = min(height, width) // 2
    distance = np.hypot(y[:, None], x)
    near = (distance < reach) & (overlap > 0)
    ring = np.rint(distance[near]).astype(np.intp)
    correlation = np.bincount(ring, power[near] / overlap[near]) / np.bincount(ring)
    correlation = correlation / max(float(correlation[0]), 1e-12)
    below = np.flatnonzero(correlation < _ALIKE)
    end = int(below[0]) if len(below) else len(correlation)
    return float(max(np.sum(correlation[:end] * 2 * np.pi * np.arange(end)), 1.0))
