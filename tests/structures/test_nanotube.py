"""Rolled-up sheets: bonds, chirality, layer lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.structures import Pose, Tube, layer_lines, nanotube, tubes_between, with_turned_bonds
from micrograph.structures.graphene import BOND_NM

tubes = st.tuples(st.integers(4, 16), st.integers(0, 16)).filter(lambda nm: nm[1] <= nm[0]).map(lambda nm: Tube(*nm))


def test_published_diameters_and_angles() -> None:
    assert Tube(10, 10).diameter_nm == pytest.approx(1.356, abs=0.001)
    assert Tube(6, 5).diameter_nm == pytest.approx(0.747, abs=0.001)
    assert Tube(6, 5).angle_deg == pytest.approx(27.0, abs=0.05)
    assert (Tube(9, 0).angle_deg, Tube(8, 8).angle_deg) == pytest.approx((0, 30))
    assert [Tube(6, 6).metallic, Tube(6, 5).metallic, Tube(9, 3).metallic] == [True, False, True]
    assert [Tube(9, 0).kind, Tube(5, 5).kind, Tube(7, 2).kind] == ["zigzag", "armchair", "chiral"]


def test_there_are_195_tubes_between_0_6_and_2_nm() -> None:
    assert len(tubes_between(0.6, 2.0)) == 195


@settings(max_examples=25, deadline=None)
@given(tubes)
def test_every_atom_away_from_the_ends_has_three_bonds_of_nearly_graphenes_length(tube: Tube) -> None:
    atoms = nanotube(tube, 3.0)
    pairs = cKDTree(atoms.positions).query_pairs(1.6, output_type="ndarray")
    length = np.linalg.norm(atoms.positions[pairs[:, 0]] - atoms.positions[pairs[:, 1]], axis=1) / 10
    inner = np.abs(atoms.positions[:, 0]) < 12
    assert (np.bincount(pairs.ravel(), minlength=len(atoms))[inner] == 3).all()
    assert length.max() <= BOND_NM + 1e-9
    assert length.min() >= BOND_NM * (1 - (BOND_NM / tube.diameter_nm) ** 2 / 5)


@settings(max_examples=20, deadline=None)
@given(tubes)
def test_the_atoms_have_the_layer_lines_of_the_theory(tube: Tube) -> None:
    atoms = nanotube(tube, 40.0)
    turn = np.arctan2(atoms.positions[:, 2], atoms.positions[:, 1])
    lines = layer_lines(tube, 8.5)
    for order, along, factor in zip(lines.order, lines.along_per_nm, lines.factor, strict=True):
        wave = np.exp(-1j * (order * turn + 2 * np.pi * along * atoms.positions[:, 0] / 10))
        assert 2 * wave.mean() == pytest.approx(factor, abs=0.05)


def test_a_pose_moves_turns_and_tilts_the_axis() -> None:
    atoms = nanotube(Tube(8, 4), 6.0, Pose(y_nm=2.0, x_nm=3.0, axis_deg=30.0, tilt_deg=5.0))
    centred = atoms.positions - atoms.positions.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    axis *= np.sign(axis[0])
    tilt, turn = np.deg2rad(5), np.deg2rad(30)
    expected = [np.cos(tilt) * np.cos(turn), -np.cos(tilt) * np.sin(turn), np.sin(tilt)]
    assert axis == pytest.approx(expected, abs=0.01)
    assert atoms.positions.mean(axis=0)[:2] == pytest.approx([30, 20], abs=0.3)


def test_a_mirrored_tube_looks_the_same_along_the_beam() -> None:
    one, other = (nanotube(Tube(7, 3), 4.0, mirrored=mirrored) for mirrored in (False, True))
    assert np.allclose(one.positions[:, :2], other.positions[:, :2])
    assert np.allclose(one.positions[:, 2], -other.positions[:, 2])


def test_turned_bonds_keep_the_atoms_and_their_distance() -> None:
    atoms = nanotube(Tube(10, 5), 6.0)
    turned = with_turned_bonds(atoms, np.random.default_rng(0), count=3)
    moved = np.flatnonzero(np.abs(turned.positions - atoms.positions).max(axis=1) > 0.1)
    assert len(moved) == 6 and len(turned) == len(atoms)
    radius = np.hypot(turned.positions[moved, 1], turned.positions[moved, 2]) / 10
    assert radius == pytest.approx(Tube(10, 5).diameter_nm / 2, abs=0.02)


def test_what_is_no_tube_is_refused() -> None:
    with pytest.raises(BadInput, match="no tube"):
        Tube(3, 5)
    with pytest.raises(BadInput, match="greater than zero"):
        nanotube(Tube(5, 5), 0.0)
