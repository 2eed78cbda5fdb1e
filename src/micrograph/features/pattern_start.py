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

#: Angles (mrad) beyond the disc that are compared, and the step (degrees) of the rotations that are tried.
_BEYOND_MRAD, _TURN_DEG = 4.0, 3.0
#: Candidates that are refined, and how far apart (nm) they lie at least.
_CANDIDATES, _APART_NM, _APART_DEG = 4, 2.5, 8.0
#: Pixels are binned up to these sizes (mrad): for the last fit, and for the few steps from each candidate.
_FINE_MRAD, _COARSE_MRAD, _FIRST_STEPS, _QUICK_RANK = 0.7, 1.1, 4, 48


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
    quick: Prepared

    @property
    def turns_deg(self) -> Array:
        """Rotations that are tried."""
        return np.arange(0.0, self.period_deg, _TURN_DEG)

    def compared(self, seen: Array, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return how alike (-1..1) patterns (M, P) are to those in `rows`: (M, rows)."""
        weighted = seen * self.weight
        clean = weighted - (weighted @ self.smooth) @ self.smooth.T
        clean = clean / np.maximum(np.linalg.norm(clean, axis=1, keepdims=True), 1e-12)
        found: NDArray[np.float32] = clean.astype(np.float32) @ self.patterns[rows].T
        return found


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
        Prepared.of(library, rank=_QUICK_RANK),
    )


def find_discs(image: Image, radius_px: float, count: int = 3) -> list[tuple[float, float]]:
    """Return where (y, x) discs of `radius_px` may lie, likeliest first: the pattern falls off most all around."""
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
    found = []
    for _ in range(count if middle.size else 0):
        row, column = np.unravel_index(int(middle.argmax()), middle.shape)
        found.append((skip * (row + margin + 0.5) - 0.5, skip * (column + margin + 0.5) - 0.5))
        middle[np.hypot(rows - row, columns - column) < max(3.0, 0.1 * radius)] = -np.inf
    return [(float(one), float(other)) for one, other in found]


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
        Geometry(y, x, scale) for scale in scales for y, x in find_discs(image, radius / scale, 3 if mrad_per_px else 1)
    ]
    if not places:
        raise BadInput("No disc of the given convergence fits into this pattern: check --convergence and the scale.")
    if not mrad_per_px:
        turns = turns[::2]
    scores = [float(bank.compared(_turned_views(image, place, bank, turns), bank.few).max()) for place in places]
    return [places[number] for number in np.argsort(scores)[::-1][:2]]


def _turned_views(image: Image, place: Geometry, bank: Bank, turns_deg: Array) -> Array:
    """Return the image on the bank's grid at several rotations: (M, P)."""
    return np.stack([_resampled(image, replace(place, rotation_deg=float(turn)), bank.places) for turn in turns_deg])


def start_values(
    image: Image, bank: Bank, places: Sequence[Geometry], turns_deg: Array | None = None
) -> list[PatternFit]:
    """Return the likeliest starts, best first; rotations `turns_deg` are tried, by default all there are."""
    turns_deg = bank.turns_deg if turns_deg is None else turns_deg
    tried: list[Geometry] = []
    views = []
    for place in places:
        seen = _turned_views(image, place, bank, turns_deg)
        few = bank.compared(seen, bank.few).max(axis=1)
        for number in np.argsort(few)[::-1][:3]:
            tried.append(replace(place, rotation_deg=float(turns_deg[number])))
            views.append(seen[number])
    alike = bank.compared(np.stack(views), slice(None)).copy()
    turn = np.array([place.rotation_deg for place in tried])
    starts: list[PatternFit] = []
    total = float(np.nansum(image, dtype=float))
    for _ in range(_CANDIDATES):
        at, row = np.unravel_index(int(alike.argmax()), alike.shape)
        thickness, there = float(bank.thickness_nm[row]), tried[at]
        y, x = there.turn().T @ bank.tilt_mrad[row]
        starts.append(PatternFit(thickness, (float(y), float(x)), there, 0.8 * total))
        off = np.abs(turn - there.rotation_deg)
        same_turn = np.minimum(off, bank.period_deg - off) < _APART_DEG
        alike[np.ix_(same_turn, np.abs(bank.thickness_nm - thickness) < _APART_NM)] = -1
    return starts


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
    """Return the best of the fits from the likeliest starts: all a few steps on binned pixels, the best to the end."""
    pitch = places[0].mrad_per_px
    fine = max(1, int(_FINE_MRAD / pitch))
    coarse = max(fine, int(_COARSE_MRAD / pitch))
    starts = start_values(image, bank, places, turns_deg)
    few, binned = _binned(image, fine), _binned(image, coarse)
    begun = [fit_pattern(binned, bank.quick, _rescaled(start, coarse), held, _FIRST_STEPS) for start in starts]
    best = min(begun, key=lambda fit: fit.misfit)
    return _rescaled(fit_pattern(few, prepared, _rescaled(_rescaled(best, 1 / coarse), fine), held), 1 / fine)


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
