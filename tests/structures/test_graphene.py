import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.structures import graphene, random_displacements, sites_of, with_silicon, with_vacancies


def test_bonds_are_142_pm_and_every_inner_atom_has_three(bonds):
    points, pairs, length = bonds(graphene(3.0, rotation_deg=17.0))
    assert length == pytest.approx(0.24600 / np.sqrt(3), abs=1e-9)
    degree = np.bincount(pairs.ravel(), minlength=len(points))
    assert (degree[((points > -0.4) & (points < 3.4)).all(axis=1)] == 3).all()


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 360), st.floats(-1, 1), st.floats(-1, 1))
def test_areal_density_is_38_per_nm2_in_any_rotation_and_shift(rotation, shift_y, shift_x):
    atoms = graphene((8.0, 10.0), rotation_deg=rotation, shift_nm=(shift_y, shift_x), margin_nm=0.0)
    assert len(atoms) / 80.0 == pytest.approx(38.2, rel=0.02)


def test_rotation_is_counter_clockwise_on_the_screen():
    points = graphene(2.0, rotation_deg=10.0).positions[:, 1::-1]
    index = cKDTree(points).query(points, 7)[1][:, 4:].ravel()
    y, x = (points[index] - np.repeat(points, 3, axis=0)).T
    assert np.degrees(np.angle(np.exp(6j * np.arctan2(-y, x)).sum())) / 6 == pytest.approx(10.0, abs=0.5)


def test_strain_along_x_stretches_x_alone():
    plain, strained = (graphene(6.0, strain=(e, 0.0, 0.0), margin_nm=0.0).positions for e in (0.0, 0.05))
    rows = [np.unique(np.round(p[:, 1], 6)) for p in (plain, strained)]
    np.testing.assert_allclose(*rows)
    steps = [np.diff(np.unique(np.round(p[np.abs(p[:, 1]) < 1e-6, 0], 6))) for p in (plain, strained)]
    assert steps[0] == pytest.approx(2.46, abs=1e-5)
    assert steps[1] == pytest.approx(2.46 * 1.05, abs=1e-5)


def test_sites_of_a_sheet_are_its_atoms_in_nm():
    atoms = graphene(2.0, rotation_deg=5.0)
    sites = sites_of(atoms)
    np.testing.assert_allclose(np.column_stack([sites.x_nm, sites.y_nm]), atoms.positions[:, :2] / 10)
    assert set(sites.label) == {"C"}


def test_share_of_vacancies_is_the_rate():
    atoms = graphene(20.0)
    emptied = with_vacancies(atoms, np.random.default_rng(1), rate=0.02)
    share = (emptied.numbers == 0).mean()
    assert share == pytest.approx(0.02, abs=3 * np.sqrt(0.02 / len(atoms)))
    assert set(emptied.arrays["label"][emptied.numbers == 0]) == {"vac_C"}
    assert (atoms.numbers == 6).all()


def test_count_of_vacancies_is_exact():
    assert (with_vacancies(graphene(3.0), np.random.default_rng(0), count=7).numbers == 0).sum() == 7


def test_threefold_silicon_has_three_carbons_at_155_pm_and_bonds_of_175_pm():
    atoms = with_silicon(graphene(3.0, margin_nm=1.0), np.random.default_rng(3), count=1)
    silicon = np.flatnonzero(atoms.arrays["label"] == "Si")
    offset = np.delete(atoms.positions, silicon, axis=0) - atoms.positions[silicon[0]]
    nearest = offset[np.argsort(np.hypot(offset[:, 0], offset[:, 1]))[:4]]
    seen = np.hypot(nearest[:, 0], nearest[:, 1])
    assert seen[:3] == pytest.approx(1.55, abs=1e-6) and seen[3] > 2.3
    assert np.linalg.norm(nearest[:3], axis=1) == pytest.approx(1.75, abs=0.005)


def test_fourfold_silicon_takes_the_place_of_two_carbons():
    atoms = graphene(3.0)
    changed = with_silicon(atoms, np.random.default_rng(3), count=5, fourfold_fraction=1.0)
    silicon = changed.numbers == 14
    assert silicon.sum() == 5 and len(changed) == len(atoms) - 5
    points = changed.positions[:, :2]
    inner = silicon & ((points > 0) & (points < 30)).all(axis=1)
    near = cKDTree(points[~silicon]).query_ball_point(points[inner], 2.0)
    assert {len(found) for found in near} == {4}


def test_silicon_side_by_side_stands_as_far_apart_as_in_a_relaxed_dimer():
    atoms = with_silicon(graphene(4.0, margin_nm=0.0), np.random.default_rng(0), rate=0.04)
    silicon = atoms.positions[atoms.numbers == 14, :2]
    pairs = cKDTree(silicon).query_pairs(2.3, output_type="ndarray")
    assert len(pairs) >= 1
    assert np.hypot(*(silicon[pairs[:, 0]] - silicon[pairs[:, 1]]).T) == pytest.approx(2.11, abs=0.05)


def test_displacements_have_the_asked_spread_per_axis():
    atoms = graphene(10.0)
    moved = random_displacements(atoms, 0.01, np.random.default_rng(2)).positions - atoms.positions
    assert moved[:, :2].std(axis=0) == pytest.approx(0.1, rel=0.05)
    assert (moved[:, 2] == 0).all()


def test_the_same_seed_gives_the_same_sheet():
    first, second = (
        with_silicon(
            with_vacancies(graphene(3.0), (rng := np.random.default_rng(8)), rate=0.05), rng, rate=0.1,
            fourfold_fraction=0.5,
        )
        for _ in range(2)
    )  # fmt: skip
    assert (first.positions == second.positions).all() and (first.numbers == second.numbers).all()


@pytest.mark.parametrize("wrong", [{}, {"rate": 0.1, "count": 1}, {"rate": 1.5}, {"count": 10**6}])
def test_an_impossible_amount_is_refused(wrong):
    with pytest.raises(BadInput):
        with_vacancies(graphene(1.0), np.random.default_rng(0), **wrong)


def test_a_field_without_extent_is_refused():
    with pytest.raises(BadInput, match="greater than zero"):
        graphene((0.0, 1.0))
