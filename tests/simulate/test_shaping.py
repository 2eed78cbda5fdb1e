"""The law of moving outlines: circles, areas, rods, corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from micrograph.core import BadInput
from micrograph.simulate.objects.pores import pore_outline
from micrograph.simulate.objects.shaping import (
    area_nm2,
    centre_nm,
    curvature_per_nm,
    even,
    evolve,
    perimeter_nm,
    receded,
    regular_outline,
    rod_outline,
    turned,
)


def circle(radius: float, points: int = 160) -> np.ndarray:
    angle = 2 * np.pi * np.arange(points) / points
    return radius * np.stack([-np.sin(angle), np.cos(angle)], axis=1)


@pytest.mark.parametrize(("v0", "k"), [(-0.3, 0.0), (-0.2, -1.5), (0.4, 0.0), (0.5, -2.0), (0.0, -3.0)])
def test_radius_of_a_circle_follows_its_law(v0: float, k: float) -> None:
    after = evolve(circle(15.0), v0, k, 10.0)
    exact = solve_ivp(lambda _, r: v0 + k / r, (0, 10.0), [15.0], rtol=1e-9).y[0, -1]
    assert np.hypot(*after.T) == pytest.approx(exact, rel=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), v0=st.floats(-0.5, 0.5), k=st.floats(-3, 0))
def test_area_changes_by_the_velocity_along_the_outline(seed: int, v0: float, k: float) -> None:
    """Curvature integrates to a full turn over any outline: dA/dt = v0 * perimeter + 2 pi k."""
    outline = even(pore_outline(12.0, 0.1, np.random.default_rng(seed), 400))
    after = evolve(outline, v0, k, 0.1)
    length = (perimeter_nm(outline) + perimeter_nm(after)) / 2
    expected = 0.1 * (v0 * length + 2 * np.pi * k)
    assert area_nm2(after) - area_nm2(outline) == pytest.approx(expected, abs=2e-3 * 0.1 * length)


def test_flanks_of_an_etched_rod_recede_at_v0() -> None:
    rod = rod_outline(60.0, 8.0, 240)
    after = evolve(rod, -0.2, 0.0, 10.0)
    assert np.ptp(after[:, 0]) == pytest.approx(16.0 - 4.0, rel=5e-3)
    assert np.ptp(after[:, 1]) == pytest.approx(60.0 - 4.0, rel=5e-3)


def test_an_outline_beyond_its_corner_radius_keeps_the_area_of_the_parallel_polygon() -> None:
    side, corner = 40.0, 1.0
    after = evolve(regular_outline(3, side, corner, 240), -0.5, 0.0, 8.0)
    left = side - 2 * np.sqrt(3) * 4.0
    assert area_nm2(after) == pytest.approx(np.sqrt(3) / 4 * left**2, rel=0.03)


def test_a_receding_edge_keeps_sharp_corners_and_loses_its_perimeter_times_its_depth() -> None:
    outline = pore_outline(12.0, 0.12, np.random.default_rng(5), 200)
    outlines = [receded(outline, depth) for depth in np.linspace(0, 9, 91)]
    areas, lengths = (np.array([measure(one) for one in outlines]) for measure in (area_nm2, perimeter_nm))
    assert areas[0] - areas == pytest.approx(0.1 * (np.cumsum(lengths) - (lengths[0] + lengths) / 2), abs=0.4)
    assert receded(outline, 12.5).shape == (0, 2)


def test_curvature_of_a_rod_is_that_of_its_ends_and_zero_between() -> None:
    bend = curvature_per_nm(rod_outline(60.0, 8.0, 400))
    assert np.median(bend[bend > 0.06]) == pytest.approx(1 / 8, rel=0.02)
    assert np.abs(bend).min() < 1e-6


@pytest.mark.parametrize("sides", [3, 4, 6])
def test_a_regular_outline_has_the_area_of_its_polygon_without_the_corners(sides: int) -> None:
    edge, corner = 30.0, 3.0
    apothem = edge / (2 * np.tan(np.pi / sides))
    sharp = sides * edge * apothem / 2
    lost = corner**2 * (sides * np.tan(np.pi / sides) - np.pi)
    assert area_nm2(regular_outline(sides, edge, corner, 600)) == pytest.approx(sharp - lost, rel=1e-3)


def test_an_outline_that_is_used_up_vanishes() -> None:
    assert evolve(circle(5.0, 60), -1.0, 0.0, 6.0).shape == (0, 2)
    assert evolve(circle(5.0, 60), 0.0, -1.0, 12.3).shape[0] > 0  # r^2 = 25 - 2 t
    assert evolve(circle(5.0, 60), 0.0, -1.0, 13.0).shape == (0, 2)


def test_two_steps_are_as_one() -> None:
    outline = even(pore_outline(12.0, 0.15, np.random.default_rng(8), 200))
    once = evolve(outline, -0.2, -1.0, 4.0)
    twice = evolve(evolve(outline, -0.2, -1.0, 2.0), -0.2, -1.0, 2.0)
    assert area_nm2(once) == pytest.approx(area_nm2(twice), rel=1e-3)
    assert centre_nm(once) == pytest.approx(centre_nm(twice), abs=0.01)


def test_turning_keeps_area_and_moves_the_x_axis_up() -> None:
    rod = turned(rod_outline(40.0, 5.0), 30.0)
    assert area_nm2(rod) == pytest.approx(np.pi * 25 + 300, rel=2e-3)
    tip = rod[np.argmax(rod[:, 1])]
    assert tip[0] < 0


def test_tips_that_would_sharpen_are_refused() -> None:
    with pytest.raises(BadInput, match="sharpen"):
        evolve(circle(5.0), -1.0, 0.5, 1.0)
