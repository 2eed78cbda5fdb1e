import numpy as np
import pytest

from micrograph.core import BadInput, Flag
from micrograph.features.lattices.site_defects import site_defects, site_name
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours, with_likely_bonds


def named(points, labels=None, sigma_nm=None, **more):
    label = np.full(len(points), "C", dtype="<U2") if labels is None else labels
    graph = neighbours(*points.T, CUTOFFS_NM, label, sigma_nm=sigma_nm)
    return name_defects(*points.T, label, graph, **more)


def test_perfect_graphene_has_no_defects(sheets):
    assert len(named(sheets.graphene(3.0, 20.0))) == 0


def test_noise_of_ten_picometres_breaks_no_bonds(sheets):
    rng = np.random.default_rng(3)
    points = sheets.graphene(5.0)
    noisy = points + rng.normal(0, 0.010, points.shape)
    label = np.full(len(points), "C")
    graph = neighbours(*noisy.T, CUTOFFS_NM, label, sigma_nm=0.010)
    whole = with_likely_bonds(graph, *noisy.T)
    assert len(whole.edges) > len(graph.edges)
    assert {tuple(e) for e in whole.edges.tolist()} <= {tuple(e) for e in sheets.bonds_of(points).tolist()}
    assert not {"V1", "V2", "hole"} & set(name_defects(*noisy.T, label, graph).name.tolist())


def test_a_stone_wales_defect_is_5_7_7_5(sheets):
    found = named(sheets.stone_wales(3.0))
    assert found.name.tolist() == ["SW"]
    assert found.ring_sizes == ((5, 5, 7, 7),)
    assert found.flags.tolist() == [Flag.OK]
    assert len(found.atoms[0]) == 16


@pytest.mark.parametrize(("atoms", "closed", "name", "sizes"), [
    (1, 0, "V1", (12,)), (1, 1, "V1", (5, 9)), (2, 0, "V2", (14,)), (2, 1, "V2", (5, 11)), (2, 2, "V2", (5, 5, 8)),
])  # fmt: skip
def test_vacancies_are_named_whether_reconstructed_or_not(sheets, atoms, closed, name, sizes):
    points = sheets.vacancy(3.0, atoms)
    found = named(sheets.reconstructed(points, closed) if closed else points)
    assert found.name.tolist() == [name]
    assert found.ring_sizes == (sizes,)
    assert np.hypot(found.y_nm[0] - 1.5, found.x_nm[0] - 1.5) < 0.25


def test_many_missing_atoms_are_a_hole(sheets):
    points = sheets.graphene(3.0)
    found = named(points[np.hypot(*(points - 1.5).T) > 0.35])
    assert found.name.tolist() == ["hole"]


def test_a_defect_cut_by_the_border_is_not_named(sheets):
    points = sheets.stone_wales(3.0)
    part = points[points[:, 1] > 1.45]
    found = named(part)
    assert set(found.name.tolist()) <= {"edge"}
    assert (found.flags == Flag.EDGE).all()


def test_a_long_chain_of_rings_is_a_boundary(sheets):
    rng = np.random.default_rng(0)
    points = sheets.graphene(4.0)
    found = named(points + rng.normal(0, 0.04, points.shape) * (np.abs(points[:, :1] - 2.0) < 0.5))
    assert "boundary" in found.name.tolist()


def test_silicon_clusters_are_named_by_their_atoms_and_bonded_carbon(sheets):
    points = sheets.graphene(4.0)
    pair = sheets.centre_bond(points)
    single = int(np.linalg.norm(points - [1.0, 1.0], axis=1).argmin())
    label = np.full(len(points), "C", dtype="<U2")
    label[[*pair, single]] = "Si"
    found = named(points, label)
    assert sorted(found.name.tolist()) == ["Si1C3", "Si2C4"]
    assert set(found.atoms[int(np.flatnonzero(found.name == "Si2C4")[0])][:2].tolist()) == set(pair.tolist())


def test_silicon_in_a_divacancy_is_fourfold(sheets):
    points = sheets.vacancy(3.0, 2)
    points = np.concatenate([points, [sheets.graphene(3.0)[sheets.centre_bond(sheets.graphene(3.0))].mean(axis=0)]])
    label = np.array(["C"] * (len(points) - 1) + ["Si"])
    found = named(points, label)
    assert found.name.tolist() == ["Si1C4"]
    assert found.ring_sizes == ((5, 5, 6, 6),)


def test_silicon_at_the_border_is_not_named_when_a_neighbour_may_lie_outside(sheets):
    points = sheets.graphene(3.0)
    label = np.full(len(points), "C", dtype="<U2")
    label[points[:, 0].argmin()] = "Si"
    assert named(points, label).name.tolist() == ["edge"]


def test_the_score_is_the_probability_of_the_bonds_and_labels(sheets):
    points = sheets.graphene(3.0)
    label = np.full(len(points), "C", dtype="<U2")
    silicon = int(sheets.centre_bond(points)[0])
    label[silicon] = "Si"
    exact = named(points, label)
    certain = np.where(label == "Si", 0.9, 1.0)
    assert exact.score[0] == pytest.approx(1.0)
    assert named(points, label, label_p=certain).score[0] == pytest.approx(0.9)
    vague = named(points, label, sigma_nm=0.035)
    assert vague.score[0] < 0.9


def test_a_doubtful_bond_halves_the_score():
    y, x = np.zeros(2), np.array([0.0, 0.2099])
    label = np.array(["Si", "C"])
    graph = neighbours(y, x, CUTOFFS_NM, label, sigma_nm=0.01)
    found = name_defects(y, x, label, graph, extent=(-2, -2, 2, 2))
    assert found.name.tolist() == ["Si1C1"]
    assert found.score[0] == pytest.approx(0.5, abs=0.04)


def test_columns_have_one_entry_a_defect(sheets):
    columns = named(sheets.stone_wales(3.0)).columns()
    assert columns["rings"] == ["5-5-7-7"]
    assert {len(values) for values in columns.values()} == {1}


def test_labels_of_another_length_are_refused(sheets):
    points = sheets.graphene(1.0)
    with pytest.raises(BadInput, match="labels"):
        name_defects(*points.T, ["C"], neighbours(*points.T))


@pytest.mark.parametrize(("label", "host", "name"), [
    ("Se2", "Se2", None), ("Se1", "Se2", "vac_Se"), ("Se0", "Se2", "vac_Se2"), ("vac_W", "W", "vac_W"),
    ("V", "W", "V_W"),
    ("SSe", "S2", "Se_S"), ("Se2", "S2", "Se2_S2"), ("W", "Se2", "W_Se2"), ("Mo", "W", "Mo_W"),
])  # fmt: skip
def test_a_site_is_named_by_what_it_holds_against_what_belongs_there(label, host, name):
    assert site_name(label, host) == name


def test_site_defects_keep_place_row_and_score():
    found = site_defects([0, 1, 2], [5, 6, 7], ["W", "Se1", "V"], ["W", "Se2", "W"], [0.9, 0.8, 0.7])
    assert found.name.tolist() == ["vac_Se", "V_W"]
    assert found.y_nm.tolist() == [1, 2]
    assert found.score.tolist() == [0.8, 0.7]
    assert [rows.tolist() for rows in found.atoms] == [[1], [2]]
    with pytest.raises(BadInput, match="no column"):
        site_defects([0], [0], ["?"], ["W"])
