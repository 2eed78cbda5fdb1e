import numpy as np
import pytest

from micrograph.structures import grain_boundary


@pytest.mark.parametrize("tilt_deg", [21.787, 32.204])
def test_coincidence_boundaries_consist_of_pentagons_and_heptagons(tilt_deg, rings):
    atoms = grain_boundary(4.0, np.random.default_rng(3), tilt_deg=tilt_deg)
    sizes, middles = rings(atoms, 4.0)
    assert set(sizes) == {5, 6, 7}
    assert sizes[5] == pytest.approx(sizes[7], abs=2) and sizes[5] >= 4
    odd = middles[middles[:, 0] != 6]
    assert np.abs(odd[:, 2] - 2.0).max() < 0.6


def test_every_inner_atom_of_a_boundary_has_three_bonds_of_usual_length(bonds):
    points, pairs, length = bonds(grain_boundary(4.0, np.random.default_rng(0), tilt_deg=27.796, rotation_deg=25.0))
    inner = ((points > 0) & (points < 4)).all(axis=1)
    assert (np.bincount(pairs.ravel(), minlength=len(points))[inner] == 3).all()
    assert length.min() > 0.128 and length.max() < 0.158


def test_the_grains_differ_by_the_tilt(bonds):
    points, pairs, _ = bonds(grain_boundary(5.0, np.random.default_rng(1), tilt_deg=21.787))
    step = points[pairs[:, 1]] - points[pairs[:, 0]]
    middle = points[pairs].mean(axis=1)[:, 1]
    angles = [
        np.angle(np.exp(6j * np.arctan2(-step[part, 0], step[part, 1])).sum()) / 6
        for part in (middle < 1.5, middle > 3.5)
    ]
    difference = np.degrees(angles[1] - angles[0]) % 60
    assert difference == pytest.approx(21.787, abs=1.0)


def test_the_density_of_a_boundary_is_that_of_graphene():
    points = grain_boundary(4.0, np.random.default_rng(2), tilt_deg=32.204).positions[:, :2] / 10
    assert ((points > 0) & (points < 4)).all(axis=1).sum() / 16 == pytest.approx(38.2, rel=0.04)


def test_the_same_seed_gives_the_same_boundary():
    first, second = (grain_boundary(2.0, np.random.default_rng(5)).positions for _ in range(2))
    assert (first == second).all()
