import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.track import growth, level_stages, steady

LAWS = {
    "constant edge velocity": lambda t: (1 - 0.6 * t) ** 2,
    "constant area rate": lambda t: 1 - 0.6 * t,
    "exponential": lambda t: np.exp(-1.5 * t),
}


def areas(law, rng, frames=40, flicker=0.004, alike=0.5):
    """Return times and areas (nm^2) that shrink by a law, with errors alike from frame to frame."""
    time = np.arange(frames) * 2.0
    error = rng.normal(size=frames)
    for i in range(1, frames):
        error[i] = alike * error[i - 1] + np.sqrt(1 - alike**2) * error[i]
    true = 20.0 * LAWS[law](time / time[-1])
    return time, (np.sqrt(true) + flicker * np.sqrt(20.0) * error) ** 2, true


@pytest.mark.parametrize("law", list(LAWS))
def test_the_closing_rate_is_within_five_percent_and_its_law_is_found(law):
    laws, inside = [], []
    for seed in range(8):
        time, seen, true = areas(law, np.random.default_rng(seed))
        found, rate = growth(time, seen), (true[-1] - true[0]) / time[-1]
        assert found.area_rate[0] == pytest.approx(rate, rel=0.05)
        laws.append(found.law == law)
        inside.append(found.area_rate[1] <= rate <= found.area_rate[2])
    assert sum(laws) >= 7
    assert sum(inside) >= 6


def test_a_pore_whose_edge_moves_evenly_closes_when_its_radius_is_used_up():
    time = np.arange(30.0)
    found = growth(time, np.pi * (10 - 0.2 * time) ** 2)
    assert found.closing_s[0] == pytest.approx(50.0, rel=1e-4)
    assert found.radius_rate[0] == pytest.approx(-0.2, rel=1e-4)


def test_intervals_hold_where_part_of_the_error_is_alike_over_many_frames():
    inside = []
    for seed in range(40):
        time, _, true = areas("constant edge velocity", np.random.default_rng(seed), frames=30)
        rng, slow = np.random.default_rng([seed, 1]), np.zeros(30)
        for i in range(1, 30):
            slow[i] = 0.9 * slow[i - 1] + rng.normal(0, np.sqrt(1 - 0.9**2))
        seen = (np.sqrt(true) + np.sqrt(20.0) * (0.01 * slow + rng.normal(0, 0.01, 30))) ** 2
        found = growth(time, seen)
        inside.append(found.area_rate[1] <= (true[-1] - true[0]) / time[-1] <= found.area_rate[2])
    assert sum(inside) >= 34


def test_frames_that_stand_out_are_set_aside_and_counted():
    time, seen, true = areas("constant edge velocity", np.random.default_rng(0))
    seen[[5, 6, 20, 38]] *= 1.5
    found = growth(time, seen)
    assert found.aside == 4
    assert found.area_rate[0] == pytest.approx((true[-1] - true[0]) / time[-1], rel=0.03)


def test_rates_are_means_over_the_time_asked_for():
    time = np.arange(10.0, 30.0)
    found = growth(time, np.pi * (10 - 0.2 * time) ** 2, (0.0, 30.0))
    assert found.area_rate[0] == pytest.approx(np.pi * (4.0**2 - 10.0**2) / 30, rel=1e-4)


def test_too_few_areas_say_nothing_and_wrong_ones_are_refused():
    assert np.isnan(growth([0, 1, 2], [3.0, 2.0, 1.0]).area_rate[0])
    with pytest.raises(BadInput, match="Times must increase"):
        growth([0, 0, 1, 2], [1.0, 1.0, 1.0, 1.0])


def test_flicker_is_removed_and_a_line_stays():
    rng, time = np.random.default_rng(0), np.arange(60.0)
    still = 100 + rng.normal(0, 1.5, 60)
    assert steady(time, still).std() < 0.6
    line = 100 - 0.7 * time
    assert steady(time, line) == pytest.approx(line, abs=1e-6)
    spike = line.copy()
    spike[30] = 10.0
    assert steady(time, spike + rng.normal(0, 0.01, 60))[30] == pytest.approx(line[30], abs=0.5)


def test_stages_of_a_measured_series_are_found_and_a_flat_one_is_one():
    rng = np.random.default_rng(1)
    series = np.concatenate([rng.normal(mean, 0.2, 25) for mean in (-1.0, -2.0, -0.5)])
    found = level_stages(series)
    assert [one.first for one in found] == [0, pytest.approx(25, abs=1), pytest.approx(50, abs=1)]
    assert all(one.low - 0.05 <= mean <= one.high + 0.05 for one, mean in zip(found, (-1.0, -2.0, -0.5), strict=True))
    assert len(level_stages(rng.normal(3, 1, 60))) == 1


def test_frames_with_larger_errors_weigh_less():
    series = np.r_[np.zeros(10), 5.0, 5.0, np.zeros(10)] + np.random.default_rng(2).normal(0, 0.1, 22)
    sigma = np.r_[np.ones(10), 50.0, 50.0, np.ones(10)]
    assert len(level_stages(series, sigma)) == 1
