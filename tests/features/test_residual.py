"""What was taken away: noise, or structure; and noise that is no noise from pixel to pixel."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from micrograph.features.restoring.residual import examine, whiteness

RNG = np.random.default_rng(0)
CLEAN = (20 + 10 * gaussian_filter(RNG.normal(0, 10, (128, 128)), 3)).clip(1).astype(np.float32)
NOISY = RNG.poisson(CLEAN).astype(np.float32)


def test_poisson_noise_is_white_and_filtered_noise_is_not() -> None:
    assert whiteness(NOISY).said == ""
    assert "neighbouring pixels" in whiteness(gaussian_filter(NOISY, 0.7)).said
    assert "neighbouring pixels" in whiteness(zoom(NOISY, 1.5, order=1)).said
    assert whiteness(NOISY[:20, :20]).said == ""


def test_scan_lines_are_told_with_their_direction() -> None:
    lines = RNG.normal(0, 3, (128, 1)).astype(np.float32)
    assert "rows" in whiteness(NOISY + lines).said
    assert "columns" in whiteness(NOISY + lines.T).said


def test_the_residual_of_the_truth_is_noise() -> None:
    found = examine(NOISY, CLEAN, CLEAN)
    assert abs(found.scatter - 1) < 0.03 and abs(found.likeness) < 0.03 and found.said == ""


def test_structure_that_was_taken_away_is_told() -> None:
    lost = gaussian_filter(CLEAN, 4)
    found = examine(NOISY, lost, lost)
    assert found.scatter > 1.1 and found.along_x > 0.1 and found.said


def test_nothing_taken_away_is_no_residual() -> None:
    assert examine(CLEAN, CLEAN, CLEAN).scatter == 0
