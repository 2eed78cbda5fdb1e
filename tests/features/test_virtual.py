"""Virtual detectors: sums over masks, centres of mass with their errors, and what a field of shifts says."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.diffraction.virtual import (
    BrightDisc,
    Rings,
    centre_of_mass,
    descanned,
    field_of,
    find_bright_disc,
    least_curl_deg,
    masks,
    sums,
    turned,
)

SHAPE = (48, 52)
DISC = BrightDisc(22.3, 27.1, 9.0)


def disc_pattern(y: float, x: float, radius: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    away = np.hypot(np.arange(shape[0])[:, None] - y, np.arange(shape[1]) - x)
    return np.clip(radius + 0.5 - away, 0, 1)


def test_the_disc_is_found_within_a_third_of_a_pixel_whatever_lies_in_it() -> None:
    rng = np.random.default_rng(0)
    texture = 1 + 0.3 * np.sin(np.arange(SHAPE[1]) / 3)
    pattern = 100 * disc_pattern(22.3, 27.1, 9.0) * texture + 3 + rng.normal(0, 1, SHAPE)
    found = find_bright_disc(pattern)
    assert (found.y_px, found.x_px) == pytest.approx((22.3, 27.1), abs=0.35)
    assert found.radius_px == pytest.approx(9.0, abs=0.4)


def test_a_pattern_without_a_disc_is_refused() -> None:
    with pytest.raises(BadInput, match="No bright disc"):
        find_bright_disc(np.full(SHAPE, 3.0))


def test_bright_and_dark_field_hold_all_counts_that_lie_in_them() -> None:
    pattern = 10 * disc_pattern(DISC.y_px, DISC.x_px, 9.0)
    pattern[2, 3] = 70.0
    weights = masks(SHAPE, DISC, Rings(9.0, 12.0, np.inf, 20.0))
    total, bright, dark = sums(pattern[None].astype(np.float32), weights)[0, :3]
    assert total == pytest.approx(pattern.sum(), rel=1e-5)
    assert bright == pytest.approx(10 * (disc_pattern(DISC.y_px, DISC.x_px, 9.0) ** 2).sum(), rel=1e-5)
    assert dark == pytest.approx(70.0)


def test_pixels_that_are_not_finite_count_as_nothing() -> None:
    pattern = disc_pattern(DISC.y_px, DISC.x_px, 9.0).astype(np.float32)
    broken = pattern.copy()
    broken[0, 0] = np.nan
    weights = masks(SHAPE, DISC, Rings(9.0, 12.0, np.inf, 20.0))
    np.testing.assert_allclose(sums(broken[None], weights), sums(pattern[None], weights), rtol=1e-6)


def test_the_centre_of_mass_follows_a_shift_and_its_sigma_is_that_of_counting() -> None:
    rng = np.random.default_rng(1)
    ideal = 20 * disc_pattern(DISC.y_px + 0.8, DISC.x_px - 0.5, 8.0)
    counts = rng.poisson(ideal, (400, *SHAPE)).astype(np.float32)
    found = centre_of_mass(sums(counts, masks(SHAPE, DISC, Rings(9.0, 12.0, np.inf, 20.0))))
    assert found.y_px.mean() == pytest.approx(0.8, abs=0.01) and found.x_px.mean() == pytest.approx(-0.5, abs=0.01)
    assert found.y_px.std() == pytest.approx(float(found.y_sigma_px.mean()), rel=0.15)


def test_an_empty_pattern_has_no_centre_of_mass() -> None:
    found = centre_of_mass(sums(np.zeros((1, *SHAPE), np.float32), masks(SHAPE, DISC, Rings(9, 12, np.inf, 20))))
    assert np.isnan(found.y_px).all()


def test_the_descan_is_taken_off_and_the_specimen_stays() -> None:
    y, x = np.indices((20, 24))
    bump = np.exp(-0.5 * ((y - 8) ** 2 + (x - 15) ** 2) / 4)
    left = descanned(bump + 0.3 + 0.02 * y - 0.05 * x, "plane")
    assert np.std(left - bump) < 0.03
    np.testing.assert_array_equal(descanned(bump, "none"), bump)
    assert np.median(descanned(bump + 5, "mean")) == pytest.approx(0, abs=1e-9)


def bumps(places: int = 40) -> np.ndarray:
    y, x = np.mgrid[:places, :places] / places
    return 8 * np.exp(-((y - 0.4) ** 2 + (x - 0.6) ** 2) / 0.03) - 5 * np.exp(-((y - 0.7) ** 2 + (x - 0.3) ** 2) / 0.02)


def test_the_potential_of_a_gradient_is_found_again_and_has_no_curl() -> None:
    potential = bumps()
    y, x = np.gradient(potential)
    found = field_of(y, x)
    assert np.corrcoef(found.potential.ravel(), potential.ravel())[0, 1] > 0.999
    assert found.potential.std() == pytest.approx(potential.std(), rel=0.05)
    assert np.abs(found.curl).max() < 1e-9
    laplace = np.gradient(y, axis=0) + np.gradient(x, axis=1)
    np.testing.assert_allclose(found.divergence, laplace)


@pytest.mark.parametrize("degrees", [-60.0, 0.0, 17.0, 40.0])
def test_the_turn_of_the_detector_is_the_one_without_curl(degrees: float) -> None:
    y, x = np.gradient(bumps())
    assert least_curl_deg(*turned(y, x, -degrees)) == pytest.approx(degrees, abs=0.5)


def test_a_turn_is_counter_clockwise_on_the_picture() -> None:
    y, x = turned(np.zeros(1), np.ones(1), 90.0)
    assert (float(y[0]), float(x[0])) == pytest.approx((-1.0, 0.0), abs=1e-12)
