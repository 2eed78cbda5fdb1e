"""Law: secondary electrons of slopes, edges, pits and flat surfaces, and the noise of a scan."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.secondary.sem import SIGMA_PER_FWHM, SemBeam, expose_sem, secondary_yield

ONE = np.ones((128, 128))


def test_a_flat_surface_yields_what_its_material_does() -> None:
    material = np.where(np.arange(128) < 64, 0.2, 0.6) * ONE
    np.testing.assert_allclose(secondary_yield(np.full((128, 128), 7.0), material, 2.0), material, rtol=1e-6)


@pytest.mark.parametrize("slope_deg", [10.0, 30.0, 45.0])
def test_a_slope_yields_one_over_its_cosine(slope_deg: float) -> None:
    height = np.tan(np.radians(slope_deg)) * 2.0 * np.arange(128) * ONE
    found = secondary_yield(height, ONE, 2.0)[40:88, 40:88]
    np.testing.assert_allclose(found, 1 / np.cos(np.radians(slope_deg)), rtol=0.02)


def test_the_upper_side_of_an_edge_is_bright_within_the_escape_length_and_the_lower_side_is_dark() -> None:
    height = np.where(np.arange(128) < 64, 200.0, 0.0) * ONE
    line = secondary_yield(height, ONE, 1.0, escape_nm=5.0)[64]
    assert line[60] > 1.5 and line[64 - 20] == pytest.approx(1, abs=0.01)
    assert line[66] < 0.5 < line[126]
    wide = secondary_yield(height, ONE, 1.0, escape_nm=15.0)[64]
    assert wide[64 - 20] > line[64 - 20]


@pytest.mark.parametrize("depth", [5.0, 10.0, 20.0, 40.0])
def test_the_bottom_of_a_round_pit_is_as_dark_as_its_opening_is_small(depth: float) -> None:
    y, x = np.mgrid[:128, :128] - 64
    height = np.where(np.hypot(y, x) < 10, -depth, 0.0)
    found = float(secondary_yield(height, ONE, 1.0, edge=0)[64, 64])
    assert found == pytest.approx(100 / (100 + depth**2), rel=0.25)


def test_a_side_detector_sees_the_slopes_that_face_it() -> None:
    ridge = 20.0 - np.abs(np.arange(128) - 64.0) * 0.3 * ONE
    line = secondary_yield(ridge, ONE, 1.0, side=0.8)[64]
    assert line[90] > 1.3 * line[38]


def test_noise_of_a_scan_is_that_of_random_primaries_and_secondaries() -> None:
    beam = SemBeam(probe_nm=0, electrons_per_px=20, gain=3.0, offset=11.0)
    image = expose_sem(np.full((256, 256), 0.5), beam, 1.0, np.random.default_rng(1))
    assert image.dtype == np.float32
    assert float(image.mean()) == pytest.approx(11 + 3 * 10, rel=0.01)
    assert float(image.var()) == pytest.approx(9 * 20 * 0.5 * 1.5, rel=0.03)


def test_a_point_appears_as_wide_as_the_probe() -> None:
    point = np.zeros((64, 64))
    point[32, 32] = 1.0
    image = expose_sem(point, SemBeam(probe_nm=12.0, electrons_per_px=1e7), 2.0, np.random.default_rng(2))
    x = np.arange(64) - 32
    share = image.sum(axis=0) / image.sum()
    assert float(np.sqrt((share * x**2).sum())) == pytest.approx(SIGMA_PER_FWHM * 6, rel=0.03)


def test_charging_darkens_the_line_behind_what_is_bright_and_no_other_line() -> None:
    bright = np.full((64, 128), 0.3)
    bright[30:34, 30:50] = 2.0
    plain = SemBeam(0, 1e6, gain=1e-6)
    one, other = (
        expose_sem(bright, beam, 1.0, np.random.default_rng(3)) for beam in (plain, SemBeam(0, 1e6, 1.0, gain=1e-6))
    )
    assert other[30:34, 52:60].mean() < 0.6 * one[30:34, 52:60].mean()
    assert other[10:20, 52:60].mean() > 0.8 * one[10:20, 52:60].mean()
    assert other.mean(axis=1).std() > 5 * one[:20].mean(axis=1).std()


def test_jitter_moves_whole_lines() -> None:
    edge = np.where(np.arange(128) < 64, 0.0, 1.0) * np.ones((400, 1))
    image = expose_sem(edge, SemBeam(0, 1e6, jitter_px=1.5, gain=1e-6), 1.0, np.random.default_rng(4))
    assert float((128 - image.sum(axis=1)).std()) == pytest.approx(1.5, rel=0.1)


def test_a_beam_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="charging"):
        SemBeam(1.0, 10.0, charging=1.5)
