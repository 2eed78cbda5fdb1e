"""The course of a refinement: first guess of the shape, binning, then steps until nothing moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.likelihood import USUAL_TAIL, Drawn, Prior, Scene, State
from micrograph.features.columns.noise import NoiseModel, measure_correlation, measure_noise, ordinary_pixels
from micrograph.features.columns.normal import Normal
from micrograph.features.columns.shape import Canvas, ColumnShape

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Core sigma in binned pixels below which no further binning is done.
FINEST = 2.0
#: Step from which on the shape may have a tail.
FIRST_TAIL = 3
#: Normal equations are renewed when columns have travelled so many sigmas since.
STALE = 0.5
#: A column fainter than so many sigmas keeps its given place: one that follows the noise overrates the intensity.
FAINT = 3.0


@dataclass(frozen=True)
class Measured:
    """An image (H, W) as ``(raw - offset) / scale`` with zeros where it is not `valid` (``None``: all is)."""

    values: Image
    valid: NDArray[np.bool_] | None
    offset: float
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.values.shape[0], self.values.shape[1]


@dataclass(frozen=True)
class Given:
    """Columns as given: ``place`` (K, 2) px, ``fixed`` (K,), prior ``precision`` (K,) in 1 / px^2."""

    place: Array
    fixed: NDArray[np.bool_]
    precision: Array


@dataclass(frozen=True)
class Limits:
    """Bounds of the search in image pixels, see `RefineSettings`."""

    background_px: float | None
    limit_px: float | None
    iterations: int
    tail: bool


@dataclass(frozen=True)
class Known:
    """Shape (image pixels) and noise (image units) if they are known."""

    shape: ColumnShape | None
    noise: NoiseModel | None


@dataclass(frozen=True)
class Fitted:
    """A finished fit, in grid pixels of `scene` and units of `Measured`; the first `columns` are those given."""

    scene: Scene
    state: State
    drawn: Drawn
    prior: Prior
    noise: NoiseModel
    normal: Normal
    columns: int

    def covariance(self) -> tuple[Array, Array]:
        """Return the marginal covariance (K, 3, 3) of intensity, y and x, and the intensities' 1-sigma (K,)."""
        normal = self.normal
        answer, ground = normal.answer[: self.columns], normal.ground_variance()[: self.columns]
        own = normal.information.variance(self.columns)
        own = (own + answer[:, :, None] * answer[:, None, :] * ground[:, None, None]) * self.noise.correlation
        return own, np.sqrt(np.maximum(own[:, 0, 0], 0.0))

    def pair_covariance(self, pairs: NDArray[np.intp]) -> Array:
        """Return the joint covariance (E, 6, 6) of intensity, y and x of both columns of pairs (E, 2) that overlap."""
        normal = self.normal
        joint = normal.information.pair_variance(pairs)
        answer, ground = normal.answer[pairs].reshape(-1, 6), normal.ground_variance()[pairs]
        shared = np.repeat(np.sqrt(np.maximum(ground, 0.0)), 3, axis=1) * answer
        return (joint + shared[:, :, None] * shared[:, None, :]) * self.noise.correlation

    def chi2(self) -> float:
        """Return the reduced chi-square."""
        parameters = 3 * len(self.state.amplitude) + len(self.state.nodes)
        total = float((self.drawn.weight * self.drawn.residual**2).sum(dtype=np.float64))
        return total / max(self.scene.pixels - parameters, 0.1 * self.scene.pixels)


def normalised(image: Image) -> Measured | None:
    """Return an image (H, W) with offset and scale taken out; ``None`` if it has no finite pixels or no contrast."""
    finite = np.isfinite(image)
    whole = bool(finite.all())
    seen = image if whole else image[finite]
    if seen.size < 9:
        return None
    offset = float(seen.min())
    spread = float(seen.max()) - offset
    if not spread > 1e-6 * abs(offset):
        return None
    values = (image - np.float32(offset)) / np.float32(spread)
    if not whole:
        values = np.where(finite, values, np.float32(0))
    scale = float(values.std()) or 1.0
    return Measured(values / np.float32(scale), None if whole else finite, offset, spread * scale)


