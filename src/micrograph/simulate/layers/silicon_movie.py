"""A movie of silicon atoms that the beam drives through graphene, with bonds of planted lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput
from micrograph.simulate.adf import MARGIN_NM
from micrograph.simulate.kinetics.dynamics import Dynamics, simulate_history
from micrograph.simulate.kinetics.history import History
from micrograph.simulate.kinetics.lattice import Array, Index, SiteGraph, site_graph
from micrograph.simulate.kinetics.processes import Change, Hop
from micrograph.simulate.kinetics.rates import Conditions, Rate, rate_per_s
from micrograph.simulate.layers.surroundings import (
    CARBON,
    SILICON,
    Surroundings,
    bond_nm,
    directions,
    fourfold_silicon,
    silicon,
)
from micrograph.simulate.movies import Movie, MovieSettings, Objects, Scene, render_movie, sample_box

if TYPE_CHECKING:
    from ase import Atoms


Triple = tuple[float, float, float]

#: Silicon atoms keep this distance, so that none has another as a neighbour.
_APART_NM = 0.55

#: Silicon stays this far inside the field, where the beam that drives it is.
_INSET_NM = 0.6


@dataclass(frozen=True)
class SiliconSample:
    """Silicon in graphene.

    count: silicon atoms at the start. hop: rate at which a 3-fold silicon changes places with a carbon neighbour (sum
    over the three). lose, catch: rates at which it becomes 4-fold (a carbon beside it is knocked out) and 3-fold again.
    asymmetry_pm: how much longer than usual the three seen Si-C bonds of a 3-fold silicon are, on the first and on the
    second sublattice; bonds are counted counter-clockwise, from 30, 150, 270 degrees on the first and from 90, 210, 330
    degrees on the second sublattice, plus the rotation. relaxed: whether the carbons around give way to that. strain:
    exx, eyy, exy of the sheet.
    """

    count: int = 4
    hop: Rate | float = 0.03
    lose: Rate | float = 0.0
    catch: Rate | float = 0.1
    asymmetry_pm: tuple[Triple, Triple] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    relaxed: bool = True
    rotation_deg: float = 11.0
    strain: Triple = (0.0, 0.0, 0.0)


def silicon_movie(sample: SiliconSample | None = None, settings: MovieSettings | None = None) -> Movie:
    """Return a movie of silicon that hops between the sites of graphene by exchange with carbon.

    Truth: label 'Si', `state` 'Si3' or 'Si4', `site`, `sublattice` 0 or 1, and the seen lengths of the bonds of a
    3-fold silicon, ``bond_1_nm`` to ``bond_3_nm``, with the direction of the first, ``bond_1_deg``. All atoms of
    a frame are in ``movie.sites(i)``. `rates`: hop, lose, catch per second and ``d_nm2_per_s`` of a lone silicon.
    """
    sample, settings = sample or SiliconSample(), settings or MovieSettings()
    sheet = _Sheet(sample, settings)
    return render_movie(Scene.of(sheet, sheet.history(), sheet.rates()), settings)


class _Sheet:
    """The perfect sheet, the sites on which silicon may be, and what silicon does to its surroundings."""

    def __init__(self, sample: SiliconSample, settings: MovieSettings) -> None:
        from scipy.spatial import cKDTree

        from micrograph.structures import graphene

        self.sample, self.settings = sample, settings
        self._rng = np.random.default_rng([settings.seed, 0, 41])
        low, size = sample_box(settings)
        whole = graphene(
            size,
            rotation_deg=sample.rotation_deg,
            strain=sample.strain,
            shift_nm=tuple(self._rng.uniform(0, 0.25, 2)),
            margin_nm=MARGIN_NM + 0.2,
        )
        self.points: Array = whole.positions[:, [1, 0]] / 10 + low
        self.tree = cKDTree(self.points)
        field = np.array(settings.size_nm) - _INSET_NM
        self.inner: Index = np.flatnonzero(((self.points > _INSET_NM) & (self.points < field)).all(axis=1))
        if len(self.inner) < 2 * sample.count:
            raise BadInput(f"{sample.count} silicon atoms need a larger field than {settings.size_nm} nm.")
        self.sublattice = self._sublattices()
        self.around = _surroundings(sample)

    def _sublattices(self) -> Index:
        """Return 0 for atoms with a neighbour where those of the first sublattice have one, else 1."""
        first = self.points + bond_nm() * directions(0, self.sample.rotation_deg)[0]
        return np.where(self.tree.query(first)[0] < bond_nm() / 2, 0, 1)

    @property
    def graph(self) -> SiteGraph:
        """The sites on which silicon may be."""
        return site_graph(self.points[self.inner], 1.25 * bond_nm())

    def history(self) -> History:
        """Return what happens during the movie."""
        sample, graph = self.sample, self.graph
        processes = (Hop("Si3", sample.hop), Change("Si3", "Si4", sample.lose), Change("Si4", "Si3", sample.catch))
        dynamics = Dynamics(graph, processes, self.settings.beam, apart_nm=_APART_NM)
        start = dict.fromkeys(_spaced(graph.y_x_nm, sample.count, self._rng), "Si3")
        return simulate_history(dynamics, start, self.settings.duration_s, self._rng)

    def rates(self) -> dict[str, float]:
        """Return the planted rates per second."""
        beam = Conditions(self.settings.dose_rate_e_per_A2_s)
        planted = {name: rate_per_s(getattr(self.sample, name), beam) for name in ("hop", "lose", "catch")}
        return planted | {"d_nm2_per_s": planted["hop"] * bond_nm() ** 2 / 4}

    def _rows(self, row: int, offset: Array) -> Index:
        """Return the rows of the atoms at `offset` (M, 2) from one; the number of atoms where there is none."""
        reach = bond_nm() / 2
        _, near = self.tree.query(self.points[row] + offset, distance_upper_bound=reach)
        return np.asarray(near, dtype=np.intp)

    def _seen(self, history: History, t_s: float) -> list[tuple[int, Surroundings]]:
        """Return the row of every silicon and what it does to its surroundings."""
        now = history.at(t_s)
        seen = []
        for one, site, state in zip(now.object.tolist(), now.site.tolist(), now.state.tolist(), strict=True):
            row = int(self.inner[site])
            turn = (one + site) % 3 if state == "Si4" else 0
            seen.append((row, self.around[state, int(self.sublattice[row]), turn]))
        return seen

    def _pushed(self, seen: list[tuple[int, Surroundings]]) -> Array:
        """Return where all sites are once the silicon has pushed them; what two silicon atoms do adds up."""
        points = self.points.copy()
        for row, around in seen:
            near = self._rows(row, around.offset)
            known = near < len(points)
            points[near[known]] += around.shift[known]
        return points

    def objects(self, history: History, t_s: float) -> Objects:
        """Return the silicon atoms at a time."""
        now, seen = history.at(t_s), self._seen(history, t_s)
        points = self._pushed(seen)
        rows = np.array([row for row, _ in seen], dtype=np.intp)
        place = points[rows]
        ends = [points[self._rows(row, around.offset[1:4])] for row, around in seen]
        bonds = np.array(ends).reshape(-1, 3, 2) - place[:, None]
        length = np.where((now.state == "Si3")[:, None], np.hypot(bonds[:, :, 0], bonds[:, :, 1]), np.nan)
        direction = np.rad2deg(np.arctan2(-bonds[:, 0, 0], bonds[:, 0, 1])) % 360
        more = {"state": now.state.astype(object), "site": rows, "sublattice": self.sublattice[rows]}
        more |= {f"bond_{k + 1}_nm": length[:, k] for k in range(3)}
        more["bond_1_deg"] = np.where(now.state == "Si3", direction, np.nan)
        return Objects(now.object, np.full(len(now), "Si"), place, more)

    def atoms(self, history: History, t_s: float) -> Atoms:
        """Return the sheet at a time."""
        from micrograph.structures.graphene import SI_HEIGHT_NM
        from micrograph.structures.layer import layer

        seen = self._seen(history, t_s)
        points, height = self._pushed(seen), np.zeros(len(self.points))
        numbers = np.full(len(points), CARBON)
        for row, around in seen:
            gone = self._rows(row, around.offset[around.gone])
            numbers[gone[gone < len(points)]] = 0
            numbers[row] = SILICON
            height[row] = 0.0 if around.gone.any() else SI_HEIGHT_NM
        left = numbers > 0
        label = np.where(numbers == SILICON, "Si", "C")
        return layer(points[left], height[left], numbers[left], label[left])


def _surroundings(sample: SiliconSample) -> dict[tuple[str, int, int], Surroundings]:
    """Return what silicon does by its state, its sublattice and the neighbour whose place it takes as well."""
    found = {}
    for part in (0, 1):
        longer = np.array(sample.asymmetry_pm[part]) / 1e3
        found["Si3", part, 0] = silicon(part, longer_nm=longer, give_way=sample.relaxed)
        for turn in range(3):
            found["Si4", part, turn] = fourfold_silicon(part, turn)
    return {key: around.rotated(sample.rotation_deg) for key, around in found.items()}


def _spaced(points: Array, count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` random rows, each as far as possible from those before among a few drawn."""
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < count:
        trial = rng.integers(len(points), size=30)
        apart = np.hypot(*(points[trial][:, None] - points[chosen]).transpose(2, 0, 1)).min(axis=1)
        chosen.append(int(trial[np.argmax(apart)]))
    return chosen
