"""A coarse image from a file to the finer one: its pixel everywhere, its gaps, and when it is not to be believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import micrograph as mg
from micrograph.apps.models import predictor
from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction
from micrograph.core.frame import binned
from micrograph.recipes import find_recipe
from micrograph.report import write_report
from micrograph.run import Result
from micrograph.simulate.secondary.gold_films import GoldFilms

FILM = replace(GoldFilms(), side=64, electrons=(400.0, 401.0), probe_px=(1.5, 1.6))(np.random.default_rng(3))


def finer(image: np.ndarray) -> Prediction:
    return predictor(find_recipe("sem-superres"), ())(Frame(image.astype(np.float32), 0, Calibration(pixel_nm=4.0)))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("film")
    np.save(folder / "film.npy", np.stack([FILM.coarse, FILM.coarse[::-1]]))
    return mg.analyze("sem-superres", mg.open(folder / "film.npy", pixel_size="4 nm"), out=folder / "out")


def test_the_finer_image_has_half_the_pixel_in_every_file(result: Result) -> None:
    image = result.image("image")
    assert len(image) == 2 and image.frame(0).data.shape == (128, 128)
    assert image.calibration.pixel_nm == pytest.approx(2.0)
    with tifffile.TiffFile(result.folder / "images" / "image.tif") as file:
        across, per = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
        assert across / per == pytest.approx(0.5) and file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "nm"


def test_the_finer_image_is_nearer_to_the_truth_and_its_mean_is_that_recorded(result: Result) -> None:
    answer = result.image("image").frame(0).data
    coarse = FILM.coarse.repeat(2, axis=0).repeat(2, axis=1)
    assert np.std(answer - FILM.truth) < 0.6 * np.std(coarse - FILM.truth)
    assert binned(answer, 2).mean() == pytest.approx(FILM.coarse.mean(), rel=0.02)


def test_gaps_are_in_the_table_with_width_and_support(result: Result) -> None:
    objects, frames = result.tables["objects"], result.tables["frames"]
    assert len(objects) > 20 and frames["count"].sum() == len(objects)
    np.testing.assert_allclose(objects["width_nm"], 2.0 * objects["width_px"])
    assert (objects["width_sigma_px"] > 0).all()
    assert objects.loc[objects["flags"] == 0, "support"].min() >= 3
    assert frames["chi_square"].between(0.5, 1.3).all() and (frames["misfit_share"] < 0.01).all()
    assert result.summary["frames"].iloc[0] == 2


def test_the_report_shows_gaps_power_and_what_is_left_over(result: Result) -> None:
    page = write_report(result).read_text(encoding="utf-8")
    assert "Finer images of gold films" in page
    for name in ("gaps", "power", "restored-image"):
        assert (result.folder / "figures" / f"{name}.png").stat().st_size > 5000


def test_another_texture_is_told_and_flagged() -> None:
    noise = np.random.default_rng(0).poisson(60, (96, 96))
    assert Flag.OUT_OF_DOMAIN in finer(noise).flags


def test_a_finer_image_changes_with_the_counts_as_they_do() -> None:
    one, other = finer(FILM.coarse).maps["image"], finer(3 * FILM.coarse + 10).maps["image"]
    np.testing.assert_allclose(other, 3 * one + 10, rtol=0.02, atol=0.02 * float(np.ptp(other)))


def test_a_tiny_image_is_refused_in_one_sentence() -> None:
    with pytest.raises(BadInput, match="16 x 40 pixels: at least 32"):
        finer(FILM.coarse[:16, :40])
