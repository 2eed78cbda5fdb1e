"""A movie of silicon at the corners of a hole in graphene, each hopping among five ways of being bonded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput
from micrograph.simulate.adf import MARGIN_NM
from micrograph.simulate.kinetics.dynamics import Dynamics, changes, simulate_history
from micrograph.simulate.kinetics.history import History
from micrograph.simulate.kinetics.lattice import Array, Index, site_graph
from micrograph.simulate.layers.edge_states import EDGE_STATES, RING_SIZES, holed_sheet, silicon_at
from micrograph.simulate.movies import Movie, MovieSettings, Objects, Scene, render_movie, sample_box

if TYPE_CHECKING:
    from ase import Atoms
    from pandas import DataFrame

Matrix = tuple[tuple[float, ...], ...]

#: Rates per second from row to column, in the order of `EDGE_STATES`.
EDGE_RATES: Matrix = (
    (0.00, 0.06, 0.04, 0.00, 0.00),
    (0.05, 0.00, 0.03, 0.00, 0.00),
    (0.02, 0.02, 0.00, 0.04, 0.03),
    (0.00, 0.00, 0.06, 0.00, 0.02),
    (0.00, 0.00, 0.08, 0.03, 0.00),
)


@dataclass(frozen=True)
class EdgeSample:
    """A rectangular hole with silicon at its corners.

    hole_nm: (height, width), at least 2.1; at rotation 0 the upper and lower edges are zigzag, the others armchair.
    bearded: share of the zigzag edges, from their middle on, whose atoms carry one more carbon on a single bond.
    rates_per_s: (5, 5) from row to column in the order of `EDGE_STATES`. count: 1 to 4 silicon atoms.
    """

    hole_nm: tuple[float, float] = (2.13, 2.1)
    bearded: float = 0.0
    rates_per_s: Matrix = EDGE_RATES
    rotation_deg: float = 8.0
    count: int = 4

    def __post_init__(self) -> None:
        """Refuse a hole too small for its silicon."""
        if min(self.hole_nm) < 2.1 or not 1 <= self.count <= 4 or not 0 <= self.bearded <= 0.4:
            raise BadInput(
                f"A hole of {self.hole_nm} nm with {self.count} silicon atoms and a beard of {self.bearded} was asked "
                "for: it must measure at least 2.1 nm, have 1 to 4 of them, and a beard between 0 and 0.4."
            )


def edge_movie(sample: EdgeSample | None = None, settings: MovieSettings | None = None) -> Movie:
    """Return a movie of silicon whose states follow a Markov chain in continuous time; states are `EDGE_STATES`.

    A silicon moves within about 0.6 nm as it changes state; two are at least 1.5 nm apart. Truth: label 'Si', `state`
    and `rings`, the sizes of the rings around it ('5-5-6-6'). `rates`: planted, by ``'state>other'``, per second.
    """
    sample, settings = sample or EdgeSample(), settings or MovieSettings()
    holed = _Holed(sample, settings)
    history = edge_history(sample, settings)
    rates = {
        f"{a}>{b}": sample.rates_per_s[i][j]
        for i, a in enumerate(EDGE_STATES)
        for j, b in enumerate(EDGE_STATES)
        if i != j
    }
    scene = replace(Scene.of(holed, history, rates), events=holed.events(history))
    return render_movie(scene, settings)


def edge_history(sample: EdgeSample, settings: MovieSettings) -> History:
    """Return the states of the silicon atoms over the movie; each starts in the chain's equilibrium."""
    rng = np.random.default_rng([settings.seed, 0, 51])
    places = site_graph(np.column_stack([np.arange(sample.count), np.zeros(sample.count)]), 0.1)
    start = rng.choice(len(EDGE_STATES), sample.count, p=equilibrium(sample.rates_per_s))
    dynamics = Dynamics(places, changes(EDGE_STATES, sample.rates_per_s))
    begun = {place: EDGE_STATES[state] for place, state in enumerate(start.tolist())}
    return simulate_history(dynamics, begun, settings.duration_s, rng)


