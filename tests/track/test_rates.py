"""Rates of change: planted ones are found, through mistakes, gaps and irregular times."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import expm

from micrograph.core import BadInput
from micrograph.track import RATES, STATES, Tracks, estimate_rates, likeliest, rates_table, smoothed, states_table
from micrograph.track.chain import log_likelihood
from micrograph.track.named import likelihoods, named_states
from micrograph.track.rates import generator_of, stationary

TRUE = np.array([[0.0, 0.2, 0.0], [0.1, 0.0, 0.3], [0.15, 0.0, 0.0]])
MISTAKES = np.array([[0.92, 0.05, 0.03], [0.05, 0.92, 0.03], [0.02, 0.06, 0.92]])


def chain(rng, rates, times):
    """Return the states at `times` of one object, by exact jumps."""
    state = int(rng.choice(len(rates), p=stationary(rates)))
    found, due = [], rng.exponential(1 / rates[state].sum())
    for time in times:
        while due < time:
            state = int(rng.choice(len(rates), p=rates[state] / rates[state].sum()))
            due += rng.exponential(1 / rates[state].sum())
        found.append(state)
    return np.array(found)


def movie(rng, count=10, frames=80, missed=0.1, uneven=False):
    """Return times, true and named states of `count` tracks that begin and end anywhere."""
    times, true, named = [], [], []
    for _ in range(count):
        steps = rng.uniform(0.3, 1.7, frames) if uneven else np.ones(frames)
        t = np.cumsum(steps)
        t = t[rng.integers(frames // 3) : frames - rng.integers(frames // 3)]
        t = t[rng.random(len(t)) > missed]
        state = chain(rng, TRUE, t)
        times.append(t)
        true.append(state)
        named.append(np.array([rng.choice(3, p=MISTAKES[s]) for s in state], dtype=int))
    return times, true, named


def tracks_of(times, named):
    return Tracks.of(times, [MISTAKES[:, names].T for names in named], 3)


def test_planted_rates_lie_in_their_intervals_as_often_as_promised() -> None:
    inside, chances, counted, total = 0, 0, 0, 0
    true_chance = expm(generator_of(TRUE))
    for seed in range(6):
        tracks = tracks_of(*movie(np.random.default_rng(seed))[::2])
        found = estimate_rates(tracks, ("a", "b", "c"), TRUE > 0)
        held = (found.rate_low_per_s <= TRUE) & (found.rate_high_per_s >= TRUE)
        inside += int(held[TRUE > 0].sum())
        chances += int(((found.p_low <= true_chance) & (found.p_high >= true_chance)).sum())
        naive = tracks.naive_changes() / tracks.naive_visits()[:, None]
        counted += int(np.abs(naive / TRUE.clip(1e-9) - 1)[TRUE > 0].max() < 0.25)
        total += int((TRUE > 0).sum())
    assert inside >= 0.9 * total
    assert chances >= 0.9 * 6 * 9
    assert counted < 4


def test_the_likelihood_has_the_derivative_it_says() -> None:
    tracks = tracks_of(*movie(np.random.default_rng(1), 4, 30)[::2])
    generator = generator_of(TRUE + 0.05)
    _, slope = log_likelihood(tracks, generator)
    for i, j in ((0, 1), (2, 0), (1, 1)):
        step = np.zeros((3, 3))
        step[i, j] = 1e-6
        rise = (log_likelihood(tracks, generator + step)[0] - log_likelihood(tracks, generator - step)[0]) / 2e-6
        assert slope[i, j] == pytest.approx(rise, rel=1e-4, abs=1e-4)


def test_the_likelihood_of_a_short_track_is_the_sum_over_all_paths() -> None:
    names = np.array([0, 2, 1, 1])
    times = np.array([0.0, 1.0, 1.5, 3.0])
    tracks = Tracks.of([times], [MISTAKES[:, names].T], 3)
    generator = generator_of(TRUE)
    by_hand = 0.0
    for path in np.ndindex(3, 3, 3, 3):
        chance = tracks.start[path[0]] * np.prod(tracks.likelihood[0, np.arange(4), path])
        for n in range(3):
            chance *= expm(generator * (times[n + 1] - times[n]))[path[n], path[n + 1]]
        by_hand += chance
    assert log_likelihood(tracks, generator)[0] == pytest.approx(np.log(by_hand), rel=1e-9)


def test_neighbouring_frames_take_away_a_third_of_the_wrong_states_and_more() -> None:
    rng = np.random.default_rng(7)
    times = [np.cumsum(rng.uniform(0.1, 0.3, 80)) for _ in range(20)]
    true = [chain(rng, TRUE, t) for t in times]
    named = [np.array([rng.choice(3, p=MISTAKES[s]) for s in state]) for state in true]
    tracks = tracks_of(times, named)
    truth, alone = np.concatenate(true), np.concatenate(named)
    best = np.concatenate([p.argmax(axis=1) for p in smoothed(tracks, generator_of(TRUE))])
    path = np.concatenate(likeliest(tracks, generator_of(TRUE)))
    assert (best != truth).mean() < 0.67 * (alone != truth).mean()
    assert (path != truth).mean() < 0.75 * (alone != truth).mean()


def test_a_change_that_never_happens_has_rate_zero_and_an_upper_end() -> None:
    still = Tracks.of([np.arange(50.0)] * 4, [np.tile([1.0, 0.0], (50, 1))] * 4, 2)
    found = estimate_rates(still, ("a", "b"), [[0, 1], [0, 0]])
    assert found.rate_per_s[0, 1] == 0.0 and found.rate_low_per_s[0, 1] == 0.0
    assert 0.5 * 1.92 / 196 < found.rate_high_per_s[0, 1] < 2 * 1.92 / 196


def test_rates_do_not_depend_on_the_frame_time() -> None:
    rng = np.random.default_rng(3)
    fine = [np.arange(0, 150, 0.5) for _ in range(12)]
    states = [chain(rng, TRUE, t) for t in fine]
    found = [
        estimate_rates(Tracks.of([t[::n] for t in fine], [np.eye(3)[s[::n]] for s in states], 3), "abc", TRUE > 0)
        for n in (1, 4)
    ]
    fast, slow = (one.rate_per_s[TRUE > 0] for one in found)
    assert np.abs(np.log(fast / slow)).max() < 0.45


def test_tables_of_rates_and_states_keep_what_they_promise() -> None:
    tracks = tracks_of(*movie(np.random.default_rng(2), 4, 40)[::2])
    found = estimate_rates(tracks, ("a", "b", "c"), TRUE > 0)
    rates, states = rates_table(found), states_table(found)
    assert tuple(rates) == tuple(c.name for c in RATES) and len(rates) == 4
    assert tuple(states) == tuple(c.name for c in STATES) and abs(states["share"].sum() - 1) < 1e-9
    assert (rates["rate_low_per_s"] <= rates["rate_per_s"]).all() and (rates["p_high"] <= 1).all()


def test_states_named_in_single_frames_are_named_again_by_the_track() -> None:
    names = ["a"] * 10 + ["b"] + ["a"] * 10
    table = pd.DataFrame({"track": 0, "frame": range(21), "t_s": np.arange(21.0), "y_nm": 0.0, "x_nm": 0.0})
    seen = likelihoods(names, np.ones(21), ("a", "b"), [[0.95, 0.05], [0.05, 0.95]])
    found = named_states(table, seen, ("a", "b"))
    assert (found.tracks["state"] == "a").all()
    with pytest.raises(BadInput, match="known"):
        likelihoods(["z"], [1.0], ("a", "b"), np.eye(2))
