"""A folder that is being written: every frame once and in order, whatever happens to the files."""

import os
import shutil
import threading

import numpy as np
import pytest
import receiving
import tifffile

from micrograph.core import Calibration
from micrograph.live.sources.folder import FolderSource
from micrograph.live.sources.lineup import Waits
from micrograph.live.sources.numbered import NumberedNames

Receiving, until = receiving.Receiving, receiving.until

QUICK = Waits(settle_s=0.02, patience_s=0.3)


def image(number, side=8):
    return np.full((side, side), number, np.uint16) + np.eye(side, dtype=np.uint16)


def write(folder, number, name="frame_{:04d}.npy"):
    np.save(folder / name.format(number), image(number))


def source(folder, **settings):
    return FolderSource(folder, **({"waits": QUICK, "idle_s": 0.3} | settings))


def test_frames_come_once_and_in_order_while_they_are_written(tmp_path):
    with Receiving(source(tmp_path, idle_s=None)) as got:
        for number in range(20):
            write(tmp_path, number)
        until(lambda: len(got.arrivals) == 20)
        for number in range(20, 25):
            write(tmp_path, number)
        until(lambda: len(got.arrivals) == 25)
    assert got.numbers == list(range(25))
    assert all(np.array_equal(arrival.data, image(arrival.number)) for arrival in got.arrivals)
    assert got.opened.lossless and got.opened.shape == (8, 8) and got.opened.dtype == "uint16"
    assert not got.said


@pytest.mark.parametrize("name", ["f_{}.npy", "{:03d}.npy", "run2_{:02d}_haadf.npy"])
def test_numbers_are_the_last_digits_of_the_name_in_natural_order(tmp_path, name):
    for number in (0, 1, 2, 10, 3, 4, 5, 6, 7, 8, 9):
        write(tmp_path, number, name)
    with Receiving(source(tmp_path)) as got:
        got.ended()
    assert got.numbers == list(range(11))


def test_a_half_written_file_is_waited_for(tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    whole.mkdir(), half.mkdir()
    for number in range(2):
        tifffile.imwrite(whole / f"{number}.tif", image(number))
    content = (whole / "1.tif").read_bytes()
    with Receiving(source(half, idle_s=None, waits=Waits(0.02, 60.0))) as got:
        shutil.copy(whole / "0.tif", half / "0.tif")
        until(lambda: len(got.arrivals) == 1)
        with (half / "1.tif").open("wb") as file:
            for part in (content[:10], content[10:-60], content[-60:]):
                assert len(got.arrivals) == 1
                file.write(part)
                file.flush()
                threading.Event().wait(0.06)
        until(lambda: len(got.arrivals) == 2)
    assert np.array_equal(got.arrivals[1].data, image(1)) and not got.said


def test_a_corrupted_file_is_told_once_counted_and_left_out(tmp_path):
    for number in range(4):
        write(tmp_path, number)
    (tmp_path / "frame_0001.npy").write_bytes(b"\x93NUMPY nonsense")
    (tmp_path / "frame_0002.npy").write_bytes(b"")
    found = source(tmp_path)
    with Receiving(found) as got:
        got.ended()
    assert got.numbers == [0, 3]
    assert found.counts["unreadable"] == 2
    assert got.heard("frame_0001.npy") and got.heard("frame_0002.npy")


def test_the_first_file_may_be_corrupted(tmp_path):
    (tmp_path / "f_0.npy").write_bytes(b"nothing that can be read")
    write(tmp_path, 1, "f_{}.npy")
    with Receiving(source(tmp_path)) as got:
        got.ended()
    assert got.numbers == [1] and got.heard("f_0.npy")


def test_frames_out_of_order_are_sorted(tmp_path):
    with Receiving(source(tmp_path, waits=Waits(0.02, 60.0), idle_s=None)) as got:
        for number in (2, 1, 0, 5, 4, 3):
            write(tmp_path, number)
        until(lambda: len(got.arrivals) == 6)
    assert got.numbers == list(range(6)) and not got.said


def test_a_gap_is_waited_for_then_named_and_what_comes_later_is_refused(tmp_path):
    found = source(tmp_path, idle_s=None)
    with Receiving(found) as got:
        for number in (0, 1, 4):
            write(tmp_path, number)
        until(lambda: len(got.arrivals) == 3)
        write(tmp_path, 2)
        until(lambda: got.heard("too late"))
    assert got.numbers == [0, 1, 4]
    assert got.heard("Frames 2 to 3 are missing: going on with frame_0004.npy")
    assert found.counts["late"] == 1


def test_a_second_file_with_the_same_number_is_refused(tmp_path):
    found = source(tmp_path, idle_s=None)
    with Receiving(found) as got:
        write(tmp_path, 0)
        until(lambda: len(got.arrivals) == 1)
        tifffile.imwrite(tmp_path / "frame_0000.tif", image(0))
        until(lambda: got.heard("frame_0000.tif has the number of frame_0000.npy"))
        write(tmp_path, 1)
        until(lambda: len(got.arrivals) == 2)
    assert got.numbers == [0, 1] and found.counts["twice"] == 1


def test_frames_of_another_size_type_or_scale_are_left_out(tmp_path):
    np.save(tmp_path / "0.npy", image(0))
    np.save(tmp_path / "1.npy", image(1, side=9))
    np.save(tmp_path / "2.npy", image(2).astype(np.float32))
    np.save(tmp_path / "3.npy", image(3))
    found = source(tmp_path)
    with Receiving(found) as got:
        got.ended()
    assert got.numbers == [0, 3] and found.counts["unlike"] == 2 and got.heard("9 x 9")


def test_a_changed_magnification_is_not_measured_with_the_old_scale(tmp_path):
    for number, scale in enumerate((0.1, 0.1, 0.2)):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, image(number), imagej=True, resolution=(1 / scale, 1 / scale), metadata={"unit": "nm"})
    with Receiving(source(tmp_path)) as got:
        got.ended()
    assert got.opened.calibration.pixel_nm == pytest.approx(0.1)
    assert got.numbers == [0, 1] and got.heard("another magnification")
    with Receiving(source(tmp_path, given=Calibration(pixel_nm=0.3))) as got:
        got.ended()
    assert got.opened.calibration.pixel_nm == 0.3 and got.numbers == [0, 1, 2]


