import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.features.objects.closed_curves import Border, enclosed, evenly
from micrograph.features.objects.descriptors import SHAPE_COLUMNS, descriptors
from micrograph.features.objects.outlines import outlines_of

spec = importlib.util.spec_from_file_location("solid_shapes", Path(__file__).with_name("solid_shapes.py"))
shapes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shapes)
ellipse, outlines, disc = shapes.ellipse, shapes.outlines, shapes.disc
rectangle, triangle, turn = shapes.rectangle, shapes.triangle, shapes.turn

FREE = ["aspect", "circularity", "solidity", "convexity", "eccentricity"]
FREE += [f"fourier_{k}" for k in range(2, 10)]


def of(*points, pixel_nm=1.0, border=None):
    return descriptors(outlines(*points), pixel_nm, border)


def test_an_ellipse_has_its_measures():
    row = of(ellipse(30, 15, 700, (50, 60), 25), pixel_nm=0.5).iloc[0]
    assert row.area_nm2 == pytest.approx(np.pi * 15 * 7.5, rel=1e-4)
    assert (row.y_nm, row.x_nm) == pytest.approx((25, 30))
    assert row.perimeter_nm == pytest.approx(4 * 15 * 1.2110560275684594, rel=1e-4)
    assert (row.feret_max_nm, row.feret_min_nm) == pytest.approx((30, 15), rel=1e-4)
    assert row.aspect == pytest.approx(2, rel=1e-3)
    assert row.eccentricity == pytest.approx(np.sqrt(0.75), rel=1e-4)
    assert row.angle_deg == pytest.approx(25, abs=1e-3)
    assert (row.solidity, row.convexity) == pytest.approx((1, 1), rel=1e-4)


def test_a_rectangle_has_its_measures():
    row = of(rectangle(20, 8, 30)).iloc[0]
    assert (row.length_nm, row.width_nm, row.aspect) == pytest.approx((20, 8, 2.5))
    assert (row.area_nm2, row.perimeter_nm) == pytest.approx((160, 56))
    assert (row.feret_max_nm, row.feret_min_nm) == pytest.approx((np.hypot(20, 8), 8))
    assert row.circularity == pytest.approx(4 * np.pi * 160 / 56**2)
    assert row.angle_deg == pytest.approx(30)
    assert row.hu_1 == pytest.approx((20**2 + 8**2) / 12 / 160)
    assert row.hu_2 == pytest.approx(((20**2 - 8**2) / 12 / 160) ** 2)


def test_an_equilateral_triangle_has_its_measures():
    row = of(triangle(10.0)).iloc[0]
    assert row.area_nm2 == pytest.approx(25 * np.sqrt(3))
    assert (row.feret_max_nm, row.feret_min_nm) == pytest.approx((10, 5 * np.sqrt(3)))
    assert row.aspect == pytest.approx(2 / np.sqrt(3))
    assert row.circularity == pytest.approx(np.pi / (3 * np.sqrt(3)))
    assert row.eccentricity == pytest.approx(0, abs=1e-6)
    assert row.fourier_3 > 5 * row.fourier_2


def test_a_disc_drawn_in_pixels_is_circular_within_one_percent():
    for radius in (6, 12, 40):
        coverage = disc(radius, (radius + 4.2, radius + 3.7), 2 * radius + 9)
        row = descriptors(outlines_of((coverage >= 0.5).astype(np.int32), coverage), 1.0).iloc[0]
        assert row.circularity == pytest.approx(1, abs=0.01)
        assert row.solidity > 0.99


def test_a_notch_lowers_solidity_and_convexity():
    star = np.concatenate([rectangle(20, 20)[:2], [[-2.0, 0.0]], rectangle(20, 20)[2:]])[::1]
    row = of(star).iloc[0]
    assert row.solidity == pytest.approx(enclosed(star) / 400)
    assert row.convexity < 1


@pytest.mark.parametrize("lobes", [2, 3, 4, 5])
def test_fourier_descriptors_give_the_amplitude_of_lobes(lobes):
    t = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    radius = 30 * (1 + 0.01 * np.cos(lobes * t))
    row = of(np.stack([-radius * np.sin(t), radius * np.cos(t)], axis=1)).iloc[0]
    assert row[f"fourier_{lobes}"] == pytest.approx(0.01, rel=0.02)


def test_hu_seven_tells_a_shape_from_its_mirror_image():
    shape = np.array([[0.0, 0], [0, 10], [-3, 10], [-3, 4], [-9, 4], [-9, 0]])
    mirror = (shape * [1, -1])[::-1]
    rows = of(shape, mirror)
    assert rows.hu_7[0] == pytest.approx(-rows.hu_7[1])
    assert abs(rows.hu_7[0]) > 0
    assert rows.hu_5[0] == pytest.approx(rows.hu_5[1])


@settings(max_examples=25, deadline=None)
@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(-180, 180), st.floats(0.2, 20), st.integers(0, 2**31))
def test_shape_does_not_depend_on_place_turn_or_size(dy, dx, angle, scale, seed):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 10 + sum(rng.uniform(0, 1.0) * np.cos(k * t + rng.uniform(0, 6)) for k in (2, 3, 5))
    shape = np.stack([-radius * np.sin(t), radius * np.cos(t)], axis=1)
    rows = of(shape, scale * turn(shape, angle) + [dy, dx])
    np.testing.assert_allclose(rows.loc[0, FREE].to_numpy(float), rows.loc[1, FREE].to_numpy(float), atol=1e-6)
    hu = rows[[f"hu_{k}" for k in range(1, 8)]].to_numpy()
    np.testing.assert_allclose(hu[0], hu[1], rtol=1e-4, atol=1e-9)
    assert rows.area_nm2[1] == pytest.approx(scale**2 * rows.area_nm2[0])
    assert rows.feret_max_nm[1] == pytest.approx(scale * rows.feret_max_nm[0])


def test_errors_of_area_diameter_and_centre_are_those_of_a_shaking_border():
    rng = np.random.default_rng(1)
    round_ = ellipse(20, 20, 126)
    smooth = 2.0
    wave = 2 * np.pi * np.fft.fftfreq(126)
    shape = np.exp(-0.25 * (smooth * wave) ** 2)
    shape *= 0.3 / np.sqrt(np.mean(shape**2))
    shaken = [
        round_ * (1 + np.fft.ifft(np.fft.fft(rng.normal(size=126)) * shape).real[:, None] / 20) for _ in range(400)
    ]
    rows = of(*shaken, border=Border(0.3, np.sqrt(2 * np.pi) * smooth))
    for name, sigma in (
        ("area_nm2", "area_sigma_nm2"),
        ("equivalent_diameter_nm", "equivalent_diameter_sigma_nm"),
        ("y_nm", "y_sigma_nm"),
        ("x_nm", "x_sigma_nm"),
    ):
        assert rows[name].std() == pytest.approx(rows[sigma].mean(), rel=0.15)


def test_no_objects_give_an_empty_table_with_all_columns():
    table = of()
    assert list(table) == [column.name for column in SHAPE_COLUMNS]
    assert len(table) == 0


def test_evenly_spaced_points_lie_on_the_outline():
    points = evenly(rectangle(20, 10), 60)
    assert np.allclose(np.hypot(*np.diff(points, axis=0).T), 1)
