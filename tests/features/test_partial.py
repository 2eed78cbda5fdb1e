"""What was visited is told apart, filled in, and keeps its say."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.restoring.inpainting import biharmonic, kriging, linear, nearest, total_variation
from micrograph.features.restoring.partial import CHANNELS, Partial, agreed, partial_of, seen_of
from micrograph.features.restoring.sparse_start import FewWaves, smooth_fill
from micrograph.features.restoring.spectral_fill import wiener
from micrograph.simulate.scan_paths import scan_path

SIDE = 96
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)
WAVES = (np.cos(2 * np.pi * (ROWS + 0.5 * COLUMNS) / 8) + np.cos(2 * np.pi * (COLUMNS - 0.3 * ROWS) / 9)).astype(
    np.float32
)
VISITED = scan_path("jittered", (SIDE, SIDE), 0.08, seed=2).dwells > 0


def scan(image: np.ndarray) -> np.ndarray:
    return np.where(VISITED, image, np.nan).astype(np.float32)


def test_pixels_that_are_not_finite_were_not_visited() -> None:
    found = partial_of(scan(WAVES))
    np.testing.assert_array_equal(found.weights > 0, VISITED)
    assert found.coverage == pytest.approx(VISITED.mean()) and not found.notes


def test_a_value_that_most_pixels_have_is_taken_as_not_visited_and_said_so() -> None:
    found = partial_of(np.where(VISITED, WAVES + 5, 0).astype(np.float32))
    np.testing.assert_array_equal(found.weights > 0, VISITED)
    assert "exactly 0" in found.notes[0]


def test_a_full_image_is_not_mistaken_for_a_partial_one() -> None:
    found = partial_of(WAVES)
    assert found.coverage == 1 and "No pixel is marked" in found.notes[0]


def test_a_mask_gives_relative_dwell_times() -> None:
    found = partial_of(WAVES, np.where(VISITED, 0.25, 0).astype(np.float32))
    assert set(np.unique(found.weights)) == {0.0, 1.0}
    assert partial_of(WAVES, unvisited=float(WAVES[3, 3])).weights[3, 3] == 0


@pytest.mark.parametrize("fill", [nearest, linear, biharmonic, kriging])
def test_a_constant_is_filled_in_by_itself(fill) -> None:  # type: ignore[no-untyped-def]
    values = np.where(VISITED, 3.0, 0.0).astype(np.float32)
    np.testing.assert_allclose(fill(values, VISITED), 3.0, atol=1e-3)


def test_least_total_variation_and_smooth_filling_of_a_constant_are_constant() -> None:
    values = np.where(VISITED, 3.0, 0.0).astype(np.float32)
    np.testing.assert_allclose(total_variation(values, VISITED), 3.0, atol=1e-6)
    np.testing.assert_allclose(smooth_fill(values, VISITED.astype(np.float32)), 3.0, rtol=1e-4)


def test_a_plane_is_interpolated_linearly_between_visited_pixels() -> None:
    plane = (0.3 * ROWS - 0.2 * COLUMNS).astype(np.float32)
    inner = (slice(12, -12), slice(12, -12))
    np.testing.assert_allclose(linear(np.where(VISITED, plane, 0), VISITED)[inner], plane[inner], atol=1e-4)


def test_few_waves_are_found_though_they_are_finer_than_the_gaps() -> None:
    values = np.where(VISITED, WAVES, 0).astype(np.float32)
    found = FewWaves()(values, VISITED.astype(np.float32))
    inner = (slice(16, -16), slice(16, -16))
    assert np.std((found - WAVES)[inner]) < 0.35 * WAVES.std()
    assert np.std((linear(values, VISITED) - WAVES)[inner]) > 0.6 * WAVES.std()


def test_the_oracle_that_knows_the_power_beats_linear_interpolation() -> None:
    rng = np.random.default_rng(0)
    values = np.where(VISITED, WAVES + rng.normal(0, 0.2, WAVES.shape), 0).astype(np.float32)
    power = np.abs(np.fft.rfft2(WAVES)) ** 2
    found = wiener(values, VISITED.astype(np.float32), power, 0.2)
    assert np.std(found - WAVES) < 0.5 * np.std(linear(values, VISITED) - WAVES)


def test_what_a_network_sees_does_not_depend_on_gain_and_offset() -> None:
    one, offset, scale = seen_of(partial_of(scan(WAVES)))
    other, _, wider = seen_of(partial_of(scan(100 + 7 * WAVES)))
    assert one.shape == (len(CHANNELS), SIDE, SIDE)
    np.testing.assert_allclose(one, other, atol=2e-2)
    assert wider == pytest.approx(7 * scale, rel=1e-3)
    assert abs(offset - float(WAVES[VISITED].mean())) < 1e-3


def test_exact_values_stay_as_recorded_and_noisy_ones_hardly_count() -> None:
    image, sigma = np.zeros((SIDE, SIDE), np.float32), np.full((SIDE, SIDE), 0.5, np.float32)
    partial = Partial(np.where(VISITED, 0.4, 0).astype(np.float32), VISITED.astype(np.float32))
    found, doubt, noise = agreed(partial, image, sigma)
    assert noise == 0 and found[VISITED] == pytest.approx(0.4) and doubt[VISITED] == pytest.approx(0)
    assert (found[~VISITED] == 0).all() and (doubt[~VISITED] == 0.5).all()
    rng = np.random.default_rng(1)
    noisy = Partial(np.where(VISITED, rng.normal(0, 5, image.shape), 0).astype(np.float32), partial.weights)
    found, doubt, noise = agreed(noisy, image, sigma)
    assert noise == pytest.approx(5, rel=0.1) and np.abs(found).max() < 0.3
