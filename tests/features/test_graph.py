import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.features.layers.graph import CUTOFFS_NM, bond_statistics, neighbours, without_triangles
from micrograph.features.layers.rings import rings


def test_all_rings_of_perfect_graphene_are_hexagons_of_the_right_area(sheets):
    points = sheets.graphene(4.0, 11.0)
    graph = neighbours(*points.T)
    found = rings(graph, *points.T)
    assert set(found.size.tolist()) == {6}
    np.testing.assert_allclose(found.area_nm2, 0.246**2 * np.sqrt(3) / 2, rtol=1e-6)
    assert set(graph.degree[~found.outer].tolist()) == {3}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(5, 60))
def test_faces_obey_eulers_formula_and_the_graph_is_planar(seed, n):
    points = np.random.default_rng(seed).uniform(0, 1, (n, 2))
    graph = neighbours(*points.T, 0.35)
    found = rings(graph, *points.T)
    assert graph.degree.max(initial=0) <= 4
    edges = graph.edges
    while True:
        degree = np.bincount(edges.ravel(), minlength=n)
        inside = (degree[edges] > 1).all(axis=1)
        if inside.all():
            break
        edges = edges[inside]
    nodes = np.unique(edges)
    parts = _parts(edges, n)
    assert len(nodes) - len(edges) + len(found) == parts
    assert (found.area_nm2 > 0).all()


def _parts(edges, n):
    parent = list(range(n))

    def top(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in edges:
        parent[top(i)] = top(j)
    return len({top(i) for i in np.unique(edges).tolist()})


def test_members_walk_around_the_ring(sheets):
    points = sheets.graphene(1.5)
    graph = neighbours(*points.T)
    found = rings(graph, *points.T)
    bonds = {tuple(sorted(edge)) for edge in graph.edges.tolist()}
    for ring in range(len(found)):
        atoms = found.members(ring).tolist()
        assert all(tuple(sorted(pair)) in bonds for pair in zip(atoms, atoms[1:] + atoms[:1], strict=True))


def test_each_pair_of_labels_has_its_own_cutoff():
    y, x = np.zeros(4), np.array([0.0, 0.2, 0.43, 0.62])
    graph = neighbours(y, x, CUTOFFS_NM, ["C", "Si", "Si", "X"])
    assert graph.edges.tolist() == [[0, 1], [1, 2]]


def test_bond_probability_is_one_half_at_the_cutoff_and_follows_the_error():
    graph = neighbours([0, 0], [0, 0.175], 0.1751, sigma_nm=0.005)
    assert graph.p[0] == pytest.approx(0.5, abs=0.05)
    far = neighbours([0, 0], [0, 0.175 + 0.01 * np.sqrt(2)], 0.175, sigma_nm=[[0.0, 0.01], [0.0, 0.01]])
    assert len(far.edges) == 0
    assert far.near_p[0] == pytest.approx(0.158655, abs=1e-4)


def test_only_the_error_along_the_bond_counts_and_the_error_across_lengthens_no_bond():
    rng = np.random.default_rng(2)
    graph = neighbours([0, 0], [0, 0.142], 0.2, sigma_nm=[[0.02, 0.001]] * 2)
    assert graph.length_sigma_nm[0] == pytest.approx(0.001 * np.sqrt(2))
    place = np.array([[0, 0], [0, 0.142]]) + rng.normal(0, 0.01, (4000, 2, 2))
    length = [neighbours(*pair.T, 0.3, sigma_nm=0.01).length_nm[0] for pair in place[:1500]]
    assert np.mean(length) == pytest.approx(0.142, abs=0.0011)


def test_of_two_crossing_bonds_the_longer_goes_and_the_degree_is_limited():
    y, x = np.array([0.0, 0.0, -0.06, 0.06]), np.array([0.0, 0.16, 0.08, 0.08])
    assert [2, 3] in neighbours(y, x, 0.17).edges.tolist()
    assert [0, 1] not in neighbours(y, x, 0.17).edges.tolist()
    angle = np.arange(6) * np.pi / 3
    star = neighbours(np.r_[0, 0.1 * np.sin(angle)], np.r_[0, (0.1 + 0.001 * np.arange(6)) * np.cos(angle)], 0.11)
    assert star.degree[0] == 4


def test_three_carbons_are_never_all_bonded_and_three_silicons_may_be():
    points = np.array([[0.0, 0.0], [0.0, 0.15], [0.13, 0.07], [0.24, 0.0]])
    graph = neighbours(*points.T, 0.16)
    assert sorted(graph.edges.tolist()) == [[0, 1], [0, 2], [1, 2], [2, 3]]
    carbon = np.ones(4, dtype=bool)
    assert sorted(without_triangles(graph, carbon).edges.tolist()) == [[0, 1], [0, 2], [2, 3]]
    assert len(without_triangles(graph, ~carbon).edges) == 4


def test_hexagons_keep_all_their_bonds_where_no_triangles_may_be(sheets):
    graph = neighbours(*sheets.graphene(2.0).T)
    assert len(without_triangles(graph, np.ones(graph.size, dtype=bool)).edges) == len(graph.edges)


def test_bond_statistics_give_mean_error_and_spread():
    rng = np.random.default_rng(0)
    x = np.cumsum(np.r_[0, rng.normal(0.142, 0.004, 800)])
    (found,) = bond_statistics(neighbours(np.zeros(801), x, 0.19, sigma_nm=1e-6), ["C"] * 801)
    assert found.pair == ("C", "C")
    assert found.count == 800
    assert found.spread_nm == pytest.approx(0.004, rel=0.1)
    assert found.mean_sigma_nm == pytest.approx(0.004 / np.sqrt(800), rel=0.1)
    assert abs(found.mean_nm - 0.142) < 4 * found.mean_sigma_nm


def test_no_atoms_or_no_bonds_give_no_rings():
    for y in ([], [0.0, 5.0]):
        graph = neighbours(y, y)
        assert len(rings(graph, y, y)) == 0


def test_bad_positions_are_refused():
    with pytest.raises(BadInput, match="not finite"):
        neighbours([0, np.nan], [0, 1])
    with pytest.raises(BadInput, match="label"):
        neighbours([0, 1], [0, 1], CUTOFFS_NM)
    with pytest.raises(BadInput, match="sigma_nm has shape"):
        neighbours([0, 1], [0, 1], sigma_nm=[1, 2, 3])
