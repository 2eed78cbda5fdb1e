"""Exact kinetic Monte Carlo of objects on sites: hops, births, deaths, changes of state, pairs that bind and split.

Waiting times are exponential with the sum of all rates, and the next event is drawn in proportion to its rate
(Gillespie 1977, doi:10.1021/j100540a008; Bortz, Kalos and Lebowitz 1975, doi:10.1016/0021-9991(75)90060-1). Where rates
change in steps, the waiting time is drawn anew at the step, which is exact as well. No two objects are on one site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from micrograph.core import BadInput
from micrograph.simulate.kinetics.engine import Engine
from micrograph.simulate.kinetics.history import History
from micrograph.simulate.kinetics.lattice import SiteGraph
from micrograph.simulate.kinetics.processes import Change, Process
from micrograph.simulate.kinetics.rates import Schedule

__all__ = ["Dynamics", "changes", "simulate_history"]


@dataclass(frozen=True)
class Dynamics:
    """What can happen on `sites`: `processes` under a `schedule`; `apart_nm` keeps objects further apart than that.

    An object can hop to, or be created on, a site only if no other is within `apart_nm` of it (0: the site is free).
    """

    sites: SiteGraph
    processes: Sequence[Process]
    schedule: Schedule = field(default_factory=Schedule)
    apart_nm: float = 0.0

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states that the processes speak of, in the order of their first mention."""
        return tuple(dict.fromkeys(state for process in self.processes for state in process.states))


def simulate_history(
    dynamics: Dynamics,
    start: Mapping[int, str],
    end_s: float,
    rng: np.random.Generator,
    *,
    most_events: int = 5_000_000,
) -> History:
    """Return what happens from 0 to `end_s`, from the objects `start` (site: state) on.

    Objects are numbered in the order of `start`, those created later go on from there. Raises `BadInput` for a site
    that does not exist, and where more than `most_events` happen.
    """
    if not end_s > 0:
        raise BadInput(f"The end is {end_s} s: it must be greater than zero.")
    unknown = [site for site in start if not 0 <= site < len(dynamics.sites)]
    if unknown:
        raise BadInput(f"An object starts on site {unknown[0]}, and there are {len(dynamics.sites)} sites.")
    states = tuple(dict.fromkeys([*dynamics.states, *start.values()]))
    engine = Engine(dynamics.sites, tuple(dynamics.processes), states, dynamics.apart_nm, rng)
    for site, state in start.items():
        engine.place(site, state)
    engine.run(dynamics.schedule, end_s, most_events)
    return engine.history(end_s)


def changes(states: Sequence[str], rates_per_s: ArrayLike) -> tuple[Change, ...]:
    """Return the processes of a Markov chain in continuous time: `rates_per_s` (S, S) from row to column.

    The diagonal is not looked at.
    """
    matrix = np.asarray(rates_per_s, dtype=float)
    if matrix.shape != (len(states),) * 2:
        raise BadInput(
            f"{len(states)} states need a matrix of {len(states)} x {len(states)} rates, not {matrix.shape}."
        )
    return tuple(
        Change(a, b, float(matrix[i, j]))
        for i, a in enumerate(states)
        for j, b in enumerate(states)
        if i != j and matrix[i, j] > 0
    )
