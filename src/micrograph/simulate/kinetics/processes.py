"""What can happen to objects on sites, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

from micrograph.simulate.kinetics.lattice import Index
from micrograph.simulate.kinetics.rates import Rate


@dataclass(frozen=True)
class Hop:
    """An object in `state` moves to a neighbouring site that is free.

    `rate` is the sum over all K neighbours (K: the most that a site has); each free one is reached at ``rate / K``. A
    lone walker has the diffusion coefficient ``rate * a^2 / 4``.
    """

    state: str
    rate: Rate | float

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"hop {self.state}"

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return (self.state,)


@dataclass(frozen=True, eq=False)
class Create:
    """An object in `state` appears: `rate` per free site, on the rows `sites` (M,) or on any site."""

    state: str
    rate: Rate | float
    sites: Index | None = None

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"create {self.state}"

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return (self.state,)


@dataclass(frozen=True)
class Vanish:
    """An unbound object in `state` goes."""

    state: str
    rate: Rate | float

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"vanish {self.state}"

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return (self.state,)


@dataclass(frozen=True)
class Change:
    """An unbound object in `state` becomes one in the state `to`."""

    state: str
    to: str
    rate: Rate | float

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"{self.state} > {self.to}"

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return (self.state, self.to)


@dataclass(frozen=True)
class Bind:
    """Unbound objects in the states `first` and `second`, at most `reach_nm` apart, bind; a bound pair does nothing but
    `split`.
    """

    first: str
    second: str
    rate: Rate | float
    reach_nm: float
    split: Rate | float = 0.0

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"bind {self.first} + {self.second}"

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return (self.first, self.second)


@dataclass(frozen=True)
class Split:
    """A pair bound by `of` comes apart; made by the simulation itself from `Bind.split`."""

    of: Bind

    @property
    def name(self) -> str:
        """Name in the table of realised rates."""
        return f"split {self.of.first} + {self.of.second}"

    @property
    def rate(self) -> Rate | float:
        """Rate of a bound pair."""
        return self.of.split

    @property
    def states(self) -> tuple[str, ...]:
        """States that it concerns."""
        return self.of.states


Process = Hop | Create | Vanish | Change | Bind
