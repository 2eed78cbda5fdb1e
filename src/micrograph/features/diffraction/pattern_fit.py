"""Thickness, tilt and geometry of a convergent-beam pattern by Poisson maximum likelihood against a library.

The counts of a pixel are Poisson distributed about ``N P(q; thickness, tilt) + A exp(-q^2 / 2 s^2) + B``, where q
follows from centre, scale and rotation; N, A and B (elastic, diffuse, dark) are found with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Pixels up to this far (mrad) beyond the disc are fitted.
FITTED_MRAD = 8.0
#: 1-sigma (mrad) of the diffuse scattering.
DIFFUSE_MRAD = 22.0
#: Names of the parameters in the order of the covariance.
PARAMETERS = (
    "thickness_nm", "tilt_y_mrad", "tilt_x_mrad", "y_px", "x_px", "log_scale", "rotation", "elastic", "diffuse", "dark",
)  # fmt: skip
#: Size (mrad) of the blocks in which what the model misses counts as one; the eight that a square's symmetry maps onto
#: each other are one block: what the model misses is as symmetric as the crystal.
_BLOCK_MRAD = 3.0
#: Farthest that one step goes, by parameter.
_MOST = np.array([2.0, 0.6, 0.6, 2.0, 2.0, 0.02, 0.05, np.inf, np.inf, np.inf])
_ITERATIONS = 14
#: A fit has settled where half the deviance would change by less.
_SETTLED = 0.05
#: Libraries are smoothed in such steps (mrad).
_SOFT_MRAD = 0.02
#: What is expected counts as at least this share of its mean.
_FLOOR = 0.02


class Patterns(Protocol):
    """What a library offers: see `simulate.patterns.pacbed.Library`."""

    @property
    def convergence_mrad(self) -> float:
        """Half-angle of the disc."""
        ...

    @property
    def step_mrad(self) -> tuple[float, float]:
        """Pitch of the library's grid."""
        ...

    @property
    def thickness_nm(self) -> Array:
        """Thicknesses."""
        ...

    @property
    def tilt_mrad(self) -> float:
        """Greatest tilt."""
        ...

    @property
    def basis(self) -> Image:
        """Basis (R, H, W)."""
        ...

    @property
    def coefficients(self) -> Image:
        """Coefficients (T, Y, X, R)."""
        ...

    @property
    def tilts(self) -> NDArray[np.int_]:
        """Tilts (K, 2) that there are, in steps."""
        ...

    def at(self, thickness_nm: float, tilt_mrad: tuple[float, float]) -> Array:
        """Return coefficients and slopes (4, R)."""
        ...

    def many(self, states: Array, rank: int | None = None) -> Image:
        """Return `at` of states (M, 3), thickness and tilts, for the first `rank` dimensions: (M, 4, R)."""
        ...


@dataclass(frozen=True)
class Geometry:
    """Where the disc's middle lies, how pixels become angles, how the crystal's x axis is turned, counter-clockwise."""

    y_px: float
    x_px: float
    mrad_per_px: float
    rotation_deg: float = 0.0

    def turn(self) -> Array:
        """Return the matrix (2, 2) that turns (y, x) of the detector into those along the crystal's axes."""
        cos, sin = np.cos(np.deg2rad(self.rotation_deg)), np.sin(np.deg2rad(self.rotation_deg))
        return np.array([[cos, sin], [-sin, cos]])


@dataclass(frozen=True)
class PatternFit:
    """What a pattern says: tilts along the rows and columns of the detector; `covariance` in the order of `PARAMETERS`.

    log_scale is the logarithm of mrad per pixel, rotation in radian. `misfit` is the mean square of the residuals over
    what counting explains: the gain of a detector that does not count electrons. `bound` (10,) is the 1-sigma that
    counting alone allows (Cramer-Rao). `unexplained` is the root of the share of the pattern's own contrast that is
    left (0..1).
    """

    thickness_nm: float
    tilt_mrad: tuple[float, float]
    geometry: Geometry
    elastic: float
    diffuse: float = 0.0
    dark: float = 0.0
    covariance: Array = field(default_factory=lambda: np.zeros((len(PARAMETERS),) * 2))
    bound: Array = field(default_factory=lambda: np.zeros(len(PARAMETERS)))
    misfit: float = np.inf
    unexplained: float = 1.0
    settled: bool = False

    def sigma(self, name: str) -> float:
        """Return the 1-sigma of a parameter."""
        place = PARAMETERS.index(name)
        return float(np.sqrt(self.covariance[place, place]))

    def crystal_tilt(self) -> tuple[float, float]:
        """Return the tilt along the crystal's axes (y, x)."""
        y, x = self.geometry.turn() @ np.array(self.tilt_mrad)
        return float(y), float(x)


