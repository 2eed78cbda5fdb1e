import numpy as np
import pytest
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.structures import (
    MATERIALS,
    random_displacements,
    sites_of,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_metal_vacancies,
)
from micrograph.structures.graphene import graphene


def test_tungsten_sites_of_wse2_are_10_7_per_nm2():
    sites = sites_of(tmd("WSe2", 20.0, rotation_deg=11.0, margin_nm=0.0))
    assert (sites.label == "W").sum() / 400 == pytest.approx(2 / (np.sqrt(3) * 0.3282**2), rel=0.01)
    assert (sites.label == "Se2").sum() / 400 == pytest.approx(10.72, rel=0.01)


@pytest.mark.parametrize(("name", "bond_nm"), [("MoS2", 0.241), ("WS2", 0.240), ("MoSe2", 0.253), ("WSe2", 0.253)])
def test_metal_to_chalcogen_bonds_have_the_published_length(name, bond_nm):
    atoms = tmd(name, 2.0)
    metal = atoms.arrays["label"] == MATERIALS[name].metal
    distance = cKDTree(atoms.positions[~metal]).query(atoms.positions[metal], 6)[0] / 10
    middle = ((atoms.positions[metal, :2] > 0) & (atoms.positions[metal, :2] < 20)).all(axis=1)
    assert distance[middle] == pytest.approx(bond_nm, abs=0.0025)


def test_a_column_holds_two_chalcogens_at_one_place():
    atoms = tmd("MoS2", 2.0)
    sites = sites_of(atoms)
    assert len(sites) == (atoms.numbers == 42).sum() + (atoms.numbers == 16).sum() / 2
    distance = cKDTree(np.column_stack([sites.y_nm, sites.x_nm])).query(np.array([[1.0, 1.0]]), 2)[0]
    assert distance.max() < 0.2


def test_vacancies_leave_one_or_no_chalcogen_at_the_given_rates():
    atoms = with_chalcogen_vacancies(tmd("WSe2", 20.0), 0.2, np.random.default_rng(0), double_fraction=0.25)
    sites = sites_of(atoms)
    counts = {name: (sites.label == name).sum() for name in ("Se2", "Se1", "Se0")}
    total = sum(counts.values())
    for name, share in {"Se2": 0.8, "Se1": 0.15, "Se0": 0.05}.items():
        assert counts[name] / total == pytest.approx(share, abs=3.5 * np.sqrt(share * (1 - share) / total))
    assert (atoms.numbers == 0).sum() == counts["Se1"] + 2 * counts["Se0"]


def test_column_names_say_what_is_in_them():
    rng = np.random.default_rng(4)
    atoms = with_chalcogen_vacancies(tmd("WSe2", 10.0), 0.2, rng, double_fraction=0.3)
    atoms = with_chalcogen_substitutions(atoms, "S", 0.2, rng, double_fraction=0.3)
    contents = {"Se2": [34, 34], "Se1": [0, 34], "Se0": [0, 0], "SSe": [16, 34], "S2": [16, 16]}
    label, pairs = atoms.arrays["label"], np.flatnonzero(atoms.positions[:, 2] < -0.1)
    assert set(label[pairs]) == set(contents)
    for row in pairs:
        assert sorted(atoms.numbers[row : row + 2]) == contents[label[row]]


def test_a_lone_chalcogen_is_above_or_below_equally_often():
    atoms = with_chalcogen_vacancies(tmd("MoS2", 20.0), 0.3, np.random.default_rng(1), double_fraction=0.0)
    lone = (atoms.arrays["label"] == "S1") & (atoms.numbers == 16)
    above = (atoms.positions[lone, 2] > 0).mean()
    assert above == pytest.approx(0.5, abs=2 / np.sqrt(lone.sum()))


def test_dopants_and_vacancies_of_metal_do_not_meet():
    rng = np.random.default_rng(2)
    atoms = with_metal_vacancies(with_dopants(tmd("WSe2", 20.0), "V", 0.1, rng), 0.05, rng)
    label = sites_of(atoms).label
    metals = np.isin(label, ["W", "V", "vac_W"])
    assert (label == "V").sum() / metals.sum() == pytest.approx(0.1, abs=0.015)
    assert (label == "vac_W").sum() / metals.sum() == pytest.approx(0.045, abs=0.01)
    assert (atoms.numbers[atoms.arrays["label"] == "vac_W"] == 0).all()


def test_displacements_move_the_two_atoms_of_a_column_together():
    atoms = tmd("WSe2", 3.0)
    moved = random_displacements(atoms, 0.01, np.random.default_rng(0))
    assert len(sites_of(moved)) == len(sites_of(atoms))
    lower = np.flatnonzero(atoms.positions[:, 2] < -0.1)
    assert (moved.positions[lower, :2] == moved.positions[lower + 1, :2]).all()


def test_builders_leave_their_input_alone():
    atoms = tmd("WSe2", 2.0)
    before = atoms.copy()
    with_chalcogen_vacancies(with_dopants(atoms, "V", 0.5, np.random.default_rng(0)), 0.5, np.random.default_rng(0))
    assert (atoms.numbers == before.numbers).all() and (atoms.arrays["label"] == before.arrays["label"]).all()


def test_wrong_names_are_refused_with_a_sentence():
    rng = np.random.default_rng(0)
    with pytest.raises(BadInput, match="WTe9"):
        tmd("WTe9", 1.0)
    with pytest.raises(BadInput, match="chemical symbol"):
        with_dopants(tmd("WS2", 1.0), "Vv", 0.1, rng)
    with pytest.raises(BadInput, match="tmd"):
        with_dopants(graphene(1.0), "V", 0.1, rng)
    with pytest.raises(BadInput, match="between 0 and 1"):
        with_dopants(tmd("WS2", 1.0), "V", 2.0, rng)
