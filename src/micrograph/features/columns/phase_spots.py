"""Equal thin atoms in phase contrast: the lens's transfer and all places from the image, with the full information.

**Model.** One kind of light atom at ``r_k`` gives the image ``I(p) = b(p) + s sum_k h(p - r_k)``. The spectrum of ``h``
is ``sin(chi) f E``: the atom's amplitude ``f``, the aberrations ``chi`` (defocus, two-fold astigmatism, given Cs), the
damping ``E`` of focal spread and vibration. Its few numbers follow from the image itself, or the defocus is given.
Unlike Gaussian spots it has the rings of phase contrast, so that neighbours and farther atoms are accounted for.

**Estimate.** Least squares (electrons are counted on a nearly even ground): the lens by a search over the defocus and
the simplex, then all places jointly by conjugate gradients, the model drawn with Fourier transforms (`shape.Canvas`).

**Errors.** Of each atom, its block of the inverse information of itself and its nearest neighbours, times the spectral
density of the residuals where the spot has its slopes: cameras' noise is not white.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.shape import Canvas

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

#: Frequencies (1/nm) that count: below lies the background, above the lens passes nothing.
_LOW, _HIGH = 1.5, 11.0
#: The defocus is sought up to here (nm), in steps of.
_REACH_NM, _STEP_NM = 30.0, 0.5
#: Focal spreads (nm) from which the search begins.
_SPREADS_NM = (2.5, 4.0)
#: Neighbours whose places count as unknown in the errors of an atom.
_NEIGHBOURS = 50
#: Errors are computed at so many atoms; others have those of the nearest of them.
_EXAMPLES = 160
#: Within this border (nm) atoms beyond it are missed.
_BORDER_NM = 0.25
#: 1-sigma of the given places (nm): what the image hardly shows, as under a film, stays there.
_PRIOR_NM = 0.04
#: Beyond this frequency (1/nm) there is noise alone.
_NOISE = 9.5
#: Pixels around a column on which spots are drawn (nm), and how often all places are improved.
_MARGIN_NM, _ROUNDS, _STEPS = 1.2, 3, 8


@dataclass(frozen=True)
class ThinLens:
    """A lens as far as images of thin atoms tell it: nm; `astigmatism_nm` as (cos, sin) of twice its azimuth."""

    defocus_nm: float
    astigmatism_nm: tuple[float, float] = (0.0, 0.0)
    focal_spread_nm: float = 3.0
    cs_mm: float = 0.0


@dataclass(frozen=True)
class Atoms:
    """The kind of atom: electrons' wavelength (nm), and amplitude (nm^2) at frequencies (1/nm)."""

    wavelength_nm: float
    amplitude_nm2: Callable[[Array], Array]


@dataclass(frozen=True)
class PhaseFit:
    """Places (K,) px with covariance (K, 2, 2) px^2, the lens, the strength `scale` of the spots, and `explained`.

    `explained` is the share of the image's variance between the frequencies that count which the model draws; `ok` (K,)
    is false where a place left its surroundings.
    """

    y_px: Array
    x_px: Array
    covariance_px2: Array
    ok: NDArray[np.bool_]
    lens: ThinLens
    scale: float
    explained: float


def fit_phase_spots(
    image: Image, y_px: Array, x_px: Array, pixel_nm: float, atoms: Atoms, lens: ThinLens | None = None
) -> PhaseFit | None:
    """Return the joint fit of equal atoms near the given places, or ``None`` where fewer than eight are given.

    lens: what is known of it (its defocus and Cs are kept); without one the defocus is sought on both sides of focus.
    """
    if len(y_px) < 8:
        return None
    fit = _Fit.of(image, pixel_nm, atoms)
    place = np.column_stack([y_px, x_px])
    found = fit.sought(place) if lens is None else fit.improved(place, lens, defocus=False)
    start = place
    for number in range(_ROUNDS):
        place = fit.moved(place, found, start)
        if number < _ROUNDS - 1:
            found = fit.improved(place, found, defocus=lens is None)
    return fit.finished(place, found, start)