@dataclass(frozen=True)
class Prepared:
    """A library as fits need it: its basis (N, R) at the `inside` (N,) points of a grid around the disc.

    `half` (y, x): rows and columns of that grid about its middle. `soft` keeps what `softened` made.
    """

    library: Patterns
    basis: Image
    inside: NDArray[np.intp]
    half: tuple[int, int]
    beyond_mrad: float
    soft: dict[int, Prepared] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(library: Patterns, beyond_mrad: float = FITTED_MRAD, rank: int | None = None) -> Prepared:
        """Return a library cut to what is fitted: `beyond_mrad` beyond the disc, the first `rank` dimensions."""
        middle = tuple(n // 2 for n in library.basis.shape[1:])
        reach = library.convergence_mrad + beyond_mrad + 1.5
        half = tuple(min(n, int(np.ceil(reach / s))) for n, s in zip(middle, library.step_mrad, strict=True))
        rows, columns = (slice(m - n, m + n + 1) for m, n in zip(middle, half, strict=True))
        cut = library.basis[:rank, rows, columns]
        y, x = (np.arange(-n, n + 1) * s for n, s in zip(half, library.step_mrad, strict=True))
        inside = np.flatnonzero(np.hypot(y[:, None], x) <= reach)
        basis = np.ascontiguousarray(cut.reshape(len(cut), -1)[:, inside].T)
        return Prepared(library, basis, inside, (half[0], half[1]), beyond_mrad)

    def softened(self, sigma_mrad: float) -> Prepared:
        """Return the library smoothed by `sigma_mrad` (1-sigma), as large pixels see it; that is made once."""
        from scipy.ndimage import gaussian_filter

        number = round(sigma_mrad / _SOFT_MRAD)
        if number == 0:
            return self
        if number not in self.soft:
            height, width = (2 * n + 1 for n in self.half)
            whole = np.zeros((self.basis.shape[1], height * width), np.float32)
            whole[:, self.inside] = self.basis.T
            blur = [number * _SOFT_MRAD / step for step in self.library.step_mrad]
            smooth = gaussian_filter(whole.reshape(-1, height, width), (0, *blur), mode="nearest", truncate=4.0)
            basis = np.ascontiguousarray(smooth.reshape(len(whole), -1)[:, self.inside].T)
            self.soft[number] = replace(self, basis=basis, soft={})
        return self.soft[number]

    def images(self, fit: PatternFit) -> Image:
        """Return (H, W, 4): the pattern, and its slopes by thickness and tilts (y, x)."""
        rows = self.library.at(fit.thickness_nm, fit.crystal_tilt())[:, : self.basis.shape[1]].astype(np.float32)
        shape = (2 * self.half[0] + 1, 2 * self.half[1] + 1)
        found = np.zeros((shape[0] * shape[1], 4), np.float32)
        found[self.inside] = self.basis @ rows.T
        return found.reshape(*shape, 4)


@dataclass(frozen=True)
class Pixels:
    """Counts (N,) at places (y, x) (N,) of those pixels that are fitted."""

    counts: Array
    y: Array
    x: Array

    @staticmethod
    def of(image: Image, place: Geometry, prepared: Prepared) -> Pixels:
        """Return the pixels of an image (H, W) around its disc."""
        y, x = (np.arange(n, dtype=float) for n in image.shape)
        reach = (prepared.library.convergence_mrad + prepared.beyond_mrad) / place.mrad_per_px
        near = np.hypot((y - place.y_px)[:, None], x - place.x_px) <= reach
        near &= np.isfinite(image)
        rows, columns = np.nonzero(near)
        return Pixels(image[near].astype(float), rows.astype(float), columns.astype(float))


@dataclass(frozen=True)
class _State:
    """A fit, what it expects (N,), the slopes (10, N) of that, and half its Poisson deviance."""

    fit: PatternFit
    model: Array
    slopes: Array
    cost: float


def fit_pattern(
    image: Image, prepared: Prepared, start: PatternFit, held: tuple[str, ...] = (), most: int = _ITERATIONS
) -> PatternFit:
    """Return the maximum-likelihood fit of `image` (H, W) from `start` on; parameters in `held` stay as they are."""
    pixels = Pixels.of(image, start.geometry, prepared)
    free = np.array([name not in held for name in PARAMETERS])
    state, damping, settled = _state(pixels, prepared, start), 1e-3, False
    for _ in range(most):
        weight = 1 / np.maximum(state.model, _FLOOR * state.model.mean())
        curvature = (state.slopes * weight) @ state.slopes.T
        gradient = state.slopes @ (weight * (pixels.counts - state.model))
        step = _solved(curvature, gradient, damping, free)
        moved = _moved(state.fit, step, prepared.library)
        if 0.5 * float(step @ gradient) < _SETTLED and damping <= 1e-3:
            settled = True
            state = replace(state, fit=moved)
            break
        new = _state(pixels, prepared, moved)
        change = state.cost - new.cost
        if change >= 0:
            state, damping = new, max(damping / 10, 1e-6)
        else:
            damping *= 30
        if -_SETTLED < change < _SETTLED:
            settled = True
            break
    return _judged(pixels, state, free, settled)


def _solved(curvature: Array, gradient: Array, damping: float, free: NDArray[np.bool_]) -> Array:
    step = np.zeros(len(gradient))
    inner = curvature[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(inner), 1e-30))
    normal = inner / scale / scale[:, None] + (damping + 1e-10) * np.eye(len(inner))
    step[free] = np.linalg.solve(normal, gradient[free] / scale) / scale
    return step


