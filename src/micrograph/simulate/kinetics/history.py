"""What happened on a lattice: every event in continuous time, the configuration at any time, realised rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.simulate.kinetics.lattice import Array, Index, SiteGraph

if TYPE_CHECKING:
    from pandas import DataFrame

#: What an event can be; 'start' stands for objects that were there from the beginning.
KINDS = ("start", "create", "vanish", "hop", "change", "bind", "split")


@dataclass(frozen=True)
class Configuration:
    """Objects at one time: number, site, state, partner (-1: unbound), and place (y, x), never folded back."""

    object: Index
    site: Index
    state: NDArray[np.str_]
    partner: Index
    y_x_nm: Array

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.object)


@dataclass(frozen=True)
class Events:
    """Rows (E,) in the order of time: what an object is like after each. A pair that binds or splits makes two rows."""

    t_s: Array
    kind: Index
    object: Index
    site: Index
    state: Index
    partner: Index
    y_x_nm: Array


@dataclass(frozen=True)
class History:
    """A run of `simulate_history` from 0 to `end_s` over `sites`.

    `states` are the names of the states; `events` refer to them and to `KINDS` by number (state -1: gone). For every
    process: `names`, `counts` and `exposure_s`, the time integral of its rate's units: of (object, free neighbour)
    pairs over K for a hop, of free sites for a creation, of unbound objects or of pairs for the others.
    """

    sites: SiteGraph
    states: tuple[str, ...]
    events: Events
    end_s: float
    names: tuple[str, ...]
    counts: Index
    exposure_s: Array
    expected: Array

    def at(self, t_s: float) -> Configuration:
        """Return the configuration at the time `t_s`; events at exactly that time have happened."""
        events = self.events
        until = int(np.searchsorted(events.t_s, t_s, side="right"))
        last = np.full(int(events.object.max(initial=-1)) + 1, -1, dtype=np.intp)
        last[events.object[:until]] = np.arange(until)
        rows = last[last >= 0]
        rows = rows[events.state[rows] >= 0]
        return Configuration(
            object=events.object[rows],
            site=events.site[rows],
            state=np.asarray(self.states, dtype=np.str_)[events.state[rows]],
            partner=events.partner[rows],
            y_x_nm=events.y_x_nm[rows],
        )

    def table(self) -> DataFrame:
        """Return the events: t_s, object, kind, y_nm, x_nm, state (after the event; the last one where it is gone)."""
        import pandas as pd

        events = self.events
        names = np.asarray([*self.states, "gone"], dtype=object)
        return pd.DataFrame(
            {
                "t_s": events.t_s,
                "object": events.object,
                "kind": np.asarray(KINDS, dtype=object)[events.kind],
                "y_nm": events.y_x_nm[:, 0],
                "x_nm": events.y_x_nm[:, 1],
                "site": events.site,
                "state": names[events.state],
            }
        )

    def tracks(self, t_s: ArrayLike) -> DataFrame:
        """Return the configurations at the times `t_s`: frame, t_s, object, state, y_nm, x_nm, site, partner."""
        import pandas as pd

        times = np.atleast_1d(np.asarray(t_s, dtype=float))
        found = [self.at(float(time)) for time in times]
        frame = np.repeat(np.arange(len(times)), [len(one) for one in found])
        place = np.concatenate([one.y_x_nm for one in found])
        return pd.DataFrame(
            {
                "frame": frame,
                "t_s": times[frame],
                "object": np.concatenate([one.object for one in found]),
                "state": np.concatenate([one.state for one in found]).astype(object),
                "y_nm": place[:, 0],
                "x_nm": place[:, 1],
                "site": np.concatenate([one.site for one in found]),
                "partner": np.concatenate([one.partner for one in found]),
            }
        )

    def realised(self) -> DataFrame:
        """Return for every process: count, exposure_s, rate_per_s (count / exposure), expected (planted rate times
        exposure, whatever the schedule did).
        """
        import pandas as pd

        with np.errstate(invalid="ignore", divide="ignore"):
            rate = self.counts / self.exposure_s
        return pd.DataFrame(
            {
                "process": list(self.names),
                "count": self.counts,
                "exposure_s": self.exposure_s,
                "rate_per_s": rate,
                "expected": self.expected,
            }
        )
