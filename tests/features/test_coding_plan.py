"""Noise of raw frames, the plan of a coded movie, and classical decoding."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Recording
from micrograph.features.restoring.coding_plan import Coding, planned
from micrograph.features.restoring.raw_noise import raw_noise
from micrograph.io.coding import coded_sum, make_masks
from micrograph.nets.gap_tv import GapTv, gap_tv, total_variation


def recording_of(frames: np.ndarray) -> Recording:
    return Recording(frames.__getitem__, range(len(frames)), Calibration(), frames.shape[1:], str(frames.dtype), "sim")


def ramp(frames: int = 2) -> np.ndarray:
    return np.repeat(np.linspace(4, 40, 128)[None, None], frames, axis=0) * np.ones((1, 128, 1))


@pytest.mark.parametrize(("gain", "read"), [(1.0, 0.0), (12.0, 0.0), (3.0, 20.0)])
def test_gain_and_readout_noise_are_found_where_the_brightness_varies(gain: float, read: float) -> None:
    rng = np.random.default_rng(2)
    a, b = (gain * rng.poisson(ramp()) + rng.normal(0, max(read, 1e-9), (2, 128, 128)) for _ in range(2))
    noise = raw_noise([(a[0], b[0]), (a[1], b[1])])
    truth = gain**2 * ramp()[0] + read**2
    found = noise.gain * gain * ramp()[0] + noise.readout_variance
    np.testing.assert_allclose(found, truth, rtol=0.25)


def test_what_moves_is_no_noise() -> None:
    rng = np.random.default_rng(3)
    still = np.full((128, 128), 10.0)
    moved = still.copy()
    moved[20:60, 20:60] = 40
    noise = raw_noise([(rng.poisson(still), rng.poisson(moved))])
    assert noise.gain * 10 + noise.readout_variance == pytest.approx(10, rel=0.2)


def test_the_offset_of_a_camera_is_taken_off() -> None:
    rng = np.random.default_rng(4)
    header = planned(recording_of(rng.poisson(ramp(6)) + 100.0), Coding(3))
    assert header.zero == pytest.approx(100, abs=5)
    assert header.gain == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_movie_without_noise_keeps_a_scale(value: float) -> None:
    header = planned(recording_of(np.full((4, 32, 32), value)), Coding(4))
    counts = np.array([[0.0, 4 * value]])
    np.testing.assert_allclose(header.levels.counts(header.levels.of(counts)), counts, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "said"),
    [(np.zeros((1, 8, 8)), "one frame"), (np.full((3, 8, 8), np.nan), "no number")],
)
def test_what_cannot_be_coded_is_refused(frames: np.ndarray, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        planned(recording_of(frames), Coding(3))


@pytest.mark.parametrize("wrong", [{"together": 1}, {"step": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Coding(**wrong)  # type: ignore[arg-type]


def test_total_variation_keeps_a_plane_and_smooths_noise() -> None:
    flat = np.full((3, 16, 16), 5.0, np.float32)
    np.testing.assert_allclose(total_variation(flat, 1.0, 1.0, 5), flat, atol=1e-5)
    noisy = flat + np.random.default_rng(0).normal(0, 1, flat.shape).astype(np.float32)
    assert total_variation(noisy, 1.0, 1.0, 10).std() < 0.5 * noisy.std()


def test_gap_tv_tells_frames_apart_that_their_mean_does_not() -> None:
    movie = np.full((8, 48, 48), 20.0, np.float32)
    for place, frame in enumerate(movie):
        frame[16:32, 4 + 4 * place : 16 + 4 * place] = 80.0
    masks = make_masks("shifting", 0, 8, (48, 48))
    total = coded_sum(movie, masks)
    decoded = gap_tv(total, masks, 2.0, GapTv(rounds=80, weight=0.3, time=0.3))
    mean = total / masks.sum(axis=0)
    assert np.mean((decoded - movie) ** 2) < 0.5 * np.mean((mean - movie) ** 2)
