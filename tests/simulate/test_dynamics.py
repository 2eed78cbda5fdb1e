import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.simulate import (
    Bind,
    Change,
    Conditions,
    Create,
    Dynamics,
    History,
    Hop,
    Rate,
    SiteGraph,
    Vanish,
    arrhenius,
    changes,
    hexagonal_sites,
    schedule,
    simulate_history,
    site_graph,
)

A_NM = 0.3153


def triangular(cells: int = 20) -> SiteGraph:
    return hexagonal_sites(cells, cells, A_NM)[0]


def assert_realised(history: History, sigmas: float = 4.5) -> None:
    table = history.realised()
    deviation = (table["count"] - table["expected"]).abs() / np.sqrt(table["expected"].clip(lower=1))
    assert deviation.max() < sigmas, table


def test_triangular_sites_have_six_neighbours_and_carbon_three() -> None:
    assert (triangular().near >= 0).sum(axis=1).tolist() == [6] * 400
    carbon, _ = hexagonal_sites(6, 6, 0.246, carbon=True)
    assert (carbon.near >= 0).sum(axis=1).tolist() == [3] * 72
    np.testing.assert_allclose(np.hypot(*carbon.step_nm.reshape(-1, 2).T), 0.246 / np.sqrt(3))


@pytest.mark.parametrize("carbon", [False, True])
def test_msd_of_a_free_walker_is_4_d_t_with_d_a_quarter_of_rate_times_step_squared(carbon: bool) -> None:
    sites, _ = hexagonal_sites(6, 6, A_NM, carbon=carbon)
    step = A_NM / np.sqrt(3) if carbon else A_NM
    times = np.arange(0, 4000.0, 10.0)
    history = simulate_history(Dynamics(sites, (Hop("v", 3.0),)), {0: "v"}, 4000.0, np.random.default_rng(1))
    place = history.tracks(times)[["y_nm", "x_nm"]].to_numpy()
    squared = (np.diff(place, axis=0) ** 2).sum(axis=1)
    expected = 3.0 * step**2 * 10.0
    assert squared.mean() == pytest.approx(expected, abs=4 * expected / np.sqrt(len(squared)))


def test_occupancy_of_two_states_is_the_ratio_of_their_rates() -> None:
    dynamics = Dynamics(triangular(4), changes(("a", "b"), [[0, 2.0], [0.5, 0]]))
    history = simulate_history(dynamics, {0: "a"}, 4000.0, np.random.default_rng(2))
    share = (history.tracks(np.arange(0, 4000, 1.0))["state"] == "b").mean()
    assert share == pytest.approx(0.8, abs=0.03)


def test_waiting_times_are_exponential() -> None:
    dynamics = Dynamics(triangular(4), (Hop("v", 2.0),))
    history = simulate_history(dynamics, {0: "v"}, 2000.0, np.random.default_rng(3))
    waits = np.diff(history.events.t_s)
    from scipy.stats import kstest

    assert kstest(waits, "expon", args=(0, 0.5)).pvalue > 1e-3


def test_realised_counts_agree_with_planted_rates_within_poisson_error() -> None:
    processes = (
        Hop("v", 6.0),
        Create("v", 2e-3),
        Vanish("v", 0.05),
        Change("v", "w", 0.1),
        Change("w", "v", 0.2),
        Bind("v", "v", 2.0, 1.1 * A_NM, split=1.0),
    )
    history = simulate_history(
        Dynamics(triangular(), processes), dict.fromkeys(range(0, 400, 9), "v"), 100.0, np.random.default_rng(4)
    )
    assert_realised(history)
    assert history.realised()["count"].min() > 10


def test_blocked_hops_lower_the_hops_per_walker_but_not_the_realised_rate() -> None:
    start = dict.fromkeys(range(0, 400, 2), "v")
    history = simulate_history(Dynamics(triangular(), (Hop("v", 6.0),)), start, 5.0, np.random.default_rng(5))
    per_walker = history.counts[0] / (len(start) * 5.0)
    assert per_walker == pytest.approx(6.0 * (1 - 199 / 399), rel=0.05)
    assert history.realised()["rate_per_s"][0] == pytest.approx(6.0, rel=0.05)


def test_every_site_is_visited_alike_even_at_the_border() -> None:
    y, x = np.mgrid[:5, :5].reshape(2, -1) * 0.3
    dynamics = Dynamics(site_graph(np.column_stack([y, x]), 0.31), (Hop("v", 4.0),))
    history = simulate_history(dynamics, {0: "v", 7: "v"}, 4000.0, np.random.default_rng(6))
    visits = np.bincount(history.tracks(np.arange(0, 4000, 2.0))["site"], minlength=25)
    assert np.abs(visits / visits.mean() - 1).max() < 0.35
    assert visits[[0, 4, 20, 24]].mean() == pytest.approx(visits.mean(), rel=0.12)


def test_births_and_deaths_reach_a_poisson_like_balance() -> None:
    dynamics = Dynamics(triangular(), (Create("v", 1e-2), Vanish("v", 1.0)))
    history = simulate_history(dynamics, {}, 200.0, np.random.default_rng(7))
    counts = np.array([len(history.at(t)) for t in np.arange(10, 200, 5.0)])
    assert counts.mean() == pytest.approx(400 / 101, abs=1.0)


