"""A movie of a dichalcogenide monolayer that loses its order under the beam."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from micrograph.simulate.adf import MARGIN_NM
from micrograph.simulate.kinetics.dynamics import Dynamics, simulate_history
from micrograph.simulate.kinetics.history import History
from micrograph.simulate.kinetics.lattice import Array, Index, site_graph
from micrograph.simulate.kinetics.processes import Bind, Change, Create, Hop, Process, Vanish
from micrograph.simulate.kinetics.rates import Conditions, Rate, rate_per_s
from micrograph.simulate.movies import Movie, MovieSettings, Objects, Scene, render_movie, sample_box
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scan import Scan

if TYPE_CHECKING:
    from ase import Atoms

#: A movie as of MoS2 and WS2 at 80 kV.
TMD_SETTINGS = MovieSettings(
    microscope=Microscope(voltage_kV=80.0, inner_mrad=65.0, outer_mrad=200.0, source_fwhm_nm=0.08),
    scan=Scan(dose_e_per_A2=1e5, jitter_nm=0.002, drift_nm=0.005),
    drift_nm_per_s=(0.004, -0.003),
    wander_nm=0.01,
)


@dataclass(frozen=True)
class TmdRates:
    """Rates of what happens in a monolayer, per second or as `Rate`.

    create: a chalcogen goes, per full column. second: the other one of that column goes. heal: a column that lacks one
    is filled again. hop: a column's vacancy moves to a neighbouring full one (sum over all six). bind, split: a vacancy
    sticks to a dopant beside it, and comes off. metal: a metal goes, per metal. The rates per dose are displacement
    cross-sections in square angstrom (1e-8 is one barn, about that of S at 80 kV, doi:10.1103/PhysRevLett.109.035503).
    """

    create: Rate | float = field(default_factory=lambda: Rate(per_dose=1.5e-8))
    second: Rate | float = field(default_factory=lambda: Rate(per_dose=1.0e-8))
    heal: Rate | float = 0.0
    hop: Rate | float = 0.05
    bind: Rate | float = 0.5
    split: Rate | float = 0.02
    metal: Rate | float = field(default_factory=lambda: Rate(per_dose=0.1e-8))


@dataclass(frozen=True)
class TmdSample:
    """The monolayer at the start: dopants on a share of the metal sites, vacancies in a share of the columns.

    disorder_nm: rms static displacement of every column per axis in the first and in the last frame.
    """

    material: str = "WS2"
    rotation_deg: float = 7.0
    dopant: str = "Mo"
    dopants: float = 0.03
    vacancies: float = 0.005
    disorder_nm: tuple[float, float] = (0.003, 0.012)
    rates: TmdRates = field(default_factory=TmdRates)


def tmd_movie(sample: TmdSample | None = None, settings: MovieSettings = TMD_SETTINGS) -> Movie:
    """Return a movie of a monolayer whose vacancies are made by the beam, hop, double up, and stick to dopants.

    Truth: the defects, labelled 'S1' (a column that lacks one chalcogen), 'S0', the dopant's element, 'vac_W' (empty
    metal site), with `state` (the same), `partner` (the object to which it is bound, -1 for none) and `site`.
    `rates` hold the planted rates per second at the scan's dose rate, and ``d_nm2_per_s`` of a lone vacancy.
    """
    sample = sample or TmdSample()
    layer = _Monolayer(sample, settings)
    return render_movie(Scene.of(layer, layer.history(), layer.rates()), settings)


class _Monolayer:
    """The perfect layer with its sites: metals first, then chalcogen columns."""

    def __init__(self, sample: TmdSample, settings: MovieSettings) -> None:
        from micrograph.structures import MATERIALS, tmd

        self.sample, self.settings = sample, settings
        low, size = sample_box(settings)
        rng = np.random.default_rng([settings.seed, 0, 21])
        shift = tuple(rng.uniform(0, 0.3, 2))
        self.whole = tmd(
            sample.material, size, rotation_deg=sample.rotation_deg, shift_nm=shift, margin_nm=MARGIN_NM + 0.2
        )
        self.material = MATERIALS[sample.material]
        self.whole.positions[:, [1, 0]] += 10 * low
        metal = np.flatnonzero(self.whole.arrays["label"] == self.material.metal)
        lower = np.arange(len(metal), len(self.whole), 2)
        #: Row of the first atom of every site.
        self.row: Index = np.concatenate([metal, lower])
        self.metals = len(metal)
        self.points: Array = self.whole.positions[self.row][:, [1, 0]] / 10
        self._shove = rng.normal(0, 1, self.points.shape)
        self._upper_goes = rng.random(len(self.row)) < 0.5
        self._rng = rng
        self.one, self.none = f"{self.material.chalcogen}1", f"{self.material.chalcogen}0"
        self.empty = f"vac_{self.material.metal}"

    def history(self) -> History:
        """Return what happens during the movie."""
        rng, sample = self._rng, self.sample
        metals, columns = np.arange(self.metals), np.arange(self.metals, len(self.row))
        start = dict.fromkeys(metals[rng.random(len(metals)) < sample.dopants].tolist(), sample.dopant)
        start |= dict.fromkeys(columns[rng.random(len(columns)) < sample.vacancies].tolist(), self.one)
        kind = np.arange(len(self.row)) < self.metals
        sites = site_graph(self.points, 1.1 * self.material.a_nm, kind=kind)
        dynamics = Dynamics(sites, self._processes(metals, columns), self.settings.beam)
        return simulate_history(dynamics, start, self.settings.duration_s, rng)

    def _processes(self, metals: Index, columns: Index) -> list[Process]:
        rates = self.sample.rates
        beside = 1.1 * self.material.a_nm / np.sqrt(3)
        return [
            Create(self.one, rates.create, columns),
            Change(self.one, self.none, rates.second),
            Vanish(self.one, rates.heal),
            Hop(self.one, rates.hop),
            Bind(self.one, self.sample.dopant, rates.bind, beside, rates.split),
            Create(self.empty, rates.metal, metals),
        ]

    def rates(self) -> dict[str, float]:
        """Return the planted rates per second under the beam of the movie."""
        beam = Conditions(self.settings.dose_rate_e_per_A2_s)
        planted = {name: rate_per_s(rate, beam) for name, rate in vars(self.sample.rates).items()}
        return planted | {"d_nm2_per_s": planted["hop"] * self.material.a_nm**2 / 4}

    def _shoved(self, t_s: float) -> Array:
        """Displacement (N, 2) of every site at a time: the same direction always, growing."""
        frame = round(t_s / self.settings.frame_time_s)
        return np.asarray(self.settings.between(self.sample.disorder_nm, frame) * self._shove)

    def objects(self, history: History, t_s: float) -> Objects:
        """Return the defects at a time."""
        now = history.at(t_s)
        place = (self.points + self._shoved(t_s))[now.site]
        more = {"state": now.state.astype(object), "partner": now.partner, "site": now.site}
        return Objects(now.object, now.state, place, more)

    def atoms(self, history: History, t_s: float) -> Atoms:
        """Return the layer at a time; empty places are atoms of number 0."""
        from ase.data import atomic_numbers

        atoms: Atoms = self.whole.copy()  # type: ignore[no-untyped-call]
        shove = 10 * self._shoved(t_s)
        atoms.positions[self.row, :2] += shove[:, [1, 0]]
        atoms.positions[self.row[self.metals :] + 1, :2] += shove[self.metals :, [1, 0]]
        now = history.at(t_s)
        label, numbers = atoms.arrays["label"], atoms.numbers
        for site, state in zip(now.site.tolist(), now.state.tolist(), strict=True):
            row = self.row[site]
            label[row] = state
            if site < self.metals:
                numbers[row] = 0 if state == self.empty else atomic_numbers[state]
                continue
            label[row + 1] = state
            goes = [row, row + 1] if state == self.none else [row + int(self._upper_goes[site])]
            numbers[goes] = 0
        return atoms
