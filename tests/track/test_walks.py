"""Hop rates from displacements, against counting, with the planted rate."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.track import hop_rate

A_NM = 0.316
ANGLE = np.deg2rad(60.0 * np.arange(6))
HOPS = A_NM * np.column_stack([np.sin(ANGLE), np.cos(ANGLE)])


def displaced(rng, rate, count=200, dt=1.0, sigma=0.01):
    """Return displacements (N, 2) of lone walkers after `dt`, each end with its error."""
    hops = rng.poisson(rate * dt, count)
    moved = np.array([HOPS[rng.integers(6, size=n)].sum(axis=0) for n in hops])
    return moved + rng.normal(0, sigma * np.sqrt(2), (count, 2))


def test_planted_hop_rates_lie_in_their_intervals_and_counting_is_too_low() -> None:
    held, naive = 0, 0
    for seed in range(20):
        rate = (0.05, 0.8)[seed % 2]
        found = hop_rate(displaced(np.random.default_rng(seed), rate), 1.0, HOPS, sigma_nm=0.01)
        held += found.low_per_s <= rate <= found.high_per_s
        naive += seed % 2 == 1 and found.counted_per_s < 0.85 * rate
        assert found.d_nm2_per_s == pytest.approx(found.rate_per_s * A_NM**2 / 4)
    assert held >= 17 and naive == 10


def test_blocked_neighbours_are_taken_into_account() -> None:
    moved = displaced(np.random.default_rng(5), 0.3, 1000)
    found = hop_rate(moved, 1.0, HOPS, free=0.5)
    assert found.rate_per_s == pytest.approx(0.6, rel=0.15)


def test_links_that_reach_only_so_far_do_not_lower_the_rate() -> None:
    moved = displaced(np.random.default_rng(6), 1.0, 2000)
    reach = 1.3 * A_NM
    near = moved[np.hypot(*moved.T) < reach]
    cut = hop_rate(near, 1.0, HOPS, reach_nm=reach)
    assert cut.low_per_s <= 1.0 <= cut.high_per_s
    assert hop_rate(near, 1.0, HOPS).high_per_s < 1.0


def test_nothing_that_moves_has_rate_zero_and_an_upper_end() -> None:
    still = hop_rate(np.random.default_rng(0).normal(0, 0.01, (200, 2)), 1.0, HOPS)
    assert still.low_per_s == 0.0 and still.rate_per_s < 0.003 and 0.005 < still.high_per_s < 0.03
    with pytest.raises(BadInput, match="hop vectors"):
        hop_rate(np.zeros((1, 2)), 1.0, HOPS[:1])
