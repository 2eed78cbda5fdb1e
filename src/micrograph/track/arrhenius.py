"""Rates against temperature, dose, area: events counted over an exposure, by Poisson likelihoods.

A birth counts per area and time (or dose), a death per object and time; objects that leave the field or outlive the
movie are censored, which the time under observation (`at_risk_s`) takes into account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.summary import interval

Array = NDArray[np.float64]

#: Boltzmann's constant, eV per kelvin, and 0 degrees Celsius in kelvin.
BOLTZMANN_EV_PER_K, ZERO_C_IN_K = 8.617333262e-5, 273.15


@dataclass(frozen=True)
class EventRate:
    """Events per unit of exposure (s, s nm^2, e/A^2, ...) with Garwood's 95 % interval."""

    count: float
    exposure: float
    rate: float
    low: float
    high: float


def event_rate(count: float, exposure: float) -> EventRate:
    """Return the rate of `count` events in an `exposure`; raises `BadInput` unless the exposure is positive."""
    if not 0 < exposure < np.inf or count < 0:
        raise BadInput(f"{count} events in an exposure of {exposure}: give a count, and an exposure above zero.")
    low, high = interval(count)
    return EventRate(count, exposure, count / exposure, low / exposure, high / exposure)


def at_risk_s(tracks: pd.DataFrame) -> float:
    """Return the time (s) for which the objects of `tracks` (``track, t_s``) were under observation, all together.

    From first to last sight of each: tracks cut by the field's border or the end of the movie count as far as they go.
    """
    if len(tracks) == 0:
        return 0.0
    time = tracks.groupby("track")["t_s"]
    return float((time.max() - time.min()).sum())


@dataclass(frozen=True)
class Activation:
    """``rate = attempts_per_s * exp(-energy_eV / (k T))``.

    covariance: (2, 2) of (log attempts, energy_eV), which are strongly correlated; deviance: of the fit from the
    counts, about `freedom` if the law holds.
    """

    energy_eV: float
    energy_sigma_eV: float
    attempts_per_s: float
    log_attempts_sigma: float
    covariance: Array
    deviance: float
    freedom: int

    def rate_per_s(self, temperature_C: float) -> tuple[float, float, float]:
        """Return the rate at a temperature with the ends of its 95 % interval."""
        slope = np.array([1.0, -1 / (BOLTZMANN_EV_PER_K * (temperature_C + ZERO_C_IN_K))])
        log = float(np.log(self.attempts_per_s) + slope[1] * self.energy_eV)
        wide = 1.96 * float(np.sqrt(slope @ self.covariance @ slope))
        return float(np.exp(log)), float(np.exp(log - wide)), float(np.exp(log + wide))


def activation(count: ArrayLike, exposure_s: ArrayLike, temperature_C: ArrayLike) -> Activation:
    """Return the activation energy and prefactor from the events (N,) of N spells at known temperatures.

    count: events (may be zero or expected numbers); exposure_s: time at risk. The likelihood is Poisson's, so spells
    without events count as well. Raises `BadInput` with fewer than two temperatures or events.
    """
    events, time, celsius = (np.asarray(value, np.float64).ravel() for value in (count, exposure_s, temperature_C))
    if not len(events) == len(time) == len(celsius) or (events < 0).any() or not (time > 0).all():
        raise BadInput("Activation needs a count, a positive exposure and a temperature of every spell.")
    if (celsius <= -ZERO_C_IN_K).any():
        raise BadInput(f"A temperature of {celsius.min()} degrees Celsius is below absolute zero: check the log.")
    if len(np.unique(celsius)) < 2 or events.sum() < 2:
        raise BadInput(
            f"{len(np.unique(celsius))} temperatures and {events.sum():.0f} events say nothing of an activation "
            "energy: two temperatures and two events are the least."
        )
    inverse = 1 / (BOLTZMANN_EV_PER_K * (celsius + ZERO_C_IN_K))
    centre = float((inverse * (events + 0.1)).sum() / (events + 0.1).sum())
    design = np.column_stack([np.ones(len(time)), -(inverse - centre)])
    beta, information = _poisson(design, events, time)
    turn = np.array([[1.0, centre], [0.0, 1.0]])
    covariance = turn @ np.linalg.inv(information) @ turn.T
    log_attempts, energy = turn @ beta
    mean = time * np.exp(design @ beta)
    deviance = 2 * float((events * np.log(np.maximum(events, 1e-300) / mean) - (events - mean)).sum())
    sigma = np.sqrt(np.diag(covariance))
    return Activation(
        energy_eV=float(energy),
        energy_sigma_eV=float(sigma[1]),
        attempts_per_s=float(np.exp(log_attempts)),
        log_attempts_sigma=float(sigma[0]),
        covariance=covariance,
        deviance=deviance,
        freedom=len(events) - 2,
    )


def _poisson(design: Array, events: Array, time: Array) -> tuple[Array, Array]:
    """Return coefficients (P,) and information (P, P) of a Poisson regression with exposure, by Newton's method."""
    beta = np.array([np.log(events.sum() / time.sum()), *np.zeros(design.shape[1] - 1)])
    for _ in range(100):
        mean = time * np.exp(np.clip(design @ beta, -500, 500))
        information = (design * mean[:, None]).T @ design + 1e-12 * np.eye(len(beta))
        step = np.linalg.solve(information, design.T @ (events - mean))
        largest = float(np.abs(design @ step).max())
        beta = beta + step * min(1.0, 2.0 / max(largest, 1e-12))
        if largest < 1e-10:
            break
    return beta, information
