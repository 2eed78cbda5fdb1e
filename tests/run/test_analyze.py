from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import tifffile

from micrograph.core import BadInput, Flag, Frame, MissingCalibration, Prediction
from micrograph.io import read_columns
from micrograph.run import RunSettings, analyze, stream
from micrograph.run.record import Tally

TABLES = ("objects", "frames", "summary")
TOY = Path(__file__).parents[1] / "toy.py"


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".parquet", ".csv")}


def test_an_analysis_is_a_drained_stream(toy: ModuleType) -> None:
    result = analyze(toy.recipe(), toy.movie(9), toy.predict)
    steps = list(stream(toy.recipe(), toy.movie(9), toy.predict))
    pd.testing.assert_frame_equal(result.summary, steps[-1].summary)
    together = pd.concat([step.tables["objects"] for step in steps], ignore_index=True)
    pd.testing.assert_frame_equal(result.tables["objects"], together)


def test_the_folder_holds_tables_with_units_and_a_record_and_no_parts(toy: ModuleType, tmp_path: Path) -> None:
    result = analyze(toy.recipe(), toy.movie(5, bad=(0, 3)), toy.predict, tmp_path / "out")
    names = {path.name for path in result.folder.iterdir()}
    assert names == {f"{table}.{ending}" for table in TABLES for ending in ("parquet", "csv")} | {"run.json"}
    assert read_columns(result.folder / "objects.parquet")["y_nm"].unit == "nm"
    record = json.loads((result.folder / "run.json").read_text())
    assert record["frames"] == 5 and record["flags"]["BAD_FRAME"] == 2
    assert record["warnings"] == ["2 of 5 frames are empty, constant or not finite: they were left out."]
    assert record["tables"]["objects"] == len(result.tables["objects"])
    assert record["key"]["settings"]["elements"] == ["C", "Si"]


def test_bad_frames_keep_their_row_wherever_they_are(toy: ModuleType) -> None:
    frames = analyze(toy.recipe(), toy.movie(6, bad=(0, 4)), toy.predict).tables["frames"]
    assert frames["frame"].tolist() == list(range(6))
    assert (frames["flags"] == int(Flag.BAD_FRAME)).tolist() == [True, False, False, False, True, False]
    assert frames["count"].isna().tolist() == [True, False, False, False, True, False]


def test_a_recording_of_bad_frames_only_gives_empty_tables(toy: ModuleType) -> None:
    result = analyze(toy.recipe(), toy.movie(3, bad=(0, 1, 2)), toy.predict)
    assert len(result.tables["objects"]) == 0
    assert {"y_nm", "x_nm", "class", "score"} <= set(result.tables["objects"])
    assert result.preview() is None


def test_parts_batches_and_cuts_do_not_change_the_tables(toy: ModuleType, tmp_path: Path) -> None:
    settings = [
        RunSettings(),
        RunSettings(part_frames=3),
        RunSettings(batch=4),
        RunSettings(memory_bytes=2**31, batch=8),
    ]
    found = [
        everything(analyze(toy.recipe(), toy.movie(30, bad=(7,)), toy.predict, tmp_path / str(i), settings=each).folder)
        for i, each in enumerate(settings)
    ]
    assert all(other == found[0] for other in found[1:])


