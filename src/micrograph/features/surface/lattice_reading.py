"""A surface read as a lattice: it made level, its cell and motif, what differs from it, the scanner's stretch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.lattices.bravais import reduction
from micrograph.features.levelling import Levelling, Lines
from micrograph.features.surface.motif import REACH_CELLS, ROUNDS, Followed, along_one, enlarged, follow, motif_of
from micrograph.features.surface.odd_places import Regions, Sites, odd_pixels, odd_places, sites_of
from micrograph.features.surface.repeats import binned, binning, find_repeat

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Pixels a side that an image needs, and robust sigma beyond which a pixel does not count at first.
_FEWEST_PX, _APART = 32, 4.0
#: Share of a motif's variance in one direction, and root mean square slope of the bend, from which all is stripes.
_STRIPED, _UNFOLLOWED = 0.7, 0.25
#: What stands out over more than this share of the shorter side is no atom.
_WIDE = 0.07
#: Share of the variance that a motif must explain to be one, and cells that an image must hold.
_LEAST_EXPLAINED, _FEWEST_CELLS = 0.3, 6.0


@dataclass(frozen=True)
class SurfaceSettings:
    """How to look at a surface.

    order, lines, scars: how it is made level first (`Levelling`). sigmas, least: a place differs from the motif by so
    many sigma of the rest, and by that share of the motif's range. distortion: 1-sigma of each element of the scanner's
    stretch and shear, for the type of lattice. known: sides in nm and angle in degrees (60 to 120) of the true cell,
    'a,b,gamma', against which the scanner's scale is measured.
    """

    order: int = 1
    lines: Lines = "difference"
    scars: bool = True
    sigmas: float = 6.0
    least: float = 0.25
    distortion: float = 0.03
    known: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a cell that is none."""
        good = len(self.known) == 3 and min(self.known[:2]) > 0 and 45 <= self.known[2] <= 135
        if self.known and not good:
            raise BadInput(
                f"known is {self.known}: it must be two sides in nm and the angle between them in degrees, for "
                "example 2.69,2.69,120."
            )
        if not (0 < self.distortion < 0.2 and self.sigmas > 0 and self.least >= 0):
            raise BadInput("distortion must lie between 0 and 0.2, sigmas above 0 and least not below 0.")


@dataclass(frozen=True)
class Surface:
    """What was found in one image (H, W): it `level`, its lattice, sites and odd places; ``None`` without a lattice."""

    level: Array
    followed: Followed
    covariance: Array
    explained: float
    sites: Sites
    odd: Regions


def read_surface(image: NDArray[np.floating], settings: SurfaceSettings) -> Surface | None:
    """Return the lattice of an image (H, W) and what differs from it; ``None`` where it does not repeat."""
    if min(image.shape) < _FEWEST_PX:
        raise BadInput(
            f"The image has {image.shape[0]} x {image.shape[1]} pixels: it needs {_FEWEST_PX} a side at least."
        )
    level = np.asarray(Levelling(settings.order, settings.lines, settings.scars)(image), float)
    if not np.isfinite(level).any() or not np.nanstd(level):
        return None
    seen = np.isfinite(level)
    filled = np.where(seen, level, 0.0)
    clipped = _clipped(filled, seen)
    plain = seen & ~_wide(np.abs(clipped) >= np.abs(clipped).max())
    repeat = find_repeat(clipped, plain)
    if repeat is None:
        return None
    followed = _followed(clipped, plain, repeat.cell, repeat.shift, ROUNDS)
    followed = replace(followed, motif=motif_of(filled, seen, followed))
    if settings.lines != "none":
        level = level - _line_offsets(filled - followed.periodic, seen)[:, None]
        filled = np.where(seen, level, 0.0)
    apart = sites_of(followed.motif, followed.cell).apart_px
    usable = seen & ~odd_pixels(level, followed, apart, sigmas=settings.sigmas, least=settings.least)
    followed = _followed(filled, usable, reduction(followed.cell) @ followed.cell, followed.shift, 1)
    cells = level.size / max(abs(float(np.linalg.det(followed.cell))), 1e-9)
    if cells < _FEWEST_CELLS or np.linalg.norm(followed.cell, axis=1).max() > max(level.shape):
        return None
    rest = (filled - followed.periodic)[usable]
    explained = 1 - float(np.var(rest) / max(np.var(filled[usable]), 1e-300))
    if explained < _LEAST_EXPLAINED or _striped(followed):
        return None
    sites = sites_of(followed.motif, followed.cell)
    odd = odd_places(level, followed, sites.apart_px, sigmas=settings.sigmas, least=settings.least)
    return Surface(level, followed, _covariance(followed, usable), explained, sites, odd)


