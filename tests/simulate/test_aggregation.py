"""Kinetics of chains and their geometry."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate.objects.aggregation import assemble, bond_times


@pytest.mark.parametrize(("order", "rate"), [(1, 0.05), (2, 0.001)])
def test_number_of_objects_follows_the_rate_law_on_average(order: int, rate: float) -> None:
    rng, t = np.random.default_rng(order), np.linspace(1, 25, 8)
    left = np.mean([200 - np.searchsorted(bond_times(200, rate, order, rng), t) for _ in range(200)], axis=0)
    exact = 200 * np.exp(-rate * t) if order == 1 else 200 / (1 + 200 * rate * t)
    assert left == pytest.approx(exact, rel=0.02)


def test_bonded_particles_lie_at_contact_from_their_bond_on() -> None:
    rng = np.random.default_rng(3)
    times = bond_times(20, 0.02, 1, rng, until_s=100.0)
    assembly = assemble(rng.uniform(0, 400, (20, 2)), 15.0, times, rng, approach_s=2.0)
    for t in (0.0, 20.0, 60.0, 120.0):
        place, _ = assembly.at(t)
        pairs = assembly.pairs[assembly.t_s <= t]
        apart = np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1)
        assert apart == pytest.approx(np.full(len(pairs), 15.0))


def test_every_particle_has_at_most_two_bonds_and_no_ring_closes() -> None:
    rng = np.random.default_rng(4)
    assembly = assemble(rng.uniform(0, 400, (16, 2)), 15.0, np.arange(1.0, 16.0), rng)
    assert np.bincount(assembly.pairs.ravel()).max() <= 2
    assert len(np.unique(assembly.chains(8.5))) == 8
    assert len(np.unique(assembly.chains(99.0))) == 1


def test_particles_that_do_not_bond_stay() -> None:
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 300, (10, 2))
    assembly = assemble(start, 12.0, np.array([1.0]), rng)
    still = ~assembly.moved[0]
    assert still.sum() == 9
    assert assembly.at(5.0)[0][still] == pytest.approx(start[still])


def test_unknown_orders_are_refused() -> None:
    with pytest.raises(BadInput, match="order"):
        bond_times(10, 1.0, 3, np.random.default_rng(0))
