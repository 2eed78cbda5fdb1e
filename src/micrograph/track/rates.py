"""Rates of changes of state from tracks whose states are seen with errors, by a likelihood in continuous time.

An object's state is a Markov chain with rates q_ij per second; between two frames it may change several times, so the
chance of i -> j over a time t is ``expm(Q t)_ij``. What is seen is another matter: each observation gives a likelihood
of every state (a misclassification matrix, or the scores of a classifier). Tracks may begin and end anywhere. Rates
maximise the likelihood of all tracks together (hidden Markov chain, Rabiner 1989, doi:10.1109/5.18626; panel data,
Kalbfleisch and Lawless 1985, doi:10.1080/01621459.1985.10478195). Counting changes from frame to frame instead misses
returns within a frame and takes every misclassification for two changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Column
from micrograph.track.chain import Tracks, expected, log_likelihood

#: What the table 'rates' promises.
RATES = (
    Column("from", "", "state before"),
    Column("to", "", "state after"),
    Column("p", "", "chance to be there one usual frame time later"),
    Column("p_low", "", "lower end of its 95 % interval"),
    Column("p_high", "", "upper end of its 95 % interval"),
    Column("rate_per_s", "s^-1", "rate of the direct change"),
    Column("rate_low_per_s", "s^-1", "lower end of its 95 % interval"),
    Column("rate_high_per_s", "s^-1", "upper end of its 95 % interval"),
    Column("visits", "", "expected number of intervals that begin in the state before"),
    Column("jumps", "", "expected number of such changes in all tracks, those between frames too"),
)
#: What the table 'states' promises.
STATES = (
    Column("state", "", "name of the state"),
    Column("share", "", "share of the time that all objects together spend in it"),
    Column("share_low", "", "lower end of its 95 % interval"),
    Column("share_high", "", "upper end of its 95 % interval"),
    Column("stationary", "", "share to which the rates lead in the long run"),
    Column("visits", "", "expected number of intervals that begin in it"),
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: 2 x the drop of the log likelihood at the ends of a 95 % interval, and its square root in sigmas. The 95 % point of
#: chi squared, 3.84, holds 93.5 % of planted rates where each change is seen a dozen times, through mistakes.
_CHI2 = 4.6
_SIGMAS = _CHI2**0.5
#: Rates (per mean interval) are sought in this range; the prior is worth this part of a change, against infinities.
_LOWEST, _HIGHEST, _PRIOR = 1e-7, 30.0, 1e-3
#: Fewer expected changes than this are none: the rate is 0, and only its upper end is known.
_NEVER = 0.05
#: The search for the end of an interval stops where the likelihood changes by less than this part.
_FLAT = 1e-7
#: From so many changes on, and with no more than this error of its logarithm, a rate's interval is its curvature's.
_MANY, _SHARP = 30.0, 0.25


@dataclass(frozen=True)
class Rates:
    """Rates of K states, ``rate_per_s`` (K, K) from row to column, with the ends of their 95 % intervals.

    p, p_low, p_high (K, K): chances over `interval_s`, the usual time between frames, staying included. share,
    share_low, share_high (K,): of time spent in each state, over all tracks. visits (K,): expected number of intervals
    that begin in a state; jumps (K, K): expected changes. Where nothing is known, intervals are wide and values 0.
    """

    states: tuple[str, ...]
    interval_s: float
    rate_per_s: Array
    rate_low_per_s: Array
    rate_high_per_s: Array
    p: Array
    p_low: Array
    p_high: Array
    share: Array
    share_low: Array
    share_high: Array
    visits: Array
    jumps: Array

    @property
    def stationary(self) -> Array:
        """The shares (K,) to which the chain tends."""
        return stationary(self.rate_per_s)


def estimate_rates(tracks: Tracks, states: Sequence[str], allowed: ArrayLike | None = None) -> Rates:
    """Return the rates between `states` (K names) that make `tracks` most likely, with 95 % intervals.

    allowed: (K, K) true where a direct change is possible (default: between all). Intervals come from the profile of
    the likelihood where changes are few, else from its curvature. Raises `BadInput` for matrices of other shapes.
    """
    count = len(states)
    free = _free(count, allowed)
    if tracks.states != count:
        raise BadInput(f"The tracks speak of {tracks.states} states, {count} were named: give a name to each.")
    interval = tracks.usual_interval_s
    if tracks.intervals == 0 or not free.any():
        return _unknown(tuple(states), interval, free)
    search = _Search(tracks, free, interval)
    best = search.maximum(search.start())
    return _with_intervals(search, best, tuple(states))


def stationary(rates: Array) -> Array:
    """Return the shares (K,) to which a chain with `rates` (K, K) tends; equal ones where there are no rates."""
    generator = generator_of(rates)
    system = np.vstack([generator.T, np.ones(len(rates))])
    target = np.append(np.zeros(len(rates)), 1.0)
    share = np.clip(np.linalg.lstsq(system, target, rcond=None)[0], 0, None)
    return np.asarray(share / share.sum())


def generator_of(rates: Array) -> Array:
    """Return `rates` (K, K) with the diagonal that makes every row sum to zero."""
    off = np.where(np.eye(len(rates), dtype=bool), 0.0, rates)
    return np.asarray(off - np.diag(off.sum(axis=1)))


def _free(count: int, allowed: ArrayLike | None) -> Mask:
    off = ~np.eye(count, dtype=bool)
    if allowed is None:
        return off
    given = np.asarray(allowed, dtype=bool)
    if given.shape != (count, count):
        raise BadInput(
            f"Which changes are allowed was given as {given.shape}, for {count} states: give a square table."
        )
    return np.asarray(off & given)


@dataclass(frozen=True)
class _Search:
    """The likelihood as a function of the logarithms of the free rates (per usual interval)."""

    tracks: Tracks
    free: Mask
    interval_s: float

    def rates(self, theta: Array) -> Array:
        """Return rates (K, K) per second."""
        found = np.zeros(self.free.shape)
        found[self.free] = np.exp(theta) / self.interval_s
        return found

    def start(self) -> Array:
        """Return a first guess: as many changes as the likeliest states show, at least a few."""
        naive = np.maximum(self.tracks.naive_changes(), 0.5) / np.maximum(self.tracks.naive_visits(), 1.0)[:, None]
        return np.asarray(np.log(np.clip(naive[self.free], 1e-4, 0.5)))

    def cost(self, theta: Array) -> tuple[float, Array]:
        """Return minus the log likelihood, with a weak prior, and its gradient."""
        generator = generator_of(self.rates(theta))
        value, slope = log_likelihood(self.tracks, generator)
        rise = (slope - np.diag(slope)[:, None])[self.free] * np.exp(theta) / self.interval_s
        prior = _PRIOR * (theta - np.exp(theta)).sum()
        return -value - float(prior), -rise - _PRIOR * (1 - np.exp(theta))

    def maximum(self, start: Array, scale: Array | None = None, held: int | None = None) -> Array:
        """Return the likeliest logarithms, sought from `start` in units of `scale`; number `held` stays as it is."""
        from scipy.optimize import minimize

        unit = np.ones(len(start)) if scale is None else scale
        bounds = [((np.log(_LOWEST) - at) / u, (np.log(_HIGHEST) - at) / u) for at, u in zip(start, unit, strict=True)]
        if held is not None:
            bounds[held] = (0.0, 0.0)

        def cost(shift: Array) -> tuple[float, Array]:
            value, slope = self.cost(start + shift * unit)
            return value, slope * unit

        turns, flat = (200, 2e-9) if scale is None else (30, _FLAT)
        found = minimize(
            cost,
            np.zeros(len(start)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": turns, "ftol": flat},
        )
        return np.asarray(start + found.x * unit)

    def covariance(self, theta: Array) -> Array:
        """Return the covariance of the logarithms from the curvature; infinite for rates that run to zero."""
        known = theta > np.log(_LOWEST) + 1
        rows = np.flatnonzero(known)
        step = 1e-3
        curvature = np.zeros((len(theta), len(theta)))
        for row in rows:
            shift = np.zeros(len(theta))
            shift[row] = step
            curvature[row] = (self.cost(theta + shift)[1] - self.cost(theta - shift)[1]) / (2 * step)
        found = np.diag(np.where(known, 0.0, 1e6))
        block = (curvature + curvature.T)[np.ix_(rows, rows)] / 2
        values, vectors = np.linalg.eigh(block) if len(rows) else (np.zeros(0), np.zeros((0, 0)))
        found[np.ix_(rows, rows)] = (vectors / np.maximum(values, 1e-6)) @ vectors.T
        return found

    def end(self, best: Array, row: int, direction: int, covariance: Array) -> float:
        """Return where the profile of one rate has fallen by what makes a 95 % interval.

        The other rates follow as the curvature foretells, and are then sought from there.
        """
        least, border = self.cost(best)[0], float(np.log(_LOWEST if direction < 0 else _HIGHEST))
        sigma = float(np.sqrt(covariance[row, row]))
        along = covariance[:, row] / covariance[row, row]
        alone = 1 / np.sqrt(np.maximum(np.diag(np.linalg.inv(covariance)), 1e-2))
        at, drop = float(best[row]), 0.0
        theta, step = best.copy(), float(np.clip(1.9 * sigma, 0.2, 2.0))
        for _ in range(40):
            before, before_drop = at, drop
            at = float(np.clip(at + direction * step, np.log(_LOWEST), np.log(_HIGHEST)))
            ahead = np.clip(theta + along * (at - before), np.log(_LOWEST), np.log(_HIGHEST))
            ahead[row] = at
            theta = self.maximum(ahead, alone, held=row)
            drop = 2 * (self.cost(theta)[0] - least)
            if drop >= _CHI2:
                near, far = np.sqrt(max(before_drop, 0.0)), np.sqrt(drop)
                return before + float((np.sqrt(_CHI2) - near) / (far - near)) * (at - before)
            if at == border:
                break
            step = float(np.clip(0.3 * sigma, 0.15, 1.0))
        return float("-inf") if direction < 0 else at


def _with_intervals(search: _Search, best: Array, states: tuple[str, ...]) -> Rates:
    covariance = search.covariance(best)
    sigma = np.sqrt(np.clip(np.diag(covariance), 0, None))
    found = expected(search.tracks, generator_of(search.rates(best)))
    low, high = best - _SIGMAS * sigma, best + _SIGMAS * sigma
    changes = found.changes[search.free]
    for row in range(len(best)):
        if changes[row] < _MANY or sigma[row] > _SHARP:
            low[row] = search.end(best, row, -1, covariance)
            high[row] = search.end(best, row, +1, covariance)
    p, p_low, p_high = _chances(search, best, low, high, covariance)
    share = found.occupancy / max(found.occupancy.sum(), 1e-300)
    wide = 1.96 * np.sqrt(np.clip(share * (1 - share), 0, None) / max(found.independent, 1.0))
    return Rates(
        states=states,
        interval_s=search.interval_s,
        rate_per_s=search.rates(np.where(changes < _NEVER, -np.inf, best)),
        rate_low_per_s=search.rates(low),
        rate_high_per_s=search.rates(high),
        p=p,
        p_low=p_low,
        p_high=p_high,
        share=share,
        share_low=np.clip(share - wide, 0, 1),
        share_high=np.clip(share + wide, 0, 1),
        visits=found.visits,
        jumps=found.changes,
    )


def _chances(search: _Search, best: Array, low: Array, high: Array, covariance: Array) -> tuple[Array, Array, Array]:
    """Return the chances over one interval and their ends, by the error of the logit and by each rate's ends."""
    from scipy.linalg import expm

    def chance(theta: Array) -> Array:
        return np.clip(expm(generator_of(search.rates(theta)) * search.interval_s), 1e-12, 1 - 1e-12)

    p = chance(best)
    logit = np.log(p / (1 - p))
    slopes = []
    for row in range(len(best)):
        shift = np.zeros(len(best))
        shift[row] = 1e-4
        up, down = chance(best + shift), chance(best - shift)
        slopes.append((np.log(up / (1 - up)) - np.log(down / (1 - down))) / 2e-4)
    slope = np.stack(slopes)
    known = np.where(np.diag(covariance) < 1.0, 1.0, 0.0)
    sigma = np.sqrt(np.clip(np.einsum("aij,ab,bij->ij", slope, covariance * np.outer(known, known), slope), 0, None))
    lowest, highest = logit - _SIGMAS * sigma, logit + _SIGMAS * sigma
    for row in range(len(best)):
        for end in (max(low[row], np.log(_LOWEST)), high[row]):
            moved = best.copy()
            moved[row] = end
            at = chance(moved)
            there = np.log(at / (1 - at))
            lowest, highest = np.minimum(lowest, there), np.maximum(highest, there)
    return p, 1 / (1 + np.exp(-lowest)), 1 / (1 + np.exp(-highest))


