"""Particles by multislice: the truth lies where the image is dark, and the waves are those of abTEM."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.objects.particles import Particle
from micrograph.simulate.objects.solids import Ball, about_beam, cube
from micrograph.validate.objects.particle_multislice import (
    MultisliceParticles,
    amorphous_carbon,
    bright_field,
    gold_atoms,
    shared_out,
    specimen,
    through_liquid,
)
from micrograph.validate.objects.particle_scenes import Trial


def test_a_gold_ball_has_the_density_of_gold() -> None:
    ball = Ball((2.0, 2.0, 2.0))
    atoms = gold_atoms(ball, np.random.default_rng(0))
    assert len(atoms) / (4 / 3 * np.pi * 8.0) == pytest.approx(59.0, rel=0.03)  # 19.3 g/cm3
    assert np.linalg.norm(atoms, axis=1).max() < 2.05


def test_gold_fills_a_tilted_cube_and_nothing_else() -> None:
    solid = cube(3.0, about_beam(30.0), 0.1)
    atoms = gold_atoms(solid, np.random.default_rng(1))
    assert (atoms @ solid.normals.T - solid.offsets_nm).max() < 0.05
    assert np.ptp(atoms[:, 2]) == pytest.approx(3.0, abs=0.3)


def test_carbon_has_its_density_and_no_holes() -> None:
    points = amorphous_carbon(6.0, 2.0, np.random.default_rng(2))
    assert len(points) / 72.0 == pytest.approx(100.0, rel=0.06)  # 2 g/cm3
    columns = np.histogram2d(points[:, 0], points[:, 1], bins=6)[0]
    assert columns.std() / columns.mean() < 0.5 / np.sqrt(columns.mean()) + 0.05


def test_atoms_that_are_shared_out_keep_their_number_and_their_middle() -> None:
    places = np.array([[3.25, 4.75], [7.5, 0.5]])
    shared = shared_out(places, 8)
    assert shared.sum() == pytest.approx(2.0)
    assert shared[3, 4] == pytest.approx(0.75 * 0.25) and shared[0, 1] == pytest.approx(0.25)


def test_particles_rest_on_the_carbon() -> None:
    particles = [Particle("sphere", Ball((1.0, 1.0, 1.0)), 2.0, 3.0)]
    atoms = specimen(particles, 6.0, 1.0, np.random.default_rng(3))
    gold = atoms.positions[atoms.numbers == 79] / 10
    assert gold.mean(axis=0) == pytest.approx([3.0, 2.0, 2.1], abs=0.1)
    assert gold[:, 2].min() == pytest.approx(1.1)


def test_a_liquid_dims_and_blurs() -> None:
    share = np.ones((40, 40), np.float32)
    share[:, 20:] = 0.5
    seen = through_liquid(share, 2.0, np.random.default_rng(4))
    assert seen[:, :10].mean() > 1.9 * seen[:, -10:].mean() * 0.8
    assert np.abs(np.diff(seen, axis=1)).max() < 0.3


def test_multislice_is_dark_where_gold_is() -> None:
    pytest.importorskip("abtem")
    small = MultisliceParticles(field_nm=13.0, diameter_nm=(3.0, 3.01), covered=0.3, kinds=("sphere",))
    scene = small.scene(np.random.default_rng(5))
    inside, outside = (scene.image[chosen].mean() for chosen in (scene.field.coverage > 0.9, scene.field.coverage == 0))
    assert 0.02 < scene.params["contrast"] < 1 - inside / outside < 0.9
    assert set(scene.sample.masks) == {"particle", "core"}


def test_the_image_is_that_of_abtem() -> None:
    abtem = pytest.importorskip("abtem")
    particles = [Particle("sphere", Ball((0.7, 0.7, 0.7)), 1.5, 1.7)]
    atoms = specimen(particles, 3.2, 0.4, np.random.default_rng(6))
    atoms.cell[2, 2] = 2 * np.ceil(atoms.cell[2, 2] / 2)
    mine = bright_field(atoms, 30.0, 10.0)
    fine = (4 * mine.shape[0], 4 * mine.shape[1])  # abTEM shares atoms out too, and does not undo it
    potential = abtem.Potential(atoms, gpts=fine, slice_thickness=2.0, projection="infinite")
    wave = abtem.PlaneWave(energy=200e3).multislice(potential, lazy=False)
    transfer = abtem.CTF(semiangle_cutoff=10.0, defocus=300.0, Cs=1.2e7, focal_spread=40.0, soft=False)
    theirs = (np.abs(np.asarray(wave.apply_ctf(transfer).array)).T ** 2)[::4, ::4]
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.985
    assert mine.mean() == pytest.approx(theirs.mean(), abs=0.002)
    assert mine.std() == pytest.approx(theirs.std(), rel=0.05)


def test_a_trial_takes_either_simulator() -> None:
    trial = Trial("gold", MultisliceParticles(), 2, alone=True)
    assert trial.sampler.shapes
