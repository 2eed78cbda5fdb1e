"""Random fields on graphs: Monte Carlo against going through all configurations."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.structures.lattice_gas import MANGANITE, LatticeGas, canonical, contacts_of, shells_of
from micrograph.structures.molecule_states import HEXAGONAL, MoleculeModel
from micrograph.structures.pair_field import Chains, PairField, exact_moments

NODES = np.stack(np.divmod(np.arange(6), 3), axis=1)
SMALL_GAS, SMALL_MOLECULES = MANGANITE.on(NODES), MoleculeModel(3).on(NODES[[0, 1, 3, 4]], HEXAGONAL)


@pytest.mark.parametrize(
    ("field", "theta"),
    [
        (SMALL_GAS, MANGANITE.theta((0.194, 0.739, -0.890), (0.5, -0.4))),
        (SMALL_MOLECULES, np.array([-0.4, 0.3, 0.6])),
    ],
)
def test_the_heat_bath_draws_what_the_sum_over_all_configurations_gives(field: PairField, theta: np.ndarray) -> None:
    mean, covariance = exact_moments(field, theta)
    chains = Chains(field, 400, np.random.default_rng(1))
    chains.sweep(theta, 15)
    drawn = []
    for _ in range(60):
        chains.sweep(theta, 2)
        drawn.append(chains.statistics())
    found = np.concatenate(drawn)
    error = np.sqrt(np.diag(covariance) / len(found) * 4)
    assert (np.abs(found.mean(axis=0) - mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.05 * np.diag(covariance).max())


def test_evidence_enters_as_a_likelihood_of_each_site() -> None:
    evidence = np.random.default_rng(2).normal(size=(SMALL_GAS.number, 2))
    chains = Chains(SMALL_GAS, 4000, np.random.default_rng(3), evidence)
    chains.sweep(np.zeros(5), 1)
    expected = 1 / (1 + np.exp(evidence[:, 0] - evidence[:, 1]))
    np.testing.assert_allclose(chains.states.mean(axis=1), expected, atol=0.04)


def test_exchanges_keep_the_composition_and_draw_the_canonical_ensemble() -> None:
    gas = LatticeGas((((0, 1), (1, 0)),))
    field = gas.on(NODES)
    theta = gas.theta((0.8,))
    chains = Chains(field, 3000, np.random.default_rng(4))
    start = np.zeros((6, 3000), np.int8)
    start[:3] = 1
    chains.place(start)
    chains.exchange(theta, np.arange(6), 12, share=0.5)
    assert (chains.states.sum(axis=0) == 3).all()
    codes = np.arange(64)
    states = np.stack([(codes >> site) & 1 for site in range(6)]).astype(np.int8)[:, :]
    kept = states[:, states.sum(axis=0) == 3]
    unlike = field.statistics(kept)[:, 1]
    weight = np.exp(-0.8 * unlike)
    assert chains.statistics()[:, 1].mean() == pytest.approx(weight @ unlike / weight.sum(), abs=0.08)


def test_colours_hold_no_neighbours() -> None:
    field = MANGANITE.periodic(6)
    colour = np.empty(field.number, int)
    for number, sites in enumerate(field.colours):
        colour[sites] = number
    assert (colour[field.pairs[:, 0]] != colour[field.pairs[:, 1]]).all()


def test_nearest_pairs_of_the_ising_model_have_onsagers_energy() -> None:
    gas = LatticeGas((((0, 1), (1, 0)),))
    field = gas.periodic(24)
    chains = Chains(field, 24, np.random.default_rng(5))
    coupling = 0.3  # w = 2 K: below the critical 0.4407
    theta = gas.theta((2 * coupling,))
    chains.sweep(theta, 60)
    drawn = []
    for _ in range(30):
        chains.sweep(theta, 3)
        drawn.append(1 - 2 * chains.statistics()[:, 1].mean() / (2 * 24**2))
    from scipy.special import ellipk

    k = 2 * np.sinh(2 * coupling) / np.cosh(2 * coupling) ** 2
    onsager = (1 + 2 / np.pi * (2 * np.tanh(2 * coupling) ** 2 - 1) * ellipk(k**2)) / np.tanh(2 * coupling) / 2
    assert np.mean(drawn) == pytest.approx(onsager, abs=0.006)


def test_canonical_surfaces_have_the_composition_that_was_asked_for() -> None:
    _, states = canonical(MANGANITE, (0.2, 0.7, -0.9), (0.625, 0.5), 8, np.random.default_rng(6), sweeps=3)
    assert states[:64].sum() == 40 and states[64:].sum() == 32


def test_shells_and_contacts_follow_from_the_cell() -> None:
    square, distances = shells_of(np.eye(2) * 0.4, 3)
    assert [len(shell) for shell in square] == [2, 2, 2]
    np.testing.assert_allclose(distances, 0.4 * np.array([1, np.sqrt(2), 2]))
    hexagonal, _ = shells_of(np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]]), 2)
    assert [len(shell) for shell in hexagonal] == [3, 3]
    touching, away = contacts_of(np.eye(2) * 0.4, np.array([0.5, 0.5]))
    assert sorted(touching) == [(0, 0), (0, 1), (1, 0), (1, 1)] and away == pytest.approx(0.4 / np.sqrt(2))
