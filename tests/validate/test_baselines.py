"""The classical methods do what they are known for."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.validate.baselines import by_brightness, disc_sums, fit_spots, log_peaks, otsu


def test_a_lone_spot_is_found_and_fitted_exactly() -> None:
    y, x = np.indices((40, 50))
    image = 3 + 20 * np.exp(-((y - 18.3) ** 2 + (x - 25.6) ** 2) / (2 * 2.2**2))
    rows, columns = log_peaks(image, 2.0)
    assert (rows.tolist(), columns.tolist()) == ([18], [26])
    spots = fit_spots(image, rows, columns, 2.0)
    np.testing.assert_allclose([spots.y[0], spots.x[0], spots.height[0]], [18.3, 25.6, 20], rtol=1e-5)
    assert spots.sum[0] == pytest.approx(2 * np.pi * 2.2**2 * 20, rel=1e-4)


def test_a_flat_image_has_no_peaks_and_no_spots() -> None:
    rows, columns = log_peaks(np.ones((20, 20)), 2.0)
    assert len(rows) == 0
    assert len(fit_spots(np.ones((20, 20)), rows, columns, 2.0).y) == 0


def test_otsu_and_k_means_part_two_groups_between_them() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(1, 0.1, 300), rng.normal(3, 0.1, 200)])
    assert 1.5 < otsu(values) < 2.5
    np.testing.assert_array_equal(by_brightness(values, [0.8, 2.5]), np.repeat([0, 1], [300, 200]))


def test_the_brightness_of_a_disc_is_the_mean_of_its_pixels() -> None:
    image = np.add.outer(np.arange(20.0), np.arange(30.0))
    corner = image[[0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 0]].mean()
    np.testing.assert_allclose(disc_sums(image, [5.0, 0.0], [7.0, 0.0], 2.0), [12.0, corner])