class _Fit:
    """One image, prepared: its spectrum on the canvas, the frequencies that count, and the even part of the model."""

    def __init__(self, data: Image, pixel_nm: float, atoms: Atoms) -> None:
        self.data, self.pixel_nm = data, pixel_nm
        self.canvas = Canvas((data.shape[0], data.shape[1]), margin=int(np.ceil(_MARGIN_NM / pixel_nm)))
        ky, kx = (np.asarray(k, float) / (2 * np.pi * pixel_nm) for k in self.canvas.frequencies)
        square = ky**2 + kx**2
        k = np.sqrt(square)
        self.counts = (k > _LOW) & (k < min(_HIGH, 0.5 / pixel_nm))
        self.spline = self.canvas.gaussian(0.0, 0.0)
        turn = np.pi * atoms.wavelength_nm
        self.turn = turn * square[self.counts]
        self.sphere = 0.5 * turn * atoms.wavelength_nm**2 * 1e6 * square[self.counts] ** 2
        self.cos = turn * np.broadcast_to(kx**2 - ky**2, k.shape)[self.counts]
        self.sin = turn * np.broadcast_to(2 * kx * ky, k.shape)[self.counts]
        self.amplitude = atoms.amplitude_nm2(k[self.counts]) / pixel_nm**2
        self.spectrum = self.canvas.spectrum(data)
        whole = np.full(k.shape, 2.0)
        whole[:, 0] = 1.0
        self.weight = whole[self.counts]

    @classmethod
    def of(cls, image: Image, pixel_nm: float, atoms: Atoms) -> _Fit:
        """Return the fit of an image over its mean, without its background."""
        from scipy.ndimage import gaussian_filter

        finite = np.isfinite(image)
        level = float(image[finite].mean()) if finite.any() else 1.0
        data = np.where(finite, image, level) / (level or 1.0)
        data = data - gaussian_filter(data, 0.3 / pixel_nm, mode="reflect")
        return cls(np.asarray(data, np.float32), pixel_nm, atoms)

    def spot(self, lens: ThinLens) -> Array:
        """Return the spectrum of one atom's spot at the frequencies that count."""
        chi = -lens.defocus_nm * self.turn + lens.cs_mm * self.sphere
        chi = chi + lens.astigmatism_nm[0] * self.cos + lens.astigmatism_nm[1] * self.sin
        return np.asarray(2 * self.amplitude * np.sin(chi) * np.exp(-0.5 * (lens.focal_spread_nm * self.turn) ** 2))

    def points(self, place: Array) -> NDArray[np.complexfloating]:
        """Return the spectrum of points of weight one at `place` (K, 2), at the frequencies that count."""
        spread = self.canvas.spread(self.canvas.touch(place[:, 0], place[:, 1]), np.ones(len(place)))
        return np.asarray((spread * self.spline)[self.counts])

    def agreement(self, lens: ThinLens, cross: Array, power: Array) -> tuple[float, float]:
        """Return how much of the image a lens explains (in its units of power) and the strength of the spots."""
        spot = self.spot(lens)
        along, own = float(spot @ cross), float(spot**2 @ power)
        scale = max(along, 0.0) / (own + 1e-30)
        return scale * along, scale

    def sums(self, place: Array) -> tuple[Array, Array]:
        """Return what decides the lens for points at `place`: cross spectrum with the image, and own power."""
        points = self.points(place)
        return self.weight * (points.conj() * self.spectrum[self.counts]).real, self.weight * np.abs(points) ** 2

    def sought(self, place: Array) -> ThinLens:
        """Return the lens that explains the image best, from anywhere."""
        cross, power = self.sums(place)
        tried = [
            ThinLens(float(defocus), focal_spread_nm=spread)
            for defocus in np.arange(-_REACH_NM, _REACH_NM + _STEP_NM, _STEP_NM)
            for spread in _SPREADS_NM
        ]
        gains = np.array([self.agreement(lens, cross, power)[0] for lens in tried])
        best = [tried[int(number)] for number in np.argsort(-gains)[:2]]
        return max(
            (self._polished(lens, cross, power, defocus=True) for lens in best),
            key=lambda lens: self.agreement(lens, cross, power)[0],
        )

    def improved(self, place: Array, lens: ThinLens, *, defocus: bool) -> ThinLens:
        """Return the lens that explains the image best near a known one."""
        return self._polished(lens, *self.sums(place), defocus=defocus)

    def _polished(self, lens: ThinLens, cross: Array, power: Array, *, defocus: bool) -> ThinLens:
        from scipy.optimize import minimize

        def of(values: Array) -> ThinLens:
            astigmatism, spread = (float(values[0]), float(values[1])), float(np.clip(abs(values[2]), 0.5, 12.0))
            changed = replace(lens, astigmatism_nm=astigmatism, focal_spread_nm=spread)
            if not defocus:
                return changed
            return replace(changed, defocus_nm=float(values[3]))

        def cost(values: Array) -> float:
            return -self.agreement(of(values), cross, power)[0]

        values = [*lens.astigmatism_nm, lens.focal_spread_nm, lens.defocus_nm]
        start = np.array(values[: 4 if defocus else 3], np.float64)
        simplex = np.vstack([start, start + np.diag([1.0, 1.0, 0.7, 1.0][: len(start)])])
        options: Any = {"initial_simplex": simplex, "maxfev": 120, "xatol": 0.02, "fatol": 1e-7}
        return of(np.asarray(minimize(cost, start, method="Nelder-Mead", options=options).x))

    def transfer(self, spot: Array, scale: float) -> Image:
        """Return a spot's spectrum on the whole canvas, splines undone."""
        full = np.zeros(self.counts.shape, np.float32)
        full[self.counts] = scale * spot
        return full * self.spline

    def moved(self, place: Array, lens: ThinLens, start: Array) -> Array:
        """Return the places after one joint step of Gauss and Newton, none farther than 60 pm from its start."""
        transfer = self.transfer(self.spot(lens), self.agreement(lens, *self.sums(place))[1])
        touch = self.canvas.touch(place[:, 0], place[:, 1])
        residual = self.residual(place, transfer)
        ky, kx = (1j * k for k in self.canvas.frequencies)

        def felt(image: Image) -> Array:
            return self.canvas.read(self.canvas.feel(image, transfer), touch)[:, 1:]

        def normal(step: Array) -> Array:
            both = -ky * self.canvas.spread(touch, step[:, 0]) - kx * self.canvas.spread(touch, step[:, 1])
            return felt(self.canvas.draw(both.astype(np.complex64), transfer)) + ridge * step

        ridge = self.density(residual * self.inner(), transfer) / (_PRIOR_NM / self.pixel_nm) ** 2
        step = _conjugate_gradients(normal, felt(residual) - ridge * (place - start))
        limit = 0.06 / self.pixel_nm
        away = place + step - start
        away *= np.minimum(1, limit / np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-9))[:, None]
        return np.asarray(start + away)

    def residual(self, place: Array, transfer: Image) -> Image:
        """Return the image less the model."""
        touch = self.canvas.touch(place[:, 0], place[:, 1])
        drawn = self.canvas.draw(self.canvas.spread(touch, np.ones(len(place))), transfer)
        return np.asarray(self.band(self.data) - drawn, np.float32)

    def inner(self) -> Image:
        """Return ones (H, W) where atoms beyond the border, which nobody gave, matter little."""
        border = min(int(_BORDER_NM / self.pixel_nm), min(self.data.shape) // 4)
        inside = np.zeros(self.data.shape, np.float32)
        inside[border : self.data.shape[0] - border, border : self.data.shape[1] - border] = 1
        return inside

    def band(self, image: Image) -> Image:
        """Return an image (H, W) with the frequencies that count alone."""
        import scipy.fft

        spectrum = self.canvas.spectrum(image) * self.counts
        return np.asarray(
            scipy.fft.irfft2(spectrum, s=self.canvas.size)[: image.shape[0], : image.shape[1]], np.float32
        )

    def finished(self, place: Array, lens: ThinLens, start: Array) -> PhaseFit:
        """Return the fit with its errors."""
        scale = self.agreement(lens, *self.sums(place))[1]
        transfer = self.transfer(self.spot(lens), scale)
        inner = self.inner()
        residual = self.residual(place, transfer) * inner
        shown = self.band(self.data) * inner
        left, whole = float((residual**2).mean(dtype=float)), float((shown**2).mean(dtype=float))
        density = self.density(residual, transfer)
        known = density / (_PRIOR_NM / self.pixel_nm) ** 2
        covariance = density * self.inverse_information(place, transfer, known)
        ok = np.hypot(*(place - start).T) < 0.99 * 0.06 / self.pixel_nm
        return PhaseFit(
            place[:, 0], place[:, 1], covariance, np.asarray(ok & (scale > 0)), lens, scale, 1 - left / (whole + 1e-30)
        )

    def density(self, residual: Image, transfer: Image) -> float:
        """Return the variance a pixel of white noise would have that is as strong where the spot has its slopes.

        The larger of what the model leaves there, of which the fit took its share, and the noise beyond the lens's
        frequencies, continued to there as a Gaussian in frequency.
        """
        ky, kx = self.canvas.frequencies
        square = (ky**2 + kx**2) / (2 * np.pi * self.pixel_nm) ** 2
        seen = max(np.count_nonzero(self.inner()), 1)
        weight = (transfer / self.spline) ** 2 * square
        total = weight.sum(dtype=float) + 1e-30
        left = float((np.abs(self.canvas.spectrum(residual)) ** 2 * weight).sum(dtype=float) / total / seen)
        power = np.abs(self.canvas.spectrum(self.data * self.inner())) ** 2 / seen
        middle = float((square * weight).sum(dtype=float) / total)
        return max(left, _continued(square, power, (0.45 / self.pixel_nm) ** 2, middle))

    def inverse_information(self, place: Array, transfer: Image, known: float) -> Array:
        """Return (K, 2, 2): each atom's block of the inverse information of it and its nearest neighbours.

        known: information that the given places hold.
        """
        import scipy.fft
        from scipy.ndimage import map_coordinates
        from scipy.spatial import cKDTree

        count = min(_NEIGHBOURS + 1, len(place))
        chosen = np.arange(0, len(place), -(-len(place) // _EXAMPLES))
        near = np.asarray(cKDTree(place).query(place[chosen], k=count)[1], np.intp)
        apart = (place[near][:, :, None] - place[near][:, None, :]).reshape(-1, 2)
        ky, kx = self.canvas.frequencies
        square = ((transfer / self.spline) ** 2).astype(np.float32)
        blocks = np.empty((len(chosen), count, count, 2, 2))
        for a, b, product in ((0, 0, ky * ky), (0, 1, ky * kx), (1, 1, kx * kx)):
            table = scipy.fft.irfft2(square * product, s=self.canvas.size)
            lags = np.mod(apart, self.canvas.size)
            values = map_coordinates(table, lags.T, order=3, mode="grid-wrap").reshape(len(chosen), count, count)
            blocks[..., a, b] = blocks[..., b, a] = values
        matrix = blocks.transpose(0, 1, 3, 2, 4).reshape(len(chosen), 2 * count, 2 * count)
        nearest = np.asarray(cKDTree(place[chosen]).query(place)[1], np.intp)
        return np.asarray(np.linalg.inv(matrix + known * np.eye(2 * count))[nearest, :2, :2])


def _conjugate_gradients(normal: Callable[[Array], Array], right: Array) -> Array:
    """Return the solution (K, 2) of ``normal(step) = right`` after a few steps."""
    step, residual = np.zeros_like(right), right.copy()
    direction, square = residual.copy(), float((residual**2).sum())
    for _ in range(_STEPS):
        if square <= 1e-20:
            break
        forward = normal(direction)
        length = square / max(float((direction * forward).sum()), 1e-30)
        step += length * direction
        residual -= length * forward
        fresh = float((residual**2).sum())
        direction, square = residual + fresh / square * direction, fresh
    return step


def _continued(square: Image, power: Image, high: float, at: float) -> float:
    """Return the power at a squared frequency from that between `_NOISE` and `high`; 0 where that is too little."""
    rings = np.linspace(_NOISE**2, high, 9)
    if rings[-1] < 1.2 * rings[0]:
        return 0.0
    which = np.digitize(square, rings) - 1
    inside = (which >= 0) & (which < len(rings) - 1)
    count = np.bincount(which[inside], minlength=len(rings) - 1)
    mean = np.bincount(which[inside], power[inside], len(rings) - 1) / np.maximum(count, 1)
    if count.min() < 10 or mean.min() <= 0:
        return 0.0
    slope, begin = np.polyfit((rings[1:] + rings[:-1]) / 2, np.log(mean), 1)
    return float(np.exp(begin + min(slope, 0.0) * at))
