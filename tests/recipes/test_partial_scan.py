"""A partial scan from a file to the full image: whichever way its visited pixels are told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import micrograph as mg
from micrograph.apps.models import predictor
from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Result

SIDE = 96
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
TRUTH = (300 + 80 * np.cos(2 * np.pi * ROWS / 32) * np.cos(2 * np.pi * COLUMNS / 27)).astype(np.float32)
PATH = mg.scan_path("jittered", (SIDE, SIDE), 1 / 12, seed=4)
SCAN = PATH.image(np.random.default_rng(0).normal(PATH.recorded(TRUTH), 4.0))


def completed(image: np.ndarray, **settings: object) -> Prediction:
    recipe = find_recipe("partial-scan").with_settings(settings)
    return predictor(recipe, ())(Frame(image.astype(np.float32), 0, Calibration()))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("scan")
    np.save(folder / "scan.npy", np.stack([SCAN, 2 * SCAN]))
    return mg.analyze("partial-scan", mg.open(folder / "scan.npy", pixel_size="0.05 nm"), out=folder / "out")


def test_the_full_image_is_a_file_with_its_scale_and_its_sigma(result: Result) -> None:
    image = open_recording(result.folder / "images.zarr", signal="image")
    sigma = open_recording(result.folder / "images.zarr", signal="image_sigma")
    assert len(image) == 2 and image.calibration.pixel_nm == pytest.approx(0.05)
    first, second = image.frame(0).data, image.frame(1).data
    assert np.sqrt(np.mean((first - TRUTH) ** 2)) < 0.3 * TRUTH.std()
    np.testing.assert_allclose(second, 2 * first, rtol=0.03)
    assert (sigma.frame(0).data > 0).all() and np.isfinite(first).all()
    assert (result.folder / "images" / "image.tif").exists()


def test_the_tables_tell_coverage_noise_and_how_sure_the_image_is(result: Result) -> None:
    frames, summary = result.tables["frames"], result.tables["summary"].iloc[0]
    assert frames["coverage"].iloc[0] == pytest.approx(np.isfinite(SCAN).mean())
    assert frames["noise"].iloc[1] == pytest.approx(2 * frames["noise"].iloc[0], rel=0.1)
    assert summary["frames"] == 2 and 0 < summary["mean_sigma"] < TRUTH.std()


def test_nan_mask_and_value_tell_the_same(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "mask.tif", PATH.dwells)
    marked = np.where(np.isfinite(SCAN), SCAN, -5)
    by_nan = completed(SCAN).maps["image"]
    np.testing.assert_allclose(completed(marked, unvisited=-5.0).maps["image"], by_nan, rtol=1e-5)
    np.testing.assert_allclose(completed(marked, mask=str(tmp_path / "mask.tif")).maps["image"], by_nan, rtol=0.05)
    guessed = completed(marked)
    np.testing.assert_allclose(guessed.maps["image"], by_nan, rtol=1e-5)
    assert any("exactly -5" in note for note in guessed.notes)


def test_a_full_image_is_out_of_domain_and_told_so() -> None:
    found = completed(TRUTH + np.random.default_rng(1).normal(0, 1, TRUTH.shape))
    assert Flag.OUT_OF_DOMAIN in found.flags and any("No pixel is marked" in note for note in found.notes)


def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "small.tif", np.ones((40, 50), np.float32))
    tifffile.imwrite(tmp_path / "none.tif", np.zeros((SIDE, SIDE), np.float32))
    with pytest.raises(BadInput, match="40 x 50"):
        completed(SCAN, mask=str(tmp_path / "small.tif"))
    with pytest.raises(BadInput, match="no visited pixel"):
        completed(SCAN, mask=str(tmp_path / "none.tif"))
    with pytest.raises(BadInput, match=r"missing\.tif"):
        completed(SCAN, mask=str(tmp_path / "missing.tif"))
