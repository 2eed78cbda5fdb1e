"""A search among networks keeps to its limits, goes on where it stopped, and judges pairs on the same images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import Sample, Sites
from micrograph.draw.searched import searched_figure
from micrograph.nets import Head, NetSpec
from micrograph.train import TrainSettings
from micrograph.validate import searching
from micrograph.validate.metrics import Detection
from micrograph.validate.searching import Remembered, SearchSettings, drawn, gained, search, size_of

SPEC = NetSpec(heads=(Head("atom", "spots", ("atom",)),), base=4, levels=2, patch=32)
SETTINGS = SearchSettings(
    candidates=4, steps=2, images=2, rounds=2, training=TrainSettings(batch=2, workers=0, calibration_samples=4)
)
#: Of a network as wide as 1; a wide one is slow.
MS = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks, whose time is their width."""
    space = {"base": (3, 4, 8), "levels": (2, 3), "fold": (1, 2), "convolutions": (2, 3), "norm": ("batch", "group")}
    monkeypatch.setattr(searching, "SPACE", space)
    monkeypatch.setattr(searching, "compute_of", lambda spec: None)
    monkeypatch.setattr(searching, "milliseconds", lambda compute, spec: MS * spec.base)


def dots(rng: np.random.Generator) -> Sample:
    """Return bright dots on noise."""
    y, x = 8 + 16 * np.mgrid[:3, :3].reshape(2, -1) + rng.uniform(-2, 2, (2, 9))
    rows, columns = np.mgrid[:48, :48]
    image = rng.normal(0, 0.1, (48, 48))
    for at in zip(y, x, strict=True):
        image += np.exp(-0.5 * ((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 4)
    return Sample(image.astype(np.float32), 0.03, Sites(0.03 * y, 0.03 * x, np.full(9, "atom")))


def test_candidates_differ_and_keep_to_the_limits_of_size_and_time() -> None:
    largest = size_of(SPEC) * 4
    settings = SearchSettings(candidates=6, parameters=largest, slower=1.1)
    found = list(drawn(SPEC, settings, np.random.default_rng(0)))
    assert found[0].spec == SPEC and len({one.spec for one in found}) == len(found) == 6
    assert all(one.spec.base <= 4 and one.parameters <= largest and one.ms_per_Mpx <= 1.1 * 4 * MS for one in found)


def test_the_better_half_goes_on_and_an_interrupted_search_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(dots, SPEC, tmp_path, SETTINGS)
    assert [one.steps for one in first.trials] == [2, 2, 2, 2, 4, 4]
    assert first.trials[4].candidate == first.own and first.own.spec == SPEC
    best = max(first.trials[1:4], key=lambda one: one.f1)
    assert first.trials[5].candidate == best.candidate
    log = json.loads((tmp_path / "search.json").read_text())
    assert len(log["trials"]) == 6

    trained = []
    real = searching.train
    monkeypatch.setattr(searching, "train", lambda *told: trained.append(told[1]) or real(*told))
    assert search(dots, SPEC, tmp_path, SETTINGS) == first and not trained
    log["trials"].pop()
    (tmp_path / "search.json").write_text(json.dumps(log))
    assert search(dots, SPEC, tmp_path, SETTINGS) == first and trained == [best.candidate.spec]


def test_the_gain_is_told_on_the_same_images() -> None:
    pairs = [(Detection(n, 5, 5), Detection(n + 4, 3, 1)) for n in range(20, 60, 2)]
    gain = gained(pairs, np.random.default_rng(0))
    assert 0 < gain.low < gain.value < gain.high
    same = gained([(one, one) for one, _ in pairs], np.random.default_rng(0))
    assert same == (0, 0, 0)


def test_a_sample_is_made_once_for_the_same_random_numbers() -> None:
    made = []

    def counted(rng: np.random.Generator) -> Sample:
        made.append(1)
        return dots(rng)

    sampler = Remembered(counted)
    one, again, other = (sampler(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one is again and one is not other and len(made) == 2


def test_the_picture_has_a_panel_for_each_number_of_steps() -> None:
    rows = [
        {"kind": kind, "steps": steps, "ms_per_Mpx": ms, "f1": 0.9}
        for steps in (50, 100)
        for kind, ms in (("own", 100.0), ("winner", 80.0), ("tried", 90.0))
    ]
    figure = searched_figure(rows, 1.1, "atoms")
    assert [axes.get_title() for axes in figure.axes] == ["after 50 steps", "after 100 steps"]
    assert all("ms" in axes.get_xlabel() for axes in figure.axes) and "F1" in figure.axes[0].get_ylabel()
