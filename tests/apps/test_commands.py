"""Every command does what it says, as a user calls it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

import micrograph
from micrograph.apps import making
from micrograph.core import BadInput, Calibration, Frame, Prediction
from micrograph.infer import Predictor
from micrograph.io import open_recording
from micrograph.nets import load
from micrograph.recipes import RECIPES, find_recipe
from micrograph.simulate import StemSampler
from micrograph.train import TrainSettings

HEAVY = ("torch", "pandas", "scipy", "matplotlib", "openvino", "ase", "pyarrow", "rsciio", "zarr", "skimage", "pint")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    data = find_recipe("graphene-dopants").data
    assert isinstance(data, StemSampler)
    small = replace(data, field_nm=2.0, pixel_nm=(0.02, 0.02), dose_e_per_A2=(1e5, 1e5), noise_only=0.0)
    np.save(tmp_path / "scan.npy", small(np.random.default_rng(1)).image)
    return tmp_path / "scan.npy"


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, predictor_of: Callable[[str], Predictor]) -> None:
    monkeypatch.setattr("micrograph.apps.jobs.predictor", lambda recipe, *_: predictor_of(recipe.name))


@pytest.mark.parametrize("program", ["import micrograph", "from micrograph.apps import cli"])
def test_starting_loads_nothing_heavy(program: str) -> None:
    shown = f"{program}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", shown], text=True).strip() == "[]"


def test_help_version_and_no_command_at_all(command: Callable[..., Any]) -> None:
    assert command("--version").out == f"micrograph {micrograph.__version__}\n"
    assert command().out == command("--help").out
    assert "--pixel-size" in command("analyze", "--help").out


def test_every_option_that_a_missing_calibration_names_exists(command: Callable[..., Any]) -> None:
    from micrograph.run.streaming import OPTION_FOR

    offered = command("analyze", "--help").out
    assert all(option.split()[0] in offered for option in OPTION_FOR.values())


def test_recipes_are_listed_and_shown(command: Callable[..., Any]) -> None:
    listed = command("recipes")
    assert all(name in listed.out for name in RECIPES)
    for name in RECIPES:
        shown = command("recipes", name).out
        recipe = find_recipe(name)
        assert recipe.title in shown and all(setting in shown for setting in recipe.settings())
        assert "trained on" in shown.lower() or "no weights" in shown


def test_info_shows_shape_and_calibration(command: Callable[..., Any], image: Path) -> None:
    assert re.search(r"shape +100 x 100", command("info", image).out)
    assert re.search(r"pixel_nm +unknown", command("info", image).out)


@pytest.mark.usefixtures("ready")
def test_several_recordings_go_to_folders_of_their_own(
    command: Callable[..., Any], image: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.load(image))
    microscope = ["--voltage", "80 kV", "--convergence", "30 mrad", "--inner", "60 mrad", "--outer", "200 mrad"]
    scale = ["--dose", "1e5 e/angstrom^2", "--pixel-size", "20 pm"]
    rest = [*scale, "--memory", "4 GB", "--set", "threshold=0.6", "--maps", "-q"]
    answer = command("analyze", "graphene-dopants", image, other, "-o", tmp_path / "out", *microscope, *rest)
    assert answer.status == 0 and answer.err == ""
    assert answer.out.count("report: ") == 2
    for name in ("scan", "other"):
        folder = tmp_path / "out" / name
        record = json.loads((folder / "run.json").read_text())
        known = record["key"]["input"]["calibration"]
        assert (known["voltage_kV"], known["inner_mrad"], known["dose_e_per_A2"]) == (80, 60, 1e5)
        assert record["key"]["settings"]["threshold"] == 0.6
        assert (folder / "maps.zarr").is_dir() and (folder / "report.html").is_file()


@pytest.mark.usefixtures("ready")
def test_python_gives_what_the_command_line_gives(command: Callable[..., Any], image: Path, tmp_path: Path) -> None:
    command("analyze", "graphene-dopants", image, "-o", tmp_path / "line", "--pixel-size", "20 pm")
    recording = micrograph.open(image, pixel_size="20 pm")
    result = micrograph.analyze("graphene-dopants", recording)
    assert len(result.tables["objects"]) > 50
    for name in ("objects.csv", "summary.csv"):
        assert (tmp_path / "line" / name).read_bytes() == (result.folder / name).read_bytes()


def test_simulated_images_are_read_back_and_follow_from_the_seed(command: Callable[..., Any], tmp_path: Path) -> None:
    bulk("Cu", "fcc", a=3.61, cubic=True).write(tmp_path / "cu.cif")
    own = ["--structure", tmp_path / "cu.cif", "--pixel-size", "0.03 nm", "--voltage", "200 kV", "-n", "2"]
    for out in ("a", "b"):
        assert command("simulate", "atoms", "-o", tmp_path / out, *own, "--seed", "5").status == 0
    for name in ("image-00000", "image-00001"):
        first, second = (open_recording(tmp_path / out / f"{name}.tif") for out in ("a", "b"))
        np.testing.assert_array_equal(first.frame(0).data, second.frame(0).data)
        said = json.loads((tmp_path / "a" / f"{name}.json").read_text())
        assert first.calibration.pixel_nm == pytest.approx(said["pixel_nm"], rel=1e-6)
        assert 0.03 / 1.25 <= said["pixel_nm"] <= 0.03 * 1.25 and said["voltage_kV"] == 200
        assert (tmp_path / "a" / f"{name}.csv").read_text().startswith("y_nm,x_nm,y_px,x_px,label\n")


def test_trained_weights_carry_their_range_and_are_taken_by_their_recipe(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(**given: Any) -> TrainSettings:
        return TrainSettings(**given, batch=1, calibration_samples=12, workers=0)

    monkeypatch.setattr(importlib.import_module("micrograph.train"), "TrainSettings", short, raising=False)
    bulk("Cu", "fcc", a=3.61, cubic=True).write(tmp_path / "cu.cif")
    own = ["--structure", tmp_path / "cu.cif", "--pixel-size", "0.03 nm", "--voltage", "200 kV"]
    answer = command("train", "atoms", "-o", tmp_path / "my.safetensors", *own, "--steps", "2")
    assert answer.status == 0 and "weights: " in answer.out
    card = load(tmp_path / "my.safetensors").card
    assert card["domain"]["voltage_kV"] == [200, 200] and card["material"]["structure"] == "cu.cif"
    from micrograph.apps.models import predictor

    assert predictor(find_recipe("atoms"), [tmp_path / "my.safetensors"]).spec == load(tmp_path / "my.safetensors").spec
    with pytest.raises(BadInput, match="trained for it"):
        predictor(find_recipe("tmd-defects"), [tmp_path / "my.safetensors"])


def test_without_the_real_sample_the_demo_says_that_its_image_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    from micrograph.apps.jobs import stand_in

    recording = stand_in(find_recipe("tmd-defects"), "there is no network")
    assert recording.metadata["notes"] == ["This is a simulated image, not a real one: there is no network"]
    assert recording.frame(0).data.std() > 0


def test_checks_are_measured_shown_and_recorded(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from micrograph.validate import Check, Measurement, read_measured

    checks = tuple(
        Check(name, lambda analyser, rng: Measurement(0.5, 0.4, 0.6, limit=0.9), bound, ">=")
        for name, bound in (("easy", 0.3), ("hard", 0.7))
    )
    recipe = replace(find_recipe("atoms"), checks=checks)
    monkeypatch.setattr("micrograph.recipes.find_recipe", lambda name: recipe)
    monkeypatch.setattr("micrograph.apps.jobs.predictor", lambda *_: SimpleNamespace(digest="sha256:now"))
    monkeypatch.setattr(importlib.import_module("micrograph.validate.measured"), "FOLDER", tmp_path)
    older = [{"name": "hard", "value": 0.1}, {"name": "gone", "value": 0.2}]
    (tmp_path / "atoms.json").write_text(json.dumps({"weights": "sha256:now", "checks": older}))
    answer = command("validate", "atoms", "--only", "easy", "--record")
    assert answer.status == 0 and re.search(r"easy +0\.5 .*pass", answer.out)
    assert [(row["name"], row["value"]) for row in read_measured("atoms")] == [("easy", 0.5), ("hard", 0.1)]
    assert read_measured("atoms", "sha256:other") == []
    assert re.search(r"hard .*FALLS SHORT", command("validate", "atoms").out)


def test_a_blank_recipe_is_ready_to_be_filled_in(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("new", "my-recipe", "--folder", tmp_path).status == 0
    spec = importlib.util.spec_from_file_location("my_recipe", tmp_path / "my_recipe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    recipe = module.RECIPE
    assert recipe.name == "my-recipe" and recipe.settings() == {"threshold": 0.5}
    sample = replace(recipe.data, field_nm=1.5, pixel_nm=(0.03, 0.03))(np.random.default_rng(0))
    maps = {"atom": np.zeros(sample.image.shape, np.float32)}
    frame = Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))
    assert len(recipe.objects(Prediction(frame, maps, maps, sample.pixel_nm))["objects"]) == 0
    assert command("new", "my-recipe", "--folder", tmp_path).status == 2


def test_a_sampler_of_another_kind_cannot_be_narrowed() -> None:
    recipe = replace(find_recipe("atoms"), data=lambda rng: None)  # type: ignore[arg-type, return-value]
    assert making.own_sampler(recipe, making.Material()) is recipe.data
    with pytest.raises(BadInput, match="simulates nothing that --structure"):
        making.own_sampler(recipe, making.Material(voltage="80 kV"))


def test_verbs_stay_verbs_when_rooms_of_their_names_are_imported() -> None:
    for room in ("train", "validate"):
        importlib.import_module(f"micrograph.{room}")
        assert getattr(micrograph, room).__module__ == "micrograph.apps.python"