def _unknown(states: tuple[str, ...], interval_s: float, free: Mask) -> Rates:
    """Return rates of which nothing is known."""
    count = len(states)
    zero, one = np.zeros((count, count)), np.ones((count, count))
    nothing = np.zeros(count)
    none = np.full(count, np.nan)
    unknown = np.where(free, np.inf, 0.0)
    chances, shares = (np.eye(count), zero, one), (none, nothing, nothing + 1)
    return Rates(states, interval_s, zero, zero, unknown, *chances, *shares, visits=nothing, jumps=zero)


def rates_table(rates: Rates) -> pd.DataFrame:
    """Return the table `RATES`: one row for every change between two states that was allowed."""
    count = len(rates.states)
    rows = [(i, j) for i in range(count) for j in range(count) if i != j and rates.rate_high_per_s[i, j] > 0]
    first, second = np.array(rows, dtype=np.intp).reshape(-1, 2).T
    names = np.array(rates.states, dtype=object)
    values = {
        "p": rates.p, "p_low": rates.p_low, "p_high": rates.p_high, "rate_per_s": rates.rate_per_s,
        "rate_low_per_s": rates.rate_low_per_s, "rate_high_per_s": rates.rate_high_per_s, "jumps": rates.jumps,
    }  # fmt: skip
    table = pd.DataFrame({"from": names[first], "to": names[second]}).astype(str)
    for name, matrix in values.items():
        table[name] = matrix[first, second]
    table["visits"] = rates.visits[first]
    return table[[column.name for column in RATES]]


def states_table(rates: Rates) -> pd.DataFrame:
    """Return the table `STATES`, one row a state."""
    return pd.DataFrame(
        {
            "state": pd.Series(list(rates.states), dtype=str),
            "share": rates.share,
            "share_low": rates.share_low,
            "share_high": rates.share_high,
            "stationary": rates.stationary if len(rates.states) else np.zeros(0),
            "visits": rates.visits,
        }
    )
