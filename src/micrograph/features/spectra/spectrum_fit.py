"""Peaks on a background fitted to counted spectra by Poisson likelihood, with errors, and the choice among models.

Parameters have broad priors (positions and widths as wide as the spectrum), so that the evidence of a model follows
from its best fit and its curvature (Laplace's approximation; MacKay, doi:10.1162/neco.1992.4.3.415).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Shape = Literal["gaussian", "lorentzian"]
Background = Literal["none", "constant", "line", "power"]

#: Half width at half maximum of a Gaussian of sigma 1.
_HALF_WIDTH = float(np.sqrt(2 * np.log(2)))
_BACKGROUND_SIZE = {"none": 0, "constant": 1, "line": 2, "power": 2}
_TINY, _ROUNDS = 1e-9, 200


@dataclass(frozen=True)
class Peak:
    """Where a peak is looked for: about `place`, `width` wide (full width at half maximum), both in the axis' unit."""

    place: float
    width: float
    shape: Shape = "gaussian"


@dataclass(frozen=True)
class SpectrumFit:
    """A fitted spectrum. For each peak: area in counts, place, width (FWHM), each with 1-sigma (P, 3).

    background: its parameters (counts a channel at the middle, and the slope there in counts a channel over the whole
    range, or the exponent of a power law), with `background_sigma`; covariance of all, peaks first, in that order
    (logarithms of area and width); expected (E,): counts of the fit; deviance: of Poisson, about the degrees of freedom
    where the model is right; bic; log_evidence; settled: whether the fit converged.
    """

    peaks: Array
    sigma: Array
    background: Array
    background_sigma: Array
    covariance: Array
    expected: Array
    deviance: float
    freedom: int
    bic: float
    log_evidence: float
    settled: bool


def fit_spectrum(
    energy: Array, counts: Array, peaks: Sequence[Peak], background: Background = "constant", gain: float = 1.0
) -> SpectrumFit:
    """Return the Poisson maximum-likelihood fit of peaks and a background to counts (E,) at energies (E,), rising.

    gain: what one count reads as. Raises `BadInput` where there are fewer channels than parameters, or no counts.
    """
    from scipy.optimize import least_squares

    energy, seen = np.asarray(energy, float), np.asarray(counts, float) / gain
    model = _Model(energy, tuple(peaks), background)
    _check(energy, seen, model.size)
    start = model.start(seen)

    def misses(free: Array) -> Array:
        return _deviances(model.expected(free), seen)

    found = least_squares(misses, start, bounds=model.bounds(seen), x_scale="jac", max_nfev=_ROUNDS)
    expected = model.expected(found.x)
    slopes = model.slopes(found.x)
    fisher = (slopes / np.maximum(expected, _TINY)) @ slopes.T
    covariance = np.asarray(np.linalg.pinv(fisher, hermitian=True), float)
    deviance = float((_deviances(expected, seen) ** 2).sum())
    return _told(model, found.x, covariance, expected, deviance, gain, bool(found.success))


def choose_model(
    energy: Array,
    counts: Array,
    models: Sequence[tuple[Sequence[Peak], Background]],
    gain: float = 1.0,
    by: Literal["evidence", "bic"] = "evidence",
) -> tuple[int, tuple[SpectrumFit, ...], Array]:
    """Return the number of the likeliest of several models, all fits, and the probabilities (M,) of the models."""
    fits = tuple(fit_spectrum(energy, counts, peaks, background, gain) for peaks, background in models)
    scores = np.array([fit.log_evidence if by == "evidence" else -fit.bic / 2 for fit in fits])
    shares = np.exp(scores - scores.max())
    return int(scores.argmax()), fits, np.asarray(shares / shares.sum())


