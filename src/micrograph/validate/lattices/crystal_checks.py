"""Checks of the names of structure types: how many are right, and whether what is none of them is seen to be none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.pattern_vector import pattern_vector
from micrograph.features.diffraction.spots import find_spots
from micrograph.structures.prototypes import COMPOUND
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.lattices.crystal_scenes import (
    UNSEEN,
    Case,
    PatternTrial,
    StructureTrial,
    bond_order,
    pattern_templates,
    structure_templates,
)
from micrograph.validate.metrics import auroc

Array = NDArray[np.float64]
Namer = Callable[[Case], str]
#: So many crystals are named by the baseline, which is slow.
_JUDGED = 110


def structure_accuracy(trial: StructureTrial, *, at_least: float) -> Check:
    """Build the check: share of worn blocks of unseen materials whose structure type is named rightly.

    'unknown' is wrong. Baseline: nearest ideal crystal by Steinhardt's bond order, on the crystals of one element.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        templates = structure_templates(rng)

        def plain(case: Case) -> str:
            return "" if case.name in COMPOUND else templates.nearest(bond_order(case.recording.frame(0).data))

        return _accuracy(analyser, trial.cases(rng), plain, rng)

    return Check(f"structure types from atoms, {trial.name}", measure, at_least, ">=")


def pattern_accuracy(trial: PatternTrial, *, at_least: float) -> Check:
    """Build the check: share of crystals of unseen materials whose structure type is named rightly from patterns.

    'unknown' is wrong. Baseline: nearest of the patterns without noise.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        templates = pattern_templates(trial.zones, rng)

        def plain(case: Case) -> str:
            return templates.nearest(pattern_vector([find_spots(frame.data) for frame in case.recording]).astype(float))

        return _accuracy(analyser, trial.cases(rng), plain, rng)

    return Check(f"structure types from patterns, {trial.name}", measure, at_least, ">=")


def _accuracy(analyser: Analyser, cases: list[Case], plain: Namer, rng: np.random.Generator) -> Measurement:
    hits: list[int] = []
    base: list[bool] = []
    wrong = Counter[str]()
    for case in cases:
        found = str(analyser.movie(case.recording)["summary"]["class"].iloc[0])
        hits.append(int(found == case.name))
        if found != case.name:
            wrong[f"{case.name} as {found}"] += 1
        if len(base) < _JUDGED and (named := plain(case)):
            base.append(named == case.name)
    interval = share_interval(hits, [1] * len(hits), rng)
    detail = "; ".join(f"{name}: {number}" for name, number in wrong.most_common(6))
    return Measurement.of(interval, limit=1.0, baseline=float(np.mean(base)), detail=f"{len(hits)} crystals. {detail}")


def unknown_auroc(trial: StructureTrial | PatternTrial, *, at_least: float = 0.95) -> Check:
    """Build the check: area under the curve by which the probability of 'other' tells unseen structure types apart.

    Baseline: one minus the probability of the likeliest known type.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for foreign, names in ((False, None), (True, UNSEEN)):
            for case in trial.cases(rng, names):
                found = analyser.movie(case.recording)["together"]
                known = found.loc[found["class"] != "other", "probability"].to_numpy(float)
                rows.append((foreign, 1 - float(known.sum()), 1 - float(known.max())))
        table = np.array(rows, float)

        def area(drawn: object, column: int = 1) -> float:
            picked = np.asarray(drawn)
            foreign = picked[:, 0] > 0.5
            return auroc(picked[~foreign, column], picked[foreign, column])

        interval = bootstrap(area, list(table), rng, resamples=400)
        return Measurement.of(
            interval, limit=1.0, baseline=area(table, 2), detail=f"{len(UNSEEN)} unseen structure types"
        )

    kind = "atoms" if isinstance(trial, StructureTrial) else "patterns"
    return Check(f"AUROC of unseen structure types, from {kind}", measure, at_least, ">=")
