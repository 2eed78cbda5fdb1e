"""The state of the tip, end to end, on simulated scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import Calibration, Flag, MissingCalibration, Prediction, Recording
from micrograph.infer.predictor import unaided
from micrograph.io import read_columns
from micrograph.recipes import find_recipe
from micrograph.report import write_report
from micrograph.run import Result, analyze
from micrograph.simulate.scanning.stm import StmScans, random_tip
from micrograph.validate.surfaces.stm_foreign import FOREIGN

RECIPE = find_recipe("stm-tip")
SCANS = StmScans(pixel_nm=(0.18, 0.1801), field_nm=(36.0, 36.01), snr=(20.0, 30.0))
SCANS = replace(SCANS, surface=replace(SCANS.surface, dangling_per_nm2=(0.007, 0.008), stepped=0.0))
STATES = ("sharp", "sharp", "double", "double", "blunt")


def recording(states: tuple[str, ...] = STATES) -> Recording:
    images = []
    for number, state in enumerate(states):
        rng = np.random.default_rng([8, number])
        images.append(SCANS.scan(random_tip(state, SCANS.tips, rng), rng).image)
    return Recording(images.__getitem__, range(len(images)), Calibration(pixel_nm=0.18), images[0].shape, name="tips")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analyze(RECIPE, recording(), unaided, Path(tmp_path_factory.mktemp("tips")))


def test_the_state_of_each_scan_and_the_history_are_told(result: Result) -> None:
    frames = result.tables["frames"]
    assert frames["class"].tolist() == list(STATES)
    assert (frames["p_bad"] > 0.9).tolist() == [False, False, True, True, True]
    assert np.isfinite(frames["apex_nm"]).tolist() == [False, False, True, True, False]
    assert result.summary[["class", "first", "last"]].to_numpy().tolist() == [
        ["sharp", 0, 1], ["double", 2, 3], ["blunt", 4, 4],
    ]  # fmt: skip
    for table, promised in RECIPE.task.answers.items():
        stored = read_columns(result.folder / f"{table}.parquet")
        assert all(stored[column.name].unit == column.unit for column in promised)


def test_a_report_shows_the_tip_and_its_history(result: Result) -> None:
    page = write_report(result).read_text(encoding="utf-8")
    assert RECIPE.title in page and RECIPE.task.reference in page
    for name in ("tip", "tip-history"):
        assert (result.folder / "figures" / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize("kind", ["Si(111)-7x7", "molecules", "noise"])
def test_a_foreign_surface_is_not_judged(kind: str) -> None:
    image, pixel = FOREIGN[kind](np.random.default_rng(2))
    frame = Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel), image.shape).frame(0)
    (row,) = RECIPE.objects(Prediction(frame, {}, {}, pixel))["frames"].to_dict("records")
    assert row["class"] == "cannot tell" and np.isnan(row["p_bad"]) and "cannot be told" in row["notes"]


def test_frames_that_show_nothing_and_a_missing_scale_are_told(tmp_path: Path) -> None:
    nothing = Recording(lambda i: np.full((64, 64), (0.0, np.nan)[i]), range(2), Calibration(pixel_nm=0.1), (64, 64))
    result = analyze(RECIPE, nothing, unaided, tmp_path / "nothing")
    assert result.tables["frames"]["flags"].tolist() == [int(Flag.BAD_FRAME)] * 2
    assert len(result.tables["objects"]) == len(result.summary) == 0
    with pytest.raises(MissingCalibration, match="--pixel-size"):
        analyze(RECIPE, replace(recording(STATES[:1]), calibration=Calibration()), unaided, tmp_path / "bare")