def test_a_folder_that_is_deleted_and_comes_back_is_told_once_and_goes_on(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with Receiving(source(folder, idle_s=None)) as got:
        write(folder, 0), write(folder, 1)
        until(lambda: len(got.arrivals) == 2)
        shutil.rmtree(folder)
        until(lambda: got.heard("waiting until it is back"))
        folder.mkdir()
        write(folder, 1), write(folder, 2)
        until(lambda: len(got.arrivals) == 3)
    assert got.numbers == [0, 1, 2]
    assert sum("waiting until" in sentence for sentence in got.said) == 1


def test_frames_that_are_done_are_not_read(tmp_path):
    for number in range(6):
        write(tmp_path, number)
    for number in (1, 2):
        (tmp_path / f"frame_000{number}.npy").write_bytes(b"unreadable, but done")
    with Receiving(source(tmp_path), done=lambda number: number < 3) as got:
        got.ended()
    assert got.numbers == [3, 4, 5] and not got.said


def test_other_files_are_passed_over(tmp_path):
    for name in ("notes.txt", ".frame_7.npy", "frame_8.npy.tmp", "~frame_9.npy"):
        (tmp_path / name).write_bytes(b"not a frame")
    np.save(tmp_path / "reference.npy", image(0))
    write(tmp_path, 0)
    with Receiving(source(tmp_path)) as got:
        got.ended()
    assert got.numbers == [0] and got.heard("reference.npy has no number")


def test_an_empty_folder_is_waited_for_until_stop(tmp_path):
    with Receiving(source(tmp_path)) as got:
        pass
    assert got.opened is None and not got.arrivals and got.error is None


def test_the_next_name_is_found_without_listing_the_folder(tmp_path, monkeypatch):
    names = NumberedNames(tmp_path)
    write(tmp_path, 9)
    assert [key for key, _ in names.listed()] == [(9,)]
    write(tmp_path, 10), write(tmp_path, 11)
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail("the folder was listed"))
    assert [key for key, _ in names.fresh()] == [(10,), (11,)]
