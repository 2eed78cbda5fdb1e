"""Shifts: the map of a network's domain, the bars on it, and what is learned from images elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from micrograph.simulate import StemSampler
from micrograph.simulate.settings import ranges_of
from micrograph.structures import random_graphene, sites_of
from micrograph.structures.perovskite import SRTIO3_NM
from micrograph.validate import shift_checks, shift_map
from micrograph.validate.expecting import Lesson, _fitted
from micrograph.validate.mending_checks import microscopes
from micrograph.validate.metrics import Detection
from micrograph.validate.shift_checks import expected_alarm, expected_rank
from micrograph.validate.shifts import Oxide, Shift, Shifted, clean, detection, shifts_of
from micrograph.validate.trials import is_empty

SAMPLER = StemSampler(random_graphene, field_nm=1.0, electrons=(30.0, 3000.0))


def shifted(error: float, expected: float, distance: float, inside: bool = False) -> Shifted:
    wrong = round(100 * error)
    place = 0.5 if inside else 2.0
    shift = Shift("jitter_nm", SAMPLER, {"jitter_nm": place}, {"jitter_nm": 0.001})
    return Shifted(shift, Detection(100 - wrong, wrong, wrong), expected, distance)


def test_the_map_covers_two_planes_single_settings_scales_and_materials() -> None:
    shifts = shifts_of(SAMPLER)
    families = [one.family for one in shifts]
    assert {"as trained", "electrons x pixel_nm", "electrons x defocus_nm", "claimed", "material"} <= set(families)
    assert families.count("electrons x pixel_nm") == 25
    assert [one.inside for one in shifts if one.family == "material"] == [False] * families.count("material")
    assert any(one.inside for one in shifts if one.family == "electrons x defocus_nm")


def test_an_oxide_has_three_kinds_of_columns_half_a_cell_apart() -> None:
    sites = sites_of(Oxide(2)(1.0, np.random.default_rng(0)))
    near = cKDTree(np.column_stack([sites.y_nm, sites.x_nm])).query(np.column_stack([sites.y_nm, sites.x_nm]), k=2)[0]
    np.testing.assert_allclose(near[:, 1], SRTIO3_NM / 2, rtol=1e-6)


def test_an_answer_that_is_the_truth_has_f1_one() -> None:
    sample = clean(SAMPLER)(np.random.default_rng(0))
    there = sample.sites[~is_empty(sample.sites.label)]
    right = detection(sample, there.y_nm, there.x_nm)
    assert right.right > 10 and right[1:] == (0, 0)
    assert Shifted(shifts_of(SAMPLER)[0], right, 0.9, 0.5).f1 == 1.0


def test_the_bars_ask_whether_expected_and_true_errors_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [0.01, 0.02, 0.1, 0.3, 0.6]
    found = [[shifted(e, 1 - 0.8 * e, 1 - e, inside=e < 0.05)] for e in errors]
    monkeypatch.setattr(shift_checks, "shifted_answers", lambda *asked: found)
    analyser: Any = None
    rank = expected_rank(SAMPLER).measure(analyser, np.random.default_rng(0))
    alarm = expected_alarm(SAMPLER).measure(analyser, np.random.default_rng(0))
    assert (rank.value, rank.baseline) == (pytest.approx(1.0), pytest.approx(-1.0))
    assert (alarm.value, alarm.baseline) == (1.0, 0.0)


def test_a_recorded_map_is_read_back_and_leaves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift_map, "FOLDER", tmp_path)
    (tmp_path / "toy.json").write_text('{"recipe": "toy", "weights": "abc", "checks": [1]}')
    rows = shift_map.table_of([[shifted(0.1, 0.8, 0.5)] * 3], np.random.default_rng(0))
    shift_map.record_map("toy", "abc", rows)
    assert shift_map.read_map("toy") == rows
    assert rows[0]["f1"] == pytest.approx(0.9)
    assert '"checks": [\n  1\n ]' in (tmp_path / "toy.json").read_text()
    assert shift_map.read_map("other") == []


def test_expected_f1_is_learned_from_signs() -> None:
    rng = np.random.default_rng(0)
    signs = rng.normal(0, 1, (200, 5))
    f1 = 1 / (1 + np.exp(-(1.0 + 1.5 * signs[:, 0])))
    lessons = [
        Lesson(s, Detection(*(round(1000 * part) for part in (p, 1 - p, 1 - p))))
        for s, p in zip(signs, f1, strict=True)
    ]
    fitted = _fitted(lessons)
    told = np.array([fitted(one) for one in signs])
    assert np.abs(told - f1).mean() < 0.02


def test_a_shifted_microscope_differs_in_nothing_else() -> None:
    home, away = microscopes(SAMPLER, {"jitter_nm": 3.0}, np.random.default_rng(1))
    one, two = (part(np.random.default_rng(0)).params for part in (home, away))
    differ = {name for name in ranges_of(SAMPLER) if one[name] != pytest.approx(two[name])}
    assert differ == {"jitter_nm"}
