"""Gaps between islands of known shape, and whether counts speak for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from micrograph.core.frame import binned
from micrograph.features.metallography.gaps import gap_lines, narrowest, passing, seen_gaps, support
from micrograph.features.restoring.super_resolution import agreement, finer, spectrum_of, told_up_to, without_untold

ROWS, COLUMNS = np.mgrid[:512, :512] / 4.0 - 0.375


def bars(width: float, angle: float = 0.0) -> np.ndarray:
    """Return two bars (128, 128) with a straight gap between them through the middle."""
    across = (COLUMNS - 63.5) * np.cos(angle) - (ROWS - 63.5) * np.sin(angle)
    near = (np.abs(across) > width / 2) & (np.abs(across) < 30)
    fine = np.where(near, 100.0, 20.0).astype(np.float32)
    return gaussian_filter(binned(fine, 4), 0.7)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2])
@pytest.mark.parametrize("width", [2.0, 3.5, 5.0])
def test_a_gap_between_bars_is_found_where_it_is_as_wide_as_it_is(width: float, angle: float) -> None:
    image = bars(width, angle)
    gaps = seen_gaps(image, 8.0)
    gaps = gaps[narrowest(gaps, 6.0)]
    gaps = gaps[np.asarray(((gaps.points > 20) & (gaps.points < 108)).all(axis=1))]
    off = (gaps.x - 63.5) * np.cos(angle) - (gaps.y - 63.5) * np.sin(angle)
    assert len(gaps) > 8 and np.abs(off).max() < 0.3
    assert gaps.width == pytest.approx(width, abs=0.7)
    assert (np.diff(np.sort(gaps.y)) > 0).all()


def test_the_middle_line_between_borders_has_the_distance_of_these() -> None:
    distance = np.abs((COLUMNS - 63.5) + 0.1 * (ROWS - 63.5)) / np.hypot(1, 0.1) - 8.0
    lines = gap_lines(distance.astype(np.float32), 0.0, 80.0)
    inner = lines[np.abs(lines.y - 256) < 180]
    assert inner.width / 4 == pytest.approx(16, abs=0.3)


def test_the_tip_of_a_notch_is_no_gap() -> None:
    rows, columns = np.mgrid[:128, :128] - 63.5
    notch = np.abs(columns) - np.where(rows > -24, 0.08 * (rows + 24), -5.0)
    lines = gap_lines(notch.astype(np.float32), 0.0, 12.0)
    through = passing(notch, 0.0, lines)
    assert not through[lines.y.argmin()] and through[(lines.y > 75) & (lines.y < 110)].all()


def test_counts_speak_for_a_gap_that_is_there_and_not_for_one_that_is_made_up() -> None:
    rng = np.random.default_rng(0)
    with_gap, without = bars(3.0), bars(0.0)
    gaps = seen_gaps(with_gap, 8.0)
    gaps = gaps[narrowest(gaps, 6.0)]
    for truth, low, high in ((with_gap, 5.0, np.inf), (without, -np.inf, 3.0)):
        counts = rng.poisson(binned(truth, 2)).astype(np.float32)
        spoken = support(counts, binned(with_gap, 2), with_gap, gaps[np.asarray(np.abs(gaps.y - 64) < 40)])
        assert (spoken > low).all() and (spoken < high).all()


def test_finer_pixels_lie_where_they_should_and_keep_the_mean() -> None:
    slope = np.add.outer(3.0 * np.arange(32.0), np.arange(32.0)).astype(np.float32)
    found = finer(slope)[8:-8, 8:-8]
    assert np.diff(found, axis=0) == pytest.approx(1.5, abs=1e-4) and np.diff(found, axis=1) == pytest.approx(
        0.5, abs=1e-4
    )
    np.testing.assert_allclose(binned(finer(slope), 2)[4:-4, 4:-4], slope[4:-4, 4:-4], atol=1e-4)


def test_the_right_answer_agrees_and_a_wrong_place_is_told() -> None:
    rng = np.random.default_rng(1)
    truth = 3 * bars(4.0)
    counts = rng.poisson(binned(truth, 2)).astype(np.float32)
    right = agreement(counts, truth)
    assert right.misfit_share == 0 and right.chi_square == pytest.approx(1, abs=0.25)
    assert right.noise.gain == pytest.approx(1, abs=0.3)
    wrong = truth.copy()
    wrong[40:60, 80:90] = 60.0
    found = agreement(counts, wrong).misfit
    assert found[25, 42] > 6 and found[:10].max() < 6


def test_white_noise_has_the_power_of_its_variance_and_tells_nothing() -> None:
    noise = np.random.default_rng(2).normal(0, 3.0, (128, 128)).astype(np.float32)
    assert spectrum_of(noise).power[2:] == pytest.approx(9.0, rel=0.35)
    assert told_up_to(noise, 9.0) < 0.05


def test_waves_below_the_doubt_are_left_out_and_others_kept() -> None:
    image, doubt = bars(4.0, 0.5), np.full((128, 128), 2.0, np.float32)
    fine = (0.3 * (-1.0) ** np.add.outer(np.arange(128), np.arange(128))).astype(np.float32)
    kept, cleaned = without_untold(image, doubt), without_untold(image + fine, doubt)
    assert np.std(kept - image) < 0.5 * doubt[0, 0] and kept.mean() == pytest.approx(image.mean(), rel=1e-4)
    assert np.std(cleaned - kept) < 0.05
    np.testing.assert_allclose(without_untold(image, 1e-4 * doubt), image, atol=0.02)