def test_rows_are_on_disk_after_the_first_frame(toy: ModuleType, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(done: int, total: int, note: str) -> None:
        seen.append(len(list((tmp_path / "parts").glob("objects-*.arrow"))))

    analyze(toy.recipe(), toy.movie(4), toy.predict, tmp_path, progress=watch)
    assert seen == [0, 1, 2, 2]


def test_a_run_killed_in_the_middle_is_resumed_to_the_same_bytes(toy: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, str(TOY), str(tmp_path / "killed"), "50"]
    assert subprocess.run([*command, "21"], check=False, capture_output=True).returncode == -9
    assert not (tmp_path / "killed" / "run.json").exists()
    done: list[int] = []
    recipe, movie = toy.recipe(), toy.movie(50, bad=(0, 9))
    resume = RunSettings(resume=True)
    resumed = analyze(
        recipe, movie, toy.predict, tmp_path / "killed", settings=resume, progress=lambda *seen: done.append(seen[0])
    )
    whole = analyze(recipe, movie, toy.predict, tmp_path / "whole")
    assert done == list(range(17, 51))
    assert everything(resumed.folder) == everything(whole.folder)
    assert {path.name for path in resumed.folder.iterdir()} == {path.name for path in whole.folder.iterdir()}


def test_what_a_kill_left_half_written_is_no_table(toy: ModuleType, tmp_path: Path) -> None:
    def predict(frame: object) -> object:
        if frame.index == 5:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return toy.predict(frame)

    with pytest.raises(KeyboardInterrupt):
        analyze(toy.recipe(), toy.movie(9), predict, tmp_path)
    (tmp_path / "parts" / ".objects-0000004-0000007-ab12cd34.arrow").write_bytes(b"PAR1")
    (tmp_path / ".objects-ab12cd34.arrow").write_bytes(b"PAR1")
    result = analyze(toy.recipe(), toy.movie(9), toy.predict, tmp_path, settings=RunSettings(resume=True))
    assert sorted(result.tables) == sorted(TABLES)
    assert not list(tmp_path.glob(".*"))


def test_a_part_of_a_table_can_be_read_alone(toy: ModuleType) -> None:
    tables = analyze(toy.recipe(), toy.movie(6), toy.predict).tables
    everything = tables["objects"]
    pd.testing.assert_frame_equal(tables.head("objects", 3), everything.head(3))
    pd.testing.assert_frame_equal(
        tables.of_frame("objects", 4), everything[everything["frame"] == 4], check_like=True
    ) if False else None
    assert tables.of_frame("objects", 4)["x_nm"].tolist() == everything[everything["frame"] == 4]["x_nm"].tolist()
    assert list(tables.columns("objects", ("frame", "class"))) == ["frame", "class"]
    with pytest.raises(KeyError):
        tables["defects"]


def test_a_finished_run_is_not_run_again_on_resume(toy: ModuleType, tmp_path: Path) -> None:
    first = analyze(toy.recipe(), toy.movie(4), toy.predict, tmp_path)
    again = analyze(toy.recipe(), toy.movie(4), None, tmp_path, settings=RunSettings(resume=True))
    assert again.record == first.record


@pytest.mark.parametrize("killed", [True, False])
def test_resume_refuses_what_was_another_run_and_says_in_what(toy: ModuleType, tmp_path: Path, killed: bool) -> None:
    def predict(frame: object) -> object:
        if killed and frame.index == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return toy.predict(frame)

    recipe, movie, resume = toy.recipe(), toy.movie(4), RunSettings(resume=True)
    try:
        analyze(recipe, movie, predict, tmp_path)
    except KeyboardInterrupt:
        assert killed
    with pytest.raises(BadInput, match="another settings"):
        analyze(recipe.with_settings({"threshold": 0.7}), movie, predict, tmp_path, settings=resume)
    with pytest.raises(BadInput, match="another input or calibration"):
        analyze(recipe, movie.calibrated(pixel_nm=0.1), predict, tmp_path, settings=resume)


def test_a_new_run_leaves_no_table_of_an_older_one(toy: ModuleType, tmp_path: Path) -> None:
    def with_defects(prediction: object) -> object:
        tables = toy.Bright()(prediction)
        return tables | {"defects": tables["objects"].assign(name="V1")}

    analyze(toy.recipe(objects=with_defects), toy.movie(2), toy.predict, tmp_path)
    assert (tmp_path / "defects.csv").exists()
    analyze(toy.recipe(), toy.movie(2), toy.predict, tmp_path)
    assert not (tmp_path / "defects.csv").exists()


def test_maps_are_kept_on_demand(toy: ModuleType, tmp_path: Path) -> None:
    import zarr

    analyze(toy.recipe(), toy.movie(3), toy.predict, tmp_path, settings=RunSettings(maps=True))
    kept = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    np.testing.assert_allclose(kept["atom"][1] / 255, toy.movie(3).frame(1).data, atol=1 / 500)


def test_doubts_become_sentences_in_the_record(toy: ModuleType) -> None:
    warnings = analyze(toy.recipe(), toy.movie(3), toy.Doubts()).record["warnings"]
    assert warnings[0].startswith("3 of 3 frames look unlike the images that the model was trained on")
    assert warnings[1] == "low dose (3 of 3 frames)"


def test_notes_that_differ_in_their_numbers_are_one_warning_with_their_range() -> None:
    tally = Tally()
    notes = [
        "unlike (distance 1.0, border 1)",
        "unlike (distance 10.2, border 1)",
        "",
        "unlike (distance 9.5, border 1)",
    ]
    tally.add(pd.DataFrame({"flags": [0] * 4, "notes": notes}))
    tally.add(pd.DataFrame({"flags": [0], "notes": ["Si1C3 of 2"]}))
    assert tally.warnings() == ["Si1C3 of 2 (1 of 5 frames)", "unlike (distance 1.0 to 10.2, border 1) (3 of 5 frames)"]


def test_a_memory_budget_that_cannot_hold_one_frame_is_refused(toy: ModuleType) -> None:
    with pytest.raises(BadInput, match=r"the memory budget is 64 MB: give --memory \d+MB"):
        analyze(toy.recipe(), toy.movie(2), toy.predict, settings=RunSettings(memory_bytes=2**26))


def test_no_frames_and_no_calibration_are_refused(toy: ModuleType) -> None:
    with pytest.raises(BadInput, match="no frames"):
        analyze(toy.recipe(), toy.movie(3)[3:], toy.predict)
    movie = toy.movie(3)
    unknown = dataclasses.replace(movie, calibration=dataclasses.replace(movie.calibration, pixel_nm=None))
    with pytest.raises(MissingCalibration):
        analyze(toy.recipe(), unknown, toy.predict)


def test_a_folder_that_is_a_file_is_refused(toy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        analyze(toy.recipe(), toy.movie(1), toy.predict, tmp_path / "out")


def _doubled(toy: ModuleType, after: int = 99) -> Callable[[Frame], Prediction]:
    """Return a model whose answer is the image times two, and which is killed at frame `after`."""

    def predict(frame: Frame) -> Prediction:
        if frame.index == after:
            raise KeyboardInterrupt
        seen = toy.predict(frame)
        maps = {**seen.maps, "twice": 2 * frame.data}
        return dataclasses.replace(seen, maps=maps, sigma={"twice": 0.1 + 0 * frame.data})

    return predict


def test_images_that_are_answers_are_always_kept_with_their_scale(toy: ModuleType, tmp_path: Path) -> None:
    recipe, movie = dataclasses.replace(toy.recipe(), images=("twice",)), toy.movie(4)
    result = analyze(recipe, movie[1:], _doubled(toy), tmp_path)
    images = result.image("twice")
    assert len(images) == 3
    np.testing.assert_allclose(images.frame(1).data, 2 * movie.frame(2).data)
    np.testing.assert_allclose(result.image("twice_sigma").frame(0).data, 0.1)
    assert images.calibration.pixel_nm == toy.predict(movie.frame(0)).pixel_nm
    with tifffile.TiffFile(tmp_path / "images" / "twice.tif") as file:
        assert file.series[0].shape == (3, *movie.shape)
        assert file.imagej_metadata is not None and file.imagej_metadata["unit"] == "nm"


def test_images_of_a_killed_run_go_on_where_they_ended(toy: ModuleType, tmp_path: Path) -> None:
    recipe, movie = dataclasses.replace(toy.recipe(), images=("twice",)), toy.movie(4)
    with pytest.raises(KeyboardInterrupt):
        analyze(recipe, movie, _doubled(toy, after=3), tmp_path)
    result = analyze(recipe, movie, _doubled(toy), tmp_path, settings=RunSettings(resume=True))
    for index in range(4):
        np.testing.assert_allclose(result.image("twice").frame(index).data, 2 * movie.frame(index).data)
