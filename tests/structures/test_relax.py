import numpy as np
import pytest

from micrograph.structures import Network, bonded, graphene, relaxed


def network(size_nm=2.0):
    points = graphene(size_nm).positions[:, 1::-1] / 10
    return Network(points, np.full(len(points), 6), bonded(points))


def lengths(net):
    return np.hypot(*(net.points[net.bonds[:, 0]] - net.points[net.bonds[:, 1]]).T)


def test_a_shaken_sheet_relaxes_back_to_its_bond_length():
    net = network()
    shaken = Network(net.points + np.random.default_rng(0).normal(0, 0.015, net.points.shape), net.numbers, net.bonds)
    assert lengths(shaken).std() > 0.01
    assert lengths(relaxed(shaken)) == pytest.approx(0.142, abs=1e-4)


def test_a_perfect_sheet_stays():
    net = network()
    np.testing.assert_allclose(relaxed(net).points, net.points, atol=1e-9)


def test_only_free_atoms_move():
    net = network()
    free = np.zeros(len(net.points), dtype=bool)
    free[:20] = True
    shaken = Network(net.points + np.random.default_rng(0).normal(0, 0.01, net.points.shape), net.numbers, net.bonds)
    moved = np.abs(relaxed(shaken, free).points - shaken.points).max(axis=1) > 0
    assert moved[free].all() and not moved[~free].any()


def test_relaxation_commutes_with_a_turn_of_the_sheet():
    net = network()
    shaken = net.points + np.random.default_rng(1).normal(0, 0.005, net.points.shape)
    turned = shaken @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    one, other = (relaxed(Network(points, net.numbers, net.bonds)) for points in (shaken, turned))
    np.testing.assert_allclose(lengths(one), lengths(other), atol=1e-6)
