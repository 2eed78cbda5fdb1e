"""Checks of states of molecules: polarity, rotation, what neighbours add, temperature, correlations, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Sample
from micrograph.features.levelling import Levelling
from micrograph.features.surface.molecule_shapes import Turns, finished, rings_of
from micrograph.features.surface.nodes import Nodes, find_nodes, neighbours_of
from micrograph.features.surface.order import alike
from micrograph.simulate.scanning.lattice_images import LatticeImages
from micrograph.simulate.scanning.molecules import MoleculeImages
from micrograph.structures.molecule_states import HEXAGONAL, MoleculeModel, draw_states
from micrograph.structures.pair_field import Chains
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.metrics import auroc
from micrograph.validate.shared import Shared, one_by_one
from micrograph.validate.timing import frame_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class MoleculeTrial:
    """So many images of a sampler's kind; `name` says of which kind in the names of checks."""

    name: str
    images: int
    sampler: MoleculeImages

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Told]:
        """Return what was told of each image; the same images are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: _told(self.sampler(draw), analyser, self.sampler.couplings, draw))
        return _FOUND.found(self.name, analyser, rng, find)


@dataclass(frozen=True)
class Told:
    """One image: which molecules (N, 2) are told rightly: alone, with neighbours, by the limits and classically.

    Columns are polarity and rotation; `limit` is Bayes' rule for a molecule alone, `field` with its neighbours; score
    (N,) of the likeliest state; the row of 'frames', 'correlations'. Of an image that is refused all molecules that it
    shows are wrong, and 'frames' is empty.
    """

    with_neighbours: Flags
    alone: Flags
    limit: Flags
    field: Flags
    plain: Flags
    score: Array
    frame: Mapping[str, Any]
    correlations: pd.DataFrame

    @property
    def right(self) -> Flags:
        """Whether the whole state (N,) is right."""
        return np.asarray(self.with_neighbours.all(axis=1))


_FOUND: Shared[list[Told]] = Shared()
#: A whole turn and a step of the molecules' rotations (degrees); distance from the domain of an image that is refused.
_FULL, _STEP, _REFUSED = 120.0, 30.0, 10.0


def _told(sample: Sample, analyser: Analyser, couplings: tuple[float, float, float], rng: np.random.Generator) -> Told:
    try:
        tables = analyser(sample.image, sample.pixel_nm)
    except BadInput:
        wrong, none = np.zeros((len(sample.sites), 2), bool), np.zeros((0, 2), bool)
        return Told(wrong, wrong, none, none, wrong, np.zeros(len(wrong)), {}, pd.DataFrame())
    objects, frame = tables["objects"], {str(key): value for key, value in tables["frames"].iloc[0].items()}
    down, turned = _truth(sample)
    match = _matched(sample, objects[["y_nm", "x_nm"]].to_numpy(float))
    true_down, true_turned = down[match], turned[match]
    angle = objects["rotation_deg"].to_numpy(float)
    with_neighbours = np.column_stack(
        [(objects["polarity"] == "down").to_numpy() == true_down, _near(angle, true_turned)]
    )
    names = objects["alone"].astype(str)
    by_name = objects.groupby("class")["rotation_deg"].first()
    alone_angle = names.map(by_name).to_numpy(float)
    alone_down = names.str.startswith("down").to_numpy()
    alone = np.column_stack([alone_down == true_down, _near(alone_angle, true_turned)])
    seen = _Seen.of(sample, objects)
    evidence = seen.evidence(true_down, true_turned)
    return Told(
        with_neighbours, alone, seen.right(evidence, true_down, true_turned),
        seen.right(_posterior(evidence, seen.own, couplings, rng), true_down, true_turned),
        seen.plain(objects, true_down, true_turned), objects["score"].to_numpy(float), frame, tables["correlations"],
    )  # fmt: skip


def _truth(sample: Sample) -> tuple[Flags, Array]:
    """Return for each molecule whether it is down (N,), and the direction (N,) of its bright corner in degrees."""
    words = [str(label).split() for label in sample.sites.label]
    zero = sample.params["turn_deg"] + sample.params["offset_deg"]
    return np.array([one == "down" for one, _ in words]), np.array([zero + _STEP * int(k) for _, k in words]) % _FULL


def _near(one: Array, other: Array) -> Flags:
    away = (one - other + _FULL / 2) % _FULL - _FULL / 2
    return np.asarray(np.abs(away) < _STEP / 2)


def _matched(sample: Sample, place_nm: Array) -> NDArray[np.intp]:
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([sample.sites.y_nm, sample.sites.x_nm]))
    return np.asarray(tree.query(place_nm)[1], np.intp)


@dataclass(frozen=True)
class _Seen:
    """A sample made level, the nodes that a recipe told of, and the same at the true places."""

    level: NDArray[np.float32]
    own: Nodes
    true: Nodes

    @classmethod
    def of(cls, sample: Sample, objects: pd.DataFrame) -> _Seen:
        level = Levelling(order=1, lines="median")(sample.image)
        place = objects[["y_nm", "x_nm"]].to_numpy(float)
        true = np.column_stack([sample.sites.y_nm, sample.sites.x_nm])[_matched(sample, place)]
        index, cell = objects[["u", "v"]].to_numpy(np.intp), find_nodes(level).cell
        own, right = (Nodes(index, one / sample.pixel_nm, cell) for one in (place, true))
        return cls(level, own, right)

    @staticmethod
    def state(turned: Array) -> NDArray[np.intp]:
        """Return the rotation (N,) of directions, 0 that of the first."""
        return np.asarray(np.rint((turned - float(turned[0]) % _STEP) / _STEP), np.intp) % 4

    def evidence(self, down: Flags, turned: Array) -> Array:
        """Return the log likelihoods (N, 8) of all states of each molecule, with the true shapes at the true places.

        The true shapes are the means of molecules of known states, others than the one that is judged.
        """
        weight = np.zeros((len(down), 2, 4))
        weight[np.arange(len(down)), down.astype(int), self.state(turned)] = 1
        rings = rings_of(self.level, self.true, Turns())
        return finished(rings, weight, Turns(), np.ones(len(down), bool)).evidence.reshape(len(down), -1)

    def right(self, evidence: Array, down: Flags, turned: Array) -> Flags:
        """Return what is right (N, 2) of the likeliest states by log likelihoods or probabilities (N, 8)."""
        best = evidence.argmax(axis=1)
        return np.column_stack([(best >= 4) == down, best % 4 == self.state(turned)])

    def plain(self, objects: pd.DataFrame, down: Flags, turned: Array) -> Flags:
        """Return what is right (N, 2) by the baseline.

        It is the highest correlation coefficient with shapes that are learned from the recipe's own answers, without
        noise's covariance and neighbours.
        """
        told = (objects["rotation_deg"].to_numpy(float) - float(turned[0]) % _STEP) / _STEP
        rings = rings_of(self.level, self.own, Turns())
        best = _by_correlation(rings, (objects["polarity"] == "down").to_numpy(), np.rint(told).astype(int) % 4)
        return np.column_stack([(best >= 4) == down, best % 4 == self.state(turned)])


def _posterior(evidence: Array, nodes: Nodes, couplings: tuple[float, float, float], rng: np.random.Generator) -> Array:
    """Return the probabilities (N, 8) of all states with the true couplings of neighbours, by Monte Carlo."""
    chains = Chains(MoleculeModel().between(len(nodes), neighbours_of(nodes)), 24, rng, evidence)
    chains.sweep(couplings, 40)
    found: Array = np.zeros(evidence.shape)
    for _ in range(40):
        chains.sweep(couplings, 2)
        found += np.stack([np.mean(chains.states == state, axis=1) for state in range(evidence.shape[-1])], axis=1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _by_correlation(rings: NDArray[np.complex128], down: Flags, state: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the state whose mean pattern has the highest correlation coefficient with each molecule's."""
    flat = np.fft.irfft(rings, n=2 * rings.shape[1], axis=1).reshape(len(rings), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    means = []
    for number in range(8):
        own = (down == (number >= 4)) & (state == number % 4)
        mean = flat[own].mean(axis=0) if own.any() else np.zeros(flat.shape[1])
        means.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    return np.asarray((flat @ np.array(means).T).argmax(axis=1), np.intp)


def _share(told: Sequence[Told], which: Callable[[Told], Flags]) -> float:
    return float(np.mean(np.concatenate([which(one) for one in told])))


def _state_check(trial: MoleculeTrial, name: str, place: int, at_least: float) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told = trial.answers(analyser, rng)
        interval = bootstrap(lambda some: _share(some, lambda one: one.with_neighbours[:, place]), told, rng)
        alone = _share(told, lambda one: one.alone[:, place])
        return Measurement.of(
            interval,
            limit=_share(told, lambda one: one.limit[:, place]),
            baseline=_share(told, lambda one: one.plain[:, place]),
            detail=f"{sum(len(one.score) for one in told)} molecules, {alone:.4f} without neighbours; the limit too",
        )

    return Check(f"{name}, {trial.name}", measure, at_least, ">=", data=trial.name)


def polarity_right(trial: MoleculeTrial, *, at_least: float) -> Check:
    """Build the check: share of molecules of which up or down is right."""
    return _state_check(trial, "up or down", 0, at_least)


def rotation_right(trial: MoleculeTrial, *, at_least: float) -> Check:
    """Build the check: share of molecules whose rotation is right; its corner within 15 degrees."""
    return _state_check(trial, "rotation", 1, at_least)


def neighbours_add(trial: MoleculeTrial, *, at_least: float) -> Check:
    """Build the check: by how much the share of right rotations grows with the random field of neighbours.

    Limit: the gain of Bayes' rule with the true shapes, places and couplings.
    """

    def gain(told: Sequence[Told]) -> float:
        return _share(told, lambda one: one.with_neighbours[:, 1]) - _share(told, lambda one: one.alone[:, 1])

    def limit(told: Sequence[Told]) -> float:
        return _share(told, lambda one: one.field[:, 1]) - _share(told, lambda one: one.limit[:, 1])

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told = trial.answers(analyser, rng)
        before = _share(told, lambda one: one.alone[:, 1])
        after = before + gain(told)
        detail = f"{before:.4f} alone, {after:.4f} with neighbours"
        return Measurement.of(bootstrap(gain, told, rng), limit=limit(told), detail=detail)

    return Check(f"rotation gained by neighbours, {trial.name}", measure, at_least, ">=", data=trial.name)


def temperature_error(trial: MoleculeTrial, *, at_most: float) -> Check:
    """Build the check: rms relative error of the temperature; limit: Cramer-Rao is what its own error says."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told = trial.answers(analyser, rng)
        true = 1 / trial.sampler.couplings[2]
        rows = [one.frame for one in told]
        off = [_number(row, "temperature", 2 * true) / true - 1 for row in rows]
        sigma = [_number(row, "temperature_sigma", true) / true for row in rows]
        interval = bootstrap(lambda some: float(np.sqrt(np.mean(np.square(some)))), off, rng)
        detail = f"mean {np.mean(off):+.4f}, {np.mean(np.abs(off) <= 0.1):.2f} of {len(off)} within 10 %"
        return Measurement.of(interval, limit=float(np.sqrt(np.mean(np.square(sigma)))), detail=detail)

    return Check(f"temperature error, {trial.name}", measure, at_most, "<=", data=trial.name)


def _number(row: Mapping[str, Any], name: str, otherwise: float) -> float:
    """Return a number of a row of 'frames', or another one where it is not known."""
    value = float(row.get(name, np.nan))
    return value if np.isfinite(value) else otherwise


def correlations_inside(trial: MoleculeTrial, *, at_least: float) -> Check:
    """Build the check: share of pair correlations whose 95 % interval holds the ensemble's value."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told = trial.answers(analyser, rng)
        true = _ensemble(trial.sampler.couplings, rng)
        inside = []
        for one in told:
            inside += [False] * (0 if len(one.correlations) else len(true))
            for row in one.correlations.to_dict("records"):
                value = true[str(row["name"]), int(row["shell"])]
                inside.append(float(row["correlation_low"]) <= value <= float(row["correlation_high"]))
        return Measurement.of(
            clopper_pearson(int(np.sum(inside)), len(inside)), limit=0.95, detail=f"{len(inside)} correlations"
        )

    return Check(f"pair correlations inside their interval, {trial.name}", measure, at_least, ">=", data=trial.name)


#: Offsets of the first shells of a hexagonal lattice, one of each.
_SHELLS = {1: HEXAGONAL[0], 2: (1, 1), 3: (2, 0), 4: (2, 1), 5: (3, 0), 6: (2, 2)}


def _ensemble(couplings: tuple[float, float, float], rng: np.random.Generator) -> dict[tuple[str, int], float]:
    """Return the correlations of large surfaces with these couplings, by name and shell."""
    size, model = 36, MoleculeModel()
    states = draw_states(model, couplings, size, rng, sweeps=200, replicas=40)
    u, v = np.divmod(np.arange(size * size), size)
    found = {}
    for shell, (du, dv) in _SHELLS.items():
        pairs = np.stack([u * size + v, (u + du) % size * size + (v + dv) % size], axis=1)
        found["polarity", shell] = float(alike(states // 4, pairs).mean())
        found["rotation", shell] = float(alike(states % 4, pairs).mean())
    return found


def state_calibration(trial: MoleculeTrial, *, at_most: float) -> Check:
    """Build the check: expected calibration error of the score of the likeliest state."""

    def error(told: Sequence[Told]) -> float:
        return expected_calibration_error(
            np.concatenate([one.score for one in told]), np.concatenate([one.right for one in told])
        )

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        told = trial.answers(analyser, rng)
        detail = (
            f"mean score {_share(told, lambda one: one.score):.4f}, right {_share(told, lambda one: one.right):.4f}"  # type: ignore[arg-type,return-value]
        )
        return Measurement.of(bootstrap(error, told, rng, resamples=200), limit=0.0, detail=detail)

    return Check(f"calibration error, {trial.name}", measure, at_most, "<=", data=trial.name)


def foreign_told(trial: MoleculeTrial, *, at_least: float, images: int = 10) -> Check:
    """Build the check: how surely images without such molecules are refused or flagged (AUROC of the distance)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own = [_number(one.frame, "domain_distance", _REFUSED) for one in trial.answers(analyser, rng)]
        plain = LatticeImages(side_px=300, spacing_px=(20.0, 24.0), kinds=("hexagonal", "square"), missing=0.0)
        foreign = {"noise": [], "plain spots": []}  # type: dict[str, list[float]]
        for _ in range(images):
            foreign["noise"].append(_distance(analyser, rng.normal(size=(300, 300))))
            foreign["plain spots"].append(_distance(analyser, replace(plain, two=0.0)(rng).image))
        values = {name: auroc(own, found) for name, found in foreign.items()}
        worst = min(values, key=lambda name: values[name])
        spread = float(np.sqrt(max(values[worst] * (1 - values[worst]), 0.0) / images))
        return Measurement(
            values[worst], max(0.0, values[worst] - 1.96 * spread), min(1.0, values[worst] + 1.96 * spread), limit=1.0,
            detail=", ".join(f"{name} {value:.3f}" for name, value in values.items()),
        )  # fmt: skip

    return Check("foreign images told", measure, at_least, ">=", data=trial.name)


def _distance(analyser: Analyser, image: NDArray[np.floating]) -> float:
    try:
        return float(analyser(np.asarray(image, np.float32), 0.05)["frames"]["domain_distance"].iloc[0])
    except BadInput:
        return _REFUSED


def seconds_a_frame(trial: MoleculeTrial, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of an image."""

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = trial.sampler(rng)
        return sample.image, sample.pixel_nm

    return frame_seconds(draw, frames=3, at_most_s=at_most_s)
