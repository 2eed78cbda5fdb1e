"""What sits on a site: class by the likelihood of its integrated intensity.

Every site k of one sublattice has a fitted intensity A_k with a 1-sigma. Under class c the intensity is
``N(r_c S, s_c^2 + (t r_c S)^2 + (u_c S)^2)``: `S` is the host's intensity in this very image, `r_c` the class's
intensity relative to the host, `s_c` the counting error at that intensity, `t` the host's excess scatter (thermal,
tilt, model error), `u_c` how well `r_c` itself is known. `S`, `t` and the class fractions are found from the image by
expectation maximisation, so the posterior carries the sample's own prior and not that of a training set
(doi:10.1002/advs.202101099 for the problem, doi:10.1016/j.ultramic.2012.07.018 for mixture models of intensities).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Fewest sites whose scatter says more than the errors of their fits.
LEAST_FOR_SCATTER = 12


@dataclass(frozen=True)
class Species:
    """A class that a site may hold: `ratio` = intensity relative to the host (host: 1), `ratio_sigma` its 1-sigma."""

    label: str
    ratio: float
    ratio_sigma: float = 0.0


@dataclass(frozen=True)
class Classification:
    """Posterior of each site: ``p`` (K, C) rows sum to 1; ``index`` (K,) the likeliest class; ``typical`` (K,) bool."""

    labels: tuple[str, ...]
    p: Array
    index: NDArray[np.intp]
    host_intensity: float
    host_scatter: float
    fractions: Array
    typical: NDArray[np.bool_]

    @property
    def label(self) -> NDArray[np.str_]:
        """Most probable class of each site."""
        return np.asarray(self.labels, dtype=np.str_)[self.index]

    @property
    def score(self) -> Array:
        """Posterior probability of the class given in `label`."""
        return self.p[np.arange(len(self.index)), self.index]


@dataclass(frozen=True)
class _Population:
    """Means and variances of all classes over one sublattice."""

    ratio: Array
    ratio_sigma: Array
    offset_variance: float
    slope: float

    def log_likelihood(self, amplitude: Array, host: float, scatter: float) -> Array:
        """Return (K, C) log densities of `amplitude` (K,) under every class."""
        mean = self.ratio * host
        variance = (
            np.maximum(self.offset_variance + self.slope * mean, 1e-30)
            + (scatter * mean) ** 2
            + (self.ratio_sigma * host) ** 2
        )
        residual = amplitude[:, None] - mean
        return np.asarray(-0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)))


def classify(
    amplitude: Array,
    sigma: Array,
    species: Sequence[Species],
    *,
    learned: Classification | None = None,
    pseudo_count: float = 0.1,
) -> Classification:
    """Return the posterior class of every site of one sublattice; ``species[0]`` is the host.

    amplitude, sigma: (K,) integrated intensities and their 1-sigma, any unit, finite. Works from one site on (then
    the site is the host). A site that lies more than four sigma from every class is not `typical`. `learned` gives the
    host's intensity, its scatter and the fractions, from sites that are fit to learn from; else they come from these.
    """
    ratio = np.array([s.ratio for s in species])
    count = len(amplitude)
    if count == 0:
        empty = np.zeros((0, len(species)))
        none = np.zeros(0, dtype=bool)
        return Classification(
            tuple(s.label for s in species), empty, np.zeros(0, np.intp), np.nan, np.nan, np.zeros(len(species)), none
        )
    offset, slope = _noise_line(amplitude, sigma)
    population = _Population(ratio, np.array([s.ratio_sigma for s in species]), offset, slope)
    if learned is None:
        host, scatter, fractions = _expectation_maximisation(amplitude, population, pseudo_count)
    else:
        host, scatter, fractions = learned.host_intensity, learned.host_scatter, learned.fractions
    log_p = population.log_likelihood(amplitude, host, scatter) + np.log(fractions)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return Classification(
        labels=tuple(s.label for s in species),
        p=p,
        index=p.argmax(axis=1),
        host_intensity=host,
        host_scatter=scatter,
        fractions=fractions,
        typical=_typical(amplitude, population, host, scatter),
    )


def _noise_line(amplitude: Array, sigma: Array) -> tuple[float, float]:
    """Return (offset, slope) of ``variance = offset + slope * amplitude``: the error of a site at another intensity.

    At the usual intensity the variance is the fit's own, but no larger than the sites' scatter (fits that share one
    uncertain scale claim more). At zero it is that of the faint sites where their fit is sane, at least a twentieth.
    """
    mean = float(np.median(amplitude))
    scatter = (1.4826 * float(np.median(np.abs(amplitude - mean)))) ** 2
    usual = float(np.median(sigma**2))
    usual = min(usual, scatter) if scatter > 0 and len(amplitude) >= LEAST_FOR_SCATTER else usual
    faint = sigma[(amplitude < 0.4 * mean) & (sigma**2 < 0.5 * usual)] ** 2
    offset = max(float(np.median(faint)) if len(faint) else 0.1 * usual, 0.05 * usual)
    return offset, max(usual - offset, 0.0) / mean if mean > 0 else 0.0


def _expectation_maximisation(
    amplitude: Array, population: _Population, pseudo_count: float
) -> tuple[float, float, Array]:
    """Return host intensity, host excess scatter (relative) and class fractions (C,)."""
    host = _first_host(amplitude, population)
    classes = len(population.ratio)
    fractions = np.full(classes, 0.02)
    fractions[0] = 1.0
    fractions /= fractions.sum()
    scatter = 0.03
    for _ in range(40):
        log_p = population.log_likelihood(amplitude, host, scatter) + np.log(fractions)
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        new = (p.sum(axis=0) + pseudo_count) / (len(amplitude) + classes * pseudo_count)
        members = p[:, 0]
        weight = members.sum()
        if weight > 0.5:
            host = _robust_mean(amplitude, members, host)
            excess = _robust_mean((amplitude - host) ** 2, members, None) - (
                population.offset_variance + population.slope * host
            )
            scatter = float(np.sqrt(np.clip(excess, 0.0, (0.12 * host) ** 2)) / max(host, 1e-30))
        if np.abs(new - fractions).max() < 1e-6:
            break
        fractions = new
    return host, scatter, fractions


def _robust_mean(values: Array, weights: Array, about: float | None) -> float:
    """Weighted mean; with `about`, values further than three weighted deviations from it count no more."""
    if about is not None:
        spread = np.sqrt(np.average((values - about) ** 2, weights=weights))
        weights = weights * (np.abs(values - about) <= 3 * spread + 1e-30)
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float(about or 0.0)


def _first_host(amplitude: Array, population: _Population) -> float:
    """Host intensity of highest likelihood over a grid of quantiles, the host being the commonest class."""
    candidates = np.quantile(amplitude, np.linspace(0.2, 0.9, 15))
    candidates = candidates[candidates > 0]
    if len(candidates) == 0:
        return float(max(np.max(amplitude), 1e-12))
    weights = np.full(len(population.ratio), 0.02)
    weights[0] = 1.0
    scores = []
    for host in candidates:
        log_p = population.log_likelihood(amplitude, float(host), 0.05) + np.log(weights)
        top = np.maximum(log_p.max(axis=1), log_p.max() - 40.0)
        scores.append(float(top.sum()))
    return float(candidates[int(np.argmax(scores))])


def _typical(amplitude: Array, population: _Population, host: float, scatter: float) -> NDArray[np.bool_]:
    """Return whether each site lies within four sigma of at least one class."""
    mean = population.ratio * host
    variance = population.offset_variance + population.slope * mean + (scatter * mean) ** 2
    variance = variance + (population.ratio_sigma * host) ** 2
    distance = np.abs(amplitude[:, None] - mean) / np.sqrt(np.maximum(variance, 1e-30))
    return np.asarray(distance.min(axis=1) <= 4.0)