def test_created_objects_stay_on_the_sites_allowed() -> None:
    allowed = np.arange(10)
    dynamics = Dynamics(triangular(), (Create("v", 1.0, sites=allowed), Hop("v", 5.0), Vanish("v", 1.0)))
    table = simulate_history(dynamics, {}, 20.0, np.random.default_rng(8)).table()
    assert table.loc[table["kind"] == "create", "site"].isin(allowed).all()


def test_a_rate_per_dose_follows_the_beam() -> None:
    beam = schedule([0.0, 10.0], [100.0, 1000.0])
    dynamics = Dynamics(triangular(30), (Create("v", Rate(per_dose=1e-5)),), beam)
    history = simulate_history(dynamics, {}, 20.0, np.random.default_rng(9))
    early = np.sum(history.events.t_s < 10.0)
    assert early == pytest.approx(9, abs=10)
    assert len(history.events.t_s) - early == pytest.approx(90, abs=40)
    assert_realised(history)


def test_heating_speeds_hops_up_as_arrhenius_says() -> None:
    heating = schedule([0.0, 100.0], temperature_K=[600.0, 700.0])
    rate = Rate(attempts_per_s=1e10, barrier_eV=1.1)
    history = simulate_history(
        Dynamics(triangular(), (Hop("v", rate),), heating), {0: "v"}, 200.0, np.random.default_rng(10)
    )
    early = int(np.sum(history.events.t_s < 100.0))
    late = len(history.events.t_s) - early
    expected = arrhenius(1e10, 1.1, 700.0) / arrhenius(1e10, 1.1, 600.0)
    assert late / early == pytest.approx(expected, rel=0.25)


def test_bound_pairs_do_not_move_until_they_split() -> None:
    processes = (Hop("v", 6.0), Bind("v", "v", 50.0, 1.1 * A_NM, split=0.5))
    history = simulate_history(Dynamics(triangular(4), processes), {0: "v", 5: "v"}, 50.0, np.random.default_rng(11))
    bound = {}
    for _, event in history.table().iterrows():
        if event["kind"] in ("bind", "split"):
            bound[event["object"]] = event["kind"] == "bind"
        elif event["kind"] == "hop":
            assert not bound.get(event["object"], False)
    assert history.counts[1] > 5


def test_objects_of_unlike_states_bind() -> None:
    processes = (Hop("v", 6.0), Bind("v", "m", 1e3, 1.1 * A_NM))
    history = simulate_history(Dynamics(triangular(4), processes), {0: "m", 9: "v"}, 100.0, np.random.default_rng(12))
    last = history.at(100.0)
    assert last.partner.tolist() == [1, 0]
    assert np.hypot(*history.sites.step_nm[last.site[0]].T).min() <= A_NM * 1.001


def test_objects_keep_their_distance() -> None:
    sites = triangular(8)
    dynamics = Dynamics(sites, (Hop("v", 6.0), Create("v", 1.0)), apart_nm=1.1 * A_NM)
    history = simulate_history(dynamics, {}, 20.0, np.random.default_rng(13))
    near = sites.within(1.1 * A_NM)
    for t in np.linspace(0, 20, 41):
        taken = set(history.at(t).site.tolist())
        assert not any(taken & set(near[site]) for site in taken)
    assert_realised(history)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 4.0))
def test_no_two_objects_share_a_site_at_any_time(seed: int, t: float) -> None:
    processes = (Hop("v", 6.0), Create("v", 0.5), Vanish("v", 0.2))
    history = simulate_history(Dynamics(triangular(4), processes), {0: "v"}, 4.0, np.random.default_rng(seed))
    site = history.at(t).site
    assert len(set(site.tolist())) == len(site)


def test_the_same_seed_gives_the_same_history() -> None:
    dynamics = Dynamics(triangular(6), (Hop("v", 6.0), Create("v", 0.1), Vanish("v", 0.2)))
    one, two = (simulate_history(dynamics, {0: "v"}, 5.0, np.random.default_rng(14)).table() for _ in range(2))
    assert one.equals(two)


def test_wrong_input_is_named() -> None:
    sites = triangular(4)
    rng = np.random.default_rng(0)
    with pytest.raises(BadInput, match="rates must be zero"):
        Rate(per_s=-1.0)
    with pytest.raises(BadInput, match="starts on site 99"):
        simulate_history(Dynamics(sites, (Hop("v", 1.0),)), {99: "v"}, 1.0, rng)
    with pytest.raises(BadInput, match="More than 100 events"):
        simulate_history(Dynamics(sites, (Hop("v", 1e6),)), {0: "v"}, 1.0, rng, most_events=100)
    with pytest.raises(BadInput, match="2 x 2 rates"):
        changes(("a", "b"), [[0.0]])
    with pytest.raises(BadInput, match="ascending start times"):
        schedule([1.0, 2.0])
    with pytest.raises(BadInput, match="temperature is 0"):
        Rate(attempts_per_s=1.0).under(Conditions(temperature_K=0.0))
