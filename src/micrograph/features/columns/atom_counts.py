"""How many atoms a column holds, from its integrated intensity: a comb whose teeth are whole numbers of atoms.

A column of n atoms scatters ``S (o + g(n))`` electrons to an annular detector, ``g(n) = c(n) + b n (n - 1) / 2``: `S`
is what one atom scatters, `o` an offset (a support that the background does not hold), `c` a known curve (n where
nothing is known) and `b` how it bends (channelling). Intensities scatter about the teeth by counting, with a variance
``v0 + v1 mean`` that the fit of the image tells, and by a share `r` of the mean (tilt, thermal motion, the model's own
error), which no dose makes smaller. All of S, o, b, r come from the intensities of the image itself and from priors. A
tooth's share of the columns is the smoothed density of all intensities there times its distance to its neighbours: what
tells combs apart is whether their teeth fit, not how many they are (the place of the integrated classification
likelihood of doi:10.1103/PhysRevB.87.064107). Posteriors of counts take every tooth as equally likely, and are averaged
over all combs that the intensities allow; where S could be another, they are wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Step of the first search over S (logarithm); bends that are tried there; the scatter that is assumed there.
_STEP, _BENDS, _SCATTER = 0.006, (-0.006, 0.0, 0.006), 0.02
#: Combs that are looked at closely, and how far below the best their logarithm of the likelihood may lie.
_MOST_COMBS, _BELOW = 6, 15.0
#: Width (1-sigma) of the smoothed density of intensities, as a share of the highest.
_SMOOTH = 0.1
#: Share of columns that belong to no tooth at all.
_STRAY = 2e-3
#: Priors: 1-sigma of the offset (atoms) and of the bend; the usual scatter and 1-sigma of its logarithm.
_OFFSET, _BEND, _USUAL_SCATTER, _LOG_SCATTER = 0.05, 0.002, 0.012, 0.8


@dataclass(frozen=True)
class CountPriors:
    """What is known beforehand.

    most: atoms in a column at most; per_atom: intensity of one atom in the image's unit, if known, and the relative
    1-sigma error of that; curve: intensity of 1 .. most atoms in units of one atom's (``None``: a straight line);
    bend_sigma: how far that curve may be bent; scatter: known relative scatter (``None``: from the image).
    """

    most: int = 20
    per_atom: float | None = None
    per_atom_sigma: float = 0.05
    curve: Array | None = None
    bend_sigma: float = _BEND
    scatter: float | None = None


@dataclass(frozen=True)
class Comb:
    """One comb: intensity of an atom, offset (atoms), bend, relative scatter."""

    per_atom: float
    offset: float
    bend: float
    scatter: float


@dataclass(frozen=True)
class Counts:
    """Posterior of K columns: ``p`` (K, most + 1), rows sum to 1, of 0 .. most atoms; the likeliest comb.

    per_atom_sigma: 1-sigma of the intensity of one atom; stray (K,): probability that a column fits no whole number.
    """

    p: Array
    comb: Comb
    per_atom_sigma: float
    stray: Array

    @cached_property
    def likeliest(self) -> NDArray[np.intp]:
        """The likeliest number of atoms (K,)."""
        return np.asarray(self.p.argmax(axis=1), np.intp)

    @cached_property
    def score(self) -> Array:
        """Probability of the likeliest number (K,)."""
        return self.p.max(axis=1) if len(self.p) else np.zeros(0)

    @cached_property
    def mean(self) -> Array:
        """Expected number of atoms (K,)."""
        return np.asarray(self.p @ np.arange(self.p.shape[1]))

    @cached_property
    def sigma(self) -> Array:
        """1-sigma of the number of atoms (K,)."""
        return np.asarray(np.sqrt(np.maximum(self.p @ np.arange(self.p.shape[1]) ** 2.0 - self.mean**2, 0.0)))

    def interval(self, level: float = 0.95) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the ends (K,), (K,) of the shortest run of numbers that holds at least `level`."""
        return shortest_runs(self.p, level)


