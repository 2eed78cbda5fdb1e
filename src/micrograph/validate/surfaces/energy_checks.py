"""Checks of interaction energies: planted ones found again, inside their intervals, from tables and from images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.simulate.scanning.lattice_gas import Surface, SurfaceImages, Surfaces
from micrograph.structures.lattice_gas import LatticeGas
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.metrics import auroc
from micrograph.validate.shared import Shared

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: A planted energy counts as found within this share of it, or within so many of its 1-sigma.
_WITHIN, _SIGMAS = 0.10, 2.0
_SPACING_NM = 0.39


#: What tables, and images of a smaller part, show.
_TABLES = Surfaces(size=36)
_IMAGES = SurfaceImages(surfaces=Surfaces(size=44, label_error=0.0), cells=32.0, spacing_px=(8.0, 8.001))


@dataclass(frozen=True)
class EnergyTrial:
    """So many configurations in one recording; `name` says of which kind in the names of checks.

    spread: 1-sigma of the logarithm of the factor of each energy, new for each frame. kind: 'table' of sites, 'image',
    or 'clusters': Ising configurations of one lattice by Swendsen and Wang's algorithm, which shares no code with ours.
    """

    name: str
    frames: int
    surfaces: Surfaces = _TABLES
    spread: float = 0.0
    kind: Literal["table", "image", "clusters"] = "table"
    images: SurfaceImages = _IMAGES

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> tuple[DataFrame, DataFrame, DataFrame]:
        """Return the table 'energies' with the planted ones as ``planted``, 'frames' and 'predictions'."""

        def find(seed: int) -> tuple[DataFrame, DataFrame, DataFrame]:
            recording, planted = self.recording(np.random.default_rng(seed))
            tables = analyser.movie(recording)
            energies = tables["energies"].copy()
            order = energies.groupby("frame").cumcount().to_numpy()
            energies["planted"] = planted[energies["frame"].to_numpy(int), order]
            return energies, tables["frames"], tables["predictions"]

        return _FOUND.found(self, analyser, rng, find)

    def recording(self, rng: np.random.Generator) -> tuple[Recording, Array]:
        """Return a recording and the energies (frames, K) that were planted in it."""
        factors = np.exp(self.spread * rng.normal(size=(self.frames, len(self.surfaces.energies_kT))))
        planted = factors * np.array(self.surfaces.energies_kT)
        frames, scale = [], Calibration(content="sites", channels=CLASSES)
        for energies in planted:
            surfaces = replace(self.surfaces, energies_kT=tuple(energies))
            if self.kind == "image":
                image = replace(self.images, surfaces=replace(surfaces, size=self.images.surfaces.size, label_error=0))
                sample = image(rng)
                frames.append(sample.image)
                scale = Calibration(pixel_nm=sample.pixel_nm)
            elif self.kind == "clusters":
                frames.append(table_of(_by_clusters(surfaces, rng), rng))
            else:
                frames.append(table_of(surfaces(rng), rng))
        recording = Recording(frames.__getitem__, range(self.frames), scale, frames[0].shape, name=self.name)
        return recording, planted


_FOUND: Shared[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]] = Shared()
#: Classes of the tables: of each lattice the one that does not count, then the one that does.
CLASSES = ("Ca", "La", "no O", "O")


def table_of(surface: Surface, rng: np.random.Generator, scatter_nm: float = 0.012) -> NDArray[np.float32]:
    """Return a surface as a table of sites (N, 4): y_nm, x_nm, number of the class, chance that it is right."""
    place = surface.nodes * _SPACING_NM
    layers = [place, place + 0.5 * _SPACING_NM][: surface.gas.layers]
    where = np.concatenate(layers) + rng.normal(0, scatter_nm, (len(surface.seen), 2))
    lattice = np.repeat(np.arange(surface.gas.layers), len(place))
    score = np.full(len(where), 1 - surface.label_error)
    return np.column_stack([where, surface.seen + 2 * lattice, score]).astype(np.float32)


def _by_clusters(surfaces: Surfaces, rng: np.random.Generator, turns: int = 60) -> Surface:
    """Return an Ising configuration of one lattice whose unlike nearest pairs cost the first energy (>= 0).

    Swendsen and Wang, doi:10.1103/PhysRevLett.58.86: like neighbours are bound with probability 1 - exp(-w), every
    cluster takes a side by a coin.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    side = surfaces.size
    spins = rng.integers(0, 2, (side, side)).astype(np.int8)
    number = np.arange(side * side).reshape(side, side)
    for _ in range(turns):
        ends = []
        for axis in (0, 1):
            bound = (spins == np.roll(spins, -1, axis)) & (
                rng.random(spins.shape) < 1 - np.exp(-surfaces.energies_kT[0])
            )
            ends.append(np.stack([number[bound], np.roll(number, -1, axis)[bound]]))
        one, other = np.concatenate(ends, axis=1)
        graph = csr_array((np.ones(len(one)), (one, other)), shape=(side * side, side * side))
        clusters, label = connected_components(graph, directed=False)
        spins = rng.integers(0, 2, clusters)[label].reshape(side, side).astype(np.int8)
    states = spins.ravel()
    wrong = (rng.random(len(states)) < surfaces.label_error).astype(np.int8)
    return Surface(surfaces.gas, side, states, states ^ wrong, surfaces.energies_kT, surfaces.label_error)


def _found(energies: DataFrame, column: str = "w_kT") -> NDArray[np.bool_]:
    planted, sigma = energies["planted"].to_numpy(float), energies["w_sigma_kT"].to_numpy(float)
    off = np.abs(energies[column].to_numpy(float) - planted)
    reach = np.maximum(_WITHIN * np.abs(planted), _SIGMAS * sigma)
    return np.asarray(off <= reach)


