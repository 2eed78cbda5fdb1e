"""Bonds of one atom: lengths, angles and errors of planted ones; equal bonds are rarely called different."""

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.features.lattices.crystal import crystal_of, with_strain
from micrograph.features.layers.bonds import (
    BONDS,
    Straightened,
    asymmetry,
    bonds_of,
    equal_p,
    honeycomb_bond_nm,
    star,
    with_bond_strain,
)
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours

A_NM = 0.246
BOND_NM = A_NM / np.sqrt(3)
SIGMA = 0.004


def three_bonds(length=(0.15, 0.15, 0.15), turn_deg=10.0, sigma=SIGMA):
    angle = np.radians(turn_deg + 120 * np.arange(3))
    step = np.array(length)[:, None] * np.column_stack([-np.sin(angle), np.cos(angle)])
    place = np.concatenate([np.zeros((1, 2)), step])
    return Straightened(place, np.tile(sigma**2 * np.eye(2), (4, 1, 1)), np.zeros(2))


def sheet(rng, *, turn_deg=7.0, shear=0.0, sigma=0.003, size_nm=2.6, longer_nm=0.0):
    """Table of graphene with a silicon in the middle, one of whose bonds is longer; sheared as a drifting scan does."""
    index = np.mgrid[-20:20, -20:20].reshape(2, -1).T
    cell = A_NM * np.array([[0.0, 1.0], [np.sqrt(3) / 2, -0.5]])
    turn = np.radians(turn_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = np.concatenate([index @ cell, (index + np.array([1 / 3, 2 / 3])) @ cell]) @ matrix + size_nm / 2
    place = place[((place > 0) & (place < size_nm)).all(axis=1)]
    atom = int(np.hypot(*(place - size_nm / 2).T).argmin())
    near = np.argsort(np.hypot(*(place - place[atom]).T))[1:4]
    step = place[near[0]] - place[atom]
    place[near[0]] += longer_nm * step / np.hypot(*step)
    place[:, 1] += shear * place[:, 0]
    place = place + rng.normal(0, sigma, place.shape)
    names = np.where(np.arange(len(place)) == atom, "Si", "C")
    table = pd.DataFrame(
        {"frame": 0, "y_nm": place[:, 0], "x_nm": place[:, 1], "y_sigma_nm": sigma, "x_sigma_nm": sigma}
    )
    return table.assign(**{"class": names, "score": 1.0, "flags": 0})


def read(table):
    crystal = crystal_of(table, "hexagonal")
    labels = table["class"].to_numpy(str)
    cutoffs = {pair: 1.05 * length for pair, length in CUTOFFS_NM.items()}
    graph = neighbours(crystal.y_nm, crystal.x_nm, cutoffs, labels, sigma_nm=crystal.sigma_nm)
    return with_strain(table, crystal), crystal, graph


def test_bonds_are_counted_counter_clockwise_with_their_angles():
    seen = star(0, [3, 1, 2], three_bonds((0.15, 0.16, 0.17), sigma=0.0))
    assert seen.neighbour.tolist() == [1, 2, 3]
    assert seen.length_nm == pytest.approx([0.15, 0.16, 0.17])
    assert seen.direction_deg == pytest.approx([10, 130, 250])
    assert seen.angle_deg == pytest.approx([120, 120, 120])


def test_errors_of_lengths_are_those_of_repeated_measurements():
    rng, exact = np.random.default_rng(1), three_bonds()
    seen = star(0, [1, 2, 3], exact)
    noisy = [
        star(0, [1, 2, 3], Straightened(exact.place + rng.normal(0, SIGMA, (4, 2)), exact.covariance, np.zeros(2)))
        for _ in range(2000)
    ]
    length = np.array([one.length_nm for one in noisy])
    assert np.cov(length.T) == pytest.approx(seen.covariance_nm2, abs=0.12 * seen.covariance_nm2[0, 0])
    assert length.mean(axis=0) == pytest.approx(seen.length_nm, abs=4 * SIGMA * np.sqrt(2 / 2000) + 1.2e-4)
    assert np.std([one.angle_deg for one in noisy], axis=0) == pytest.approx(seen.angle_sigma_deg, rel=0.08)


def test_one_frame_calls_equal_bonds_different_as_often_as_it_says():
    rng, seen = np.random.default_rng(2), star(0, [1, 2, 3], three_bonds())
    lengths = rng.multivariate_normal([0.15] * 3, seen.covariance_nm2, size=1500)
    p = np.array([equal_p(length, seen.covariance_nm2) for length in lengths])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("frames", [1, 4, 8, 50])
def test_equal_bonds_are_called_different_in_one_of_twenty_movies_at_most(frames):
    rng, stated = np.random.default_rng(3), star(0, [1, 2, 3], three_bonds()).covariance_nm2
    more = 1.0 if frames == 1 else 2.0  # twice the variance that is stated: known from the scatter alone
    said = []
    for _ in range(1000):
        length = rng.multivariate_normal([0.15] * 3, more * stated, size=frames)
        said.append(asymmetry(length, np.tile(stated, (frames, 1, 1))).p)
    assert (np.array(said) < 0.05).mean() < 0.07


def test_five_picometres_are_found_in_fifty_frames_of_bonds_good_to_six():
    rng, stated = np.random.default_rng(4), star(0, [1, 2, 3], three_bonds()).covariance_nm2
    found = []
    for _ in range(100):
        length = rng.multivariate_normal([0.15, 0.15, 0.155], stated, size=50)
        found.append(asymmetry(length, np.tile(stated, (50, 1, 1))))
    assert np.mean([one.p < 0.01 for one in found]) > 0.87
    assert np.mean([one.spread_nm for one in found]) == pytest.approx(0.0055, abs=0.0007)


def test_a_misread_frame_is_left_out():
    rng, stated = np.random.default_rng(5), star(0, [1, 2, 3], three_bonds()).covariance_nm2
    length = rng.multivariate_normal([0.15] * 3, stated, size=20)
    length[7] += [0.08, 0, 0]
    found = asymmetry(length, np.tile(stated, (20, 1, 1)))
    assert found.frames == 19
    assert found.mean_nm == pytest.approx(np.delete(length, 7, axis=0).mean(axis=0))


def test_lengths_without_three_bonds_are_refused():
    with pytest.raises(BadInput, match="give"):
        asymmetry(np.zeros((4, 2)), np.zeros((4, 2, 2)))
    with pytest.raises(BadInput, match="neighbour"):
        star(0, [], three_bonds())


def test_a_longer_bond_is_measured_in_a_sheet_that_the_scan_shears():
    rng = np.random.default_rng(6)
    rows = [bonds_of(*read(sheet(rng, shear=0.02, longer_nm=0.02))) for _ in range(16)]
    assert all(len(one) == 3 for one in rows) and list(rows[0].columns) == [column.name for column in BONDS]
    length = np.array([np.sort(one["length_nm"]) for one in rows])
    assert length[:, 2].mean() == pytest.approx(BOND_NM + 0.02, abs=0.0015)
    assert length[:, :2].mean() == pytest.approx(BOND_NM, abs=0.0015)
    sigma = np.mean([one["length_sigma_nm"].mean() for one in rows])
    assert length[:, 2].std() == pytest.approx(sigma, rel=0.35)


def test_no_shear_of_the_scan_makes_bonds_differ_in_the_mean_of_many_frames():
    rng = np.random.default_rng(7)
    rows = [bonds_of(*read(sheet(rng, shear=0.003))).sort_values("direction_deg") for _ in range(20)]
    length = np.array([one["length_nm"] for one in rows])
    assert np.ptp(length.mean(axis=0)) < 4 * length.std() / np.sqrt(20)


def test_no_foreign_atom_gives_an_empty_table_of_bonds():
    table = sheet(np.random.default_rng(8)).assign(**{"class": "C"})
    found = bonds_of(*read(table))
    assert len(found) == 0 and list(found.columns) == [column.name for column in BONDS]


@pytest.mark.parametrize("shear", [0.0, 0.01])
def test_a_sheet_as_it_should_be_is_not_strained(shear):
    table, crystal, graph = read(sheet(np.random.default_rng(9), shear=shear))
    found = with_bond_strain(table, crystal, graph)
    strain, sigma = (found[name].to_numpy() for name in ("bond_strain", "bond_strain_sigma"))
    known = np.isfinite(strain)
    assert known.sum() > 150
    assert strain[known].mean() == pytest.approx(0, abs=5e-4)
    assert strain[known].std() == pytest.approx(np.sqrt((sigma[known] ** 2).mean()), rel=0.2)


def test_the_bond_of_a_honeycomb_is_its_lattice_constant_over_root_three():
    cell = A_NM * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]])
    assert honeycomb_bond_nm(cell) == pytest.approx(BOND_NM)
    assert honeycomb_bond_nm(cell @ np.array([[1, 0], [0.03, 1]])) == pytest.approx(BOND_NM)