def shortest_runs(p: Array, level: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and last number (K,) of the shortest run that holds `level` of each row of `p` (K, N), likeliest."""
    total = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p, axis=1)], axis=1)
    low, high = np.zeros(len(p), np.intp), np.full(len(p), p.shape[1] - 1, np.intp)
    open_rows = np.ones(len(p), bool)
    for length in range(1, p.shape[1] + 1):
        held = total[:, length:] - total[:, :-length]
        best = held.argmax(axis=1)
        done = open_rows & (held[np.arange(len(p)), best] >= level - 1e-9)
        low[done], high[done] = best[done], best[done] + length - 1
        open_rows &= ~done
    return low, high


def count_atoms(intensity: Array, sigma: Array, priors: CountPriors | None = None) -> Counts:
    """Return the posterior of the numbers of atoms in columns of integrated `intensity` (K,) and 1-sigma `sigma` (K,).

    Any unit; both finite. Without columns the comb is NaN.
    """
    priors = priors or CountPriors()
    if len(intensity) == 0 or not intensity.max() > 0:
        nothing = np.zeros((len(intensity), priors.most + 1))
        nothing[:, :1] = 1.0
        return Counts(nothing, Comb(np.nan, np.nan, np.nan, np.nan), np.nan, np.zeros(len(intensity)))
    seen = _Seen.of(intensity, sigma, priors)
    found = [seen.closely(start) for start in seen.starts()]
    evidence = np.array([one.evidence for one in found])
    shares = np.exp(evidence - evidence.max())
    shares /= shares.sum()
    p, stray, moments = np.zeros((len(intensity), priors.most + 1)), np.zeros(len(intensity)), np.zeros(2)
    for one, share in zip(found, shares, strict=True):
        for node, weight in one.nodes():
            own = np.exp(seen.terms(node, flat=True))
            own_stray = seen.stray_density / (own.sum(axis=1) + seen.stray_density)
            p += share * weight * own / np.maximum(own.sum(axis=1, keepdims=True), 1e-300)
            stray += share * weight * own_stray
            moments += share * weight * np.array([np.exp(node[0]), np.exp(2 * node[0])])
    best = found[int(evidence.argmax())].best
    comb = Comb(float(np.exp(best[0])), float(best[2]), float(best[1]), float(np.exp(best[3])))
    spread = float(np.sqrt(max(moments[1] - moments[0] ** 2, 0.0)))
    return Counts(p / p.sum(axis=1, keepdims=True), comb, spread, stray)


@dataclass(frozen=True)
class _Found:
    """A comb that was looked at closely: its parameters, their spread, its evidence, and weights around it."""

    best: Array
    axes: Array
    evidence: float
    weights: tuple[tuple[Array, float], ...] = field(repr=False)

    def nodes(self) -> Iterator[tuple[Array, float]]:
        """Yield parameters and weights that stand for the posterior around the comb."""
        yield from self.weights


@dataclass(frozen=True)
class _Seen:
    """Intensities (K,) with ``variance = v0 + v1 mean``; parameters are (log S, bend, offset, log scatter)."""

    intensity: Array
    v0: float
    v1: float
    priors: CountPriors

    @classmethod
    def of(cls, intensity: Array, sigma: Array, priors: CountPriors) -> _Seen:
        """Return the intensities with the line through their variances."""
        variance, bright = sigma**2, np.maximum(intensity, 0.0)
        design = np.stack([np.ones_like(bright), bright], axis=1) / variance[:, None]
        (v0, v1), *_ = np.linalg.lstsq(design, np.ones_like(bright), rcond=None)
        if v0 < 0 or len(intensity) < 4:
            v0, v1 = 0.02 * float(np.median(variance)), float(np.sum(bright) / np.sum(bright**2 / variance))
        if v1 < 0:
            v0, v1 = float(np.median(variance)), 0.0
        return cls(intensity, float(v0), float(v1), priors)

    @cached_property
    def stray_density(self) -> float:
        """Density of intensities that belong to no tooth."""
        return _STRAY / (1.2 * float(self.intensity.max()))

    @cached_property
    def _numbers(self) -> Array:
        return np.arange(self.priors.most + 1.0)

    @cached_property
    def _curve(self) -> Array:
        curve = self.priors.curve
        return self._numbers if curve is None else np.concatenate([[0.0], np.asarray(curve, float)])

    def means(self, parameters: Array) -> Array:
        """Return the mean intensity (most + 1,) of every number of atoms."""
        log_s, bend, offset, _ = parameters
        n = self._numbers
        return np.asarray(np.exp(log_s) * (offset + self._curve + bend * n * (n - 1) / 2))

    @cached_property
    def _density(self) -> tuple[Array, Array]:
        """Return intensities and the smoothed density of the columns there."""
        high = float(self.intensity.max())
        place = np.linspace(0.0, 1.3 * high, 131)
        apart = (place[:, None] - np.maximum(self.intensity, 0.0)) / (_SMOOTH * high)
        return place, np.exp(-0.5 * apart**2).mean(axis=1) + 0.05

    def terms(self, parameters: Array, *, flat: bool = False) -> Array:
        """Return (K, most + 1): logarithm of share and density of each tooth for each column; `flat`: equal shares."""
        mean = self.means(parameters)
        rising = np.concatenate([[True], np.diff(mean) > 0]).cumprod().astype(bool)
        teeth = rising & (
            np.concatenate([[0.0], mean[:-1]])
            <= float(self.intensity.max()) + 3 * np.sqrt(self.v1 * np.maximum(mean, 0.0))
        )
        last = int(teeth.sum())
        mean = mean[:last]
        variance = self.v0 + self.v1 * np.maximum(mean, 0.0) + (np.exp(parameters[3]) * mean) ** 2
        share = np.ones(last) if flat else np.gradient(mean) * np.interp(mean, *self._density)
        constant = np.log(share / share.sum()) - 0.5 * np.log(2 * np.pi * variance)
        full = np.full((len(self.intensity), self.priors.most + 1), -np.inf)
        full[:, :last] = constant - 0.5 * (self.intensity[:, None] - mean) ** 2 / variance
        return full

    def log_likelihood(self, parameters: Array) -> float:
        """Return the logarithm of the likelihood of all intensities."""
        density = np.exp(np.maximum(self.terms(parameters), -700.0)).sum(axis=1)
        return float(np.log(density + self.stray_density).sum())

    def log_prior(self, parameters: Array) -> float:
        """Return the logarithm of the prior of a comb, up to a constant."""
        log_s, bend, offset, log_r = parameters
        known = self.priors
        total = -0.5 * ((bend / known.bend_sigma) ** 2 + (offset / _OFFSET) ** 2)
        usual, width = (_USUAL_SCATTER, _LOG_SCATTER) if known.scatter is None else (known.scatter, 0.05)
        total -= 0.5 * ((log_r - np.log(max(usual, 1e-4))) / width) ** 2
        if known.per_atom is not None:
            total -= 0.5 * ((log_s - np.log(known.per_atom)) / known.per_atom_sigma) ** 2
        return float(total)

    def starts(self) -> list[Array]:
        """Return the likeliest combs of a search over S and bends, the best first."""
        most, high = self.priors.most, float(self.intensity.max())
        low = np.log(high / most) - 0.1
        grid = np.arange(low, np.log(high) + _STEP, _STEP)
        if self.priors.per_atom is not None:
            reach = max(4 * self.priors.per_atom_sigma, 2 * _STEP)
            grid = np.log(self.priors.per_atom) + np.arange(-reach, reach + _STEP, _STEP)
        scatter = np.log(_SCATTER if self.priors.scatter is None else max(self.priors.scatter, 1e-3))
        rows = [np.array([log_s, bend, 0.0, scatter]) for bend in _BENDS for log_s in grid]
        score = np.array([self.log_likelihood(row) + self.log_prior(row) for row in rows]).reshape(len(_BENDS), -1)
        padded = np.pad(score, 1, constant_values=-np.inf)
        peak = (score >= padded[1:-1, :-2]) & (score >= padded[1:-1, 2:])
        peak &= (score >= padded[:-2, 1:-1]) & (score >= padded[2:, 1:-1])
        chosen = np.flatnonzero(peak.ravel() & (score.ravel() > score.max() - _BELOW))
        order = chosen[np.argsort(-score.ravel()[chosen])][:_MOST_COMBS]
        return [rows[i] for i in order]

    def closely(self, start: Array) -> _Found:
        """Return the best comb near `start`, with its spread (Laplace) and nodes of Gauss and Hermite around it."""
        from scipy.optimize import minimize

        scale = np.array([0.003, 0.003, 0.03, 0.3])

        def cost(step: Array) -> float:
            moved = start + scale * step
            return -self.log_likelihood(moved) - self.log_prior(moved)

        simplex = np.concatenate([np.zeros((1, 4)), np.eye(4)])
        found = minimize(
            cost,
            np.zeros(4),
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxiter": 160, "xatol": 0.02, "fatol": 0.01},
        )
        best, value = np.asarray(found.x, float), float(found.fun)
        curvature = _hessian(cost, best, value)
        eigenvalues, vectors = np.linalg.eigh(curvature)
        width = 1 / np.sqrt(np.clip(eigenvalues, 0.05, None))
        evidence = -value + float(np.log(width * np.sqrt(2 * np.pi)).sum())
        nodes, weights = np.polynomial.hermite_e.hermegauss(3)
        places = np.stack(np.meshgrid(*[nodes] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
        share = np.prod(np.stack(np.meshgrid(*[weights / weights.sum()] * 4, indexing="ij"), -1), axis=-1).ravel()
        steps = best + (places * width) @ vectors.T
        log_true = np.array([-cost(step) for step in steps])
        log_gauss = -value - 0.5 * (places**2).sum(axis=1)
        share = share * np.exp(np.clip(log_true - log_gauss, -8.0, 2.0))
        kept = share > 1e-4 * share.max()
        share = share[kept] / share[kept].sum()
        pairs = tuple((start + scale * step, float(each)) for step, each in zip(steps[kept], share, strict=True))
        return _Found(start + scale * best, vectors * width, evidence, pairs)


def _hessian(cost, at: Array, value: float, step: float = 0.3) -> Array:  # type: ignore[no-untyped-def]
    """Return the matrix (n, n) of second derivatives by differences."""
    size = len(at)
    eye = step * np.eye(size)
    single = [(cost(at + eye[i]), cost(at - eye[i])) for i in range(size)]
    matrix = np.diag([(ahead - 2 * value + behind) / step**2 for ahead, behind in single])
    for i in range(size):
        for j in range(i):
            mixed = cost(at + eye[i] + eye[j]) - single[i][0] - single[j][0] + value
            back = cost(at - eye[i] - eye[j]) - single[i][1] - single[j][1] + value
            matrix[i, j] = matrix[j, i] = (mixed + back) / (2 * step**2)
    return np.asarray(matrix)
