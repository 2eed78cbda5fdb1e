"""Where a convergent-beam pattern's disc lies, and which pattern of a library it looks like: the start of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.pattern_fit import (
    DIFFUSE_MRAD,
    PARAMETERS,
    Geometry,
    PatternFit,
    Patterns,
    Prepared,
    fit_pattern,
)

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: What is brighter than this share of the brightest is the pattern; how far its middle usually lies from that of the
#: disc (1-sigma, in radii of the disc).
_BRIGHT, _OFF_CENTRE = 0.25, 0.18
#: Rings (mrad, number) of places about the heart that are tried too, where tilts pull it off the disc's middle; how
#: many of all places are gone on with.
_RINGS, _PLACES = ((1.7, 6), (3.4, 12)), 5
#: Farthest (mrad) that the disc's middle lies from the heart of the pattern, and that a climb leads.
_MOST_OFF_MRAD, _MOST_CLIMB_MRAD = 2.5, 1.8
#: Angles (mrad) beyond the disc that are compared, and the step (degrees) of the rotations that are tried.
_BEYOND_MRAD, _TURN_DEG = 4.0, 3.0
#: Candidates that are refined, and how far apart (nm) they lie at least.
_CANDIDATES, _APART_NM, _APART_DEG = 4, 2.5, 8.0
#: The second start is fitted too where the first is better by less than so many times what noise leaves in one point.
_NEARLY = 20.0
#: Where more than this is left unexplained, or no fit settles, all starts are fitted.
_DOUBTED = 0.45
#: How many rotations are tried at each place; in which steps (mrad) the best is climbed from, and how often at most.
_TURNS, _CLIMB_MRAD, _MOST_CLIMBS = 3, 0.8, 10
#: Pixels are binned up to this size (mrad).
_FINE_MRAD = 0.75
#: Steps from each candidate on the bank's grid, and the farthest that one goes (nm, mrad).
_POLISHING, _FARTHEST = 5, np.array([1.5, 0.6, 0.6])


@dataclass(frozen=True)
class Bank:
    """Patterns of a library on a coarse grid, without what any smooth background explains, each of length one.

    places (P, 2): angles (y, x) in mrad; weight (P,); smooth (P, 2) orthonormal; patterns (N, P) at thickness_nm (N,)
    and tilt_mrad (N, 2); few: rows that suffice to find the rotation; period_deg of the rotation.
    """

    places: Array
    weight: Array
    smooth: Array
    patterns: Image
    thickness_nm: Array
    tilt_mrad: Array
    few: NDArray[np.intp]
    period_deg: float
    convergence_mrad: float
    basis: Image
    library: Patterns

    @property
    def turns_deg(self) -> Array:
        """Rotations that are tried."""
        return np.arange(0.0, self.period_deg, _TURN_DEG)

    def compared(self, seen: Array, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return how alike (-1..1) patterns (M, P) are to those in `rows`: (M, rows)."""
        found: NDArray[np.float32] = self.cleaned(seen).astype(np.float32) @ self.patterns[rows].T
        return found

    def cleaned(self, seen: Array) -> Array:
        """Return patterns (M, P) without what any smooth background explains, each of length one."""
        weighted = seen * self.weight
        clean = weighted - (weighted @ self.smooth) @ self.smooth.T
        return np.asarray(clean / np.maximum(np.linalg.norm(clean, axis=1, keepdims=True), 1e-12))

    def polished(self, clean: Array, start: PatternFit) -> PatternFit:
        """Return a start whose thickness and tilt suit a cleaned pattern (P,) best; ``unexplained`` is what is left."""
        turn, state = start.geometry.turn(), np.array([start.thickness_nm, *start.crystal_tilt()])
        low, high = self.library.thickness_nm[[0, -1]]
        best = (np.inf, state)
        for _ in range(_POLISHING):
            rows = self.library.at(float(state[0]), (float(state[1]), float(state[2]))).astype(np.float32)
            model, *slopes = (rows @ self.basis).astype(float)
            amplitude = float(model @ clean) / max(float(model @ model), 1e-30)
            rest = clean - amplitude * model
            left = float(rest @ rest)
            if left < best[0]:
                best = (left, state)
            design = np.stack([*(amplitude * one for one in slopes), model])
            scale = np.linalg.norm(design, axis=1) + 1e-30
            design /= scale[:, None]
            step = np.linalg.solve(design @ design.T + 1e-3 * np.eye(4), design @ rest)[:3] / scale[:3]
            state = state + np.clip(step, -_FARTHEST, _FARTHEST)
            state[0] = np.clip(state[0], low, high)
            state[1:] *= min(1.0, self.library.tilt_mrad / max(float(np.hypot(*state[1:])), 1e-9))
        y, x = turn.T @ best[1][1:]
        return replace(start, thickness_nm=float(best[1][0]), tilt_mrad=(float(y), float(x)), unexplained=best[0])


