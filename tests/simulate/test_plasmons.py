import numpy as np
import pytest

from micrograph.simulate.signals.phantoms import Dots
from micrograph.simulate.signals.plasmons import Drude, Ellipsoids, Spectrometer, depolarisation, loss_probability

ENERGY = np.linspace(0.3, 1.4, 221)


def spheres(*x_nm: float, radius: float = 8.0) -> Ellipsoids:
    place = np.array([[0.0, x] for x in x_nm])
    return Ellipsoids(place, np.full((len(place), 3), radius), np.zeros(len(place)))


def test_depolarisation_factors_are_stoners() -> None:
    semi = np.array([[5.0, 5.0, 5.0], [10.0, 5.0, 5.0], [20.0, 20.0, 2.0]])
    ratio = 2.0  # of the prolate one: L = (e' (ln((1 + e') / (1 - e')) / 2 / e' - 1)) with e' its eccentricity
    e = np.sqrt(1 - 1 / ratio**2)
    prolate = (1 - e**2) / e**2 * (np.log((1 + e) / (1 - e)) / (2 * e) - 1)
    found = depolarisation(semi)
    np.testing.assert_allclose(found[0], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(found[1, 0], prolate, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_sphere_loses_most_at_the_resonance_of_drudes_sphere() -> None:
    spectrum = loss_probability(spheres(0.0), np.array([[0.0, 12.0]]), ENERGY)[0]
    assert ENERGY[spectrum.argmax()] == pytest.approx(Drude().resonance_eV(1 / 3), abs=0.01)


def test_losses_fall_with_the_distance() -> None:
    spectra = loss_probability(spheres(0.0), np.array([[0.0, 12.0], [0.0, 30.0], [0.0, 60.0]]), ENERGY)
    totals = spectra.sum(axis=1)
    assert (np.diff(totals) < 0).all()


def test_a_pair_couples_lower_at_its_ends_than_in_its_gap() -> None:
    # outside the ends the fields of both add along the axis (bonding); in the gap only the mode across it is driven
    ends, gap = loss_probability(spheres(0.0, 18.0), np.array([[0.0, -10.0], [0.0, 9.0]]), ENERGY)
    alone = Drude().resonance_eV(1 / 3)
    assert ENERGY[ends.argmax()] < alone < ENERGY[gap.argmax()]


def test_far_particles_do_not_know_of_each_other() -> None:
    probe = np.array([[0.0, 12.0]])
    together = loss_probability(spheres(0.0, 5000.0), probe, ENERGY)
    np.testing.assert_allclose(together, loss_probability(spheres(0.0), probe, ENERGY), rtol=1e-4)


def test_without_particles_nothing_is_lost() -> None:
    none = Ellipsoids(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros(0))
    assert not loss_probability(none, np.zeros((2, 2)), ENERGY).any()


def test_the_spectrometer_blurs_and_keeps_what_is_lost() -> None:
    spectrum = loss_probability(spheres(0.0), np.array([[0.0, 12.0]]), Spectrometer().energy_eV)
    wide, narrow = (Spectrometer(width_eV=width, tail=0.0).expected(spectrum)[0] for width in (0.08, 0.02))
    tail = Spectrometer().energy_eV > 0.45
    assert wide[tail].sum() == pytest.approx(narrow[tail].sum(), rel=0.05)
    assert wide[tail].max() < narrow[tail].max()


def test_projected_thickness_holds_the_volume_of_the_particles() -> None:
    pair = Ellipsoids(np.array([[30.0, 30.0], [30.0, 70.0]]), np.array([[10.0, 6.0, 5.0], [8.0, 8.0, 8.0]]), np.ones(2))
    volume = pair.thickness_nm((240, 400), 0.25).sum() * 0.25**2
    assert volume == pytest.approx(4 / 3 * np.pi * (300 + 512), rel=0.01)


def test_a_dot_holds_its_core_and_shell() -> None:
    dot = Dots(side=64, facets=0.0, rough_nm=0.0, off_nm=0.0)(np.random.default_rng(0))
    core, shell = dot.share[0].sum() * dot.voxel_nm**3, dot.share[1].sum() * dot.voxel_nm**3
    assert core == pytest.approx(4 / 3 * np.pi * dot.core_nm**3, rel=0.02)
    assert core + shell == pytest.approx(4 / 3 * np.pi * (dot.core_nm + dot.shell_nm) ** 3, rel=0.02)
    assert dot.haadf().max() <= 1.0 + 1e-6 and dot.haadf().shape == (64, 64, 64)
