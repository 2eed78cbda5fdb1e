"""Narrow gaps between bright islands: where they are, how wide, and whether the recorded counts speak for them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Array = NDArray[np.float64]

#: Directions along which a gap's width is looked for; profiles across gaps are read so finely, in pixels.
_DIRECTIONS, _STEP = 12, 0.25
#: Pixels beyond a gap's borders within which its banks are highest.
_BANK_PX = 2.0
#: A valley is a gap where it is this much deeper, of the way from its lower bank to carbon, and where it lies below
#: this level between carbon and gold; from a somewhat lower level on it is shallow, and the wider the deeper it must be
#: (more for each pixel beyond two): the dark middle of a small island with bright rims is no gap.
_DIP, _HIGH, _SHALLOW, _DEEPER = 0.35, 0.9, 0.85, 0.15
#: Width (pixels) that rounded borders take from what is missing between the banks.
_ROUND_PX = 0.45
#: Neighbouring pixels of an answer err alike over so many pixels.
_ALIKE_PX = 2.0
#: A gap goes on where it is open so far beyond half its width, straight on or with a bend.
_ON_PX, _BENDS_DEG = 2.0, np.array([-45.0, -22.5, 0.0, 22.5, 45.0])
#: Windows of so many pixels about a gap are filled to ask whether the counts speak for it; along it they end softly.
_WINDOW, _ALONG_PX = 24, 2.0


@dataclass(frozen=True)
class Gaps:
    """Places (N,) on the middle line of gaps: row and column (pixels), the direction across (degrees), the width.

    The direction is counter-clockwise from +x; the width (pixels) is that between the crossings of the level; `floor`
    and `banks` are the image's value in the middle, and the lower one of those beyond the two borders.
    """

    y: Array
    x: Array
    across_deg: Array
    width: Array
    floor: Array
    banks: Array

    def __len__(self) -> int:
        """Number of places."""
        return len(self.y)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Gaps:
        """Return some of the places."""
        return Gaps(*(getattr(self, one.name)[which] for one in fields(self)))

    @property
    def points(self) -> Array:
        """Rows and columns (N, 2)."""
        return np.column_stack([self.y, self.x])

    @property
    def normal(self) -> Array:
        """Unit vectors (N, 2) across the gaps: down, right."""
        angle = np.radians(self.across_deg)
        return np.column_stack([-np.sin(angle), np.cos(angle)])

    def scaled(self, factor: float) -> Gaps:
        """Return the same places in an image of `factor` times as many pixels a side."""
        y, x = ((place + 0.5) * factor - 0.5 for place in (self.y, self.x))
        return Gaps(y, x, self.across_deg, self.width * factor, self.floor, self.banks)


@dataclass(frozen=True)
class Levels:
    """Typical values of what is dark and of what is bright in an image."""

    carbon: float
    gold: float

    @property
    def high(self) -> float:
        """The value below which a valley may be a gap."""
        return self.carbon + _HIGH * (self.gold - self.carbon)


def levels_of(image: Image) -> Levels:
    """Return the typical values of the darker and of the brighter pixels of an image (H, W).

    The two kinds are told by Otsu's rule on the roots of the values, so that bright rims do not count as a third.
    """
    from skimage.filters import threshold_otsu

    low, high = (float(end) for end in np.percentile(image[::2, ::2], (0.5, 99.5)))
    if not high > low:
        return Levels(low, low)
    root = np.sqrt(np.clip(image[::2, ::2] - low, 0, high - low))
    otsu: Any = threshold_otsu
    bright = root > otsu(root)
    if not bright.any() or bright.all():
        return Levels(low, low)
    return Levels(*(float(np.median(image[::2, ::2][which])) for which in (~bright, bright)))


def gap_lines(image: Image, level: float, widest: float) -> Gaps:
    """Return places on the middle lines of what lies below `level` (H, W) and is no wider than `widest` pixels.

    The width is that between the crossings of the level, the banks are not looked for.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    below = image < level
    far = distance_transform_edt(below)
    thinned: Any = skeletonize
    rows, columns = np.nonzero(thinned(below) & (far <= widest / 2 + 1))
    y, x, angle, width = _across(below, widest, rows, columns)
    rough = Gaps(y, x, angle, width, np.zeros(len(y)), np.zeros(len(y)))
    return _crossed(image, level, widest, rough)