def _moved(fit: PatternFit, step: Array, library: Patterns) -> PatternFit:
    """Return the fit one step on, each part at most as far as the linear model may be trusted."""
    step = np.clip(step, -_MOST, _MOST)
    low, high = library.thickness_nm[0], library.thickness_nm[-1]
    tilt = np.array(fit.tilt_mrad) + step[1:3]
    tilt = tilt * min(1.0, library.tilt_mrad / max(float(np.hypot(*tilt)), 1e-9))
    place = fit.geometry
    return replace(
        fit,
        thickness_nm=float(np.clip(fit.thickness_nm + step[0], low, high)),
        tilt_mrad=(float(tilt[0]), float(tilt[1])),
        geometry=Geometry(
            place.y_px + float(step[3]),
            place.x_px + float(step[4]),
            place.mrad_per_px * float(np.exp(step[5])),
            place.rotation_deg + float(np.rad2deg(step[6])),
        ),
        elastic=max(fit.elastic + float(step[7]), 1e-9),
        diffuse=fit.diffuse + float(step[8]),
        dark=fit.dark + float(step[9]),
    )


def expected(shape: tuple[int, int], prepared: Prepared, fit: PatternFit) -> Image:
    """Return what a fit expects in every pixel of a detector of (H, W); 0 farther out than the library reaches."""
    pixels = Pixels.of(np.zeros(shape, np.float32), fit.geometry, prepared)
    image = np.zeros(shape, np.float32)
    image[pixels.y.astype(int), pixels.x.astype(int)] = _state(pixels, prepared, fit).model
    return image


def _state(pixels: Pixels, prepared: Prepared, fit: PatternFit) -> _State:
    turn, pitch = fit.geometry.turn(), fit.geometry.mrad_per_px
    y, x = pitch * (turn @ np.stack([pixels.y - fit.geometry.y_px, pixels.x - fit.geometry.x_px]))
    step = prepared.library.step_mrad
    row, column = y / step[0] + prepared.half[0], x / step[1] + prepared.half[1]
    seen = _sampled(prepared.images(fit), row, column, step).T.astype(float)
    cell = pitch**2 / (step[0] * step[1])
    scale = fit.elastic * cell
    smooth = np.exp(-0.5 * (y**2 + x**2) / DIFFUSE_MRAD**2)
    tilt = fit.crystal_tilt()
    slopes = np.empty((len(PARAMETERS), len(y)))
    slopes[0] = scale * seen[1]
    slopes[1:3] = turn.T @ (scale * seen[2:4])
    slopes[3:5] = turn.T @ (-pitch * scale * seen[4:6])
    slopes[5] = scale * (2 * seen[0] + y * seen[4] + x * seen[5])
    slopes[6] = scale * (x * seen[4] - y * seen[5] + tilt[1] * seen[2] - tilt[0] * seen[3])
    slopes[7] = cell * seen[0]
    slopes[8], slopes[9] = smooth, 1.0
    model = scale * seen[0] + fit.diffuse * smooth + fit.dark
    return _State(fit, model, slopes, _deviance(pixels.counts, model))


