"""Assemblies: their losses are those of the coupled dipoles, their particles do not overlap, noise is as asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.signals.plasmon_assemblies import (
    KINDS,
    AssemblyRanges,
    electrons_for,
    random_assembly,
    spectrum_map,
)
from micrograph.simulate.signals.plasmons import Spectrometer, loss_probability

ENERGY = np.linspace(0.2, 1.4, 61)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_by_modes_are_those_of_the_coupled_dipoles(kind: str) -> None:
    rng = np.random.default_rng(3)
    assembly = random_assembly(replace(AssemblyRanges(), kinds=((kind, 1.0),)), rng)
    places = assembly.near(rng, 4)
    direct = loss_probability(assembly.particles, places, ENERGY, metal=assembly.metal)
    np.testing.assert_allclose(assembly.losses(places, ENERGY), direct, atol=1e-5 * direct.max())


def test_particles_do_not_overlap_and_lie_inside_the_field() -> None:
    for seed in range(20):
        assembly = random_assembly(AssemblyRanges(), np.random.default_rng(seed))
        particles = assembly.particles
        if len(particles) > 1:
            reach = particles.semi_nm[:, :2].max(axis=1)
            apart = np.linalg.norm(particles.place_nm[:, None] - particles.place_nm, axis=2)
            left = apart - reach[:, None] - reach + np.eye(len(particles)) * 1e9
            assert left.min() > 0
        assert (particles.place_nm > 12).all() and (particles.place_nm < np.array(assembly.size_nm) - 12).all()


def test_turning_an_assembly_and_the_probe_together_changes_nothing() -> None:
    assembly = random_assembly(AssemblyRanges(), np.random.default_rng(4))
    probe = assembly.near(np.random.default_rng(0), 3)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # y, x -> x, -y
    bodies = replace(assembly.particles, place_nm=assembly.particles.place_nm @ turn.T,
                     angle=assembly.particles.angle + np.pi / 2)  # fmt: skip
    turned = replace(assembly, particles=bodies).losses(probe @ turn.T, ENERGY)
    other = replace(assembly, particles=replace(bodies, angle=assembly.particles.angle - np.pi / 2))
    straight = assembly.losses(probe, ENERGY)
    np.testing.assert_allclose(other.losses(probe @ turn.T, ENERGY), turned, rtol=1e-6)
    np.testing.assert_allclose(turned, straight, atol=1e-5 * straight.max())


def test_a_spectrum_image_has_the_signal_to_noise_that_was_asked() -> None:
    losses = np.exp(-((ENERGY - 0.8) ** 2) / 0.02)[None] * 1e-3
    spectrometer = Spectrometer(energy_eV=ENERGY)
    spectrometer = replace(spectrometer, electrons=electrons_for(losses, 20.0, spectrometer))
    many = spectrometer.recorded(np.repeat(losses, 4000, axis=0), np.random.default_rng(0))
    empty = spectrometer.expected(0 * losses)[0]
    top = int((spectrometer.expected(losses)[0] - empty).argmax())
    assert (many[:, top].mean() - empty[top]) / many[:, top].std() == pytest.approx(20, rel=0.05)


def test_a_spectrum_image_is_a_recording_of_lines() -> None:
    assembly = random_assembly(replace(AssemblyRanges(), kinds=(("pair", 1.0),)), np.random.default_rng(1))
    made = spectrum_map(assembly, np.random.default_rng(2), step_nm=4.0)
    recording = made.recording()
    assert recording.calibration.content == "spectra" and recording.calibration.step_nm == 4.0
    assert recording.nav_shape == made.counts.shape[:2] and recording.shape == made.counts.shape[1:]
    np.testing.assert_array_equal(recording.frame(1).data, made.counts[1].astype(np.float32))
