"""Gatan in situ folders: the order of time, numbers that keep what is missing, and times from the names."""

from pathlib import Path

import numpy as np
import pytest
import receiving
import tifffile

from micrograph.core import Calibration
from micrograph.live.sources.folder import FolderSource
from micrograph.live.sources.gatan import GatanNames
from micrograph.live.sources.lineup import Waits

Receiving, until = receiving.Receiving, receiving.until


def write(root, second, place, minute=0):
    """Write one frame as the camera's program does; TIFF stands for .dm4, the names are what counts."""
    path = root / "Hour_00" / f"Minute_{minute:02d}" / f"Second_{second:02d}"
    path.mkdir(parents=True, exist_ok=True)
    name = f"film_Hour_00_Minute_{minute:02d}_Second_{second:02d}_Frame_{place:04d}.tif"
    tifffile.imwrite(path / name, np.full((8, 8), 1 + second * 10 + place, np.uint8) + np.eye(8, dtype=np.uint8))


def source(folder, **settings):
    return FolderSource(folder, **({"waits": Waits(0.02, 0.3), "idle_s": 0.3} | settings))


def test_frames_run_on_from_second_to_second_and_minute_to_minute(tmp_path):
    with Receiving(source(tmp_path, idle_s=None)) as got:
        for second in range(3):
            for place in range(4):
                write(tmp_path, second, place)
        until(lambda: len(got.arrivals) == 12)
        for place in range(4):
            write(tmp_path, 0, place, minute=1)
        until(lambda: len(got.arrivals) == 16)
    assert got.opened.calibration.frame_time_s == 0.25
    assert got.numbers[:12] == list(range(12))
    times = [arrival.known["t_s"] for arrival in got.arrivals]
    assert times[:12] == pytest.approx(0.25 * np.arange(12)) and times[12:] == pytest.approx(60 + 0.25 * np.arange(4))
    assert got.numbers[12] == 240 and got.heard("are missing")


def test_a_missing_frame_and_a_missing_second_keep_their_numbers(tmp_path):
    for second, place in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (3, 0)):
        write(tmp_path, second, place)
    with Receiving(source(tmp_path)) as got:
        got.ended()
    assert got.opened.calibration.frame_time_s == pytest.approx(1 / 3)
    assert got.numbers == [0, 1, 2, 3, 5, 9]


def test_a_given_frame_time_wins_and_rates_that_are_no_whole_number_run_on(tmp_path):
    for second, places in ((0, 3), (1, 2), (2, 3)):
        for place in range(places):
            write(tmp_path, second, place)
    with Receiving(source(tmp_path, given=Calibration(frame_time_s=0.4))) as got:
        got.ended()
    assert got.opened.calibration.frame_time_s == 0.4
    assert got.numbers == list(range(8)) and not got.said


def test_slow_frames_skip_seconds_without_a_gap():
    names = GatanNames(Path("."), frame_time_s=2.5)
    keys = [(0, 0, second, 0) for second in (0, 2, 5, 7)]
    numbers = []
    for last, key in zip([None, *keys], keys, strict=False):
        assert names.follows(last, key)
        numbers.append(names.number(key))
        names.passed(key)
    assert numbers == [0, 1, 2, 3]
