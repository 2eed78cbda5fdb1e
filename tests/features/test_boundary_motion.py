import importlib.util
from pathlib import Path

import numpy as np
import pytest

from micrograph.features.objects.boundary_motion import boundary_motion, normal_velocity, rigid_motion
from micrograph.features.objects.closed_curves import Border
from micrograph.features.objects.curvature import curvature
from micrograph.features.objects.outlines import outlines_of

spec = importlib.util.spec_from_file_location("solid_shapes", Path(__file__).with_name("solid_shapes.py"))
shapes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shapes)
disc, ellipse = shapes.disc, shapes.ellipse


def test_a_circle_is_curved_by_one_over_its_radius():
    bend, sigma = curvature(ellipse(20, 20))
    assert bend == pytest.approx(1 / 20, rel=1e-3)
    assert sigma.shape == bend.shape


def test_an_ellipse_is_curved_as_it_should_be():
    a, b, number = 30.0, 15.0, 400
    t = np.linspace(0, 2 * np.pi, number, endpoint=False)
    expected = a * b / ((a * np.sin(t)) ** 2 + (b * np.cos(t)) ** 2) ** 1.5
    assert curvature(ellipse(a, b, number), 1.0)[0] == pytest.approx(expected, rel=0.01)


def test_dents_have_negative_curvature():
    t = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    radius = 30 * (1 + 0.3 * np.cos(4 * t))
    bend, _ = curvature(np.stack([-radius * np.sin(t), radius * np.cos(t)], axis=1), 1.0)
    assert bend[0] > 0 > bend[37]


def test_the_error_of_curvature_is_its_scatter():
    rng = np.random.default_rng(0)
    number, smooth = 126, 2.0
    form = np.exp(-0.25 * (smooth * 2 * np.pi * np.fft.fftfreq(number)) ** 2)
    form *= 0.3 / np.sqrt(np.mean(form**2))
    shaking = np.fft.ifft(np.fft.fft(rng.normal(size=(150, number))) * form).real
    found = [curvature(ellipse(20, 20, number) * (1 + each[:, None] / 20))[0] for each in shaking]
    sigma = curvature(ellipse(20, 20, number), border=Border(0.3, np.sqrt(2 * np.pi) * smooth))[1][0]
    assert np.std(found) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("step", [-0.1, -1.0, 0.5])
def test_a_circle_that_shrinks_or_grows_moves_at_the_known_speed(step):
    velocity, sigma = normal_velocity(ellipse(20, 20), ellipse(20 + step, 20 + step, 333), 2.0, Border(0.2))
    assert velocity == pytest.approx(step / 2, rel=1e-2)
    assert sigma == pytest.approx(0.2 * np.sqrt(2) / 2, rel=1e-3)


def test_a_disc_in_pixels_shrinks_at_the_known_speed():
    outlines = []
    for radius in (20.0, 19.6):
        coverage = disc(radius, (26.3, 25.8), 52)
        outlines.append(outlines_of((coverage >= 0.5).astype(np.int32), coverage).points_px[0])
    velocity, _ = normal_velocity(*outlines, 1.0)
    assert velocity.mean() == pytest.approx(-0.4, abs=0.01)
    assert velocity.std() < 0.1


def test_an_ellipse_that_is_etched_evenly_moves_evenly():
    before = ellipse(30, 15, 600)
    t = np.linspace(0, 2 * np.pi, 600, endpoint=False)
    normal = np.stack([-30 * np.sin(t), 15 * np.cos(t)], axis=1)
    normal /= np.hypot(*normal.T)[:, None]
    after = before - 0.7 * normal
    assert normal_velocity(before, after, 1.0)[0] == pytest.approx(-0.7, abs=0.02)


def test_a_particle_that_drifts_and_turns_while_it_is_etched_keeps_its_etch_rate():
    before = ellipse(30, 15, 300, (50, 60), 10)
    after = ellipse(29, 14, 280, (53, 58.5), 27)
    motion = boundary_motion(before, after, 1.0, rigid=True)
    assert motion.shift == pytest.approx((3, -1.5), abs=1e-6)
    assert motion.turn_deg == pytest.approx(17, abs=0.1)
    assert np.all((motion.velocity > -1.05) & (motion.velocity < -0.9))


def test_only_the_turn_and_shift_of_a_rigid_particle_are_found():
    shift, turn = rigid_motion(ellipse(30, 12), ellipse(30, 12, 350, (1, 2), -33))
    assert shift == pytest.approx((1, 2), abs=1e-6)
    assert turn == pytest.approx(-33, abs=0.1)


def test_speed_and_curvature_half_way_have_uncorrelated_errors():
    rng = np.random.default_rng(3)
    number = 126
    form = np.exp(-0.25 * (2 * 2 * np.pi * np.fft.fftfreq(number)) ** 2)
    shaking = 0.3 * np.fft.ifft(np.fft.fft(rng.normal(size=(80, 2, number))) * form).real
    circle = ellipse(20, 20, number)
    motions = [
        boundary_motion(circle * (1 + one[:, None] / 20), circle * (1 + two[:, None] / 20), 1.0) for one, two in shaking
    ]
    speed = np.concatenate([motion.velocity for motion in motions])
    bend = np.concatenate([motion.curvature for motion in motions])
    assert abs(np.corrcoef(speed, bend)[0, 1]) < 0.1


def test_points_that_never_meet_the_later_outline_are_nan():
    far = ellipse(2, 2, 60, (0, 200))
    assert np.isnan(normal_velocity(ellipse(5, 5), far, 1.0)[0]).any()
