"""Intervals appear where they were measured with the same model, and are void elsewhere."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from micrograph.core import Frame, Prediction
from micrograph.io import read_columns
from micrograph.live.engine import Engine, LiveSettings
from micrograph.live.sources.replay import ReplaySource
from micrograph.report import write_report
from micrograph.run import Analyser, Predict, Recipe, analyze
from micrograph.run.trusting import plain_settings, with_intervals
from micrograph.validate import measured, run_checks
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Claim, Drawn, Tables, Trust, measured_intervals, still
from micrograph.validate.measured import Intervals, read_intervals, record_intervals, record_measured


def draw(brightest: float, rng: np.random.Generator) -> Drawn:
    """Return one image of points that are brighter where more of them are missed."""
    image = brightest * rng.random((16, 16)).astype(np.float32)
    return Drawn(still(image, 0.05), float((image > 0.5).sum()) * rng.uniform(0.9, 1.3))


def number(truth: float, tables: Tables) -> np.ndarray:
    return np.array([truth])


TRUST = Trust(
    functools.partial(draw, 1.0),
    (Claim("frames", "count", number, scale=("count", "area_nm2"), least=0.0),),
    shifted=(("fainter", functools.partial(draw, 0.6)),),
    frames=120,
    fresh=150,
    farther=20,
)


@dataclass
class Model:
    """The toy's model with the digest of its weights."""

    predict: Predict
    digest: str = "sha256:one"

    def __call__(self, frame: Frame) -> Prediction:
        return self.predict(frame)


@pytest.fixture
def recipe(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Return a recipe whose intervals are measured and stored."""
    monkeypatch.setattr(measured, "FOLDER", tmp_path / "measured")
    made: Recipe = toy.recipe(trust=TRUST, checks=intervals_cover(TRUST))
    claims = measured_intervals(made.name, TRUST, Analyser(replace(made, trust=None), Model(toy.predict)))
    record_intervals(made.name, Intervals("sha256:one", plain_settings(made), TRUST.frames, claims))
    return made


def test_tables_report_and_live_hold_the_intervals(recipe: Recipe, toy: ModuleType, tmp_path: Path) -> None:
    movie = toy.movie(6, bad=(2,))
    result = analyze(recipe, movie, Model(toy.predict), tmp_path / "out")
    frames, columns = result.tables["frames"], read_columns(tmp_path / "out" / "frames.parquet")
    usable = frames[frames["frame"] != 2]
    assert (usable["count_low90"] <= usable["count_high90"]).all() and frames["count_low90"].isna()[2]
    assert "90 % interval of count" in columns["count_high90"].about
    assert "How far to trust a number" in write_report(result).read_text(encoding="utf-8")
    engine = Engine(recipe, ReplaySource(movie, speed="fastest"), Model(toy.predict), tmp_path / "live", LiveSettings())
    engine.run()
    assert (tmp_path / "live" / "frames.csv").read_bytes() == (tmp_path / "out" / "frames.csv").read_bytes()


@pytest.mark.parametrize("what", ["weights", "settings (threshold)"])
def test_other_weights_or_settings_void_them_and_one_sentence_says_so(
    recipe: Recipe, what: str, toy: ModuleType, tmp_path: Path
) -> None:
    model = Model(toy.predict)
    if what == "weights":
        model.digest = "sha256:another"
    else:
        recipe = recipe.with_settings({"threshold": "0.4"})
    result = analyze(recipe, toy.movie(2), model, tmp_path / "out")
    assert "count_low90" not in result.tables["frames"]
    assert any(f"measured with other {what}" in sentence for sentence in result.record["warnings"])


def test_recording_checks_keeps_the_intervals(recipe: Recipe) -> None:
    record_measured(recipe.name, "sha256:one", [], [])
    assert read_intervals(recipe.name) is not None


def test_the_check_tells_the_coverage_on_unseen_draws_and_under_shift(recipe: Recipe, toy: ModuleType) -> None:
    (result,) = run_checks(recipe.checks, Analyser(recipe, Model(toy.predict)), np.random.default_rng(0))
    assert not result.error and result.value is not None and result.value < 0.08
    assert "of 150 in 150 frames" in result.detail and "fainter: " in result.detail


def test_without_intervals_the_check_says_what_to_do(toy: ModuleType) -> None:
    made = toy.recipe(checks=intervals_cover(replace(TRUST, fresh=2, farther=1)))
    (result,) = run_checks(made.checks, Analyser(made, Model(toy.predict)), np.random.default_rng(0))
    assert "micrograph validate --intervals" in result.error


def test_columns_with_intervals_keep_the_unit_before_which_they_are_named(toy: ModuleType) -> None:
    found = with_intervals(toy.recipe(), measured_intervals("toy", TRUST, Analyser(toy.recipe(), Model(toy.predict))))
    assert [column.name for column in found.task.answers["frames"]] == ["count_low90", "count_high90"]
