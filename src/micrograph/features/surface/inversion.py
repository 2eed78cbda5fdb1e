"""Interactions of a random field from one configuration of it, seen with errors: Monte Carlo maximum likelihood.

The likelihood of labels y under parameters theta is Z(theta | y) / Z(theta): the partition function with the evidence
of the labels over that without. Its gradient is the mean of the statistics S with the evidence less the mean without,
its curvature the difference of the covariances (missing information, Geyer and Thompson,
doi:10.1111/j.2517-6161.1992.tb01443.x). Both come from Monte Carlo at the same parameters; labelling errors, sites
that nobody saw and surroundings outside the image are part of the model, so that none of them biases the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.structures.pair_field import Chains, PairField, PairTerm

Array = NDArray[np.float64]

#: Likelihood ratio of a 95 % interval of one parameter: chi-square of one degree of freedom.
_RATIO_95 = 3.841
#: Largest step of a parameter in one round, and the share of the full information that is kept where less is seen.
_LARGEST, _LEAST_SHARE = 0.15, 0.1
#: Rounds at the end that are three times as long and trust what is missing more.
_LATE = 3


@dataclass(frozen=True)
class FitSettings:
    """Effort: replicas side by side; rounds of `sweeps` each to find the maximum; `last` sweeps to measure it."""

    replicas: int = 32
    rounds: int = 7
    sweeps: int = 12
    last: int = 120
    every: int = 3


@dataclass(frozen=True)
class FieldFit:
    """Parameters (K,) at the maximum with their covariance (K, K), Monte Carlo errors included.

    low, high (K,): ends of the 95 % profile intervals; mean, spread: of S without evidence, at the maximum; posterior
    (N, q): probability of every state of each site, given all labels; complete (K, K): covariance of S without
    evidence: Fisher's information if every site were seen without errors; states (N, R): configurations without
    evidence, told (N, R): with it; share (K,): of the information of labels without errors that these labels hold.
    """

    theta: Array
    covariance: Array
    low: Array
    high: Array
    mean: Array
    complete: Array
    posterior: Array
    states: NDArray[np.int8]
    told: NDArray[np.int8]
    share: Array
    missing: Array
    third: Callable[[Array], float]

    @property
    def sigma(self) -> Array:
        """1-sigma (K,) of the parameters."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def profile(self, place: int, values: Array) -> Array:
        """Return twice the drop of the profile log likelihood (V,) where parameter `place` has these values."""
        along = self.covariance[:, place] / self.covariance[place, place]
        curvature = 1 / self.covariance[place, place]
        steps = values - self.theta[place]
        return np.asarray(steps**2 * curvature - steps**3 * self.third(along) / 3)