@dataclass(frozen=True)
class _Model:
    """Peaks and background as a function of free parameters: log area, place, log width of each; then background."""

    energy: Array
    peaks: tuple[Peak, ...]
    background: Background

    @property
    def size(self) -> int:
        return 3 * len(self.peaks) + _BACKGROUND_SIZE[self.background]

    @property
    def step(self) -> float:
        return float(np.median(np.diff(self.energy)))

    def start(self, seen: Array) -> Array:
        """Return where the fit begins: the lower fifth of the counts as background, the rest near each peak as area."""
        low = max(float(np.quantile(seen, 0.2)), 0.1)
        free: list[float] = []
        for peak in self.peaks:
            near = np.abs(self.energy - peak.place) < peak.width
            area = float((seen[near] - low).sum()) if near.any() else 0.0
            free += [np.log(max(area, 1.0)), peak.place, np.log(peak.width)]
        own = {
            "none": [],
            "constant": [low],
            "line": [low, 0.0],
            "power": [np.log(max(float(np.median(seen)), 0.1)), 2.0],
        }
        return np.array(free + own[self.background])

    def bounds(self, seen: Array) -> tuple[Array, Array]:
        """Return the ends of what parameters may be: places within the spectrum, widths from a channel to all of it."""
        total, reach = max(float(seen.sum()), 10.0), float(np.ptp(self.energy))
        low: list[float] = []
        high: list[float] = []
        for peak in self.peaks:
            low += [-9.0, min(peak.place, float(self.energy[0])) - 1e-9, np.log(0.3 * self.step)]
            high += [
                np.log(3 * total),
                max(peak.place, float(self.energy[-1])) + 1e-9,
                np.log(max(reach, 2 * peak.width)),
            ]
        most = 3 * float(seen.max()) + 10
        own = {
            "none": ([], []),
            "constant": ([-_TINY], [most]),
            "line": ([-_TINY, -2 * most], [most, 2 * most]),
            "power": ([-20.0, -2.0], [np.log(most) + 3, 12.0]),
        }
        return np.array(low + own[self.background][0]), np.array(high + own[self.background][1])

    def prior(self, seen_total: float, most: float) -> float:
        """Return the logarithm of the density of the parameters before anything is seen (flat over broad ranges)."""
        reach = float(np.ptp(self.energy))
        each = np.log(np.log(3 * seen_total + 10)) + np.log(reach) + np.log(np.log(max(reach / (0.3 * self.step), 2.0)))
        own = {"none": 0.0, "constant": np.log(most), "line": 2 * np.log(most), "power": np.log(10.0) + np.log(12.0)}
        return float(-len(self.peaks) * each - own[self.background])

    def expected(self, free: Array) -> Array:
        """Return the expected counts (E,), above 0."""
        total = self._ground(free[3 * len(self.peaks) :])
        for number, peak in enumerate(self.peaks):
            area, place, width = free[3 * number : 3 * number + 3]
            total = total + np.exp(area) * self._profile(peak.shape, place, np.exp(width))
        return np.maximum(total, _TINY)

    def slopes(self, free: Array) -> Array:
        """Return the derivatives (parameters, E) of the expected counts, by central differences."""
        found = []
        for number in range(len(free)):
            by = 1e-5 * max(abs(float(free[number])), 1e-2)
            up, down = free.copy(), free.copy()
            up[number] += by
            down[number] -= by
            found.append((self.expected(up) - self.expected(down)) / (2 * by))
        return np.stack(found)

    def _profile(self, shape: Shape, place: float, width: float) -> Array:
        """Return the share of a peak's area in each channel."""
        edges = np.append(self.energy - self.step / 2, self.energy[-1] + self.step / 2) - place
        if shape == "gaussian":
            from scipy.special import ndtr

            return np.asarray(np.diff(ndtr(edges / (width / 2 / _HALF_WIDTH))))
        return np.asarray(np.diff(np.arctan(edges / (width / 2))) / np.pi)

    def _ground(self, own: Array) -> Array:
        middle, reach = float(self.energy.mean()), float(np.ptp(self.energy))
        if self.background == "none":
            return np.zeros_like(self.energy)
        if self.background == "constant":
            return np.full_like(self.energy, own[0])
        if self.background == "line":
            return np.asarray(own[0] + own[1] * (self.energy - middle) / reach)
        return np.asarray(np.exp(own[0] - own[1] * np.log(np.maximum(self.energy, _TINY) / middle)))


def _deviances(expected: Array, seen: Array) -> Array:
    """Return the signed roots of each channel's Poisson deviance."""
    ratio = np.where(seen > 0, seen, 1.0) / expected
    parts = 2 * (expected - seen + np.where(seen > 0, seen * np.log(ratio), 0.0))
    return np.asarray(np.sign(expected - seen) * np.sqrt(np.maximum(parts, 0.0)))


def _check(energy: Array, seen: Array, size: int) -> None:
    if energy.ndim != 1 or energy.shape != seen.shape or len(energy) < 4 or not (np.diff(energy) > 0).all():
        raise BadInput(
            f"The spectrum has energies of shape {energy.shape} and counts of shape {seen.shape}: as many of one as of "
            "the other, at least 4, with rising energies were expected."
        )
    if len(energy) <= size:
        raise BadInput(
            f"The spectrum has {len(energy)} channels for {size} parameters: fit fewer peaks, or more channels."
        )
    if not np.isfinite(seen).all() or not seen.clip(0).sum() > 0:
        raise BadInput("The spectrum holds no counts, or some that are not finite: cut those channels off.")


def _told(
    model: _Model, free: Array, covariance: Array, expected: Array, deviance: float, gain: float, settled: bool
) -> SpectrumFit:
    number = len(model.peaks)
    spread = np.sqrt(np.diag(covariance).clip(0))
    raw, error = free[: 3 * number].reshape(-1, 3), spread[: 3 * number].reshape(-1, 3)
    peaks, sigma = raw.copy(), error.copy()
    for column, scale in ((0, gain), (2, 1.0)):
        peaks[:, column] = scale * np.exp(raw[:, column])
        sigma[:, column] = peaks[:, column] * error[:, column]
    own, own_sigma = free[3 * number :].copy(), spread[3 * number :].copy()
    if model.background == "power":
        own[0], own_sigma[0] = gain * np.exp(own[0]), gain * np.exp(own[0]) * own_sigma[0]
    else:
        own, own_sigma = gain * own, gain * own_sigma
    sign, size = np.linalg.slogdet(covariance) if len(free) else (1.0, 0.0)
    prior = model.prior(float(expected.sum()), 3 * float(expected.max()) + 10)
    volume = 0.5 * (len(free) * np.log(2 * np.pi) + (size if sign > 0 else -50.0 * len(free)))
    return SpectrumFit(
        peaks,
        sigma,
        own,
        own_sigma,
        covariance,
        gain * expected,
        deviance,
        len(expected) - len(free),
        deviance + len(free) * float(np.log(len(expected))),
        -deviance / 2 + prior + float(volume),
        settled,
    )
