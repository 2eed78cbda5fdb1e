"""Coded movies: masks, levels, the container and what becomes of a damaged one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograph.core import BadInput, Calibration
from micrograph.io import describe, open_recording
from micrograph.io.coded import CodedFile, CodedHeader, Levels, open_coded, write_coded
from micrograph.io.coding import KINDS, Summing, coded_sum, make_masks

LEVELS = Levels(1.0, 4.0, 1.0)


def header(frames: int = 25, together: int = 10) -> CodedHeader:
    scale = Calibration(pixel_nm=0.3, frame_time_s=0.1)
    return CodedHeader(frames, together, (12, 16), "shifting", 3, 0.0, 1.0, 0.0, LEVELS, scale, "movie.mrc")


def written(path: Path) -> CodedFile:
    rng = np.random.default_rng(0)
    write_coded(path, header(), iter(rng.integers(-5, 300, (3, 12, 16), dtype=np.int32)))
    return open_coded(path)


@pytest.mark.parametrize("kind", ["shifting", "random"])
@given(frames=st.integers(1, 40))
def test_every_pixel_of_balanced_masks_is_open_as_often(kind: str, frames: int) -> None:
    masks = make_masks(kind, 1, frames, (6, 50))
    assert set(np.unique(masks)) <= {0, 1}
    assert np.unique(masks.sum(axis=0)).tolist() == [max(1, frames // 2)]


def test_a_shifting_mask_moves_by_a_pixel_a_frame() -> None:
    masks = make_masks("shifting", 5, 8, (10, 30))
    np.testing.assert_array_equal(masks[1:, :, :-1], masks[:-1, :, 1:])


@pytest.mark.parametrize("kind", KINDS)
def test_masks_follow_from_kind_and_seed_and_leave_no_pixel_closed(kind: str) -> None:
    first, again, other = (make_masks(kind, seed, 12, (20, 20)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.sum(axis=0).min() >= 1


def test_a_coded_frame_is_the_sum_through_the_masks() -> None:
    rng = np.random.default_rng(0)
    frames, masks = rng.poisson(10, (7, 9, 9)), make_masks("random", 0, 7, (9, 9))
    np.testing.assert_allclose(coded_sum(frames, masks, 2.0), ((frames - 2.0) * masks).sum(axis=0))
    summing = Summing(masks)
    summing.add(np.full((9, 9), np.nan))
    assert summing.total.sum() == 0


@given(gain=st.floats(0, 50), floor=st.floats(1e-3, 1e4), step=st.floats(0.1, 3), counts=st.floats(-1e5, 1e6, width=32))
def test_rounding_errs_by_at_most_half_a_step_of_the_noise(
    gain: float, floor: float, step: float, counts: float
) -> None:
    levels = Levels(gain, floor, step)
    back = float(levels.counts(levels.of(np.array([counts])))[0])
    noise = np.sqrt(gain * max(abs(counts), abs(back)) + floor)
    assert abs(back - counts) <= 0.5 * step * noise * 1.01 + 1e-4 * abs(counts)


def test_rounded_shot_noise_grows_by_a_twelfth_at_a_step_of_one() -> None:
    counts = np.random.default_rng(1).poisson(100.0, 200_000)
    levels = Levels(1.0, 0.375, 1.0)
    error = levels.counts(levels.of(counts)) - counts
    assert error.var() / 100 == pytest.approx(1 / 12, rel=0.1)


def test_a_container_opens_as_coded_frames_with_its_scale(tmp_path: Path) -> None:
    file = written(tmp_path / "movie.coded.h5")
    recording = open_recording(file.path)
    assert recording.calibration == Calibration(pixel_nm=0.3, frame_time_s=0.1, content="coded")
    assert (len(recording), recording.shape) == (3, (12, 16))
    np.testing.assert_array_equal(recording.frame(1).data, LEVELS.counts(file.levels(1)))
    assert open_recording(file.path, pixel_nm=0.5).calibration.pixel_nm == 0.5
    (row,) = describe(file.path)
    assert (row["frames"], row["pixel_nm"], row["trouble"]) == (3, 0.3, "")
    assert file.header == header() and list(file.header.frames_of(2)) == [20, 21, 22, 23, 24]


def test_a_changed_value_is_told_with_the_frames_it_costs(tmp_path: Path) -> None:
    path = tmp_path / "movie.coded.h5"
    written(path)
    with h5py.File(path, "r+") as file:
        file["coded"][1, 3, 3] += 1
    with pytest.raises(BadInput, match=r"Coded frame 1 .*frames 10 to 19\) is damaged"):
        open_coded(path).read(1)
    assert list(open_coded(path).damaged()) == [1]


def test_a_changed_header_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "movie.coded.h5"
    whole = written(path).path.read_bytes()
    with h5py.File(path, "r+") as file:
        file.attrs["header"] = str(file.attrs["header"]).replace('"seed": 3', '"seed": 4')
    with pytest.raises(BadInput, match=r"header of .* is damaged"):
        open_recording(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput):
        open_recording(path)


def test_a_stopped_writing_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((12, 16), np.int32)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_coded(tmp_path / "movie.coded.h5", header(), broken())
    assert not list(tmp_path.iterdir())


def test_an_unknown_mask_is_refused() -> None:
    with pytest.raises(BadInput, match="shifting, random, bernoulli"):
        make_masks("striped", 0, 4, (8, 8))
