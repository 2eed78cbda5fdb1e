import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.features.columns.peaks import find_peaks


def bumps(shape, y, x, height, sigma=1.5):
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    out = np.zeros(shape)
    for a, b, h in zip(y, x, height, strict=True):
        out += h * np.exp(-((rows - a) ** 2 + (columns - b) ** 2) / (2 * sigma**2))
    return out.astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.3, 1.0))
def test_a_gaussian_bump_is_found_at_its_centre(dy, dx, height):
    peaks = find_peaks(bumps((21, 25), [10 + dy], [12 + dx], [height]), 0.2, 2.0)
    assert len(peaks) == 1
    assert peaks.y[0] == pytest.approx(10 + dy, abs=1e-3)
    assert peaks.x[0] == pytest.approx(12 + dx, abs=1e-3)


def test_of_two_close_peaks_the_higher_stays_and_far_ones_both_stay():
    score = bumps((40, 40), [10, 10, 30], [10, 15, 20], [0.6, 0.9, 0.5])
    assert len(find_peaks(score, 0.2, 3.0)) == 3
    kept = find_peaks(score, 0.2, 8.0)
    assert np.allclose(kept.score, [0.9, 0.5], atol=0.02)
    assert np.allclose(kept.x, [15, 20], atol=0.2)


def test_a_chain_of_peaks_keeps_every_second_one():
    score = np.zeros((5, 30), np.float32)
    score[2, [5, 9, 13]] = [0.9, 0.8, 0.7]
    assert np.allclose(find_peaks(score, 0.1, 5.0).x, [5, 13])


def test_peaks_come_strongest_first():
    score = find_peaks(bumps((30, 60), [15, 15, 15], [10, 30, 50], [0.5, 0.9, 0.7]), 0.2, 3.0).score
    assert np.all(np.diff(score) < 0)


def test_a_maximum_on_the_border_or_in_the_corner_is_a_peak():
    score = np.zeros((8, 9), np.float32)
    score[0, 4] = score[7, 8] = 0.8
    peaks = find_peaks(score, 0.5, 1.0)
    assert {(y, x) for y, x in zip(peaks.y, peaks.x, strict=True)} == {(0.0, 4.0), (7.0, 8.0)}


def test_a_flat_top_gives_one_peak():
    score = np.zeros((10, 10), np.float32)
    score[4:7, 3:6] = 1.0
    assert len(find_peaks(score, 0.5, 3.0)) == 1


def test_nan_is_no_peak_and_hides_no_other():
    score = bumps((20, 20), [10], [10], [0.9])
    score[3, 3] = np.nan
    peaks = find_peaks(score, 0.3, 2.0)
    assert len(peaks) == 1 and peaks.y[0] == pytest.approx(10, abs=1e-3)
    assert len(find_peaks(np.full((6, 6), np.nan, np.float32), 0.1, 2.0)) == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (1, 7), (2, 2)])
def test_tiny_maps_are_no_error(shape):
    assert len(find_peaks(np.full(shape, 0.9, np.float32), 0.5, 2.0)) <= 1
