"""How often a defect hops from site to site, from where it is seen frame by frame.

Between two frames a walker may hop several times, and come back; sites may be taken, and a link reaches only so far.
The chance of a displacement d over a time t is a Poisson mixture of walks of n steps, ``sum_n e^-m m^n / n! W_n(d)``
with ``m = rate * t * (share of free neighbours)``, blurred by the error of the positions. Counting displaced objects
instead misses returns and double hops, more so the faster the hopping.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]

#: 2 x the drop of the log likelihood at the ends of a 95 % interval.
_CHI2 = 3.841458820694124
#: Walks of so many steps are followed; the mean number of hops in an interval is sought up to `_MOST_HOPS`.
_STEPS, _MOST_HOPS = 40, 15.0


@dataclass(frozen=True)
class HopRate:
    """Hops per second of a lone walker (sum over all neighbours) with its 95 % interval, and the diffusion constant.

    d_nm2_per_s = rate * hop length^2 / 4; pairs: displacements used; counted_per_s: naive, displaced pairs over time.
    """

    rate_per_s: float
    low_per_s: float
    high_per_s: float
    d_nm2_per_s: float
    d_low_nm2_per_s: float
    d_high_nm2_per_s: float
    pairs: int
    counted_per_s: float


def hop_rate(
    displacement_nm: ArrayLike,
    time_s: ArrayLike,
    hops_nm: ArrayLike,
    *,
    sigma_nm: ArrayLike = 0.01,
    free: ArrayLike = 1.0,
    reach_nm: float | None = None,
) -> HopRate:
    """Return the rate at which walkers hop along `hops_nm` (K, 2), the [y, x] of all neighbours, each alike likely.

    displacement_nm: (N, 2) from one look to the next, `time_s` (N,) apart; sigma_nm: 1-sigma of a position; free: (N,)
    mean share of neighbours that were free; reach_nm: longer displacements were not linked. Raises `BadInput`.
    """
    moved = np.asarray(displacement_nm, np.float64).reshape(-1, 2)
    hops = np.asarray(hops_nm, np.float64).reshape(-1, 2)
    count = len(moved)
    time, sigma, open_ = (np.broadcast_to(np.asarray(v, np.float64), count) for v in (time_s, sigma_nm, free))
    if len(hops) < 2 or not (np.hypot(*hops.T) > 0).all() or not (time > 0).all():
        raise BadInput("Hop rates need two hop vectors or more, none of them zero, and times greater than zero.")
    length = float(np.hypot(*hops.T).mean())
    if count == 0:
        return HopRate(0.0, 0.0, np.inf, 0.0, 0.0, np.inf, 0, 0.0)
    seen = _Seen.of(moved, hops, np.maximum(sigma * np.sqrt(2), 0.02 * length), reach_nm)
    rate, low, high = _profiled(seen, time * np.clip(open_, 1e-3, 1))
    counted = float((np.hypot(*moved.T) > length / 2).sum() / time.sum())
    d = length**2 / 4
    return HopRate(rate, low, high, rate * d, low * d, high * d, count, counted)


@dataclass(frozen=True)
class _Seen:
    """density: (N, S + 1) of every displacement after 0 .. S hops; linked: (S + 1,) share of walks within the reach."""

    density: Array
    linked: Array

    @classmethod
    def of(cls, moved: Array, hops: Array, sigma: Array, reach_nm: float | None) -> _Seen:
        places, shares = walks(tuple((float(y), float(x)) for y, x in np.round(hops, 9)))
        density = np.zeros((len(moved), shares.shape[0]))
        for first in range(0, len(moved), 2000):
            rows = slice(first, first + 2000)
            off = ((moved[rows, None] - places[None]) ** 2).sum(axis=2) / sigma[rows, None] ** 2
            near = np.exp(-0.5 * np.minimum(off, 600)) / (2 * np.pi * sigma[rows, None] ** 2)
            density[rows] = near @ shares.T
        inside = np.ones(len(places)) if reach_nm is None else (np.hypot(*places.T) <= reach_nm).astype(float)
        return cls(density, shares @ inside)

    def log_likelihood(self, means: Array) -> float:
        """Return the log likelihood when so many hops (N,) are expected in each interval."""
        from scipy.special import gammaln

        n = np.arange(self.density.shape[1])
        weight = np.exp(n * np.log(np.maximum(means[:, None], 1e-300)) - means[:, None] - gammaln(n + 1.0))
        value = (weight * self.density).sum(axis=1) / np.maximum(weight @ self.linked, 1e-300)
        return float(np.log(np.maximum(value, 1e-12)).sum())


@functools.lru_cache(maxsize=16)
def walks(hops: tuple[tuple[float, float], ...]) -> tuple[Array, Array]:
    """Return the places (P, 2) that walks along `hops` reach, and the shares (S + 1, P) of walks of n steps there."""
    step = np.array(hops)
    fine = 0.05 * float(np.hypot(*step.T).min())
    exact: dict[tuple[int, int], tuple[float, float]] = {(0, 0): (0.0, 0.0)}
    ahead: dict[tuple[int, int], float] = {(0, 0): 1.0}
    by_steps = [ahead]
    for _ in range(_STEPS):
        after: dict[tuple[int, int], float] = {}
        for (y, x), share in ((exact[key], share) for key, share in ahead.items() if share >= 1e-7):
            for dy, dx in step.tolist():
                name = _name((y + dy, x + dx), fine, exact)
                after[name] = after.get(name, 0.0) + share / len(step)
        by_steps.append(ahead := after)
    number = {key: i for i, key in enumerate(exact)}
    shares = np.zeros((len(by_steps), len(exact)))
    for n, found in enumerate(by_steps):
        for key, share in found.items():
            shares[n, number[key]] = share
    return np.array(list(exact.values())), shares


def _name(
    place: tuple[float, float], fine: float, known: dict[tuple[int, int], tuple[float, float]]
) -> tuple[int, int]:
    """Return the key of a place, the same for places that differ by rounding only; new places are added to `known`."""
    y, x = round(place[0] / fine), round(place[1] / fine)
    for i in (0, -1, 1):
        for j in (0, -1, 1):
            if (y + i, x + j) in known:
                return y + i, x + j
    known[y, x] = place
    return y, x


def _profiled(seen: _Seen, scale: Array) -> tuple[float, float, float]:
    """Return the likeliest rate and the ends of its 95 % interval, on a logarithmic scale of rates."""
    from scipy.optimize import brentq, minimize_scalar

    usual = float(np.median(scale))
    low_end, high_end = (float(np.log(n / usual)) for n in (1e-4 / len(scale), _MOST_HOPS))

    def cost(log_rate: float) -> float:
        return -seen.log_likelihood(np.exp(log_rate) * scale)

    grid = np.linspace(low_end, high_end, 40)
    values = [cost(float(at)) for at in grid]
    best = int(np.argmin(values))
    around = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    found = minimize_scalar(cost, bounds=around, method="bounded")
    top, least = (float(found.x), float(found.fun)) if found.fun < values[best] else (float(grid[best]), values[best])

    def above(log_rate: float) -> float:
        return 2 * (cost(log_rate) - least) - _CHI2

    low = float(np.exp(brentq(above, low_end, top))) if above(low_end) > 0 else 0.0
    high = float(np.exp(brentq(above, top, high_end))) if above(high_end) > 0 else float("inf")
    return (0.0 if best == 0 else float(np.exp(top))), low, high