def _followed(image: Array, usable: Mask, cell: Array, shift: Array, rounds: int) -> Followed:
    """Return the lattice of an image (H, W), followed where it is binned, which is fast; its motif at all pixels.

    shift: (2, ...) in px, of the image or of the binned one.
    """
    number = binning(image.shape)
    small, good = binned(image, usable, number)
    if shift.shape[1:] != small.shape:
        shift = np.stack([binned(one, np.ones(one.shape, bool), number)[0] for one in shift])
    found = follow(small, good, cell / number, shift / number, rounds)
    return follow(image, usable, found.cell * number, enlarged(found.shift, number, image.shape), rounds=0)


def _line_offsets(rest: Array, seen: Mask) -> Array:
    """Return how high each line lies (H,): jumps that levelling missed because the lattice hid them."""
    lines = np.where(seen, rest, np.nan)
    lines[~seen.any(axis=1)] = 0.0
    return np.asarray(np.nanmedian(lines, axis=1))


def _clipped(values: Array, seen: Mask) -> Array:
    """Return an image with what stands out cut down to `_APART` robust sigma: islands become plain, lattices stay."""
    middle = float(np.median(values[seen]))
    spread = _APART * 1.4826 * float(np.median(np.abs(values[seen] - middle)))
    return np.asarray(np.clip(values - middle, -spread, spread)) if spread > 0 else values - middle


def _wide(cut: Mask) -> Mask:
    """Return those parts of what was cut down that are too wide for atoms, and a little more: islands."""
    from scipy.ndimage import maximum_filter, minimum_filter

    side = max(3, round(_WIDE * min(cut.shape)))
    return np.asarray(maximum_filter(minimum_filter(cut, side, mode="nearest"), side + side // 3), bool)


def _striped(followed: Followed) -> bool:
    """Tell whether all there is are stripes, such as steps: one family of waves, and along it nothing to follow."""
    slopes = np.asarray(np.gradient(followed.shift, axis=(1, 2)), float)
    return along_one(followed.motif) > _STRIPED and float(np.sqrt(np.mean(slopes**2) * 4)) > _UNFOLLOWED


def _covariance(followed: Followed, usable: Mask) -> Array:
    """Return the covariance (4, 4) of the cell, from how much the lattice bends over patches that are independent."""
    _, height, width = followed.shift.shape
    reach = REACH_CELLS * float(np.linalg.norm(followed.cell, axis=1).mean())
    patches = max(4.0, float(usable.sum()) / (4 * np.pi * reach**2))
    bend = np.array([np.var(followed.shift[axis][usable]) for axis in range(2)])
    slopes = bend[:, None] / (patches * np.array([height, width]) ** 2 / 12)  # of y and x (rows) by y and x
    parts = np.zeros((4, 4))
    for vector, cell in enumerate(followed.cell):
        for axis in range(2):
            for other, second in enumerate(followed.cell):
                parts[2 * vector + axis, 2 * other + axis] = float(np.sum(cell * second * slopes[axis]))
    return parts + 1e-12 * np.eye(4)


def scanner(cell_nm: Array, known: tuple[float, ...]) -> dict[str, float]:
    """Return how the scan stretches along y and x and shears, against a known cell; NaN without one.

    Measured and known cell differ by a rotation, which is the sample's, and by a symmetric stretch, which is the
    scan's; of the ways in which the known lattice may lie under the measured one that with the least stretch is taken.
    """
    names = ("scale_y", "scale_x", "scan_shear")
    if not known:
        return dict.fromkeys(names, np.nan)
    a, b, gamma = known[0], known[1], np.radians(known[2])
    true = np.array([[0.0, a], [b * np.sin(gamma), b * np.cos(gamma)]])
    best, least = np.eye(2), np.inf
    orders = [np.array(order).reshape(2, 2) for order in np.ndindex(3, 3, 3, 3)]
    for order in (one - 1 for one in orders if abs(np.linalg.det(one - 1)) == 1):
        change = (np.linalg.inv(order @ true) @ cell_nm).T
        u, sizes, _ = np.linalg.svd(change)
        if np.abs(np.log(sizes)).sum() < least:
            least, best = float(np.abs(np.log(sizes)).sum()), u @ np.diag(sizes) @ u.T
    return dict(zip(names, (float(best[0, 0]), float(best[1, 1]), float(best[0, 1])), strict=True))
