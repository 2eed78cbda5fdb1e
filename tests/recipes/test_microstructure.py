"""The microstructure of steels from end to end, with a model that knows the truth."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import Calibration, Flag, Frame, MissingCalibration, Prediction, Recording, Sample
from micrograph.io import read_columns
from micrograph.recipes import find_recipe
from micrograph.report import write_report
from micrograph.run import Result, RunSettings, analyze
from micrograph.simulate.steels.carbides import CarbideRanges
from micrograph.simulate.steels.metallography import MetallographySampler

RECIPE, PIXEL_NM = find_recipe("microstructure"), 20.0
CARBIDES = CarbideRanges(diameter_px=(6.0, 7.0), denuded_px=(9.0, 10.0), plates=0.0, whole=0.0)


@functools.cache
def samples() -> tuple[Sample, ...]:
    high = MetallographySampler(side_px=160, high_carbon=1.0, pixel_nm=(PIXEL_NM, PIXEL_NM), carbides=CARBIDES)
    kinds = (high, high, replace(high, high_carbon=0.0))
    return tuple(kind(np.random.default_rng([4, number])) for number, kind in enumerate(kinds))


def movie(**changes: object) -> Recording:
    images = [sample.image for sample in samples()]
    made = Recording(images.__getitem__, range(3), Calibration(pixel_nm=PIXEL_NM), images[0].shape, name="steels")
    return replace(made, **changes)  # type: ignore[arg-type]


def knowing(frame: Frame) -> Prediction:
    masks = samples()[frame.index].masks
    return Prediction(frame, masks, masks, PIXEL_NM)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analyze(RECIPE, movie(), knowing, Path(tmp_path_factory.mktemp("steels")))


def test_the_tables_hold_what_the_task_promises_with_units(result: Result) -> None:
    for table, promised in RECIPE.task.answers.items():
        stored = read_columns(result.folder / f"{table}.parquet")
        for column in promised:
            assert stored[column.name].unit == column.unit and stored[column.name].about == column.about
            assert column.sigma is None or stored[column.sigma].unit == column.unit
    assert result.tables["frames"]["frame"].tolist() == [0, 1, 2]
    assert (result.tables["particles"]["diameter_sigma_nm"] > 0).all()
    assert result.tables["objects"]["score"].between(0, 1).all()


def test_what_was_planted_is_found(result: Result) -> None:
    frames = result.tables["frames"]
    for sample, row in zip(samples()[:2], frames.to_dict("records"), strict=False):
        assert row["particles"] > 20
        assert row["denuded_nm"] == pytest.approx(9.5 * PIXEL_NM, abs=3 * PIXEL_NM)
        assert row["clear_nm"] > row["denuded_nm"]
        share = sample.masks["network"].mean()
        rows = result.tables["phases"].query(f"frame == {row['frame']} and `class` == 'network'")
        assert rows["fraction"].iloc[0] == pytest.approx(share, abs=0.01)
    assert np.isnan(frames["denuded_nm"].iloc[2]) and frames["particles"].iloc[2] == 0
    objects = result.tables["objects"]
    island = objects[(objects["frame"] == 2)]
    assert set(island["class"]) <= {"pearlite", "bainite", "martensite", "tempered martensite"}


def test_many_micrographs_are_one_metal(result: Result) -> None:
    summary, sizes = result.summary, result.tables["sizes"]
    assert summary["fraction"].sum() == pytest.approx(1, abs=1e-5) and (summary["frames"] == 3).all()
    assert (summary["fraction_low"] <= summary["fraction"]).all()
    assert (summary["fraction"] <= summary["fraction_high"]).all()
    particles = sizes.iloc[0]
    assert particles["mean_low_nm"] < particles["mean_nm"] < particles["mean_high_nm"]
    assert particles["density_sigma_per_nm2"] > 0
    assert sizes["number"].tolist()[1:] == [2, 2]


def test_parts_and_batches_change_nothing(result: Result, tmp_path: Path) -> None:
    again = analyze(RECIPE, movie(), knowing, tmp_path, settings=RunSettings(part_frames=2, batch=2))
    for path in sorted(result.folder.glob("*.parquet")):
        assert path.read_bytes() == (again.folder / path.name).read_bytes()


def test_a_report_is_exported(result: Result) -> None:
    page = write_report(result).read_text(encoding="utf-8")
    assert RECIPE.title in page and "share of spheroidite" in page and "mean diameter of the particles" in page
    for figure in ("constituents", "particles", "particle-sizes", "denuded-zone"):
        assert (result.folder / "figures" / f"{figure}.png").stat().st_size > 5000


def test_an_unknown_pixel_is_refused_and_empty_frames_are_flagged(tmp_path: Path) -> None:
    with pytest.raises(MissingCalibration, match=r"Recipe 'microstructure' needs pixel_nm.*--pixel-size"):
        analyze(RECIPE, movie(calibration=Calibration()), knowing, tmp_path / "none")
    nothing = Recording(lambda i: np.full((64, 64), 5.0), range(2), Calibration(pixel_nm=1.0), (64, 64))
    found = analyze(RECIPE, nothing, knowing, tmp_path / "empty")
    for table in set(RECIPE.task.answers) - {"frames", *RECIPE.over_time}:
        assert len(found.tables[table]) == 0
    assert found.tables["frames"]["flags"].tolist() == [int(Flag.BAD_FRAME)] * 2
    assert "2 of 2 frames" in write_report(found).read_text(encoding="utf-8")
