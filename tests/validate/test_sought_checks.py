"""Checks of the search: the truth passes, what is missed or invented does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Recording
from micrograph.simulate.objects.particle_sampler import ParticleSampler, ParticleScene
from micrograph.simulate.objects.particles import Shadow
from micrograph.validate.checks import run_checks
from micrograph.validate.objects.sought_checks import Sets, search_precision, search_recall, size_agreement

PLAIN = ParticleSampler(
    side_px=160, diameter_px=(18, 18), contrast_to_noise=(6, 6), covered=(0.12, 0.12), shapes=("sphere",),
    gaps=("apart",), liquid=0, bright=0, texture=0, slope=0, empty=0, pixel_nm=(1, 1),
)  # fmt: skip


@dataclass
class Remembering:
    """A sampler that keeps its scenes, so that an analyser can know the truth."""

    scenes: list[ParticleScene] = field(default_factory=list)

    def scene(self, rng: np.random.Generator) -> ParticleScene:
        self.scenes.append(PLAIN.scene(rng))
        return self.scenes[-1]


@dataclass
class Oracle:
    """An analyser that sees the truth, but for every third object where `misses`; adds squares where `invents`.

    Objects that the border cuts have no weight: they do not show their size.
    """

    sampler: Remembering
    misses: bool = False
    invents: bool = False

    def movie(self, recording: Recording) -> Mapping[str, pd.DataFrame]:
        scenes = self.sampler.scenes[-len(recording) :]
        rows, points = [], []
        for frame, scene in enumerate(scenes):
            for number, one in enumerate(scene.field.shadows):
                if (self.misses and number % 3 == 0) or one.coverage.max() <= 0.5:  # a sliver has no outline
                    continue
                rows.append((frame, number, 2 * np.sqrt(one.area_px / np.pi), float(_whole(one))))
                points += [(frame, number, y, x) for y, x in _outline(one)]
            if self.invents:
                rows.append((frame, 999, 6.0, 1.0))
                points += [(frame, 999, y, x) for y, x in ((70.0, 70.0), (76.0, 70.0), (76.0, 76.0), (70.0, 76.0))]
        table = pd.DataFrame(rows, columns=["frame", "id", "equivalent_diameter_nm", "weight"])
        return {
            "objects": table.drop(columns="weight"),
            "classified": table[["frame", "id", "weight"]],
            "outlines": pd.DataFrame(points, columns=["frame", "id", "y_nm", "x_nm"]),
        }


def _whole(one: Shadow) -> bool:
    side = PLAIN.side_px
    return one.rows.start > 0 and one.columns.start > 0 and one.rows.stop < side and one.columns.stop < side


def _outline(one: Shadow) -> Any:
    from skimage.measure import find_contours

    padded = np.pad(one.coverage, 1)
    return max(find_contours(padded, 0.5), key=len)[:-1] - 1 + (one.rows.start, one.columns.start)


def _measured(builder: Any, **oracle: bool) -> Any:
    sampler = Remembering()
    sets = Sets(cast("ParticleSampler", sampler), sets=2, images=3)
    return builder(sets).measure(cast("Any", Oracle(sampler, **oracle)), np.random.default_rng(3))


def test_the_truth_is_precise_and_complete() -> None:
    assert _measured(search_precision).value == 1
    assert _measured(search_recall).value == 1


def test_missed_particles_lower_recall_alone() -> None:
    assert _measured(search_recall, misses=True).value == pytest.approx(0.65, abs=0.12)
    assert _measured(search_precision, misses=True).value == 1


def test_invented_objects_lower_precision_alone() -> None:
    assert _measured(search_precision, invents=True).value < 1
    assert _measured(search_recall, invents=True).value == 1


def test_sizes_of_the_truth_agree_with_it() -> None:
    assert _measured(size_agreement).value == 1


def test_recall_is_told_by_overlap_beside_a_classical_baseline() -> None:
    found = _measured(search_recall)
    assert found.detail.endswith("by overlap: to 0.001 1.00 of " + found.detail.split()[-1])
    assert 0.7 < found.baseline <= 1
    assert 0.7 < _measured(search_precision).baseline <= 1


def test_checks_of_one_run_share_their_searches() -> None:
    sampler = Remembering()
    sets = Sets(cast("ParticleSampler", sampler), sets=2, images=2)
    checks = [search_precision(sets), search_recall(sets), size_agreement(sets)]
    oracle = cast("Any", Oracle(sampler))
    first = run_checks(checks, oracle, np.random.default_rng(0))
    assert len(sampler.scenes) == 4
    alone = run_checks(checks[1:2], cast("Any", Oracle(sampler)), np.random.default_rng(0))
    assert len(sampler.scenes) == 8
    assert alone[0].value == first[1].value
    assert alone[0].detail == first[1].detail
