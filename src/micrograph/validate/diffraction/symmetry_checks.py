"""Checks of symmetry from peaks: family, point group, sets that hold the truth, on random crystals of all groups."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.diffraction.reciprocal import find_reciprocal, lattice_rotations
from micrograph.simulate.patterns.crystals import random_zones
from micrograph.simulate.patterns.diffraction import Measured, reflections, volume_peaks
from micrograph.structures.space_groups import (
    FAMILIES,
    POINT_GROUPS,
    family_of,
    operations,
    point_group_of,
    random_crystal,
)
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval

Array = NDArray[np.float64]

#: Family of a lattice by the number of its rotations.
_BY_METRIC = {
    1: "triclinic",
    2: "monoclinic",
    4: "orthorhombic",
    6: "trigonal",
    8: "tetragonal",
    12: "hexagonal",
    24: "cubic",
}
#: Reflections that are within reach, on average (opposite ones counted).
_REFLECTIONS = 500


@dataclass(frozen=True)
class SymmetryTrial:
    """Random crystals, new ones each time, each of a space group drawn uniformly from 1..230.

    zones: number of zones whose precession patterns are given, with the tilts at which they were recorded; 0: all
    reflections within reach, as rotation data give them. Errors are those of `measured`.
    """

    name: str
    zones: int = 0
    measured: Measured = field(default_factory=Measured)
    number: int = 240

    def case(self, rng: np.random.Generator) -> tuple[int, NDArray[np.float32]]:
        """Return a space group and peaks (N, 4) of a crystal of it, turned at random."""
        number = int(rng.integers(1, 231))
        crystal = random_crystal(number, rng)
        translations = np.all(operations(number).rotations == np.eye(3, dtype=int), axis=(1, 2)).sum()
        primitive_nm3 = abs(float(np.linalg.det(np.asarray(crystal.cell)))) / translations / 1000
        found = reflections(crystal, min(14.0, float((_REFLECTIONS / 4.19 / primitive_nm3) ** (1 / 3))))
        if not self.zones:
            peaks = volume_peaks(found, self.measured, rng)
        else:
            parts = [
                volume_peaks(found[found.index @ zone == 0], self.measured, rng)
                for zone in random_zones(crystal, self.zones, rng)
            ]
            peaks = np.concatenate([one for one in parts if len(one)])
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        peaks[:, :3] = peaks[:, :3] @ (turn * np.sign(np.linalg.det(turn)))
        return number, peaks

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Answered]:
        """Return what the recipe makes of every case; once for all checks that draw the same numbers."""
        seed = int(rng.integers(2**32))
        key = (id(analyser), self, seed)
        if key not in _KNOWN:
            _KNOWN.clear()
            own = np.random.default_rng(seed)
            _KNOWN[key] = [_answered(analyser, *self.case(own)) for _ in range(self.number)]
        return _KNOWN[key]


@dataclass(frozen=True)
class Answered:
    """True space group, the recipe's probabilities of families and point groups, its set, and the baseline's family."""

    number: int
    families: Array
    point_groups: Array
    inside: NDArray[np.bool_]
    metric: str

    @property
    def family_right(self) -> bool:
        """Whether the likeliest family is the true one."""
        return FAMILIES[int(np.argmax(self.families))] == family_of(self.number)

    def rank(self) -> int:
        """Return how many point groups are likelier than the true one (ties count one half, rounded up)."""
        own = self.point_groups[POINT_GROUPS.index(point_group_of(self.number))]
        ties = int((np.abs(self.point_groups - own) < 1e-9).sum()) - 1
        return int((self.point_groups > own + 1e-9).sum()) + (ties + 1) // 2


_KNOWN: dict[object, list[Answered]] = {}


def _answered(analyser: Analyser, number: int, peaks: NDArray[np.float32]) -> Answered:
    recording = Recording([peaks].__getitem__, range(1), Calibration(content="peaks"), peaks.shape)
    tables = analyser.movie(recording)
    groups = tables["point_groups"].set_index("point_group").loc[list(POINT_GROUPS)]
    found = find_reciprocal(peaks[:, :3].astype(float), peaks[:, 3].astype(float))
    rotations = 0 if found is None else len(lattice_rotations(found.basis))
    return Answered(
        number,
        tables["families"].set_index("family")["probability"].loc[list(FAMILIES)].to_numpy(float),
        groups["probability"].to_numpy(float),
        groups["in_set"].to_numpy(bool),
        _BY_METRIC.get(rotations, ""),
    )


def family_accuracy(trial: SymmetryTrial, *, at_least: float = 0.90) -> Check:
    """Build the check: share of crystals whose family is right. Baseline: that of the lattice's metric alone."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        hits = [int(one.family_right) for one in answers]
        base = float(np.mean([one.metric == family_of(one.number) for one in answers]))
        recalls = [
            np.mean([one.family_right for one in answers if family_of(one.number) == name])
            for name in FAMILIES
            if any(family_of(one.number) == name for one in answers)
        ]
        detail = f"{len(hits)} crystals; mean over families {np.mean(recalls):.3f}"
        return Measurement.of(share_interval(hits, [1] * len(hits), rng), limit=1.0, baseline=base, detail=detail)

    return Check(f"crystal family, {trial.name}", measure, at_least, ">=", data=trial.name)


def genus_accuracy(trial: SymmetryTrial, *, at_least: float = 0.80) -> Check:
    """Build the check: share of crystals whose point group is among the two likeliest.

    Baseline: the two commonest point groups of the family that the lattice's metric gives.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        hits = [int(one.rank() < 2) for one in answers]
        base = float(np.mean([point_group_of(one.number) in _commonest(one.metric) for one in answers]))
        first = float(np.mean([one.rank() < 1 for one in answers]))
        detail = f"{len(hits)} crystals; likeliest one right {first:.3f}"
        return Measurement.of(share_interval(hits, [1] * len(hits), rng), limit=1.0, baseline=base, detail=detail)

    return Check(f"point group among the first two, {trial.name}", measure, at_least, ">=", data=trial.name)


def _commonest(family: str) -> list[str]:
    names = [point_group_of(number) for number in range(1, 231) if family_of(number) == family]
    return sorted(set(names), key=lambda name: -names.count(name))[:2]


def set_size(trial: SymmetryTrial, *, at_most: float = 4.0) -> Check:
    """Build the check: mean number of point groups in the sets that hold the truth with 90 % probability."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        sizes = [int(one.inside.sum()) for one in trial.answers(analyser, rng)]
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), sizes, rng)
        return Measurement.of(interval, baseline=32.0, detail="of 32; the coverage is the next check")

    return Check(f"point groups in a 90 % set, {trial.name}", measure, at_most, "<=", data=trial.name)


def set_coverage(trial: SymmetryTrial, *, at_least: float = 0.85) -> Check:
    """Build the check: share of those sets that hold the true point group (0.90 is meant)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        hits = [int(one.inside[POINT_GROUPS.index(point_group_of(one.number))]) for one in answers]
        return Measurement.of(share_interval(hits, [1] * len(hits), rng), limit=1.0, detail=f"{len(hits)} sets")

    return Check(f"coverage of the 90 % sets, {trial.name}", measure, at_least, ">=", data=trial.name)