def seen_gaps(image: Image, widest: float, levels: Levels | None = None) -> Gaps:
    """Return places on the middle lines of the gaps that an image (H, W) shows, no wider than `widest` pixels.

    A gap is a valley with a bank on both sides. Its width is that of a sharp gap from which as much is missing below
    the banks: it does not change when the image is blurred.
    """
    levels = levels_of(image) if levels is None else levels
    lines = gap_lines(image, levels.high, widest)
    if not len(lines):
        return lines
    profile, middle = _profiles(image, lines, widest / 2 + _BANK_PX + 1)
    reach = np.abs(np.arange(profile.shape[1]) - middle) * _STEP <= (lines.width / 2 + _BANK_PX)[:, None]
    inside = np.where(reach, profile, -np.inf)
    first, last = inside[:, : middle + 1].argmax(axis=1), middle + inside[:, middle:].argmax(axis=1)
    each = np.arange(len(lines))
    left, right, floor = profile[each, first], profile[each, last], profile[:, middle]
    carbon = np.minimum(levels.carbon, floor)
    place = np.arange(profile.shape[1])
    share = np.clip((place - first[:, None]) / np.maximum(last - first, 1)[:, None], 0, 1)
    bank = left[:, None] * (1 - share) + right[:, None] * share
    between = (place >= first[:, None]) & (place <= last[:, None])
    missing = np.where(between, bank - profile, 0) / np.maximum(bank - carbon[:, None], 1e-12)
    lower = np.minimum(left, right)
    width = missing.sum(axis=1) * _STEP + _ROUND_PX
    found = Gaps(lines.y, lines.x, lines.across_deg, width, floor, lower)
    dip = (lower - floor) / np.maximum(lower - carbon, 1e-12)
    return found[(dip >= _DIP) & (width <= widest)]


def passing(image: Image, level: float, gaps: Gaps) -> NDArray[np.bool_]:
    """Return at which places (N,) what lies below `level` goes on to both sides along the gap: no tips of notches."""
    goes_on = np.ones(len(gaps), bool)
    far = (gaps.width / 2 + _ON_PX)[:, None]
    for side in (0.0, np.pi):
        turned = np.radians(gaps.across_deg)[:, None] + np.pi / 2 + side + np.radians(_BENDS_DEG)
        points = np.stack([gaps.y[:, None] - far * np.sin(turned), gaps.x[:, None] + far * np.cos(turned)], axis=-1)
        values = _at(image, points.reshape(-1, 2)).reshape(turned.shape)
        goes_on &= (values < level).any(axis=1)
    return goes_on


def _across(
    below: NDArray[np.bool_], widest: float, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Array, Array, Array, Array]:
    """Return middles, directions (degrees) and lengths of the shortest ways across from each place, up to `widest`."""
    angle = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    steps = np.arange(0.5, widest + 0.5, 0.5)
    rim = int(np.ceil(widest)) + 1
    banks = np.pad(~below, rim)
    first = (rows + rim) * banks.shape[1] + columns + rim
    sides = []
    for sign in (-1.0, 1.0):
        down, right = _nearest(-sign * np.sin(angle)[:, None] * steps), _nearest(sign * np.cos(angle)[:, None] * steps)
        ended = banks.ravel()[first[:, None, None] + (down * banks.shape[1] + right)]
        sides.append(np.where(ended.any(axis=2), steps[ended.argmax(axis=2)], 4 * widest))
    total = sides[0] + sides[1]
    # Lengths are whole half pixels: among directions that are alike the one in their middle is across.
    beside = np.minimum(total, 2 * widest)
    smooth = total + 0.5 * (np.roll(beside, 1, axis=1) + np.roll(beside, -1, axis=1))
    best = smooth.argmin(axis=1) if len(rows) else np.zeros(0, np.intp)
    each = np.arange(len(rows))
    length = total[each, best]
    kept = length <= widest + 1
    middle = ((sides[1] - sides[0])[each, best] / 2)[kept]
    turned = angle[best[kept]]
    y, x = rows[kept] - middle * np.sin(turned), columns[kept] + middle * np.cos(turned)
    return y, x, np.degrees(turned), length[kept]


