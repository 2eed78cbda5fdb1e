"""Diffusion and forces: the laws of Einstein and Boltzmann."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate.objects.brownian import Bath, PairPotential, brownian


def test_mean_square_displacement_of_free_particles_is_four_d_t() -> None:
    rng = np.random.default_rng(0)
    path = brownian(np.zeros((4000, 2)), np.linspace(0, 10, 11), Bath(3.0, (100, 100), periodic=True), rng)
    msd = np.mean(np.sum(path**2, axis=2), axis=1)
    assert msd[1:] == pytest.approx(4 * 3.0 * np.arange(1, 11), rel=0.06)


def test_force_is_the_slope_of_the_energy() -> None:
    potential = PairPotential(10.0, 6.0, 2.0, 3.0, 5.0)
    r = np.linspace(8, 40, 60)
    slope = (potential.energy_kT(r + 1e-5) - potential.energy_kT(r - 1e-5)) / 2e-5
    assert potential.force_kT_per_nm(r) == pytest.approx(-slope, abs=1e-6)


def test_distances_of_a_dilute_gas_follow_boltzmann() -> None:
    rng, side = np.random.default_rng(1), 200.0
    potential = PairPotential(6.0, 4.0, 2.0, 1.0, 4.0)
    bath = Bath(4.0, (side, side), potential, periodic=True)
    path = brownian(rng.uniform(0, side, (40, 2)), 0.5 * np.arange(400), bath, rng)[40:]
    apart = path[:, :, None] - path[:, None]
    apart -= side * np.round(apart / side)
    first, second = np.triu_indices(40, 1)
    r = np.hypot(*np.moveaxis(apart[:, first, second], -1, 0)).ravel()
    edges = np.array([4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 28.0])
    found = np.histogram(r, edges)[0].astype(float)
    fine = np.linspace(edges[:-1], edges[1:], 201)
    expected = np.mean(fine * np.exp(-potential.energy_kT(fine)), axis=0) * np.diff(edges)
    assert found / found[4:].sum() == pytest.approx(expected / expected[4:].sum(), rel=0.1, abs=0.004)


def test_walls_reflect() -> None:
    path = brownian(np.full((50, 2), 5.0), np.linspace(0, 39, 40), Bath(20.0, (10.0, 12.0)), np.random.default_rng(2))
    assert path.min() >= 0 and path[..., 0].max() <= 10 and path[..., 1].max() <= 12


def test_a_box_without_size_is_refused() -> None:
    with pytest.raises(BadInput, match="box"):
        Bath(1.0, (0.0, 5.0))
