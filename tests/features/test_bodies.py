"""Particles in images as ellipsoids: places, axes and angles."""

from __future__ import annotations

import numpy as np

from micrograph.features.objects.bodies import bodies_in, standard_image
from micrograph.simulate.signals.plasmon_assemblies import AssemblyRanges, noisy_image, random_assembly
from micrograph.simulate.signals.plasmons import Ellipsoids


def test_axes_places_and_angles_of_ellipsoids_are_found() -> None:
    particles = Ellipsoids(
        np.array([[20.0, 22.0], [22.0, 39.0], [45.0, 30.0]]),
        np.array([[8.0, 6.0, 7.0], [7.0, 7.0, 7.0], [10.0, 6.5, 8.0]]),
        np.array([0.3, 0.0, -1.0]),
    )
    image = noisy_image(particles.thickness_nm((50, 42), 1.5), 25, np.random.default_rng(0))
    found = bodies_in(image, 1.5)
    order = [int(np.linalg.norm(found.place - one, axis=1).argmin()) for one in particles.place_nm]
    assert len(found) == 3 and sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found.place[order], particles.place_nm, atol=0.3)
    np.testing.assert_allclose(found.semi[order], particles.semi_nm, rtol=0.08)
    assert abs(np.sin(found.angle[order[2]] + 1.0)) < 0.1


def test_every_particle_of_random_assemblies_is_counted() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        assembly = random_assembly(AssemblyRanges(), rng)
        shape = (int(assembly.size_nm[0] / 2), int(assembly.size_nm[1] / 2))
        image = noisy_image(assembly.particles.thickness_nm(shape, 2.0), 25, rng)
        assert len(bodies_in(image, 2.0)) == len(assembly.particles)


def test_an_image_without_particles_has_none() -> None:
    assert len(bodies_in(np.ones((30, 30)))) == 0
    assert np.all(standard_image(np.full((5, 5), 3.0)) == 0)
