"""Averages: laid in one orientation, exact without noise, as sure as they say, and at the limit of the counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.features.layers.averages import (
    COLUMN_KEYS,
    COLUMN_SUMS,
    RING_KEYS,
    RING_SUMS,
    AverageSettings,
    ColumnsOnSites,
    added,
    column_sums,
    means,
    member,
    no_sums,
    ring_sums,
    robust_mean,
    turned_member,
)
from micrograph.features.layers.folding import operations
from micrograph.features.layers.honeycomb import honeycomb

A_NM = 0.33
SIGMA_NM = 0.002
SETTINGS = AverageSettings()


def layer(turn_deg=0.0, distortion=None, size_nm=3.4):
    """Metals and chalcogens (N, 2) of a layer around a metal at the origin, and which are metals."""
    cell = A_NM * np.array([[-0.5, np.sqrt(3) / 2], [0.5, np.sqrt(3) / 2]])
    metal = np.mgrid[-12:13, -12:13].reshape(2, -1).T @ cell
    both = np.concatenate([metal, metal + np.array([0, A_NM / np.sqrt(3)])])
    is_metal = np.arange(len(both)) < len(metal)
    near = np.abs(both).max(axis=1) < size_nm / 2
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    matrix = np.array([[cos, sin], [-sin, cos]]) @ (np.eye(2) if distortion is None else np.asarray(distortion))
    return both[near] @ matrix + 5.0, is_metal[near]


def pushed(place, by_nm, centre=5.0):
    away = place - centre
    distance = np.hypot(*away.T)
    ring = (distance > 0.05) & (distance < 0.25)
    moved = place.copy()
    moved[ring] += by_nm * away[ring] / distance[ring, None]
    return moved


def seen(place, metal, settings=SETTINGS, sigma_nm=SIGMA_NM, variance=None):
    """The surroundings of the site at the middle, and the standard orientation."""
    lattice = fit_lattice(*place.T, sigma_nm)
    kind = lattice.index[metal, 2]
    comb = honeycomb(lattice, int((kind == 1).sum() > (kind == 0).sum()))
    quiet = np.hypot(*(place - 5.0).T) > 0.25
    each = np.full(len(place), sigma_nm**2) if variance is None else variance
    site = lattice.index[np.hypot(*(place - 5.0).T).argmin()]
    return member(ColumnsOnSites(place, each, lattice.index, quiet), comb, site, settings), comb


@pytest.mark.parametrize("turn_deg", [0.0, 13.0, 59.0, 101.0, 180.0, -77.0])
def test_every_orientation_is_laid_the_same_way(turn_deg):
    found, comb = seen(*layer(turn_deg))
    assert comb.a_nm == pytest.approx(A_NM, rel=1e-6)
    nearest = found.ideal[(np.hypot(*found.ideal.T) > 0.01) & (np.hypot(*found.ideal.T) < 0.2)]
    assert len(nearest) == 3
    assert np.hypot(*(nearest - [0, A_NM / np.sqrt(3)]).T).min() < 1e-6
    assert abs(found.shift).max() < 1e-9


def test_other_lattices_have_no_standard_orientation():
    y, x = 0.2 * np.indices((9, 9)).reshape(2, -1)
    assert honeycomb(fit_lattice(y, x), 0) is None


@pytest.mark.parametrize("distortion", [None, [[1.01, 0.004], [-0.003, 0.99]]])
def test_a_pushed_ring_is_measured_through_any_slow_distortion(distortion):
    place, metal = layer(21.0)
    place = pushed(place, 0.001)
    if distortion is not None:
        place = (place - 5.0) @ np.asarray(distortion) + 5.0
    found, comb = seen(place, metal)
    rings = means(ring_sums("X", found, comb), RING_KEYS, *RING_SUMS)
    assert rings["radial"].iloc[0] == pytest.approx(1.0, abs=0.03)
    assert rings["radial"].iloc[1:].abs().max() < 0.02
    assert rings["columns"].tolist()[:3] == [3, 6, 3]


def test_the_lattice_of_the_frame_keeps_the_strain_of_the_surroundings():
    place, metal = layer(0.0, size_nm=3.4)
    lattice = fit_lattice(*place.T, SIGMA_NM)
    kind = lattice.index[:, 2]
    comb = honeycomb(lattice, int(np.bincount(kind[metal]).argmax()))
    wide = (place - 5.0) * 1.002 + 5.0
    columns = ColumnsOnSites(wide, np.full(len(wide), SIGMA_NM**2), lattice.index, np.ones(len(wide), bool))
    site = lattice.index[np.hypot(*(place - 5.0).T).argmin()]
    for reference, strain in (("surroundings", 0.0), ("frame", 0.002)):
        found = member(columns, comb, site, replace(SETTINGS, reference=reference))
        distance = np.hypot(*found.ideal.T)
        radial = (found.shift * found.ideal).sum(axis=1)[distance > 0.1] / distance[distance > 0.1] ** 2
        np.testing.assert_allclose(radial, strain, atol=1e-6)


def averages(count, seed, by_nm=0.0, outliers=False):
    """Sums over `count` noisy members in random orientations, half of them three times less sure."""
    rng = np.random.default_rng(seed)
    columns, rings = [], []
    for number in range(count):
        place, metal = layer(float(rng.uniform(0, 360)))
        sigma = SIGMA_NM * (3 if number % 2 else 1)
        noisy = pushed(place, by_nm) + rng.normal(0, sigma, place.shape)
        if outliers:
            away = np.flatnonzero(np.hypot(*(place - 5.0).T) > 0.1)
            noisy[rng.choice(away, 4), 1] += 0.06
        found, comb = seen(noisy, metal, sigma_nm=sigma)
        columns.append(column_sums("X", found, comb))
        rings.append(ring_sums("X", found, comb))
    return means(added(columns, COLUMN_KEYS), COLUMN_KEYS, *COLUMN_SUMS), means(
        added(rings, RING_KEYS), RING_KEYS, *RING_SUMS
    )


def test_mean_places_are_at_the_limit_of_their_errors_and_say_so():
    columns, rings = averages(40, seed=1, by_nm=0.001)
    limit_pm = 1e3 / np.sqrt(20 / SIGMA_NM**2 + 20 / (3 * SIGMA_NM) ** 2)
    outer = columns[np.hypot(columns["at_y"], columns["at_x"]) > 0.25]
    error = outer[["y", "x"]].to_numpy()
    assert np.sqrt((error**2).mean()) < 1.2 * limit_pm
    pull = error / outer[["y_sigma", "x_sigma"]].to_numpy()
    assert 0.8 < pull.std() < 1.25
    assert abs(rings["radial"].iloc[0] - 1.0) < 4 * rings["radial_sigma"].iloc[0] < 1.5


def test_columns_that_are_off_their_sites_spoil_nothing():
    _, rings = averages(30, seed=2, by_nm=0.001, outliers=True)
    assert abs(rings["radial"].iloc[0] - 1.0) < 4 * rings["radial_sigma"].iloc[0] < 2.0


def test_a_defect_at_the_border_is_left_out():
    place, metal = layer(0.0)
    cut = place[:, 1] > 4.8
    assert seen(place[cut], metal[cut])[0] is None
    few = np.hypot(*(place - 5.0).T) < 0.6
    assert seen(place[few], metal[few])[0] is None


def test_sums_add_up_in_any_order_and_grouping():
    rng = np.random.default_rng(3)
    parts = []
    for _ in range(4):
        place, metal = layer(float(rng.uniform(0, 360)))
        found, comb = seen(place + rng.normal(0, SIGMA_NM, place.shape), metal)
        parts.append(ring_sums("X", found, comb))
    whole = added([added(parts[:1], RING_KEYS), added(parts[1:], RING_KEYS)], RING_KEYS)
    other = added([no_sums(RING_KEYS, *RING_SUMS), *parts[::-1]], RING_KEYS)
    pd.testing.assert_frame_equal(whole, other)
    assert len(means(no_sums(RING_KEYS, *RING_SUMS), RING_KEYS, *RING_SUMS)) == 0


def test_a_turned_member_shows_the_same_columns_in_the_image():
    place, metal = layer(33.0)
    place = pushed(place, 0.002)
    found, comb = seen(place, metal)
    turned = turned_member(found, operations("D3")[4])
    for each in (found, turned):
        np.testing.assert_allclose(each.origin + (each.ideal + each.shift) @ each.turn, place[found.row], atol=1e-9)
    plain, again = (means(ring_sums("X", each, comb), RING_KEYS, *RING_SUMS) for each in (found, turned))
    np.testing.assert_allclose(again["radial"], plain["radial"], atol=1e-6)


def test_a_robust_mean_ignores_spikes_and_knows_its_error():
    rng = np.random.default_rng(4)
    crops = rng.normal(3.0, 0.5, (400, 50))
    crops[rng.random(crops.shape) < 0.02] = 40.0
    mean, sigma = robust_mean(crops)
    assert abs(mean - 3).max() < 0.12
    assert sigma == pytest.approx(np.full(50, 0.5 / 20), rel=0.15)


def test_a_ring_without_width_is_refused():
    with pytest.raises(BadInput, match="inner radius less than its outer"):
        AverageSettings(inner_nm=1.3)