def _nearest(offsets: Array) -> NDArray[np.intp]:
    """Return the nearest whole numbers, of halves the one farther from zero."""
    return np.trunc(offsets + np.copysign(0.5 + 1e-9, offsets)).astype(np.intp)


def _crossed(image: Image, level: float, widest: float, rough: Gaps) -> Gaps:
    """Return the places moved to the middle between the crossings of `level`, with the width between these."""
    profile, middle = _profiles(image, rough, widest / 2 + 2)
    above = profile >= level
    count = profile.shape[1]
    each = np.arange(len(rough))
    after = middle + above[:, middle:].argmax(axis=1)
    before = middle - above[:, middle::-1].argmax(axis=1)
    good = above[each, after] & above[each, before] & (after > middle) & (before < middle) & (after < count)
    after, before, each = after[good], before[good], each[good]
    right = after - _part(profile, level, each, after, after - 1)
    left = before + _part(profile, level, each, before, before + 1)
    width, shift = (right - left) * _STEP, ((right + left) / 2 - middle) * _STEP
    kept, rough = width <= widest, rough[good]
    moved = rough.points + shift[:, None] * rough.normal
    found = Gaps(moved[:, 0], moved[:, 1], rough.across_deg, width, _at(image, moved), np.full(len(moved), level))
    return found[kept]


def _part(profile: Array, level: float, each: NDArray[np.intp], high: NDArray[np.intp], low: NDArray[np.intp]) -> Array:
    """Return which part of the step from a sample above the level down to one below lies above."""
    top, bottom = profile[each, high], profile[each, low]
    return np.asarray(np.clip((top - level) / np.maximum(top - bottom, 1e-12), 0, 1))


def _profiles(image: Image, gaps: Gaps, reach: float) -> tuple[Array, int]:
    """Return the values (N, M) across the gaps up to `reach` on both sides, and the place of the middle."""
    middle = int(np.ceil(reach / _STEP))
    offsets = (np.arange(2 * middle + 1) - middle) * _STEP
    points = gaps.points[:, None, :] + offsets[None, :, None] * gaps.normal[:, None, :]
    return _at(image, points.reshape(-1, 2)).reshape(len(gaps), len(offsets)), middle


def _at(image: Image, points: Array) -> Array:
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(image, points.T, order=1, mode="nearest", output=np.float32), float)


def depths(gaps: Gaps, levels: Levels) -> Array:
    """Return how far each gap (N,) is dark: 0 as its lower bank, 1 as carbon."""
    carbon = np.minimum(levels.carbon, gaps.floor)
    return np.asarray(1 - (gaps.floor - carbon) / np.maximum(gaps.banks - carbon, 1e-12))


def is_shallow(gaps: Gaps, levels: Levels) -> NDArray[np.bool_]:
    """Return which gaps (N,) are hardly darker than gold, or less dark than a gap of their width is."""
    bright = gaps.floor > levels.carbon + _SHALLOW * (levels.gold - levels.carbon)
    return np.asarray(bright | (depths(gaps, levels) < _DIP + _DEEPER * np.clip(gaps.width - 2, 0, None)))


