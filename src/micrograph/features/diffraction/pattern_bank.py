"""A library of convergent-beam patterns on coarse grids, where many starts of a fit are tried at once.

Patterns and what is seen are weighted by the root of what counting makes of them, and what any smooth background
explains is taken off both. Compared so, thickness, tilt and geometry of all starts climb together (Gauss and Newton).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.pattern_fit import DIFFUSE_MRAD, Geometry, PatternFit, Patterns

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Angles (mrad) beyond the disc that are compared.
BEYOND_MRAD = 4.0
#: Points of the grid on which starts are sought, and of the one on which they climb; their least pitch (mrad).
_COARSE_POINTS, _FINE_POINTS, _LEAST_MRAD = 420, 650, 1.05
#: What is seen is smoothed by so much (1-sigma) of a grid's pitch.
_SMOOTH = 0.35
#: Dimensions of the space in which patterns are compared, and in which starts climb.
_CODES = 64
#: Steps of a climb; the farthest that one goes: nm, mrad, mrad, mrad, mrad, degree, share of the scale.
_STEPS, _FARTHEST = 3, np.array([1.8, 0.7, 0.7, 0.8, 0.8, np.deg2rad(3.0), 0.015])


@dataclass(frozen=True)
class Grid:
    """Angles `places` (P, 2), (y, x) in mrad of the crystal's axes, at which patterns are compared.

    weight (P,); smooth (2, P) orthonormal; space (P, K) orthonormal, where the patterns of the bank have the `codes`
    (N, K), each of length one at most; `blur_mrad` is by how much what is seen is smoothed.
    """

    places: Image
    weight: Image
    smooth: Image
    space: Image
    codes: Image
    blur_mrad: float

    def blurred(self, image: Image, mrad_per_px: float) -> Image:
        """Return an image (H, W) smoothed for this grid and framed by zeros (H + 3, W + 3), NaN replaced by 0."""
        from scipy.ndimage import gaussian_filter

        found: Image = gaussian_filter(np.nan_to_num(image), self.blur_mrad / mrad_per_px, truncate=3.0)
        return np.pad(found, (1, 2))

    def views(self, blurred: Image, geometry: Array, *, nearest: bool = False) -> Image:
        """Return a blurred image at the grid's angles, weighted: (M, P); 0 outside.

        geometry (M, 4): centre (y, x) in pixels, logarithm of mrad per pixel, rotation in radian. Linear between
        pixels, or that of the `nearest` one.
        """
        pitch, turn = np.exp(geometry[:, 2]), geometry[:, 3]
        cos, sin = (np.asarray(part(turn) / pitch, np.float32)[:, None] for part in (np.cos, np.sin))
        height, width = blurred.shape
        y, x = self.places.T
        first = geometry[:, :2].astype(np.float32) + np.float32(1.5 if nearest else 1.0)
        row = np.clip(y * cos - x * sin + first[:, :1], 0, height - 2)
        column = np.clip(y * sin + x * cos + first[:, 1:], 0, width - 2)
        top, left = row.astype(np.int32), column.astype(np.int32)
        at, flat = top * width + left, blurred.ravel()
        if nearest:
            return np.asarray(flat[at] * self.weight, np.float32)
        down, right = row - top, column - left
        upper, lower = flat[at], flat[at + width]
        upper += (flat[at + 1] - upper) * right
        lower += (flat[at + width + 1] - lower) * right
        return np.asarray((upper + (lower - upper) * down) * self.weight, np.float32)

    def cleaned(self, views: Image) -> Image:
        """Return views (M, P) without what any smooth background explains, each of length one."""
        clean = views - (views @ self.smooth.T) @ self.smooth
        size = np.maximum(np.linalg.norm(clean, axis=1, keepdims=True), 1e-12)
        return np.asarray(clean / size, np.float32)

    def alike(self, clean: Image, rows: NDArray[np.intp] | slice = slice(None)) -> Image:
        """Return how alike (-1..1) cleaned views (M, P) are to patterns of the bank: (M, rows)."""
        return np.asarray((clean @ self.space) @ self.codes[rows].T, np.float32)


@dataclass(frozen=True)
class Bank:
    """Patterns of a library at `thickness_nm` (N,) and `tilt_mrad` (N, 2), on a coarse and on a fine grid.

    few: rows that suffice to seek; period_deg of the rotation; slopes (5, K, P): the library's first K dimensions on
    the fine grid, its changes along y and x, with a turn and with the scale.
    """

    coarse: Grid
    fine: Grid
    thickness_nm: Array
    tilt_mrad: Array
    few: NDArray[np.intp]
    period_deg: float
    slopes: Image
    library: Patterns

    @property
    def convergence_mrad(self) -> float:
        """Half-angle of the disc."""
        return self.library.convergence_mrad


#: Turns (degrees) under which patterns may repeat; they do where they correlate so well.
_PERIODS, _REPEATS = (60.0, 90.0, 120.0, 180.0), 0.995


def period_of(library: Patterns) -> float:
    """Return the least turn (degrees) under which the patterns without a tilt are the same; 360 where there is none."""
    from scipy.ndimage import map_coordinates

    height, width = library.basis.shape[1:]
    middle = np.array([[height // 2], [width // 2]])
    step = np.array(library.step_mrad)[:, None]
    places = (np.indices((height, width)).reshape(2, -1) - middle) * step
    inside = np.hypot(*places) <= library.convergence_mrad + BEYOND_MRAD
    rows = np.stack([library.at(t, (0.0, 0.0))[0] for t in library.thickness_nm[[len(library.thickness_nm) // 3, -1]]])
    patterns = np.tensordot(rows, library.basis.astype(float), axes=1)
    for degrees in _PERIODS:
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        at = np.array([[cos, -sin], [sin, cos]]) @ places[:, inside] / step + middle
        pairs = [(one.ravel()[inside], map_coordinates(one, at, order=1, mode="nearest")) for one in patterns]
        if min(float(np.corrcoef(*pair)[0, 1]) for pair in pairs) > _REPEATS:
            return degrees
    return 360.0


def make_bank(library: Patterns, most_tilt_mrad: float = 4.5) -> Bank:
    """Return the bank of a library."""
    step = np.array(library.step_mrad)
    tilts = library.tilts[(library.tilts % 2 == 0).all(axis=1)]
    tilts = tilts[np.hypot(*(tilts * step).T) <= most_tilt_mrad]
    reach = np.array(library.coefficients.shape[1:3]) // 2
    numbers = np.arange(0, len(library.thickness_nm), 2)
    rows = library.coefficients[numbers[:, None], tilts[:, 0] + reach[0], tilts[:, 1] + reach[1]]
    rows = rows.reshape(-1, rows.shape[-1])
    sparse = (tilts % 4 == 0).all(axis=1)[None, :] & (np.arange(len(numbers)) % 2 == 0)[:, None]
    side = (library.convergence_mrad + BEYOND_MRAD) * float(np.sqrt(np.pi))
    coarse, fine = (max(_LEAST_MRAD, side / float(np.sqrt(points))) for points in (_COARSE_POINTS, _FINE_POINTS))
    (coarse_grid, _), (fine_grid, slopes) = _grid(library, rows, coarse), _grid(library, rows, fine)
    return Bank(
        coarse_grid,
        fine_grid,
        np.repeat(library.thickness_nm[numbers], len(tilts)),
        np.tile(tilts * step, (len(numbers), 1)),
        np.flatnonzero(sparse.ravel()),
        period_of(library),
        np.ascontiguousarray(slopes[:, :_CODES]),
        library,
    )


def _grid(library: Patterns, rows: Image, pitch_mrad: float) -> tuple[Grid, Image]:
    """Return a grid with the patterns of which `rows` (N, R) are the coefficients, and the slopes of the basis."""
    from scipy.ndimage import gaussian_filter

    step = library.step_mrad
    blur = _SMOOTH * pitch_mrad
    basis = gaussian_filter(library.basis, (0, blur / step[0], blur / step[1]), truncate=3.0)
    skip = tuple(max(1, round(pitch_mrad / one)) for one in step)
    middle = tuple(n // 2 for n in basis.shape[1:])
    row, column = (np.arange(m % s, n, s) for m, s, n in zip(middle, skip, basis.shape[1:], strict=True))
    y, x = (row - middle[0]) * step[0], (column - middle[1]) * step[1]
    inside = np.hypot(y[:, None], x) <= library.convergence_mrad + BEYOND_MRAD
    places = np.stack(np.broadcast_arrays(y[:, None], x), -1)[inside]
    parts = (basis, np.gradient(basis, step[0], axis=1), np.gradient(basis, step[1], axis=2))
    plain, by_y, by_x = (part[:, row[:, None], column][:, inside].astype(float) for part in parts)
    turned, grown = by_y * places[:, 1] - by_x * places[:, 0], by_y * places[:, 0] + by_x * places[:, 1]
    mean = rows.mean(axis=0) @ plain
    weight = 1 / np.sqrt(mean + 0.05 * mean.max())
    bowl = np.exp(-0.5 * (places**2).sum(axis=1) / DIFFUSE_MRAD**2)
    smooth = np.linalg.qr(np.stack([bowl, np.ones(len(places))], axis=1) * weight[:, None])[0].T
    slopes = np.stack([plain, by_y, by_x, turned, grown]) * weight
    slopes = (slopes - (slopes @ smooth.T) @ smooth).astype(np.float32)
    patterns = rows @ slopes[0]
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    span = np.linalg.qr(slopes[0].T)[0]
    inner = patterns @ span
    space = span @ np.linalg.eigh(inner.T @ inner)[1][:, ::-1][:, :_CODES]
    codes = patterns @ space
    made = [np.ascontiguousarray(one, np.float32) for one in (places, weight, smooth, space, codes)]
    return Grid(made[0], made[1], made[2], made[3], made[4], blur), slopes


def climbed(image: Image, bank: Bank, starts: list[PatternFit], steps: int = _STEPS) -> list[PatternFit]:
    """Return the starts of an image (H, W) at the best thickness, tilt and geometry that `steps` lead to.

    All climb at once; ``unexplained`` is the share of what is seen that is left.
    """
    library, grid = bank.library, bank.fine
    seen = grid.blurred(image, starts[0].geometry.mrad_per_px)
    state = np.array([_state(one) for one in starts])
    best, least = state.copy(), np.full(len(state), np.inf)
    low, high = library.thickness_nm[[0, -1]]
    for number in range(steps + 1):
        data = grid.cleaned(grid.views(seen, state[:, 3:]))
        rows = library.many(state[:, :3], _CODES)
        shown = rows[:, 0] @ bank.slopes
        model = shown[0]
        amplitude = np.maximum((model * data).sum(axis=1), 0) / np.maximum((model * model).sum(axis=1), 1e-30)
        rest = data - amplitude[:, None] * model
        left = np.asarray((rest * rest).sum(axis=1), float)
        better = left < least
        best[better], least[better] = state[better], left[better]
        if number == steps:
            break
        by_state = rows[:, 1:].reshape(-1, rows.shape[-1]) @ bank.slopes[0]
        parts = (by_state.reshape(len(rows), 3, -1), shown[1:].swapaxes(0, 1), shown[:1].swapaxes(0, 1))
        design = np.concatenate(parts, axis=1) * amplitude[:, None, None]
        step = np.clip(_solved(design, rest), -_FARTHEST, _FARTHEST)
        state = _moved(state, step, library.tilt_mrad)
        state[:, 0] = np.clip(state[:, 0], low, high)
    return [_fit(one, values, float(rest)) for one, values, rest in zip(starts, best, least, strict=True)]


def _state(fit: PatternFit) -> list[float]:
    """Return thickness, tilts along the crystal's axes, centre, logarithm of the scale, rotation in radian."""
    place = fit.geometry
    geometry = [place.y_px, place.x_px, float(np.log(place.mrad_per_px)), float(np.deg2rad(place.rotation_deg))]
    return [fit.thickness_nm, *fit.crystal_tilt(), *geometry]


