"""Bonds over time: the same bond in every frame, whichever way round the sheet lies; one row for each stay."""

import numpy as np
import pandas as pd
import pytest

from micrograph.features.layers.bond_sites import SITES, same_places, site_tables, stars_of, strain_map


def frames_of(rng, lengths, first_deg, frames=40, sigma=0.004, place=(1.0, 1.0)):
    """Table of the three bonds of one atom, the first along `first_deg`; in every frame counted from +x."""
    rows = []
    for frame in range(frames):
        turn = (first_deg + 120 * np.arange(3) + rng.normal(0, 2, 3)) % 360
        length = np.array(lengths) + rng.normal(0, sigma, 3)
        order = np.argsort(turn)
        values = {"length_nm": length[order], "direction_deg": turn[order], "bond": np.arange(3)}
        rows.append(pd.DataFrame(values).assign(frame=frame))
    table = pd.concat(rows, ignore_index=True).assign(
        dopant=0, length_sigma_nm=sigma, shared_nm2=0.0, strain=0.001, strain_sigma=0.002, flags=0, track=0
    )
    return table.assign(y_sample_nm=place[0], x_sample_nm=place[1])


@pytest.mark.parametrize("first_deg", [0.0, 10.0, 59.0, 119.0])
def test_bonds_around_zero_degrees_are_not_mixed_up(first_deg):
    table = frames_of(np.random.default_rng(1), (0.150, 0.155, 0.165), first_deg)
    length = stars_of(table).length_nm.mean(axis=0)
    assert np.sort(length) == pytest.approx([0.150, 0.155, 0.165], abs=0.002)
    (row,) = site_tables(table)["sites"].to_dict("records")
    assert row["asymmetry_nm"] == pytest.approx(0.015, abs=4 * row["asymmetry_sigma_nm"])
    assert row["asymmetry_p"] < 1e-6 and row["frames"] == 40


def test_neighbouring_sites_are_two_stays_on_two_sublattices():
    rng = np.random.default_rng(2)
    there = frames_of(rng, (0.15, 0.15, 0.16), 70.0, place=(1.0, 1.14))
    both = pd.concat([frames_of(rng, (0.15,) * 3, 10.0), there.assign(frame=there["frame"] + 40)], ignore_index=True)
    tables = site_tables(both)
    assert list(tables["sites"].columns) == [column.name for column in SITES]
    assert sorted(tables["sites"]["sublattice"]) == [0, 1] and len(tables["sublattices"]) == 2
    assert (tables["sites"].sort_values("x_sample_nm")["asymmetry_p"] < 0.01).tolist() == [False, True]


def test_places_within_reach_are_one():
    place = np.array([[0.0, 0.0], [0.01, 0.0], [0.2, 0.0], [0.0, 0.02], [0.21, 0.0]])
    assert same_places(place, 0.07).tolist() == [0, 0, 1, 0, 1]


def test_strain_is_averaged_atom_by_atom():
    rng, frames = np.random.default_rng(3), 30
    truth = np.array([0.01, -0.02])
    rows = pd.DataFrame({"frame": np.repeat(np.arange(frames), 2), "y_sample_nm": 0.5, "bond_strain_sigma": 0.01})
    rows["x_sample_nm"] = np.tile([0.3, 0.55], frames) + rng.normal(0, 0.01, 2 * frames)
    rows["bond_strain"] = np.tile(truth, frames) + rng.normal(0, 0.01, 2 * frames)
    found = strain_map(rows).sort_values("x_sample_nm")
    assert found["frames"].tolist() == [frames, frames]
    assert found["bond_strain"].to_numpy() == pytest.approx(truth, abs=4 * 0.01 / np.sqrt(frames))
    assert found["bond_strain_sigma"].to_numpy() == pytest.approx(0.01 / np.sqrt(frames), rel=0.5)
