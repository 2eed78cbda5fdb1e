"""Cramer-Rao bounds and Bayes errors against closed forms, published values and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.validate.limits import (
    Columns,
    Raster,
    bayes_confusion,
    bayes_error,
    bayes_error_normal,
    cramer_rao,
    draw,
    fit_sections,
    gaussian_spot,
    image_spot,
)


def honeycomb(half_nm: float) -> NDArray[np.float64]:
    a = 0.246
    points = [
        (a * (i + j / 2), a * j * np.sqrt(3) / 2 + shift)
        for i in range(-20, 20)
        for j in range(-20, 20)
        for shift in (0.0, a / np.sqrt(3))
    ]
    found = np.array(points)
    return found[(np.abs(found) < half_nm).all(axis=1)] + half_nm


def graphene(section_A2: float = 1.53e-3) -> Columns:
    points = honeycomb(0.6)
    sections = np.full(len(points), section_A2)
    background = 0.1 * section_A2 / 2.62
    return Columns(points[:, 1] + 0.1, points[:, 0] + 0.1, sections, [gaussian_spot(0.042)], background=background)


def test_bound_of_a_lone_spot_without_background_is_width_over_root_of_counts() -> None:
    counts, dose, sigma = 1000.0, 1e5, 0.03
    lone = Columns(np.array([0.5]), np.array([0.503]), np.array([counts / dose]), [gaussian_spot(sigma)], reach_nm=0.3)
    limit = cramer_rao(lone, Raster((101, 101), 0.01), dose)
    assert limit.y_nm[0] == pytest.approx(sigma / np.sqrt(counts), rel=1e-3)
    assert limit.x_nm[0] == pytest.approx(sigma / np.sqrt(counts), rel=1e-3)
    assert limit.section_A2[0] * dose == pytest.approx(np.sqrt(counts), rel=1e-3)


def test_bound_of_graphene_at_60_kV_and_1e5_electrons_is_5_3_pm() -> None:
    sheet = graphene()
    limit = cramer_rao(sheet, Raster((70, 70), 0.02), 1e5)
    centre = int(np.argmin((sheet.y_nm - 0.7) ** 2 + (sheet.x_nm - 0.7) ** 2))
    assert 1e3 * limit.y_nm[centre] == pytest.approx(5.3, abs=0.1)
    naive = 42 / np.sqrt(1.53e-3 * 1e5)
    assert 1e3 * limit.y_nm[centre] / naive == pytest.approx(1.55, abs=0.03)


def test_bounds_fall_with_the_root_of_the_dose_and_not_with_the_pixel() -> None:
    sheet = graphene()
    coarse = cramer_rao(sheet, Raster((70, 70), 0.02), 1e4)
    fine = cramer_rao(sheet, Raster((140, 140), 0.01), 1e6)
    inner = (np.abs(sheet.y_nm - 0.7) < 0.4) & (np.abs(sheet.x_nm - 0.7) < 0.4)
    np.testing.assert_allclose(coarse.y_nm[inner], 10 * fine.y_nm[inner], rtol=0.01)


def test_a_spot_read_from_an_image_gives_the_bounds_of_the_spot() -> None:
    axis = (np.arange(161) - 80) * 0.005
    image = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 0.042**2))
    sheet = graphene()
    numerical = Columns(
        sheet.y_nm, sheet.x_nm, sheet.section_A2, [image_spot(image, 0.005)], background=sheet.background, reach_nm=0.3
    )
    raster = Raster((70, 70), 0.02)
    np.testing.assert_allclose(cramer_rao(numerical, raster, 1e5).y_nm, cramer_rao(sheet, raster, 1e5).y_nm, rtol=1e-3)


def test_columns_without_intensity_have_no_place_but_a_bound_of_intensity() -> None:
    columns = Columns(np.array([0.3, 0.45]), np.array([0.3, 0.3]), np.array([1e-3, 0.0]), [gaussian_spot(0.04)])
    limit = cramer_rao(columns, Raster((40, 40), 0.02), 1e5, np.full((40, 40), 1e-3))
    assert np.isnan(limit.y_nm[1])
    assert np.isfinite([limit.y_nm[0], limit.section_A2[0], limit.section_A2[1]]).all()


def test_sections_and_background_of_a_drawn_image_are_found_again() -> None:
    sheet = graphene()
    raster = Raster((70, 70), 0.02)
    fitted = fit_sections(sheet, raster, draw(sheet, raster))
    np.testing.assert_allclose(fitted.section_A2, sheet.section_A2, rtol=1e-5)
    assert fitted.background == pytest.approx(sheet.background, rel=1e-5)


def test_two_columns_at_one_place_are_refused() -> None:
    twins = Columns(np.full(2, 0.3), np.full(2, 0.3), np.full(2, 1e-3), [gaussian_spot(0.04)])
    with pytest.raises(BadInput, match="cannot be told apart"):
        cramer_rao(twins, Raster((30, 30), 0.02), 1e5)


def test_bayes_error_agrees_with_drawn_counts() -> None:
    from scipy.stats import poisson

    means, priors = np.array([12.0, 20.0, 45.0]), np.array([0.6, 0.3, 0.1])
    rng = np.random.default_rng(0)
    true = rng.choice(3, 200_000, p=priors)
    counts = rng.poisson(means[true])
    called = (priors[:, None] * poisson.pmf(counts[None, :], means[:, None])).argmax(axis=0)
    assert bayes_error(means, priors) == pytest.approx((called != true).mean(), abs=0.003)


def test_bayes_error_of_equal_classes_is_chance_and_of_parted_ones_zero() -> None:
    assert bayes_error([5.0, 5.0]) == pytest.approx(0.5)
    assert bayes_error([0.0, 800.0]) == pytest.approx(0, abs=1e-12)
    assert bayes_error_normal([0, 0, 0], [1, 1, 1]) == pytest.approx(2 / 3, abs=1e-6)


def test_bayes_error_of_two_normal_classes_is_the_tail_beyond_half_their_distance() -> None:
    assert bayes_error_normal([0.0, 3.0], [1.0, 1.0]) == pytest.approx(0.0668072, abs=1e-4)
    chances = bayes_confusion([0.0, 3.0], [1.0, 2.0], [0.9, 0.1])
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-9)
    assert chances[0, 1] < chances[1, 0]
