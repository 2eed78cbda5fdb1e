"""Rates of processes: constant, driven by the beam, or thermally activated, under conditions that change with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from micrograph.core import BadInput

#: Boltzmann's constant, eV per kelvin.
BOLTZMANN_EV_PER_K = 8.617333262e-5


@dataclass(frozen=True)
class Conditions:
    """What the rates depend on: the dose rate (e per square angstrom per second) and the temperature (kelvin)."""

    dose_rate_e_per_A2_s: float = 0.0
    temperature_K: float = 293.15


@dataclass(frozen=True)
class Rate:
    """A rate per second: constant part, part driven by the beam (per e/A^2 of dose) and Arrhenius part.

    The value is ``per_s + per_dose * dose rate + attempts_per_s * exp(-barrier_eV / (k T))``.
    """

    per_s: float = 0.0
    per_dose: float = 0.0
    attempts_per_s: float = 0.0
    barrier_eV: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative parts."""
        if min(self.per_s, self.per_dose, self.attempts_per_s) < 0:
            raise BadInput(f"The rate {self} has a negative part: rates must be zero or greater.")

    def under(self, conditions: Conditions) -> float:
        """Return the rate (1/s) under the given conditions."""
        thermal = 0.0
        if self.attempts_per_s > 0:
            thermal = arrhenius(self.attempts_per_s, self.barrier_eV, conditions.temperature_K)
        return self.per_s + self.per_dose * conditions.dose_rate_e_per_A2_s + thermal


def rate_per_s(rate: Rate | float, conditions: Conditions) -> float:
    """Return a rate (1/s) under the given conditions; a number is the same under all of them.

    Raises `BadInput` for a negative number.
    """
    if isinstance(rate, Rate):
        return rate.under(conditions)
    if rate < 0:
        raise BadInput(f"A rate is {rate} per second: it must be zero or greater.")
    return float(rate)


def arrhenius(attempts_per_s: float, barrier_eV: float, temperature_K: float) -> float:
    """Return ``attempts * exp(-barrier / (k T))`` in 1/s.

    >>> round(arrhenius(1e13, 0.8, 300.0), 2)
    0.36
    """
    if not temperature_K > 0:
        raise BadInput(f"The temperature is {temperature_K} K: it must be greater than zero.")
    return attempts_per_s * float(np.exp(-barrier_eV / (BOLTZMANN_EV_PER_K * temperature_K)))


@dataclass(frozen=True)
class Schedule:
    """Conditions that change in steps: `conditions[k]` hold from ``start_s[k]`` on; the first start is 0."""

    start_s: tuple[float, ...] = (0.0,)
    conditions: tuple[Conditions, ...] = (Conditions(),)

    def __post_init__(self) -> None:
        """Refuse times that do not ascend from 0, or are not as many as the conditions."""
        ascending = all(a < b for a, b in zip(self.start_s, self.start_s[1:], strict=False))
        if len(self.start_s) != len(self.conditions) or not ascending or self.start_s[:1] != (0.0,):
            raise BadInput("A schedule needs ascending start times from 0 on, and as many conditions as start times.")


def schedule(
    start_s: ArrayLike = 0.0, dose_rate_e_per_A2_s: ArrayLike = 0.0, temperature_K: ArrayLike = 293.15
) -> Schedule:
    """Return the schedule of the given start times, dose rates and temperatures (arrays of one length, or numbers)."""
    starts, doses, kelvins = (
        array.tolist()
        for array in np.broadcast_arrays(*map(np.atleast_1d, (start_s, dose_rate_e_per_A2_s, temperature_K)))
    )
    return Schedule(tuple(map(float, starts)), tuple(map(Conditions, map(float, doses), map(float, kelvins))))