def with_levels(image: Image, gaps: Gaps) -> Gaps:
    """Return the places with the values that an image (H, W) has in their middle and just beyond the lower border."""
    beyond = (gaps.width / 2 + _BANK_PX)[:, None] * gaps.normal
    banks = np.minimum(_at(image, gaps.points + beyond), _at(image, gaps.points - beyond))
    return Gaps(gaps.y, gaps.x, gaps.across_deg, gaps.width, _at(image, gaps.points), banks)


def narrowest(gaps: Gaps, apart: float) -> NDArray[np.intp]:
    """Return which places to keep so that none is nearer than `apart` (pixels) to a narrower one."""
    from scipy.spatial import cKDTree

    if not len(gaps):
        return np.zeros(0, np.intp)
    near = cKDTree(gaps.points).query_ball_point(gaps.points, apart)
    free, kept = np.ones(len(gaps), bool), []
    for place in np.argsort(gaps.width, kind="stable"):
        if free[place]:
            kept.append(place)
            free[near[place]] = False
    return np.array(sorted(kept), np.intp)


def width_sigma(sigma: Image, gaps: Gaps, carbon: float) -> Array:
    """Return the 1-sigma (N,) of the widths that follows from that of the image's pixels (H, W) across the gaps."""
    if not len(gaps):
        return np.zeros(0)
    across, middle = _profiles(sigma, gaps, float(gaps.width.max()) / 2 + _BANK_PX)
    inside = np.abs(np.arange(across.shape[1]) - middle) * _STEP <= gaps.width[:, None] / 2 + 1
    power = np.where(inside, across**2, 0).sum(axis=1) * _STEP * _ALIKE_PX
    return np.asarray(np.sqrt(power) / np.maximum(gaps.banks - np.minimum(carbon, gaps.floor), 1e-12))


def support(measured: Image, variance: Image, answer: Image, gaps: Gaps) -> Array:
    """Return by how many 1-sigma the recorded counts (H, W) speak for each gap (N,) of an answer (2 H, 2 W).

    The gap is filled up to its banks; the recorded counts are asked for what is missing by the filling's own shape,
    which is the best that can be asked (matched filter). `variance` (H, W) is that of the counts.
    """
    if not len(gaps):
        return np.zeros(0)
    half, sides = _WINDOW // 2, np.array(answer.shape)
    corner = np.clip((np.rint(gaps.points).astype(int) - half) // 2 * 2, 0, np.maximum(sides - _WINDOW, 0))
    reach = np.arange(min(_WINDOW, *answer.shape))
    rows, columns = corner[:, :1] + reach, corner[:, 1:] + reach
    window = answer[rows[:, :, None], columns[:, None, :]].astype(float)
    missing = np.clip(gaps.banks[:, None, None] - window, 0, None) * _around(gaps, rows, columns)
    coarse = rows[:, ::2] // 2, columns[:, ::2] // 2
    at = coarse[0][:, :, None], coarse[1][:, None, :]
    template, expected = (_halved(one) for one in (missing, window))
    weight = template / variance[at]
    scale = np.sqrt(np.maximum((template * weight).sum(axis=(1, 2)), 1e-30))
    return np.asarray(((expected + template - measured[at]) * weight).sum(axis=(1, 2)) / scale)


def _around(gaps: Gaps, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Return the shares (N, h, w) in which the pixels of a window belong to a gap's narrowest place."""
    down, right = rows[:, :, None] - gaps.y[:, None, None], columns[:, None, :] - gaps.x[:, None, None]
    normal = gaps.normal[:, :, None, None]
    across = down * normal[:, 0] + right * normal[:, 1]
    along = down * normal[:, 1] - right * normal[:, 0]
    inside = np.clip(gaps.width[:, None, None] / 2 + 1.5 - np.abs(across), 0, 1)
    return np.asarray(inside * np.exp(-0.5 * (along / _ALONG_PX) ** 2))


def _halved(windows: Array) -> Array:
    number, height, width = windows.shape
    cut = windows[:, : height // 2 * 2, : width // 2 * 2]
    return np.asarray(cut.reshape(number, height // 2, 2, width // 2, 2).mean(axis=(2, 4)))