def fit_field(
    field: PairField,
    evidence: Array,
    rng: np.random.Generator,
    settings: FitSettings | None = None,
    start: Array | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> FieldFit:
    """Return the likeliest parameters of `field` where `evidence` (N, q) is the log likelihood of what was seen."""
    settings = settings or FitSettings()
    theta = pseudo_likelihood(field, evidence) if start is None else np.array(start, float)
    free = Chains(field, settings.replicas, rng)
    told = Chains(field, settings.replicas, rng, evidence)
    free.place(told.states)
    for number in range(settings.rounds):
        late = number >= settings.rounds - _LATE
        sweeps = settings.sweeps * (3 if late else 1)
        unseen, seen = (_drawn(chains, theta, sweeps, settings.every) for chains in (free, told))
        theta = theta + _step(unseen, seen, 0.25 if late else 0.5)
        if progress is not None:
            progress(number + 1, settings.rounds + settings.last // settings.sweeps)
    unseen = _drawn(free, theta, settings.last, settings.every)
    posterior = np.zeros((field.number, field.states))
    seen = _drawn(told, theta, settings.last, settings.every, posterior)
    return _finished(theta, unseen, seen, posterior, (free.states, told.states))


def _drawn(chains: Chains, theta: Array, sweeps: int, every: int, posterior: Array | None = None) -> Array:
    """Return S (T, R, K) every few sweeps; adds to `posterior` how often each state was seen."""
    found = []
    for _ in range(max(1, sweeps // every)):
        chains.sweep(theta, every)
        found.append(chains.statistics())
        if posterior is not None:
            for state in range(posterior.shape[1]):
                posterior[:, state] += np.mean(chains.states == state, axis=1)
    if posterior is not None:
        posterior /= posterior.sum(axis=1, keepdims=True)
    return np.stack(found)


def _flat(drawn: Array) -> Array:
    return drawn.reshape(-1, drawn.shape[-1])


def _information(unseen: Array, seen: Array, least: float = _LEAST_SHARE) -> Array:
    """Return the observed information (K, K), no direction less than a share `least` of the full one."""
    whole = np.cov(_flat(unseen).T).reshape((unseen.shape[-1],) * 2)
    whole = whole + np.diag(1e-9 + 1e-3 * np.diag(whole))
    missing = np.cov(_flat(seen).T).reshape(whole.shape)
    root = np.linalg.cholesky(whole)
    inverse = np.linalg.inv(root)
    share, turn = np.linalg.eigh(np.eye(len(whole)) - inverse @ missing @ inverse.T)
    kept = turn @ np.diag(np.clip(share, least, 1.0)) @ turn.T
    return np.asarray(root @ kept @ root.T)


def _step(unseen: Array, seen: Array, least: float) -> Array:
    gradient = _flat(seen).mean(axis=0) - _flat(unseen).mean(axis=0)
    step = np.linalg.solve(_information(unseen, seen, least), gradient)
    return np.asarray(step * min(1.0, _LARGEST / max(float(np.abs(step).max()), 1e-12)))


def pseudo_likelihood(field: PairField, evidence: Array, rounds: int = 8) -> Array:
    """Return the parameters (K,) at which every site follows best from its neighbours, labels taken as right.

    Besag, doi:10.2307/2987782: quick, without Monte Carlo, too small where labels are wrong. Zeros for more than two
    states.
    """
    theta = np.zeros(len(field.terms))
    if field.states != 2:
        return theta
    known = evidence[:, 0] != evidence[:, 1]
    states = (evidence[:, 1] > evidence[:, 0]).astype(float)
    slopes = np.zeros((field.number, len(field.terms)))
    for place, term in enumerate(field.terms):
        if isinstance(term, PairTerm):
            near = term.pairs[known[term.pairs].all(axis=1)]
            for one, other in (near.T, near.T[::-1]):
                change = term.table[1] - term.table[0]
                np.add.at(slopes[:, place], one, change[0] + (change[1] - change[0]) * states[other])
        else:
            slopes[term.sites, place] = term.table[1] - term.table[0]
    x, y = slopes[known], states[known]
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-x @ theta))
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(theta))
        theta = theta + np.linalg.solve(curvature, x.T @ (y - p))
    return theta


def _finished(
    theta: Array, unseen: Array, seen: Array, posterior: Array, states: tuple[NDArray[np.int8], NDArray[np.int8]]
) -> FieldFit:
    information = _information(unseen, seen)
    inverse = np.linalg.inv(information)
    gradient = _flat(seen).mean(axis=0) - _flat(unseen).mean(axis=0)
    noise = _mean_covariance(unseen) + _mean_covariance(seen)
    step = inverse @ gradient
    limit = 2 * np.sqrt(np.diag(inverse))
    theta = theta + np.clip(step, -limit, limit)
    covariance = inverse + inverse @ noise @ inverse
    flat_free, flat_told = _flat(unseen), _flat(seen)

    def third(along: Array) -> float:
        """Return the third derivative of the log likelihood along a direction."""
        one, other = (flat @ along for flat in (flat_told, flat_free))
        return float(np.mean((one - one.mean()) ** 3) - np.mean((other - other.mean()) ** 3))

    whole = np.cov(flat_free.T).reshape(information.shape)
    best = np.diag(np.linalg.inv(whole + np.diag(1e-9 + 1e-6 * np.diag(whole))))
    fit = FieldFit(
        np.asarray(theta, np.float64), np.asarray(covariance, np.float64), theta, theta, flat_free.mean(axis=0), whole,
        posterior, *states, np.asarray(best / np.diag(inverse)), np.cov(flat_told.T).reshape(information.shape), third,
    )  # fmt: skip
    ends = np.array([_ends(fit, place) for place in range(len(theta))])
    return FieldFit(**{**vars(fit), "low": ends[:, 0], "high": ends[:, 1]})


def _mean_covariance(drawn: Array) -> Array:
    """Return the covariance of the mean of S from the scatter between replicas."""
    means = drawn.mean(axis=0)
    return np.asarray(np.cov(means.T).reshape((drawn.shape[-1],) * 2) / len(means))


def _ends(fit: FieldFit, place: int) -> tuple[float, float]:
    """Return where twice the drop of the profile likelihood reaches `_RATIO_95` on both sides."""
    sigma = float(fit.sigma[place])
    found = []
    for side in (-1.0, 1.0):
        values = fit.theta[place] + side * sigma * np.linspace(0, 4, 401)
        drop = fit.profile(place, values)
        beyond = np.flatnonzero(drop >= _RATIO_95)
        found.append(float(values[beyond[0]]) if len(beyond) else float(fit.theta[place] + side * 1.96 * sigma))
    return found[0], found[1]


def quasi_chemical(field: PairField, states: NDArray[np.int8]) -> Array:
    """Return what the counts of pairs alone say of each term of pairs (K,), NaN for terms of sites: Bethe's inversion.

    Every kind of pair is taken to be alone (doi:10.1098/rspa.1935.0122): theta times the table's curvature is the
    logarithm of n11 n00 / (n10 n01).
    """
    found = np.full(len(field.terms), np.nan)
    for place, term in enumerate(field.terms):
        if not isinstance(term, PairTerm) or not len(term.pairs):
            continue
        one, other = states[term.pairs[:, 0], 0], states[term.pairs[:, 1], 0]
        counts = np.array([[np.sum((one == a) & (other == b)) for b in (0, 1)] for a in (0, 1)]) + 0.5
        ratio = np.log(counts[1, 1] * counts[0, 0] / (counts[0, 1] * counts[1, 0]))
        curvature = term.table[1, 1] + term.table[0, 0] - term.table[0, 1] - term.table[1, 0]
        found[place] = ratio / curvature
    return found