def energies_found(trial: EnergyTrial, *, at_least: float) -> Check:
    """Build the check: share of planted energies within 10 % or two standard errors; baseline: pairs alone (Bethe)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        energies, _, _ = trial.answers(analyser, rng)
        hits = _found(energies)
        return Measurement.of(
            clopper_pearson(int(hits.sum()), len(hits)),
            limit=0.9545,
            baseline=float(np.mean(_found(energies, "pairs_alone_kT"))),
            detail=f"{trial.frames} configurations; mean 1-sigma {energies['w_sigma_kT'].mean():.3f} kT",
        )

    return Check(f"energies within 10 % or 2 sigma, {trial.name}", measure, at_least, ">=", data=trial.name)


def mean_energies(trial: EnergyTrial, *, at_most: float) -> Check:
    """Build the check: how far the mean of all configurations is off at most, of the planted energies, as a share."""

    def worst(rows: Sequence[Array], column: int) -> float:
        table = np.array(rows)
        return float(np.max(np.abs(table[:, :, column].mean(axis=0) / table[:, :, 2].mean(axis=0) - 1)))

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        energies, _, _ = trial.answers(analyser, rng)
        kinds = energies["name"].nunique()
        rows = energies[["w_kT", "pairs_alone_kT", "planted"]].to_numpy(float).reshape(-1, kinds, 3)
        interval = bootstrap(lambda some: worst(some, 0), list(rows), rng)
        means = ", ".join(f"{name} {rows[:, k, 0].mean():.3f}" for k, name in enumerate(energies["name"][:kinds]))
        return Measurement.of(interval, limit=0.0, baseline=worst(list(rows), 1), detail=f"means {means} kT")

    return Check(f"largest bias of an energy, {trial.name}", measure, at_most, "<=", data=trial.name)


def energy_coverage(trial: EnergyTrial, *, at_least: float) -> Check:
    """Build the check: share of planted energies inside their 95 % profile intervals."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        energies, _, _ = trial.answers(analyser, rng)
        inside = energies["planted"].between(energies["w_low_kT"], energies["w_high_kT"])
        return Measurement.of(
            clopper_pearson(int(inside.sum()), len(inside)), limit=0.95, detail=f"{len(inside)} energies"
        )

    return Check(f"energies inside their 95 % interval, {trial.name}", measure, at_least, ">=", data=trial.name)


def error_over_bound(trial: EnergyTrial, *, at_most: float) -> Check:
    """Build the check: rms error over the Cramer-Rao bound of labels without errors; baseline: pairs alone (Bethe)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        energies, _, _ = trial.answers(analyser, rng)
        pulls = ((energies["w_kT"] - energies["planted"]) / energies["bound_kT"]).to_numpy(float)
        alone = ((energies["pairs_alone_kT"] - energies["planted"]) / energies["bound_kT"]).to_numpy(float)
        interval = bootstrap(lambda some: float(np.sqrt(np.mean(np.square(some)))), list(pulls), rng)
        wrong = trial.surfaces.label_error
        return Measurement.of(
            interval, limit=1.0, baseline=float(np.sqrt(np.mean(alone**2))), detail=f"{100 * wrong:g} % of labels wrong"
        )

    return Check(f"error over the bound, {trial.name}", measure, at_most, "<=", data=trial.name)


def fit_told(trial: EnergyTrial, foreign: EnergyTrial, *, at_least: float) -> Check:
    """Build the check: how surely `p_fit` tells configurations of other interactions from the trial's own (AUROC)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = trial.answers(analyser, rng)[1]["p_fit"].to_numpy(float)
        other = foreign.answers(analyser, rng)[1]["p_fit"].to_numpy(float)
        value = auroc(-own, -other)
        spread = float(np.sqrt(max(value * (1 - value), 1e-4) / len(other)))
        detail = f"p below 0.01: own {np.mean(own < 0.01):.3f}, foreign {np.mean(other < 0.01):.3f}"
        return Measurement(
            value, max(0.0, value - 1.96 * spread), min(1.0, value + 1.96 * spread), limit=1.0, detail=detail
        )

    return Check(f"foreign interactions told, {foreign.name}", measure, at_least, ">=", data=trial.name)


def latent_order(trial: EnergyTrial, recordings: int, *, at_least: float) -> Check:
    """Build the check: rank correlation of the first latent number with temperature, at each composition, the mean."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from scipy.stats import spearmanr

        found = []
        for number in range(recordings):
            one = replace(trial, frames=1, name=f"{trial.name} {number}")
            table = one.answers(analyser, rng)[2]
            once = table[table["name"] == table["name"].iloc[0]]
            for _, rows in once.groupby("share_1"):
                found.append(abs(float(spearmanr(rows["temperature"], rows["latent_1"]).statistic)))
        interval = bootstrap(lambda some: float(np.mean(some)), found, rng)
        detail = f"{recordings} recordings, {len(found)} compositions, the least {min(found):.3f}"
        return Measurement.of(interval, limit=1.0, detail=detail)

    return Check(f"latent number orders temperature, {trial.name}", measure, at_least, ">=")


def seconds_an_image(trial: EnergyTrial, *, at_most_s: float) -> Check:
    """Build the check: seconds for one image with all that is foretold of it."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seconds = []
        for _ in range(1):
            recording, _ = replace(trial, frames=1).recording(rng)
            began = time.perf_counter()
            analyser.movie(recording)
            seconds.append(time.perf_counter() - began)
        return Measurement(max(seconds), min(seconds), max(seconds), detail=f"{trial.name}, one recording")

    return Check("time of one recording with predictions", measure, at_most_s, "<=", "s")


#: One lattice with nearest and second neighbours, for comparison with cluster moves.
ISING = LatticeGas((((0, 1), (1, 0)), ((1, 1), (1, -1))))
