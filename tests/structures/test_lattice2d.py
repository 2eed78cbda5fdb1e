import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from micrograph.structures import random_lattice_2d, sites_of
from micrograph.structures.lattice2d import NEAREST_NM


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_a_random_crystal_fills_its_field_with_columns_that_can_be_told_apart(seed):
    sites = sites_of(random_lattice_2d((3.0, 4.0), np.random.default_rng(seed)))
    points = np.column_stack([sites.y_nm, sites.x_nm])
    assert cKDTree(points).query(points, 2)[0][:, 1].min() > NEAREST_NM - 1e-9
    corners = np.stack(np.meshgrid(np.linspace(0, 3, 9), np.linspace(0, 4, 9)), axis=-1).reshape(-1, 2)
    assert cKDTree(points).query(corners)[0].max() < 0.7
    assert set(sites.label) == {"atom"}


def test_a_crystal_repeats_in_two_directions():
    atoms = random_lattice_2d(4.0, np.random.default_rng(12))
    points = atoms.positions[:, :2] / 10
    inner = points[((points > 1) & (points < 3)).all(axis=1)]
    tree = cKDTree(points)
    steps = points[tree.query_ball_point(inner[0], 1.2)] - inner[0]
    kept = [step for step in steps if (tree.query(inner + step)[0] < 1e-6).all()]
    assert np.linalg.matrix_rank(kept, tol=1e-3) == 2


def test_elements_of_a_crystal_differ_by_a_factor_of_three_at_most():
    for seed in range(40):
        numbers = random_lattice_2d(2.0, np.random.default_rng(seed)).numbers
        assert numbers.min() >= 6 and numbers.max() <= 82 and numbers.max() / numbers.min() < 3.3


def test_the_same_seed_gives_the_same_crystal():
    first, second = (random_lattice_2d(2.0, np.random.default_rng(3)) for _ in range(2))
    assert (first.positions == second.positions).all() and (first.numbers == second.numbers).all()
