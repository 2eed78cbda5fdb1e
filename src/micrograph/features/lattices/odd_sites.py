"""Defects of one image of a crystal without any model of the material: sites that are not as bright as their like.

The lattice is subtracted (`micrograph.features.lattices.subtraction`); the peaks of the periodic part are its sites.
All sites are then fitted jointly to the image itself, so that displaced neighbours do not pass for defects, and each is
compared with the sites of the same place in the cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.noise import NoiseModel
from micrograph.features.columns.peaks import find_peaks
from micrograph.features.columns.refine import RefineSettings, refine
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.features.lattices.subtraction import Subtracted, subtract_lattice

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A site is odd from so many robust sigmas of its like on, and never below this relative difference.
SIGMAS, LEAST_CHANGE = 5.0, 0.15
#: A place in the cell counts as a site when its median brightness is at least this share of the brightest.
LEAST_BRIGHT = 0.08
#: Peaks of the periodic part are at least this far from one another, per lattice constant.
APART_CELLS = 0.35


@dataclass(frozen=True)
class OddSites:
    """All N sites of an image: ``y_px, x_px``, place in the cell ``site``, brightness over that of their like.

    odd: (N,) the sites that differ; noise: of the image; parts: its periodic part and the rest.
    """

    y_px: Array
    x_px: Array
    site: Index
    brightness: Array
    odd: NDArray[np.bool_]
    noise: NoiseModel
    parts: Subtracted


def odd_sites(image: NDArray[np.float32]) -> OddSites | None:
    """Return the sites of `image` (H, W) and which of them are odd; ``None`` where there is no lattice."""
    parts = subtract_lattice(image)
    if parts is None:
        return None
    peaks = find_peaks(parts.periodic, float(np.percentile(parts.periodic, 30)), APART_CELLS * parts.a_px)
    lattice = fit_lattice(peaks.y, peaks.x, np.full((len(peaks), 2), 0.02 * parts.a_px), guess=parts.cell)
    if lattice is None:
        return None
    fit = refine(image, peaks.y, peaks.x, RefineSettings(iterations=6))
    site = lattice.index[:, 2]
    margin = 0.4 * parts.a_px
    inside = _within(peaks.y, image.shape[0], margin) & _within(peaks.x, image.shape[1], margin)
    brightness, odd, real = _compared(fit.amplitude, site, inside & (site >= 0) & np.isfinite(fit.amplitude))
    return OddSites(peaks.y[real], peaks.x[real], site[real], brightness[real], odd[real], fit.noise, parts)


def _within(values: Array, size: int, margin: float) -> NDArray[np.bool_]:
    return (values > margin) & (values < size - 1 - margin)


def _compared(
    amplitude: Array, site: Index, usable: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return brightness over the median of the same site of the cell, which are odd, and which are sites at all."""
    brightness, odd, real = np.full(len(site), np.nan), np.zeros(len(site), bool), np.zeros(len(site), bool)
    middle = {int(s): float(np.median(amplitude[usable & (site == s)])) for s in np.unique(site[usable])}
    brightest = max(middle.values(), default=0.0)
    for s, median in middle.items():
        mine = usable & (site == s)
        if median < LEAST_BRIGHT * brightest or mine.sum() < 12:
            continue
        brightness[mine] = amplitude[mine] / median
        spread = 1.4826 * float(np.median(np.abs(brightness[mine] - 1)))
        odd[mine] = np.abs(brightness[mine] - 1) > max(SIGMAS * spread, LEAST_CHANGE)
        real |= mine
    return brightness, odd, real