def equilibrium(rates_per_s: Matrix) -> Array:
    """Return the share of time (S,) that a chain with these rates from row to column spends in each state."""
    flow = np.array(rates_per_s, dtype=float)
    np.fill_diagonal(flow, 0.0)
    np.fill_diagonal(flow, -flow.sum(axis=1))
    system = np.vstack([flow.T, np.ones(len(flow))])
    share = np.linalg.lstsq(system, np.append(np.zeros(len(flow)), 1.0), rcond=None)[0]
    return np.asarray(np.clip(share, 0, None) / np.clip(share, 0, None).sum())


@dataclass(frozen=True)
class _Patch:
    """The sheet around one corner in one state, turned and in place: points, numbers, row of the silicon, height."""

    points: Array
    numbers: Index
    height_nm: Array
    silicon: int


class _Holed:
    """The sheet in place, less what changes, and the patches that fill the gaps."""

    def __init__(self, sample: EdgeSample, settings: MovieSettings) -> None:
        low, size = sample_box(settings)
        centre = np.array(settings.size_nm) / 2
        if (np.array(settings.size_nm) < np.array(sample.hole_nm) + 1.2).any():
            raise BadInput(f"A hole of {sample.hole_nm} nm needs a larger field than {settings.size_nm} nm.")
        ends = np.abs(np.stack([low - centre, low + np.array(size) - centre])).max(axis=0)
        hole = holed_sheet(2 * (float(np.hypot(*ends)) + MARGIN_NM + 0.5), sample.hole_nm, sample.bearded)
        self._sample, self._centre = sample, centre
        found = [[silicon_at(hole, corner, state) for state in EDGE_STATES] for corner in hole.corners[: sample.count]]
        replaced = np.unique(np.concatenate([rows for states in found for _, _, rows in states]))
        left = np.ones(len(hole.network.points), dtype=bool)
        left[replaced] = False
        self.points = self._placed(hole.network.points[left])
        self.patches = [
            dict(zip(EDGE_STATES, [self._patch(network.atoms(), row) for network, row, _ in states], strict=True))
            for states in found
        ]

    def _placed(self, points: Array) -> Array:
        from micrograph.structures.layer import turn

        return np.asarray(points @ turn(self._sample.rotation_deg) + self._centre)

    def _patch(self, atoms: Atoms, silicon: int) -> _Patch:
        points = self._placed(atoms.positions[:, [1, 0]] / 10)
        return _Patch(points, atoms.numbers, atoms.positions[:, 2] / 10, silicon)

    def objects(self, history: History, t_s: float) -> Objects:
        """Return the silicon atoms at a time."""
        now = history.at(t_s)
        patches = [self.patches[one][state] for one, state in zip(now.object.tolist(), now.state.tolist(), strict=True)]
        place = np.array([patch.points[patch.silicon] for patch in patches])
        rings = np.array([RING_SIZES[state] for state in now.state.tolist()], dtype=object)
        return Objects(now.object, np.full(len(now), "Si"), place, {"state": now.state.astype(object), "rings": rings})

    def events(self, history: History) -> DataFrame:
        """Return the changes of state, where the silicon is after each."""
        table = history.table().drop(columns="site")
        patches = [self.patches[one][state] for one, state in zip(table["object"], table["state"], strict=True)]
        table[["y_nm", "x_nm"]] = np.array([patch.points[patch.silicon] for patch in patches])
        return table

    def atoms(self, history: History, t_s: float) -> Atoms:
        """Return the sheet at a time."""
        from micrograph.structures.layer import layer

        now = history.at(t_s)
        patches = [self.patches[one][state] for one, state in zip(now.object.tolist(), now.state.tolist(), strict=True)]
        points = np.concatenate([self.points, *[patch.points for patch in patches]])
        numbers = np.concatenate([np.full(len(self.points), 6), *[patch.numbers for patch in patches]])
        height = np.concatenate([np.zeros(len(self.points)), *[patch.height_nm for patch in patches]])
        return layer(points, height, numbers, np.where(numbers == 14, "Si", "C"))
