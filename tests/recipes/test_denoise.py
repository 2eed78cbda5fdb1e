"""Denoising end to end: one image, a movie, what is kept, what is refused. A small network, few steps."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput, Calibration, Recording
from micrograph.infer.restoring import DENOISED, Denoiser, Plan, neighbours
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Analyser, Result

FEW = {"start": "none", "steps": 3}


def clean(side: int = 64) -> np.ndarray:
    y, x = np.indices((side, side))
    return 10 + 6 * np.sin(2 * np.pi * x / 12) * np.sin(2 * np.pi * y / 14)


def movie(frames: int, seed: int = 0, **changes: float) -> Recording:
    images = np.random.default_rng(seed).poisson(np.repeat(clean()[None], frames, axis=0)).astype(np.float32)
    return Recording(images.__getitem__, range(frames), Calibration(pixel_nm=0.02), (64, 64), name="movie")


def plan_of(recording: Recording, **settings: object) -> Plan:
    return Denoiser(**settings).plan(recording)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("denoise")
    return mg.analyze("denoise", movie(3), out=folder / "out", settings=FEW)


def test_images_come_in_the_recordings_own_units_with_their_doubt(result: Result) -> None:
    image, sigma = result.image("denoised"), result.image("denoised_sigma")
    frames = result.tables["frames"]
    assert len(image) == 3 and image.calibration.pixel_nm == pytest.approx(0.02)
    for index in range(3):
        assert image.frame(index).data.mean() == pytest.approx(movie(3).frame(index).data.mean(), rel=1e-4)
    assert (sigma.frame(0).data > 0).all()
    np.testing.assert_allclose(frames["mean_before"], frames["mean_after"], rtol=1e-4)
    assert open_recording(result.folder / "images" / "denoised.tif").shape == (64, 64)


def test_the_tables_hold_noise_and_residual(result: Result) -> None:
    frames, objects = result.tables["frames"], result.tables["objects"]
    assert set(frames["mode"]) == {"frames"} and frames["alike"].min() > 0.8
    assert frames["noise"].to_numpy() == pytest.approx(np.sqrt(10), rel=0.1)
    assert len(objects) == 3 and objects["counts"].to_numpy() == pytest.approx(10, rel=0.1)
    assert result.summary["count"].tolist() == [3]


def test_the_same_recording_is_not_learned_twice(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(importlib.import_module("micrograph.train.blind_spot"), "learn")
    again = mg.analyze("denoise", movie(3), out=result.folder, settings=FEW, resume=True)
    np.testing.assert_array_equal(again.image("denoised").frame(1).data, result.image("denoised").frame(1).data)


def test_one_frame_is_foretold_from_its_own_pixels_and_a_movie_from_its_neighbours() -> None:
    assert plan_of(movie(1)).mode == "blind-spot"
    assert plan_of(movie(4)).mode == "frames"
    assert plan_of(movie(4), mode="blind-spot").mode == "blind-spot"


def test_a_movie_that_shows_something_else_in_every_frame_falls_back_to_blind_spots() -> None:
    rng = np.random.default_rng(0)
    images = [rng.poisson(np.roll(clean(), tuple(rng.integers(0, 14, 2)), (0, 1))) for _ in range(6)]
    other = Recording(lambda i: images[i], range(6), Calibration(), (64, 64))
    assert plan_of(other).mode == "blind-spot"


def test_scan_lines_are_told_and_in_a_movie_only_other_frames_are_used() -> None:
    rng = np.random.default_rng(0)
    images = [movie(6).frame(i).data + rng.normal(0, 4, (64, 1)) for i in range(6)]
    lined = Recording(lambda i: images[i], range(6), Calibration(), (64, 64))
    assert "scan lines" in plan_of(lined[:1]).notes[0]
    plan = plan_of(lined)
    assert not plan.own and plan.others and "other frames alone" in plan.notes[0]


@pytest.mark.parametrize(("length", "position"), [(9, 4), (9, 0), (9, 8), (2, 0), (3, 1)])
def test_neighbours_are_the_nearest_other_frames(length: int, position: int) -> None:
    found = neighbours(position, length, 5)
    assert len(found) == 4 and position not in found and found == sorted(found)
    assert max(abs(other - position) for other in found) <= (2 if 2 <= position <= length - 3 else 4)


def test_an_empty_movie_a_small_image_and_a_foreign_start_are_refused() -> None:
    even = Recording(lambda i: np.ones((64, 64)), range(2), Calibration(), (64, 64))
    with pytest.raises(BadInput, match="shows nothing"):
        plan_of(even)
    tiny = Recording(lambda i: np.eye(8), range(1), Calibration(), (8, 8))
    with pytest.raises(BadInput, match="at least 16"):
        plan_of(tiny)
    with pytest.raises(BadInput, match="one frame"):
        plan_of(movie(1), mode="frames")
    recipe = find_recipe("denoise")
    with pytest.raises(BadInput, match="none that denoise"):
        Analyser(recipe.with_settings({"start": "tmd-1"})).movie(movie(1))
    with pytest.raises(BadInput, match="nothing is known"):
        recipe.with_settings({"start": "none", "steps": "0"})


def test_an_odd_shape_and_a_pixel_without_value_come_back_whole(tmp_path: Path) -> None:
    image = movie(1).frame(0).data[:50, :37].copy()
    image[4, 5] = np.nan
    odd = Recording(lambda i: image, range(1), Calibration(), (50, 37))
    found = Denoiser(start="none", steps=2).taught(odd, tmp_path / "model.safetensors", {})(odd.frame(0))
    assert found.maps[DENOISED].shape == (50, 37) and np.isfinite(found.maps[DENOISED]).all()
