"""Where a convergent-beam pattern's disc lies, and which pattern of a library it looks like: the start of a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.diffraction.pattern_bank import Bank, climbed
from micrograph.features.diffraction.pattern_fit import PARAMETERS, Geometry, PatternFit, Prepared, fit_pattern

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: What is brighter than this share of the brightest is the pattern; how far its middle usually lies from that of the
#: disc (1-sigma, in radii of the disc).
_BRIGHT, _OFF_CENTRE = 0.25, 0.18
#: Rings (mrad, number) of places about the heart that are tried too, where tilts pull it off the disc's middle.
_RINGS = ((1.7, 6), (3.4, 12))
#: Farthest (mrad) that the disc's middle lies from the heart of the pattern.
_MOST_OFF_MRAD = 2.5
#: Step (degrees) of the rotations that are tried.
_TURN_DEG = 6.0
#: Starts that climb, and how far apart they lie at least in one of thickness, rotation and place.
_STARTS, _APART_NM, _APART_DEG, _APART_MRAD = 12, 2.5, 8.0, 2.0
#: Places whose views are made at once.
_AT_ONCE = 24
#: Of these some climb on, and the geometries of the best are kept, at which the likeliest thicknesses climb anew.
_ON, _KEPT, _AGAIN = 4, 2, 3
#: Steps of the first and of the last climb.
_FEW_STEPS = 2
#: Starts that are alike in thickness (nm), tilt (mrad) and rotation (degrees) are one.
_SAME = (0.6, 0.4, 2.0)
#: Starts are fitted too whose rest is larger than the least by less than so many times what noise leaves in one point.
_NEARLY, _MOST_FITS = 8.0, 3
#: Where more than this is left unexplained, or no fit settles, all starts are fitted.
_DOUBTED = 0.45
#: Pixels are binned until about so many are fitted, up to this size (mrad).
_FITTED_PIXELS, _FINE_MRAD = 3600, 1.1


def find_discs(image: Image, radius_px: float, most_px: float, count: int = 3) -> list[tuple[float, float]]:
    """Return where (y, x) discs of `radius_px` may lie: where the pattern falls off most all around.

    All within `most_px` of the pattern's heart, which comes first.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.ndimage import gaussian_filter

    skip = max(1, min(image.shape) // 64)
    small = image[: image.shape[0] // skip * skip, : image.shape[1] // skip * skip]
    small = np.nan_to_num(small.reshape(small.shape[0] // skip, skip, -1, skip).mean(axis=(1, 3)))
    small = gaussian_filter(np.clip(small - np.median(small), 0, np.percentile(small, 99.5)), 1.0)
    radius = radius_px / skip
    height, width = (next_fast_len(n + int(1.2 * radius) + 2, real=True) for n in small.shape)
    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in (height, width))
    away = np.hypot(y[:, None], x)
    inner, outer = (away > 0.85 * radius) & (away <= radius), (away > radius) & (away <= 1.15 * radius)
    kernel = inner / max(inner.sum(), 1) - outer / max(outer.sum(), 1)
    score = irfft2(rfft2(np.sqrt(small), (height, width)) * rfft2(kernel), (height, width))
    margin = int(0.9 * radius)
    middle = score[margin : small.shape[0] - margin, margin : small.shape[1] - margin].copy()
    rows, columns = np.ogrid[: middle.shape[0], : middle.shape[1]]
    heart = _heart(small, radius)
    off = np.hypot(rows - heart[0] + margin, columns - heart[1] + margin)
    middle = np.maximum(middle, 0) * np.exp(-0.5 * (off / (_OFF_CENTRE * radius)) ** 2) * (off < most_px / skip)
    found = [(skip * (heart[0] + 0.5) - 0.5, skip * (heart[1] + 0.5) - 0.5)]
    for _ in range(count if middle.size else 0):
        row, column = np.unravel_index(int(middle.argmax()), middle.shape)
        if not middle[row, column] > 0:
            break
        found.append((skip * (row + margin + 0.5) - 0.5, skip * (column + margin + 0.5) - 0.5))
        middle[np.hypot(rows - row, columns - column) < max(3.0, 0.1 * radius)] = -np.inf
    return [(float(one), float(other)) for one, other in found]


def _heart(image: Image, radius: float) -> tuple[float, float]:
    """Return the centre (y, x) of mass of the root of a pattern, of which what is far from its bright part is left out.

    It lies within 2.5 mrad of the disc's middle for tilts of up to 4 mrad, and usually within 1 mrad. Where all bright
    parts are far from their middle, as those of a ring are, that middle is the heart.
    """
    y, x = np.argwhere(image > _BRIGHT * np.percentile(image, 99)).mean(axis=0)
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    weight = np.sqrt(image) * (np.hypot(rows - y, columns - x) < 1.8 * radius)
    total = float(weight.sum())
    if total == 0:
        return float(y), float(x)
    return float((weight * rows).sum()) / total, float((weight * columns).sum()) / total


def likely_places(image: Image, bank: Bank, mrad_per_px: float | None) -> list[Geometry]:
    """Return where the disc may lie in an image (H, W).

    Without `mrad_per_px` scales at which the disc covers between 6 % and 46 % of the image's side are tried. Raises
    `BadInput` where no disc fits in.
    """
    radius = bank.convergence_mrad
    side = min(image.shape)
    scales = [mrad_per_px] if mrad_per_px else list(radius / (side * np.geomspace(0.06, 0.46, 69)))
    places = [
        Geometry(y, x, scale)
        for scale in scales
        for y, x in find_discs(image, radius / scale, _MOST_OFF_MRAD / scale, 3 if mrad_per_px else 1)
    ]
    if mrad_per_px:
        places += [_beside(places[0], off, angle) for off, number in _RINGS for angle in np.arange(number) / number]
    if not places:
        raise BadInput("No disc of the given convergence fits into this pattern: check --convergence and the scale.")
    return places


def _beside(place: Geometry, off_mrad: float, turn: float) -> Geometry:
    """Return the place `off_mrad` away, in the direction of a share `turn` of a full turn."""
    off = off_mrad / place.mrad_per_px
    y, x = off * np.sin(2 * np.pi * turn), off * np.cos(2 * np.pi * turn)
    return replace(place, y_px=place.y_px + float(y), x_px=place.x_px + float(x))


def start_values(image: Image, bank: Bank, places: list[Geometry], turns_deg: Array | None = None) -> list[PatternFit]:
    """Return the likeliest starts, best first; rotations `turns_deg` are tried, by default all there are."""
    turns = np.arange(0.0, bank.period_deg, _TURN_DEG) if turns_deg is None else turns_deg
    known = len(places) == 1 and len(turns) == 1
    found = [replace(places[0], rotation_deg=float(turns[0]))] if known else []
    starts: list[PatternFit] = []
    if not known:
        starts = _distinct(climbed(image, bank, _sought(image, bank, places, turns), _FEW_STEPS))
        found = [start.geometry for start in starts[:_KEPT]]
    again = [one for place in found for one in _at(image, bank, place)]
    starts = _distinct(climbed(image, bank, starts[:_ON] + again))
    return _distinct(climbed(image, bank, starts[:_MOST_FITS], _FEW_STEPS))


def _sought(image: Image, bank: Bank, places: list[Geometry], turns: Array) -> list[PatternFit]:
    """Return starts that differ among all places and rotations, by the coarse grid."""
    grid = bank.coarse
    order = sorted(places, key=lambda place: place.mrad_per_px)
    flat = np.array([[one.y_px, one.x_px, np.log(one.mrad_per_px), 0.0] for one in order]).repeat(len(turns), axis=0)
    flat[:, 3] = np.tile(np.deg2rad(turns), len(order))
    views = []
    for first in range(0, len(flat), _AT_ONCE * len(turns)):
        some = flat[first : first + _AT_ONCE * len(turns)]
        views.append(grid.views(grid.blurred(image, float(np.exp(some[:, 2].mean()))), some, nearest=True))
    alike = grid.alike(grid.cleaned(np.concatenate(views)), bank.few)
    turn, pitch, thickness = np.rad2deg(flat[:, 3]), np.exp(flat[:, 2]), bank.thickness_nm[bank.few]
    starts: list[PatternFit] = []
    total = float(np.nansum(image, dtype=float))
    for _ in range(_STARTS):
        at, row = np.unravel_index(int(alike.argmax()), alike.shape)
        place = Geometry(flat[at, 0], flat[at, 1], float(pitch[at]), float(turn[at]))
        starts.append(_started(bank, place, int(bank.few[row]), total))
        off = np.abs(turn - turn[at])
        near = (np.minimum(off, bank.period_deg - off) < _APART_DEG) & (
            np.hypot(*(flat[:, :2] - flat[at, :2]).T) * pitch < _APART_MRAD
        )
        alike[np.ix_(near, np.abs(thickness - thickness[row]) < _APART_NM)] = -1
    return starts


def _at(image: Image, bank: Bank, place: Geometry) -> list[PatternFit]:
    """Return starts of different thickness at a known geometry, by the fine grid."""
    grid = bank.fine
    geometry = np.array([[place.y_px, place.x_px, np.log(place.mrad_per_px), np.deg2rad(place.rotation_deg)]])
    alike = grid.alike(grid.cleaned(grid.views(grid.blurred(image, place.mrad_per_px), geometry)))[0]
    total = float(np.nansum(image, dtype=float))
    starts = []
    for _ in range(_AGAIN):
        row = int(alike.argmax())
        starts.append(_started(bank, place, row, total))
        alike[np.abs(bank.thickness_nm - bank.thickness_nm[row]) < _APART_NM] = -1
    return starts


def _started(bank: Bank, place: Geometry, row: int, total: float) -> PatternFit:
    y, x = place.turn().T @ bank.tilt_mrad[row]
    return PatternFit(float(bank.thickness_nm[row]), (float(y), float(x)), place, 0.8 * total)


def _distinct(starts: list[PatternFit]) -> list[PatternFit]:
    """Return the starts, best first, without those that are like a better one."""
    kept: list[PatternFit] = []
    for start in sorted(starts, key=lambda one: one.unexplained):
        if not any(_same(start, other) for other in kept):
            kept.append(start)
    return kept


def _same(one: PatternFit, other: PatternFit) -> bool:
    tilt = float(np.hypot(*np.subtract(one.tilt_mrad, other.tilt_mrad)))
    turn = abs(one.geometry.rotation_deg - other.geometry.rotation_deg)
    return abs(one.thickness_nm - other.thickness_nm) < _SAME[0] and tilt < _SAME[1] and turn < _SAME[2]


def measured_pattern(
    image: Image, prepared: Prepared, bank: Bank, places: list[Geometry], *, turns_deg: Array | None = None,
    held: tuple[str, ...] = (),
) -> PatternFit:  # fmt: skip
    """Return the fit from the likeliest start, or, where others are nearly as likely, the best of them."""
    starts = start_values(image, bank, places, turns_deg)
    number = _binning(starts[0].geometry.mrad_per_px, bank.convergence_mrad + prepared.beyond_mrad)
    noise = starts[0].unexplained / len(bank.fine.places)
    likely = [start for start in starts[:_MOST_FITS] if start.unexplained < starts[0].unexplained + _NEARLY * noise]
    binned = _binned(image, number)
    # What pixels that are binned see is the pattern smoothed by their size.
    prepared = prepared.softened(starts[0].geometry.mrad_per_px * float(np.sqrt((number**2 - 1) / 12)))
    fits = [fit_pattern(binned, prepared, _rescaled(start, number), held) for start in likely]
    if not any(fit.settled and fit.unexplained < _DOUBTED for fit in fits):
        others = starts[len(likely) : _MOST_FITS]
        fits += [fit_pattern(binned, prepared, _rescaled(start, number), held) for start in others]
    return _rescaled(min(fits, key=lambda fit: fit.misfit), 1 / number)


def _binning(mrad_per_px: float, reach_mrad: float) -> int:
    """Return how many pixels are binned along each axis."""
    pixels = np.pi * (reach_mrad / mrad_per_px) ** 2
    return max(1, min(round(float(np.sqrt(pixels / _FITTED_PIXELS))), int(_FINE_MRAD / mrad_per_px)))


def _binned(image: Image, number: int) -> Image:
    """Return the sums of blocks of pixels; what is left over at the far ends is cut."""
    if number == 1:
        return image
    height, width = (n // number for n in image.shape)
    blocks = image[: height * number, : width * number].reshape(height, number, width, number)
    sums: Image = blocks.sum(axis=(1, 3), dtype=np.float32)
    return sums


def _rescaled(fit: PatternFit, number: float) -> PatternFit:
    """Return the fit in pixels `number` times as large."""
    place = fit.geometry
    factors = np.ones(len(PARAMETERS))
    factors[3:5], factors[8:10] = 1 / number, number**2
    geometry = replace(
        place,
        y_px=(place.y_px + 0.5) / number - 0.5,
        x_px=(place.x_px + 0.5) / number - 0.5,
        mrad_per_px=place.mrad_per_px * number,
    )
    return replace(
        fit,
        geometry=geometry,
        diffuse=fit.diffuse * number**2,
        dark=fit.dark * number**2,
        covariance=fit.covariance * factors * factors[:, None],
        bound=fit.bound * factors,
    )