def make_bank(library: Patterns, period_deg: float = 90.0, most_tilt_mrad: float = 4.5) -> Bank:
    """Return the bank of a library whose patterns repeat when they are turned by `period_deg`."""
    height, width = library.basis.shape[1:]
    skip = max(1, round(1.05 / max(library.step_mrad)))
    rows, columns = np.arange(height // 2 % skip, height, skip), np.arange(width // 2 % skip, width, skip)
    y, x = (rows - height // 2) * library.step_mrad[0], (columns - width // 2) * library.step_mrad[1]
    inside = np.hypot(y[:, None], x) <= library.convergence_mrad + _BEYOND_MRAD
    places = np.stack(np.broadcast_arrays(y[:, None], x), -1)[inside]
    basis = library.basis[:, rows[:, None], columns][:, inside]
    step = np.array(library.step_mrad)
    tilts = library.tilts[(library.tilts % 2 == 0).all(axis=1)]
    tilts = tilts[np.hypot(*(tilts * step).T) <= most_tilt_mrad]
    reach = np.array(library.coefficients.shape[1:3]) // 2
    numbers = np.arange(0, len(library.thickness_nm), 2)
    rows_of = library.coefficients[numbers[:, None], tilts[:, 0] + reach[0], tilts[:, 1] + reach[1]]
    patterns = rows_of.reshape(-1, rows_of.shape[-1]) @ basis
    mean = patterns.mean(axis=0)
    weight = 1 / np.sqrt(mean + 0.05 * mean.max())
    bowl = np.exp(-0.5 * (places**2).sum(axis=1) / DIFFUSE_MRAD**2)
    smooth, _ = np.linalg.qr(np.stack([bowl, np.ones(len(places))], axis=1) * weight[:, None])
    weighted_basis = basis * weight
    weighted = patterns * weight
    clean = weighted - (weighted @ smooth) @ smooth.T
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    coarse = (tilts % 4 == 0).all(axis=1)[None, :] & (np.arange(len(numbers)) % 2 == 0)[:, None]
    return Bank(
        places,
        weight,
        smooth,
        clean.astype(np.float32),
        np.repeat(library.thickness_nm[numbers], len(tilts)),
        np.tile(tilts * step, (len(numbers), 1)),
        np.flatnonzero(coarse.ravel()),
        period_deg,
        library.convergence_mrad,
        (weighted_basis - (weighted_basis @ smooth) @ smooth.T).astype(np.float32),
        library,
    )


def find_discs(image: Image, radius_px: float, most_px: float, count: int = 3) -> list[tuple[float, float]]:
    """Return where (y, x) discs of `radius_px` may lie: where the pattern falls off most all around.

    All within `most_px` of the pattern's heart, which comes first.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.ndimage import gaussian_filter

    skip = max(1, min(image.shape) // 100)
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

    It lies within 2.5 mrad of the disc's middle for tilts of up to 4 mrad, and usually within 1 mrad.
    """
    y, x = np.argwhere(image > _BRIGHT * np.percentile(image, 99)).mean(axis=0)
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    weight = np.sqrt(image) * (np.hypot(rows - y, columns - x) < 1.8 * radius)
    total = float(weight.sum())
    return float((weight * rows).sum()) / total, float((weight * columns).sum()) / total


def likely_places(
    image: Image, bank: Bank, mrad_per_px: float | None, turns_deg: Array | None = None
) -> list[Geometry]:
    """Return where the disc may lie in an image (H, W), likeliest first, by the patterns that are seen there.

    Without `mrad_per_px` scales at which the disc covers between 6 % and 46 % of the image's side are tried. Raises
    `BadInput` where no disc fits in.
    """
    turns = bank.turns_deg if turns_deg is None else turns_deg
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
    if not mrad_per_px:
        turns = turns[::2]
    scores = [float(bank.compared(_turned_views(image, place, bank, turns), bank.few).max()) for place in places]
    return [places[number] for number in np.argsort(scores)[::-1][:_PLACES]]


def _beside(place: Geometry, off_mrad: float, turn: float) -> Geometry:
    """Return the place `off_mrad` away, in the direction of a share `turn` of a full turn."""
    off = off_mrad / place.mrad_per_px
    y, x = off * np.sin(2 * np.pi * turn), off * np.cos(2 * np.pi * turn)
    return replace(place, y_px=place.y_px + float(y), x_px=place.x_px + float(x))


def _turned_views(image: Image, place: Geometry, bank: Bank, turns_deg: Array) -> Array:
    """Return the image on the bank's grid at several rotations: (M, P)."""
    return np.stack([_resampled(image, replace(place, rotation_deg=float(turn)), bank.places) for turn in turns_deg])


def start_values(
    image: Image, bank: Bank, places: Sequence[Geometry], turns_deg: Array | None = None
) -> list[PatternFit]:
    """Return the likeliest starts, best first; rotations `turns_deg` are tried, by default all there are."""
    known = turns_deg is not None
    turns_deg = bank.turns_deg if turns_deg is None else turns_deg
    tried: list[Geometry] = []
    views = []
    for place in places:
        seen = _turned_views(image, place, bank, turns_deg)
        few = bank.compared(seen, bank.few).max(axis=1)
        for number in np.argsort(few)[::-1][:_TURNS]:
            tried.append(replace(place, rotation_deg=float(turns_deg[number])))
            views.append(seen[number])
    if not known:
        best = bank.compared(np.stack(views), slice(None)).max(axis=1)
        for first in range(0, len(tried), _TURNS):
            number = first + int(best[first : first + _TURNS].argmax())
            tried[number] = _climbed(image, bank, tried[number])
            views[number] = _resampled(image, tried[number], bank.places)
    clean = bank.cleaned(np.stack(views))
    alike = clean.astype(np.float32) @ bank.patterns.T
    turn = np.array([place.rotation_deg for place in tried])
    starts: list[PatternFit] = []
    total = float(np.nansum(image, dtype=float))
    groups = [slice(first, first + _TURNS) for first in range(0, len(tried), _TURNS)] if not known else []
    for group in [*groups, *[slice(0, len(tried))] * _CANDIDATES]:
        nearest, row = np.unravel_index(int(alike[group].argmax()), alike[group].shape)
        at = int(nearest) + group.start
        thickness, there = float(bank.thickness_nm[row]), tried[at]
        y, x = there.turn().T @ bank.tilt_mrad[row]
        starts.append(bank.polished(clean[at], PatternFit(thickness, (float(y), float(x)), there, 0.8 * total)))
        off = np.abs(turn - there.rotation_deg)
        same_turn = np.minimum(off, bank.period_deg - off) < _APART_DEG
        alike[np.ix_(same_turn, np.abs(bank.thickness_nm - thickness) < _APART_NM)] = -1
    return sorted(starts, key=lambda start: start.unexplained)


def _climbed(image: Image, bank: Bank, place: Geometry) -> Geometry:
    """Return the place near `place` where the image is most like a pattern of the bank."""
    step, most = _CLIMB_MRAD, _MOST_CLIMB_MRAD
    first, pitch_mrad = place, place.mrad_per_px
    around = [(y, x) for y in (0, -1, 1) for x in (0, -1, 1)]
    for _ in range(_MOST_CLIMBS):
        pitch = step / place.mrad_per_px
        near = [replace(place, y_px=place.y_px + y * pitch, x_px=place.x_px + x * pitch) for y, x in around]
        near = [one for one in near if np.hypot(one.y_px - first.y_px, one.x_px - first.x_px) * pitch_mrad <= most]
        seen = np.stack([_resampled(image, one, bank.places) for one in near])
        best = int(bank.compared(seen, slice(None)).max(axis=1).argmax())
        if best == 0:
            step /= 2
            if step < _CLIMB_MRAD / 3:
                break
        place = near[best]
    return place


def _resampled(image: Image, place: Geometry, places: Array) -> Array:
    """Return the image at angles `places` (P, 2) of the crystal's axes, linear between pixels, 0 outside."""
    cos, sin = np.cos(np.deg2rad(place.rotation_deg)), np.sin(np.deg2rad(place.rotation_deg))
    y = (places[:, 0] * cos - places[:, 1] * sin) / place.mrad_per_px + place.y_px
    x = (places[:, 0] * sin + places[:, 1] * cos) / place.mrad_per_px + place.x_px
    inside = (y >= 0) & (x >= 0) & (y < image.shape[0] - 1) & (x < image.shape[1] - 1)
    y, x = np.where(inside, y, 0), np.where(inside, x, 0)
    top, left = y.astype(int), x.astype(int)
    down, right = y - top, x - left
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return np.asarray(np.where(inside, upper * (1 - down) + lower * down, 0.0))


def measured_pattern(
    image: Image, prepared: Prepared, bank: Bank, places: Sequence[Geometry], *, turns_deg: Array | None = None,
    held: tuple[str, ...] = (),
) -> PatternFit:  # fmt: skip
    """Return the fit from the likeliest start, or, where another is nearly as likely, the better of both."""
    number = max(1, round(_FINE_MRAD / places[0].mrad_per_px))
    starts = start_values(image, bank, places, turns_deg)
    noise = starts[0].unexplained / len(bank.places)
    likely = [start for start in starts[:2] if start.unexplained < starts[0].unexplained + _NEARLY * noise]
    binned = _binned(image, number)
    fits = [fit_pattern(binned, prepared, _rescaled(start, number), held) for start in likely]
    if not any(fit.settled and fit.unexplained < _DOUBTED for fit in fits):
        fits += [fit_pattern(binned, prepared, _rescaled(start, number), held) for start in starts[len(likely) :]]
    return _rescaled(min(fits, key=lambda fit: fit.misfit), 1 / number)


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