def fitted(measured: Measured, given: Given, limits: Limits, known: Known) -> Fitted:
    """Return the most likely columns."""
    spacing = _usual_distance(given.place)
    shape = known.shape or first_shape(measured, given.place, spacing)
    fit = _Course(measured, given, limits, known, spacing).run(shape)
    coarse = fit.scene.binning > 1 and fit.state.shape.sigma_px < 0.88 * FINEST
    if coarse or fit.state.shape.sigma_px > 2.2 * FINEST:
        shape = fit.state.shape.scaled(fit.scene.binning)
        fit = _Course(measured, given, limits, known, spacing).run(shape)
    return fit


def _usual_distance(place: Array) -> float | None:
    """Return the median distance to the nearest neighbour (px), ``None`` for a lone column."""
    from scipy.spatial import cKDTree

    if len(place) < 2:
        return None
    sample = place[:: max(1, len(place) // 500)]
    distance, _ = cKDTree(place).query(sample, k=2)
    return float(max(np.median(np.asarray(distance)[:, 1]), 0.5))


def first_shape(measured: Measured, place: Array, spacing: float | None) -> ColumnShape:
    """Return the round Gaussian whose columns at the given places agree best with the middle of the image.

    Compared are windowed spectra without the lowest frequencies, so no background matters; intensities are taken as the
    image's values at the places.
    """
    side = [min(n, 384) for n in measured.shape]
    low = np.array([(n - s) // 2 for n, s in zip(measured.shape, side, strict=True)])
    near = ((place >= low) & (place <= low + np.array(side) - 1)).all(1)
    if not near.any():
        low = np.clip(np.rint(place[0]).astype(int) - np.array(side) // 2, 0, np.array(measured.shape) - side)
        near = ((place >= low) & (place <= low + np.array(side) - 1)).all(1)
    local = place[near] - low
    window = [np.hanning(s + 2)[1:-1] for s in side]
    cut = measured.values[low[0] : low[0] + side[0], low[1] : low[1] + side[1]]
    canvas = Canvas((side[0], side[1]), margin=16)
    at = np.clip(np.rint(local).astype(int), 0, np.array(side) - 1)
    ground = float(np.median(cut))
    bright = window[0][at[:, 0]] * window[1][at[:, 1]]
    target = canvas.feel(
        ((cut - ground) * np.outer(*window)).astype(np.float32), np.float32(1) * np.ones((1, 1), np.float32)
    )
    import scipy.fft

    data = scipy.fft.rfft2(target)
    drawn = canvas.spread(canvas.touch(local[:, 0], local[:, 1]), bright)
    ky, kx = canvas.frequencies
    high = (ky**2 + kx**2) > (2 * np.pi * 3 / max(side)) ** 2
    if spacing is not None:
        high = (ky**2 + kx**2) > (2 * np.pi * 0.5 / max(spacing, 2.0)) ** 2 if 0.5 / spacing > 3 / max(side) else high
    cross = (drawn.conj() * data).real * high
    power = np.abs(drawn) ** 2 * high
    largest = 0.55 * spacing if spacing is not None else max(side) / 5
    sigmas = np.geomspace(0.6, max(min(largest, max(side) / 5), 1.0), 16)
    gains = []
    for sigma in sigmas:
        transfer = canvas.gaussian(sigma**2, sigma**2)
        agreement = float((cross * transfer).sum(dtype=np.float64))
        gains.append(max(agreement, 0.0) ** 2 / float((power * transfer**2).sum(dtype=np.float64) + 1e-300))
    best = float(sigmas[int(np.argmax(gains))])
    return ColumnShape(best**2, best**2)


def _binning(sigma: float, shape: tuple[int, int]) -> int:
    return int(np.clip(sigma // FINEST, 1, max(1, min(shape) // 8)))


def binned(measured: Measured, n: int) -> tuple[Image, NDArray[np.bool_] | None]:
    """Return sums over n x n pixels and which sums are whole; a rest at the far borders is left out."""
    if n == 1:
        return measured.values, measured.valid
    height, width = (side // n for side in measured.shape)
    total = _sums(measured.values, height, width, n)
    if measured.valid is None:
        return total, None
    return total, _sums(measured.valid.astype(np.float32), height, width, n) > n * n - 0.5


def _sums(values: Image, height: int, width: int, n: int) -> Image:
    rows = values[: height * n : n]
    rows = rows.copy()
    for i in range(1, n):
        rows += values[i : height * n : n]
    total = rows[:, : width * n : n].copy()
    for j in range(1, n):
        total += rows[:, j : width * n : n]
    return total


class _Course:
    """A refinement on one grid."""

    def __init__(self, measured: Measured, given: Given, limits: Limits, known: Known, spacing: float | None) -> None:
        self.measured, self.given, self.limits, self.known, self.spacing = measured, given, limits, known, spacing

    def run(self, shape: ColumnShape) -> Fitted:
        """Return the fit that starts at a shape (image pixels)."""
        n = _binning(shape.sigma_px, self.measured.shape)
        data, valid = binned(self.measured, n)
        if valid is not None and not valid.any():
            n, data, valid = 1, self.measured.values, self.measured.valid
        if self.known.shape is None and self.limits.tail and shape.tail_weight == 0:
            wide = replace(shape, tail_sigma=USUAL_TAIL * shape.sigma_px)
        else:
            wide = shape
        scene = Scene(data, valid, n, wide.scaled(1 / n), self._node_distance() / n)
        prior = self._prior(scene, shape, max(float(np.subtract(*np.percentile(data[::3, ::3], [95, 5]))), 1e-6))
        state = State(prior.centre, np.zeros(len(prior.centre)), np.zeros(len(scene.background)), shape.scaled(1 / n))
        state = self._first_intensities(scene, state, prior)
        return self._iterate(scene, state, prior)

    def _node_distance(self) -> float:
        if self.limits.background_px is not None:
            return max(self.limits.background_px, 1.0)
        return 7 * self.spacing if self.spacing is not None else np.inf

    def _limit(self, shape: ColumnShape) -> float:
        """How far a column may leave its given place, in image pixels."""
        if self.limits.limit_px is not None:
            return self.limits.limit_px
        return min(2 * shape.sigma_px, 0.35 * self.spacing if self.spacing is not None else np.inf)

    def _prior(self, scene: Scene, shape: ColumnShape, contrast: float) -> Prior:
        """Return what is known of the given columns, and after them of those beyond the border that nobody can give.

        The latter stand one sigma outside, 2.4 sigma apart, and take up the light of what lies there.
        """
        sigma, n = shape.sigma_px, scene.binning
        ghosts = _frame(self.measured.shape, sigma, 2.4 * sigma)
        place = np.concatenate([self.given.place, ghosts])
        weakest = (1 / (3 * self._limit(shape))) ** 2
        beyond = np.arange(len(place)) >= len(self.given.place)
        precision = np.append(self.given.precision, np.zeros(len(ghosts))) + weakest
        typical = 2 * np.pi * (sigma / n) ** 2 * contrast
        return Prior(
            (place - (n - 1) / 2) / n,
            precision * n**2,
            np.append(self.given.fixed, beyond[beyond]),
            np.where(beyond, 1 / typical**2, 0.0),
            scene.background.roughness() / contrast**2,
        )

    def _first_intensities(self, scene: Scene, state: State, prior: Prior) -> State:
        """Least squares of intensities and background with all places held."""
        held = replace(prior, held=np.ones(len(prior.held), bool))
        drawn = scene.draw(state)
        normal = scene.normal(replace(state, amplitude=np.ones_like(state.amplitude)), drawn, held)
        step, nodes = scene.step(state, drawn, held, normal)
        return replace(state, amplitude=step[:, 0], nodes=nodes)

    def _iterate(self, scene: Scene, state: State, prior: Prior) -> Fitted:
        """Step until nothing moves; then hold the columns that were lost at their given places, and step again."""
        state, drawn, normal = self._converged(scene, state, prior, first=0)
        lost = self._lost(scene, state, prior, normal) & ~prior.held
        if lost.any():
            prior = replace(prior, held=prior.held | lost)
            place = np.where(lost[:, None], prior.centre, state.place)
            state, drawn, normal = self._converged(scene, replace(state, place=place), prior, first=FIRST_TAIL)
        return self._finished(scene, state, prior, drawn, normal)

    def _converged(self, scene: Scene, state: State, prior: Prior, first: int) -> tuple[State, Drawn, Normal]:
        """Step until nothing moves. The normal equations are renewed while they still change (the gradient always)."""
        drawn, damping = scene.draw(state), 0.3 if first == 0 else 0.0
        normal, settled, travelled = None, False, np.inf
        for i in range(first, first + self.limits.iterations):
            noise, ordinary = self._noise(scene, drawn, state)
            state = replace(state, noise=noise)
            drawn = replace(drawn, weight=scene.weight(drawn.expected, noise))
            before = state.shape
            if self.known.shape is None and i > 0 and not settled:
                state, drawn = self._reshaped(scene, state, drawn, ordinary, i)
            if normal is None or travelled > STALE or damping > 0:
                normal, travelled = scene.normal(state, drawn, prior, damping), 0.0
            step, nodes = scene.step(state, drawn, prior, normal)
            moved, change = self._moved(scene, state, prior, normal.information.own, (step, nodes))
            redrawn = scene.draw(moved)
            if scene.misfit(moved, redrawn, drawn.weight, prior) <= 1.0001 * scene.misfit(
                state, drawn, drawn.weight, prior
            ):
                travelled += change + 8 * damping + 10 * _change(before, state.shape)
                state, drawn, damping = moved, redrawn, damping / 8 if damping > 0.1 else 0.0
            else:
                damping, change = max(4 * damping, 0.3), 1.0
            settled = i >= FIRST_TAIL and _change(before, state.shape) < 2e-3
            if settled and change < 0.05:
                break
        if normal is None or travelled > STALE:
            normal = scene.normal(state, drawn, prior)
        return state, drawn, normal

    def _lost(self, scene: Scene, state: State, prior: Prior, normal: Normal) -> NDArray[np.bool_]:
        """Return which columns are too faint to be placed or were stopped at the limit of their place."""
        limit = self._limit(state.shape.scaled(scene.binning)) / scene.binning
        left = np.hypot(*(state.place - prior.centre).T) > 0.99 * limit
        faint = ~(state.amplitude > FAINT / np.sqrt(np.maximum(normal.information.own[:, 0, 0], 1e-30)))
        return np.asarray(left | faint)

    def _reshaped(self, scene: Scene, state: State, drawn: Drawn, ordinary: Image, i: int) -> tuple[State, Drawn]:
        """Return the state with a likelier shape, judged on ordinary pixels; the same state if none is found."""
        trusted = replace(drawn, weight=drawn.weight * ordinary)
        now = float(np.vdot(drawn.residual * trusted.weight, drawn.residual))
        step = scene.shape_step(self._with_tail(state, i), trusted, self._tail(i))
        for length in (1.0, 0.4, 0.15):
            new = step(length)
            redrawn = scene.draw(new)
            if float(np.vdot(redrawn.residual * trusted.weight, redrawn.residual)) < now:
                return new, redrawn
        return state, drawn

    def _finished(self, scene: Scene, state: State, prior: Prior, drawn: Drawn, normal: Normal) -> Fitted:
        noise, ordinary = self._noise(scene, drawn, state)
        drawn = replace(drawn, weight=scene.weight(drawn.expected, noise))
        if self.known.noise is None:
            whitened = drawn.residual * np.sqrt(drawn.weight * ordinary)
            noise = replace(noise, correlation=measure_correlation(whitened, state.shape.sigma_px))
        return Fitted(scene, replace(state, noise=noise), drawn, prior, noise, normal, len(self.given.place))

    def _tail(self, i: int) -> bool:
        return self.limits.tail and i >= FIRST_TAIL

    def _with_tail(self, state: State, i: int) -> State:
        if not self._tail(i) or state.shape.tail_weight > 0:
            return state
        return replace(state, shape=replace(state.shape, tail_sigma=USUAL_TAIL * state.shape.sigma_px))

    def _noise(self, scene: Scene, drawn: Drawn, state: State) -> tuple[NoiseModel, Image]:
        """Return the noise, and ones (H, W) where residuals are ordinary (everywhere if most columns' are not)."""
        parameters = 3 * len(state.amplitude) + len(state.nodes) + 5
        inner = _interior(scene.data.shape, state.shape) > 0
        seen = inner if scene.valid is None else inner & scene.valid
        noise, good = measure_noise(drawn.residual * inner, drawn.expected, seen, parameters * inner.mean())
        known, n = self.known.noise, scene.binning
        if known is not None:
            at_offset = known.gain * self.measured.offset + known.readout_variance
            scale = self.measured.scale
            noise = NoiseModel(known.gain / scale, at_offset * n**2 / scale**2, known.correlation)
        inside = inner.astype(np.float32)
        ordinary = ordinary_pixels(good, scene.data.shape) * inside
        light, left = (float(np.vdot(drawn.columns, each)) for each in (inside, ordinary))
        return noise, ordinary if left > 0.7 * light else inside

    def _moved(
        self, scene: Scene, state: State, prior: Prior, own: Array, step: tuple[Array, Array]
    ) -> tuple[State, float]:
        """Return the state after a step, no column beyond its limit, and the 98 % quantile of moves in sigmas."""
        sigma = state.shape.sigma_px
        move = np.nan_to_num(step[0], posinf=0.0, neginf=0.0)
        move[:, 1:] *= np.minimum(1, 0.6 * sigma / np.maximum(np.hypot(move[:, 1], move[:, 2]), 1e-12))[:, None]
        away = state.place + move[:, 1:] - prior.centre
        limit = self._limit(state.shape.scaled(scene.binning)) / scene.binning
        away *= np.minimum(1, limit / np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-12))[:, None]
        place = np.where(prior.held[:, None], prior.centre, prior.centre + away)
        in_sigmas = np.abs(place - state.place) * np.sqrt(own[:, [1, 2], [1, 2]])
        in_sigmas = in_sigmas[~prior.held]
        change = float(np.quantile(in_sigmas, 0.98)) if in_sigmas.size else 0.0
        amplitude = state.amplitude + move[:, 0]
        return replace(state, place=place, amplitude=amplitude, nodes=state.nodes + step[1]), change


def _frame(shape: tuple[int, int], outside: float, spacing: float) -> Array:
    """Return points (N, 2) px on a rectangle `outside` the image's border, about `spacing` apart."""
    height, width = shape[0] - 1 + 2 * outside, shape[1] - 1 + 2 * outside
    along_y = np.linspace(0, height, max(int(height / spacing), 1) + 1) - outside
    along_x = np.linspace(0, width, max(int(width / spacing), 1) + 1)[1:-1] - outside
    sides = [(along_y, np.full_like(along_y, x)) for x in (-outside, width - outside)]
    ends = [(np.full_like(along_x, y), along_x) for y in (-outside, height - outside)]
    return np.concatenate([np.column_stack(each) for each in sides + ends])


def _interior(shape: tuple[int, int], column: ColumnShape) -> Image:
    """Return ones (H, W) where columns beyond the border, which nobody can give, do not reach; all in small images."""
    out = np.zeros(shape, np.float32)
    strip = int(np.ceil(2.5 * column.sigma_px))
    if 5 * strip > min(shape):
        out[:] = 1
    out[strip : shape[0] - strip, strip : shape[1] - strip] = 1
    return out


def _change(before: ColumnShape, after: ColumnShape) -> float:
    """Return the relative change of a shape."""
    square = after.sigma_px**2
    core = np.abs(before.core - after.core).max() / square
    return float(max(core, abs(before.tail_weight - after.tail_weight)))