def _sampled(images: Image, row: Array, column: Array, step: tuple[float, float]) -> Image:
    """Return the images (H, W, 4) at places (N,), linear between points, and the gradient of the first: (N, 6)."""
    height, width = images.shape[:2]
    top = np.clip(row.astype(np.intp), 0, height - 2)
    left = np.clip(column.astype(np.intp), 0, width - 2)
    down = np.clip(row - top, 0, 1).astype(np.float32)[:, None]
    right = np.clip(column - left, 0, 1).astype(np.float32)[:, None]
    flat, at = images.reshape(height * width, -1), top * width + left
    corners = flat[at], flat[at + 1], flat[at + width], flat[at + width + 1]
    upper, lower = corners[0] + (corners[1] - corners[0]) * right, corners[2] + (corners[3] - corners[2]) * right
    found = np.empty((len(at), 6), np.float32)
    found[:, :4] = upper + (lower - upper) * down
    found[:, 4:5] = (lower - upper)[:, :1] / step[0]
    across = (corners[1] - corners[0])[:, :1], (corners[3] - corners[2])[:, :1]
    found[:, 5:6] = (across[0] + (across[1] - across[0]) * down) / step[1]
    return found


def _deviance(counts: Array, model: Array) -> float:
    """Return half the Poisson deviance of counts (N,) about a model (N,)."""
    model = np.maximum(model, _FLOOR * model.mean())
    ratio = np.maximum(counts, 1e-9) / model
    return float(np.sum(model - counts + np.maximum(counts, 0) * np.log(ratio)))


def _judged(pixels: Pixels, state: _State, free: NDArray[np.bool_], settled: bool) -> PatternFit:
    """Return the fit with its covariance: that of counting, times what the residuals, block by block, add to it."""
    fit, model, slopes = state.fit, state.model, state.slopes[free]
    floor = np.maximum(model, _FLOOR * model.mean())
    residual = pixels.counts - model
    misfit = float(np.mean(residual**2 / floor))
    curvature = (slopes / floor) @ slopes.T
    size = np.sqrt(np.maximum(np.diag(curvature), 1e-300))
    inverse = np.linalg.pinv(curvature / size / size[:, None], hermitian=True) / size / size[:, None]
    pulls = slopes * (residual / floor)
    place = fit.geometry
    angles = place.mrad_per_px * (place.turn() @ np.stack([pixels.y - place.y_px, pixels.x - place.x_px]))
    row, column = np.sort(np.abs(angles) // _BLOCK_MRAD, axis=0).astype(np.intp)
    number = row * (int(column.max()) + 1) + column
    angles = angles // _BLOCK_MRAD
    apart = ((angles[0] - angles[0].min()) * (np.ptp(angles[1]) + 1) + angles[1] - angles[1].min()).astype(np.intp)
    sums = np.stack([np.bincount(number, pull) for pull in pulls])
    robust = np.einsum("ij,jk,ik->i", inverse, sums @ sums.T, inverse)
    counted = misfit * inverse
    # The larger of both, parameter by parameter; correlations are those of counting.
    grown = np.sqrt(np.maximum(robust / np.maximum(np.diag(counted), 1e-300), 1.0))
    covariance = np.zeros((len(PARAMETERS),) * 2)
    covariance[np.ix_(free, free)] = counted * grown * grown[:, None]
    bound = np.zeros(len(PARAMETERS))
    bound[free] = np.sqrt(np.maximum(np.diag(inverse), 0))
    unexplained = _unexplained(pixels, state, apart)
    return replace(fit, covariance=covariance, bound=bound, misfit=misfit, unexplained=unexplained, settled=settled)


def _unexplained(pixels: Pixels, state: _State, block: NDArray[np.intp]) -> float:
    """Return the root of the share of contrast that is left, noise taken off: 0 of a perfect fit, 1 of none.

    Contrast is how sums over blocks of pixels differ from the mean of all pixels as far from the middle of the disc.
    """
    place, floor = state.fit.geometry, np.maximum(state.model, _FLOOR * state.model.mean())
    ring = np.hypot(pixels.y - place.y_px, pixels.x - place.x_px).astype(np.intp)
    mean = (np.bincount(ring, pixels.counts) / np.maximum(np.bincount(ring), 1))[ring]
    members = np.bincount(block)
    used = members > 0
    variance = np.bincount(block, floor)[used]
    left = np.bincount(block, pixels.counts - state.model)[used]
    contrast = np.bincount(block, pixels.counts - mean)[used]
    inside = (pixels.counts - state.model) - (left / members[used])[np.cumsum(used)[block] - 1]
    gain = float((inside**2).sum() / ((1 - 1 / np.maximum(members[used], 2))[np.cumsum(used)[block] - 1] * floor).sum())
    noise = gain * int(used.sum())
    power = float((contrast**2 / variance).sum()) - noise
    rest = float((left**2 / variance).sum()) - noise
    return float(np.sqrt(np.clip(rest / max(power, 1e-9), 0.0, 1.0))) if power > 3 * np.sqrt(2 * noise * gain) else 1.0
