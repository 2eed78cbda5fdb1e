"""A finished analysis, as the page shows it."""

import json

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Column
from micrograph.core.provenance import digest
from micrograph.io import write_table
from micrograph.live.finished import Finished


def _write(folder, recording, **said):
    folder.mkdir()
    frames = pd.DataFrame({"frame": [0, 1, 2], "count": [2, 1, 0], "flags": [0, 0, 16], "t_s": [0.0, 0.5, 1.0]})
    write_table(frames, folder / "frames", (Column("t_s", "s", "time"),))
    places = [1.0, 2.0, 3.0]
    objects = pd.DataFrame({"frame": [0, 0, 1], "y_nm": places, "x_nm": places, "class": ["C", "C", "Si"]})
    write_table(objects, folder / "objects", (Column("y_nm", "nm", "row"),))
    write_table(pd.DataFrame({"name": ["Si"], "count": [1]}), folder / "summary")
    source = {
        "name": recording.name, "signal": 0, "digest": digest(recording), "frames": [0, 3, 1], "shape": [16, 20],
        "calibration": {"pixel_nm": 0.2, "frame_time_s": 0.5, "binning": 2},
    }  # fmt: skip
    record = {
        "recipe": {"name": "atoms", "title": "Atoms"}, "key": {"input": source}, "flags": {"BAD_FRAME": 1},
        "warnings": ["1 of 3 frames are empty."],
    } | said  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, np.arange(3 * 32 * 40, dtype=np.float32).reshape(3, 32, 40))
    return path


def test_a_finished_analysis_shows_its_tables_and_frames(tmp_path, recording):
    shown = Finished(_write(tmp_path / "out", recording))
    state = shown.state
    assert state.frames == (0, 2) and not state.running and state.pixel_nm == 0.2 and state.shape == (16, 20)
    assert state.units == {"frames.t_s": "s", "objects.y_nm": "nm"} and state.notes == ("1 of 3 frames are empty.",)
    assert shown.tables == ("frames", "objects", "summary")
    assert len(shown.table("objects", 0)) == 2 and len(shown.table("objects")) == 3
    assert len(shown.table("summary", 1)) == 1 and shown.table("nothing").empty
    assert shown.image(1).shape == (16, 20) and shown.image(3) is None
    assert shown.image(0)[0, 0] == pytest.approx(np.mean([0, 1, 40, 41]))


def test_another_recording_of_the_same_name_is_not_shown(tmp_path, recording):
    folder = _write(tmp_path / "out", recording)
    np.save(recording, np.zeros((3, 32, 40), np.float32))
    shown = Finished(folder)
    assert shown.image(0) is None and "was not found" in shown.state.notes[-1]
    with pytest.raises(BadInput, match="is not the recording"):
        Finished(folder, recording)


def test_a_recording_that_was_moved_is_given_by_its_path(tmp_path, recording):
    folder = _write(tmp_path / "out", recording)
    moved = tmp_path / "archive" / "deep" / "renamed.npy"
    moved.parent.mkdir(parents=True)
    recording.rename(moved)
    assert Finished(folder).image(0) is None
    assert Finished(folder, moved).image(0) is not None


def test_a_folder_without_results_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="holds no finished analysis"):
        Finished(tmp_path)


def test_an_analysis_that_was_just_made_can_be_shown(tmp_path, toy):
    from micrograph.run import analyze

    analyze(toy.recipe(), toy.movie(3), toy.predict, tmp_path / "out")
    shown = Finished(tmp_path / "out")
    assert shown.state.frames == (0, 2) and "frames" in shown.tables and shown.image(0) is None
