"""A scan of 4D-STEM from a file to maps: every place once, mean patterns, scales, and refusals."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from micrograph.apps import python as mg
from micrograph.core import BadInput, Calibration, Recording
from micrograph.features.diffraction.virtual import descanned
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Analyser, Result, presented
from micrograph.simulate.patterns.scanned import PlantedScan, random_scan

SCAN = random_scan(np.random.default_rng(5), 16, 40, 5e3)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("scan")
    np.save(folder / "scan.npy", SCAN.recording(1).many(0, 256).reshape(16, 16, 40, 40))
    opened = mg.open(folder / "scan.npy", scan_step="0.1 nm", pattern_pixel="0.5 mrad")
    settings = {"regions": "0:4,0:4; 2:3,5:16"}
    return mg.analyze("virtual-detectors", opened, out=folder / "out", settings=settings)


def test_the_maps_hold_every_place_once(result: Result) -> None:
    maps, objects = result.tables["maps"], result.tables["objects"]
    assert list(maps["row"] * 16 + maps["column"]) == list(range(256)) == list(objects["row"] * 16 + objects["column"])
    assert maps["x_nm"].max() == pytest.approx(1.5)
    np.testing.assert_allclose(maps["bright_field"], objects["bright_field"], rtol=1e-6)


def test_mean_patterns_are_those_of_numpy(result: Result) -> None:
    patterns = SCAN.recording(1).many(0, 256).reshape(16, 16, 40, 40).astype(float)
    table = result.tables["patterns"]
    for region, part in (("all", patterns), ("1", patterns[:4, :4]), ("2", patterns[2:3, 5:])):
        counts = table.loc[table["region"] == region, "counts"].to_numpy().reshape(40, 40)
        np.testing.assert_allclose(counts, part.mean(axis=(0, 1)), rtol=1e-5, atol=1e-6)


def test_maps_are_files_with_scales(result: Result) -> None:
    maps = result.tables["maps"]
    with h5py.File(result.folder / "maps.h5") as file:
        np.testing.assert_allclose(np.ravel(file["bright_field"]), maps["bright_field"], rtol=1e-6)
    again = open_recording(result.folder / "maps" / "bright_field.tif")
    assert again.calibration.pixel_nm == pytest.approx(0.1) and again.shape == (16, 16)
    assert tifffile.imread(result.folder / "maps" / "pattern.tif").shape == (40, 40)


def test_the_report_shows_maps_and_mean_patterns(result: Result) -> None:
    found = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert {"virtual", "centre-of-mass", "phase", "mean-pattern", "mean-pattern-1"} <= found


def test_lines_read_together_give_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, recording = find_recipe("virtual-detectors"), SCAN.recording(1)
    together = Analyser(recipe).movie(recording)["maps"]
    monkeypatch.setattr("micrograph.infer.scans._BYTES", 1)
    alone = Analyser(recipe).movie(recording)["maps"]
    assert len(presented(recipe, recording)) == 16
    np.testing.assert_allclose(alone.to_numpy(float)[:, 4:7], together.to_numpy(float)[:, 4:7], rtol=1e-5)


def test_binned_patterns_give_the_same_maps(result: Result, tmp_path: Path) -> None:
    opened = SCAN.recording(1)
    binned = mg.analyze("virtual-detectors", opened, out=tmp_path, bin=2)
    facts = binned.summary.iloc[0]
    assert facts["mrad_per_px"] == 1.0
    assert facts["radius_px"] * 2 == pytest.approx(result.summary.iloc[0]["radius_px"], abs=1.0)
    pair = (binned.tables["maps"]["potential_px"], result.tables["maps"]["potential_px"])
    assert np.corrcoef(*pair)[0, 1] > 0.97


def test_chosen_lines_are_analysed_alone() -> None:
    some = SCAN.recording(1)[35:90]
    maps = Analyser(find_recipe("virtual-detectors")).movie(some)["maps"]
    assert sorted(set(maps["row"])) == [2, 3, 4, 5]
    assert some.averaged(2).nav_shape == (2, 8)


def test_shifts_follow_the_planted_potential() -> None:
    strong = random_scan(np.random.default_rng(3), 24, 48, 1e5)
    maps = Analyser(find_recipe("virtual-detectors")).movie(strong.recording(2))["maps"]
    y, _ = strong.shift
    found = maps["shift_y_px"].to_numpy(float).reshape(24, 24)
    assert np.corrcoef(found.ravel(), descanned(y, "plane").ravel())[0, 1] > 0.98


def test_a_vacuum_and_an_empty_pattern_make_no_noise() -> None:
    flat = PlantedScan(np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((3, 2)), 15.5, 15.5, 6.0, 32, 1e4)
    patterns = flat.recording(0).many(0, 16)
    patterns[5] = 0
    scale = Calibration(content="scan")
    recording = Recording(patterns.__getitem__, range(16), scale, (32, 32), nav_shape=(4, 4))
    tables = Analyser(find_recipe("virtual-detectors")).movie(recording)
    assert np.isnan(tables["objects"]["com_y_px"].to_numpy(float)).sum() == 1
    assert tables["summary"]["bright_share"].iloc[0] > 0.9


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"regions": "0:99,0:2"}, "inside the scan"), ({"regions": "all"}, "first:end"), ({"descan": "x"}, "choose one")],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Analyser(find_recipe("virtual-detectors").with_settings(settings)).movie(SCAN.recording(1))


def test_an_image_is_no_scan_and_a_scan_is_no_image() -> None:
    image = Recording(lambda index: np.eye(32), range(1), Calibration(pixel_nm=0.02), (32, 32))
    with pytest.raises(BadInput, match="takes patterns of a 4D-STEM scan"):
        Analyser(find_recipe("virtual-detectors")).movie(image)
    with pytest.raises(BadInput, match="holds patterns of a 4D-STEM scan"):
        mg.analyze("pores", SCAN.recording(1).calibrated(pixel_nm=1.0))
