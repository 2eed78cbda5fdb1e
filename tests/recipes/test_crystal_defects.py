"""Crystal defects from a file to tables and pictures: lengths, sizes and densities that are planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import micrograph as mg
from micrograph.core import BadInput, Flag, MissingCalibration
from micrograph.io import read_columns
from micrograph.recipes import find_recipe
from micrograph.report import write_report
from micrograph.run import Result
from micrograph.simulate.foils.crystal_defect_sampler import DefectImages

NAME, PIXEL_NM, THICKNESS_NM = "crystal-defects", 1.5, 120.0
CLEAR = replace(
    DefectImages(),
    side_px=224,
    line_px=(5.0, 6.0),
    contrast_to_noise=(6.0, 8.0),
    strength=(0.3, 0.4),
    precipitate_px=(16.0, 20.0),
    void_px=(14.0, 18.0),
    line_cover=(0.05, 0.06),
    precipitate_cover=(0.03, 0.04),
    void_cover=(0.03, 0.04),
    curves=(1.0, 0.0, 0.0),
    residual=0.0,
    bend=0.0,
    boundary=0.0,
    absent=0.0,
)
SCENES = tuple(CLEAR.scene(np.random.default_rng([8, number])) for number in range(3))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("foil")
    np.save(folder / "foil.npy", np.stack([scene.image for scene in SCENES]))
    recording = mg.open(folder / "foil.npy", pixel_size=f"{PIXEL_NM} nm")
    return mg.analyze(NAME, recording, out=folder / "out", settings={"thickness_nm": f"{THICKNESS_NM} nm"})


def test_lengths_are_those_that_were_planted(result: Result) -> None:
    true = sum(scene.foil.length_px for scene in SCENES) * PIXEL_NM
    row = result.tables["line_density"].iloc[0]
    assert row["length_nm"] == pytest.approx(true, rel=0.12)
    area = 3 * (224 * PIXEL_NM) ** 2
    assert row["density_per_m2"] == pytest.approx(4 / np.pi * row["length_nm"] / area / THICKNESS_NM * 1e18)
    assert row["density_low_per_m2"] < row["density_per_m2"] < row["density_high_per_m2"]


def test_bodies_are_as_many_and_as_large_as_were_planted(result: Result) -> None:
    summary = result.tables["summary"].set_index("name")
    for kind in ("precipitate", "void"):
        bodies = [one for scene in SCENES for one in getattr(scene.foil, f"{kind}s")]
        planted = SCENES[0].planted[kind] / PIXEL_NM**2
        low, high = summary.loc[kind, ["density_low_per_nm2", "density_high_per_nm2"]].astype(float)
        assert low < 1.3 * planted and high > 0.7 * planted
        mean = np.mean([one.diameter_px for one in bodies]) * PIXEL_NM
        assert float(summary.loc[kind, "mean_diameter_nm"]) == pytest.approx(mean, rel=0.08)
    assert result.tables["swelling"].set_index("name").loc["void", "swelling_percent"] > 0


def test_the_tables_hold_what_the_task_promises_with_units(result: Result) -> None:
    for table, promised in find_recipe(NAME).task.answers.items():
        stored = read_columns(result.folder / f"{table}.parquet")
        for column in promised:
            assert stored[column.name].unit == column.unit and stored[column.name].about == column.about
    assert (result.tables["lines"]["length_sigma_nm"] > 0).all()


def test_a_report_shows_defects_and_sizes(result: Result) -> None:
    page = write_report(result).read_text(encoding="utf-8")
    assert "dislocation density, foil of 120 nm" in page and "swelling" in page
    for name in ("defects", "sizes"):
        assert (result.folder / "figures" / f"{name}.png").stat().st_size > 5000


def test_frames_that_show_nothing_are_flagged_and_a_missing_scale_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "blank.npy", np.full((96, 96), 7.0, np.float32))
    blank = mg.analyze(NAME, mg.open(tmp_path / "blank.npy", pixel_size="1 nm"), out=tmp_path / "out")
    assert blank.tables["frames"]["flags"].tolist() == [int(Flag.BAD_FRAME)]
    assert blank.tables["summary"]["count"].tolist() == [0, 0, 0] and len(blank.tables["objects"]) == 0
    assert blank.tables["summary"]["count_high"].isna().all(), "nothing was looked at: it may hold any number"
    with pytest.raises(MissingCalibration, match="pixel_nm"):
        mg.analyze(NAME, mg.open(tmp_path / "blank.npy"), out=tmp_path / "other")


def test_a_foil_without_thickness_is_refused() -> None:
    with pytest.raises(BadInput, match="thickness"):
        find_recipe(NAME).with_settings({"thickness_nm": "0 nm"})
