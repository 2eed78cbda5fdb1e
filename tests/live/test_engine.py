"""The live engine: the tables of a file, frame by frame, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from micrograph.core import BadInput, Frame, MissingCalibration, Prediction, Recording
from micrograph.io import open_recording
from micrograph.live.engine import Engine, LiveSettings
from micrograph.live.ledger import Ledger
from micrograph.live.source import Arrival, Complain, Opened
from micrograph.live.waiting import Waiting
from micrograph.run import analyze


@dataclass
class Camera:
    """A source in memory: the frames of a recording, as fast as they are taken."""

    recording: Recording
    lossless: bool = True
    wait_s: float = 0.0
    numbers: tuple[int, ...] | None = None
    given: list[int] = field(default_factory=list)

    def open(self, stop: threading.Event, complain: Complain) -> Opened | None:
        shape = self.recording.shape
        return Opened(
            self.recording.name, self.recording.calibration, (shape[0], shape[1]), "float32", lossless=self.lossless
        )

    def arrivals(self, done: Callable[[int], bool], stop: threading.Event, complain: Complain) -> Iterator[Arrival]:
        for number in self.numbers or range(len(self.recording)):
            if stop.is_set():
                return
            if not done(number):
                self.given.append(number)
                time.sleep(self.wait_s)
                yield Arrival(number, self.recording.read(number), time.monotonic())


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".parquet")}


def engine(toy: ModuleType, folder: Path, source: Any = None, **settings: Any) -> Engine:
    predict = settings.pop("predict", toy.predict)
    return Engine(toy.recipe(), source or Camera(toy.movie(40)), predict, folder, LiveSettings(**settings))


def test_a_replay_leaves_the_files_of_an_analysis_byte_for_byte(toy: ModuleType, tmp_path: Path) -> None:
    movie = toy.movie(75, bad=(3, 40))
    analyze(toy.recipe(), movie, toy.predict, tmp_path / "file")
    record = engine(toy, tmp_path / "live", Camera(movie)).run()
    assert record is not None and record["live"]["done"] == 75 and record["live"]["bad"] == 2
    assert files(tmp_path / "live") == files(tmp_path / "file")
    assert not (tmp_path / "live" / "parts").exists()


def test_images_that_are_answers_are_kept_as_an_analysis_keeps_them(toy: ModuleType, tmp_path: Path) -> None:
    def twice(frame: Frame) -> Prediction:
        seen = toy.predict(frame)
        return replace(seen, maps={**seen.maps, "twice": 2 * frame.data})

    recipe, movie = replace(toy.recipe(), images=("twice",)), toy.movie(3)
    assert Engine(recipe, Camera(movie), twice, tmp_path / "live").run() is not None
    kept = open_recording(tmp_path / "live" / "images.zarr", signal="twice")
    for index in range(3):
        np.testing.assert_allclose(kept.frame(index).data, 2 * movie.frame(index).data)
    assert (tmp_path / "live" / "images" / "twice.tif").exists()


def test_rows_are_on_disk_when_a_watcher_is_told(toy: ModuleType, tmp_path: Path) -> None:
    run = engine(toy, tmp_path)
    seen: list[bool] = []
    run.watchers = (lambda row: seen.append(any(tmp_path.glob("parts/frames-*.arrow"))),)
    run.run()
    assert seen == [True] * 40


def test_a_watcher_that_fails_is_told_of_and_costs_nothing(toy: ModuleType, tmp_path: Path) -> None:
    run = engine(toy, tmp_path)

    def fails(row: object) -> None:
        raise RuntimeError("no")

    run.watchers = (fails,)
    record = run.run()
    assert record is not None and record["frames"] == 40
    assert "A watcher failed" in run.board.state.notes[-1]


def slow(toy: ModuleType) -> Callable[[Frame], Prediction]:
    def predict(frame: Frame) -> Prediction:
        time.sleep(0.02)
        found: Prediction = toy.predict(frame)
        return found

    return predict


def test_a_camera_that_is_too_fast_loses_the_oldest_frames_and_all_are_counted(toy: ModuleType, tmp_path: Path) -> None:
    camera = Camera(toy.movie(200), lossless=False, wait_s=0.002)
    run = engine(toy, tmp_path, camera, predict=slow(toy), waiting=2)
    record = run.run()
    assert record is not None
    counts = record["live"]
    assert counts["received"] == 200 and counts["dropped"] > 50
    assert counts["done"] + counts["dropped"] == 200
    assert run.board.table("frames")["frame"].iloc[-1] == 199


def test_files_wait_for_a_slow_analysis_and_none_is_lost(toy: ModuleType, tmp_path: Path) -> None:
    record = engine(toy, tmp_path, predict=slow(toy), waiting=2).run()
    assert record is not None and record["live"]["done"] == 40 and record["live"]["dropped"] == 0


def test_numbers_that_never_come_are_counted_as_lost(toy: ModuleType, tmp_path: Path) -> None:
    camera = Camera(toy.movie(40), numbers=(0, 1, 5, 6, 20))
    record = engine(toy, tmp_path, camera).run()
    assert record is not None and record["live"]["lost"] == 3 + 13 and record["frames"] == 5


def test_a_full_disk_makes_rows_wait_and_loses_none(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micrograph.live.engine._RETRY_S", 0.01)
    wrote, fails = Ledger.write, iter([False] * 5 + [True] * 3)

    def full(self: Ledger, number: int, tables: Any) -> None:
        if next(fails, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        wrote(self, number, tables)

    monkeypatch.setattr(Ledger, "write", full)
    run = engine(toy, tmp_path)
    record = run.run()
    assert record is not None and record["frames"] == 40
    notes = [note for note in run.board.state.notes if "No space left" in note]
    assert len(notes) == 1 and "they wait" in notes[0]


def test_a_missing_calibration_is_one_sentence_and_nothing_is_written(toy: ModuleType, tmp_path: Path) -> None:
    movie = toy.movie(3)
    bare = Recording(movie.read, movie.indices, type(movie.calibration)(), movie.shape)
    with pytest.raises(MissingCalibration, match="--pixel-size"):
        engine(toy, tmp_path / "out", Camera(bare)).run()
    assert not (tmp_path / "out").exists()


def test_a_stage_that_breaks_ends_the_run_with_its_own_error(toy: ModuleType, tmp_path: Path) -> None:
    def breaks(frame: Frame) -> Prediction:
        raise BadInput("The model is of another kind.")

    with pytest.raises(BadInput, match="another kind"):
        engine(toy, tmp_path, predict=breaks).run()


def test_pausing_a_camera_drops_and_pausing_files_waits(toy: ModuleType, tmp_path: Path) -> None:
    run = engine(toy, tmp_path / "a", Camera(toy.movie(10), lossless=False))
    run.board.pause(True)
    assert run.run() is None and run.board.counters["dropped"] == 10
    run = engine(toy, tmp_path / "b")
    run.board.pause(True)
    threading.Timer(0.1, run.board.pause, (False,)).start()
    record = run.run()
    assert record is not None and record["frames"] == 40


def test_the_ring_keeps_the_newest_frames(toy: ModuleType, tmp_path: Path) -> None:
    run = engine(toy, tmp_path, ring=8)
    run.run()
    assert run.keep_frames(tmp_path / "kept.npy") == list(range(32, 40))
    kept = np.load(tmp_path / "kept.npy")
    assert np.array_equal(kept[-1], toy.movie(40).read(39), equal_nan=True)
    assert run.board.image(39) is not None and run.board.image(3) is None
    run.close()
    assert not list(tmp_path.glob(".ring*"))


def test_the_board_shows_rows_of_new_and_of_old_frames(toy: ModuleType, tmp_path: Path) -> None:
    run = engine(toy, tmp_path, Camera(toy.movie(300)))
    run.run()
    state, objects = run.board.state, run.board.table("objects", 2)
    assert state.frames == (0, 299) and not state.running and state.units["objects.y_nm"] == "nm"
    assert len(objects) and set(objects["frame"]) == {2}
    assert len(run.board.table("frames")) == 300 and len(run.board.table("summary")) == 1


def test_a_line_drops_the_oldest_or_makes_the_bringer_wait() -> None:
    line: Waiting[int] = Waiting(2, "newest")
    assert [line.put(n) for n in range(4)] == [[], [], [0], [1]]
    line.close()
    assert list(line) == [2, 3] and line.put(9) == [9]
    patient: Waiting[int] = Waiting(1, "all")
    served: list[int] = []
    server = threading.Thread(target=lambda: served.extend(patient))
    server.start()
    assert all(patient.put(n) == [] for n in range(50))
    patient.close()
    server.join()
    assert served == list(range(50))


PROGRAM = """
import sys, time
sys.path[:0] = [{tests!r}, {here!r}]
import toy, test_engine
from pathlib import Path
camera = test_engine.Camera(toy.movie(400), wait_s=0.005)
test_engine.Engine(toy.recipe(), camera, toy.predict, Path({out!r})).run()
"""


def test_kill_9_in_the_middle_and_start_again_gives_the_same_bytes(toy: ModuleType, tmp_path: Path) -> None:
    movie, out = toy.movie(400), tmp_path / "live"
    here = Path(__file__).parent
    program = PROGRAM.format(tests=str(here.parent), here=str(here), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 120
    while len(list(out.glob("parts/frames-*.arrow"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    plan = json.loads((out / "parts" / "plan.json").read_text())
    assert plan["recipe"] == "bright"
    record = engine(toy, out, Camera(movie), resume=True).run()
    assert record is not None and record["frames"] == 400
    analyze(toy.recipe(), movie, toy.predict, tmp_path / "file")
    assert files(out) == files(tmp_path / "file")
    with pytest.raises(BadInput, match="was finished"):
        engine(toy, out, Camera(movie), resume=True).run()
