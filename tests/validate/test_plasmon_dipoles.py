"""Particles of many dipoles: lattices that fill them, the resonance of a sphere, what agrees with one dipole each."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.signals.plasmons import Drude, Ellipsoids, loss_probability
from micrograph.validate.spectra.plasmon_dipoles import dipole_losses, lattice_of

ENERGY = np.linspace(0.4, 1.2, 81)
SPHERE = Ellipsoids(np.array([[0.0, 0.0]]), np.full((1, 3), 7.0), np.zeros(1))


def test_the_lattice_fills_the_bodies_and_turns_with_them() -> None:
    rod = Ellipsoids(np.array([[5.0, 9.0]]), np.array([[12.0, 6.0, 6.0]]), np.array([np.pi / 2]))
    points, volumes = lattice_of(rod, 6)
    assert volumes.sum() == pytest.approx(4 / 3 * np.pi * 12 * 6 * 6)
    assert np.ptp(points[:, 1]) > 1.7 * np.ptp(points[:, 0])
    np.testing.assert_allclose(points.mean(axis=0), (9.0, 5.0, 0.0), atol=1e-9)


def test_a_far_electron_loses_what_it_loses_to_one_dipole() -> None:
    places = np.array([[0.0, 40.0], [25.0, 25.0]])
    many, one = dipole_losses(SPHERE, Drude(), places, ENERGY), loss_probability(SPHERE, places, ENERGY)
    np.testing.assert_allclose(many.sum(axis=1), one.sum(axis=1), rtol=0.1)
    np.testing.assert_allclose(ENERGY[many.argmax(axis=1)], ENERGY[one.argmax(axis=1)], atol=0.021)


def test_a_pair_of_many_dipoles_couples_lower_at_its_ends() -> None:
    pair = Ellipsoids(np.array([[0.0, 0.0], [0.0, 16.5]]), np.full((2, 3), 7.0), np.zeros(2))
    ends, alone = (
        dipole_losses(body, Drude(), np.array([[0.0, -12.0]]), ENERGY, across=5)[0] for body in (pair, SPHERE)
    )
    assert ENERGY[ends.argmax()] < ENERGY[alone.argmax()]