def _fit(start: PatternFit, state: Array, left: float) -> PatternFit:
    place = Geometry(state[3], state[4], float(np.exp(state[5])), float(np.rad2deg(state[6])))
    y, x = place.turn().T @ state[1:3]
    return replace(
        start, thickness_nm=float(state[0]), tilt_mrad=(float(y), float(x)), geometry=place, unexplained=left
    )


def _solved(design: Image, rest: Image) -> Array:
    """Return the steps (M, 7) that take away most of `rest` (M, P); last in the design (M, 8, P) is the amplitude."""
    size = np.linalg.norm(design, axis=2) + 1e-30
    unit = design / size[..., None]
    normal = np.asarray(unit @ unit.swapaxes(1, 2), float) + 2e-3 * np.eye(design.shape[1])
    gradient = np.asarray((unit @ rest[..., None])[..., 0], float)
    return np.asarray(np.linalg.solve(normal, gradient[..., None])[..., 0] / size)[:, :7]


def _moved(state: Array, step: Array, most_tilt_mrad: float) -> Array:
    """Return the states one step on: the step is of thickness, tilts, shift along the crystal's axes, turn, scale."""
    moved = state.copy()
    moved[:, :3] += step[:, :3]
    length = np.hypot(moved[:, 1], moved[:, 2])
    moved[:, 1:3] *= np.minimum(1.0, most_tilt_mrad / np.maximum(length, 1e-9))[:, None]
    cos, sin, pitch = np.cos(state[:, 6]), np.sin(state[:, 6]), np.exp(state[:, 5])
    y, x = -step[:, 3], -step[:, 4]
    moved[:, 3] += (y * cos - x * sin) / pitch
    moved[:, 4] += (y * sin + x * cos) / pitch
    moved[:, 5] += step[:, 6]
    moved[:, 6] += step[:, 5]
    return moved
