"""Scenes of columns, the wave behind them, and the images that a lens and a camera make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from micrograph.core import BadInput
from micrograph.simulate import GrapheneSheets, HrtemSampler, Lens, WulffParticles, phase_contrast
from micrograph.simulate.phase.exit_wave import exit_wave, image_behind, slices_of, wave_grid
from micrograph.simulate.phase.hrtem_sampler import (
    COLUMN_IMAGES,
    GOLD_HRTEM,
    GRAPHENE_HRTEM,
    counts_of,
    lattice_contrast,
    noise_free,
)
from micrograph.simulate.phase.hrtem_scenes import FAR_NM
from micrograph.structures import amorphous_carbon

CALM = Lens(80.0, 6.0, focal_spread_nm=3.0, illumination_mrad=0.1)
SMALL = replace(GOLD_HRTEM, field_nm=3.0, scene=WulffParticles(diameter_nm=(1.2, 1.6)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_sheet_seen_through_slices_is_the_sum_of_its_atoms() -> None:
    scene = GrapheneSheets(boundaries=0, holed=0)(2.0, rng())
    image = image_behind(slices_of(scene.atoms, 0.18), CALM, wave_grid(80, 0.025, 1.2), planes=1)
    linear = phase_contrast(scene.atoms, CALM, pixel_nm=0.025, shape=(80, 80))
    assert np.sqrt(np.mean((image - linear) ** 2)) < 0.06 * linear.std()


def test_a_light_atom_is_in_focus_at_its_own_height() -> None:
    grid = wave_grid(48, 0.025, 0.5)
    low, high = (
        image_behind(slices_of(Atoms([6], [[6.0, 6.0, z]]), 0.2), replace(CALM, defocus_nm=5.0 - z / 10), grid)
        for z in (0.0, 10.0)
    )
    assert high == pytest.approx(low, abs=2e-4)


def test_gold_scatters_no_more_than_all_electrons() -> None:
    scene = WulffParticles(diameter_nm=(1.6, 1.7), zones=((1, 0, 0),), tilt_deg=(0, 0))(2.4, rng())
    wave, height = exit_wave(slices_of(scene.atoms, scene.slice_nm), 300.0, wave_grid(96, 0.025, 0.6))
    assert 0.85 < float(np.mean(np.abs(wave) ** 2)) <= 1.02
    assert height == pytest.approx(scene.atoms.positions[:, 2].max() / 10, abs=0.1)


@pytest.mark.parametrize("zone", [(1, 1, 0), (1, 0, 0), (1, 1, 1)])
def test_every_atom_of_a_particle_belongs_to_one_column(zone: tuple[int, int, int]) -> None:
    scene = WulffParticles(zones=(zone,), tilt_deg=(1.5, 1.5), diameter_nm=(2.0, 2.4))(4.0, rng(1))
    assert scene.count.sum() == len(scene.atoms) and scene.count.min() >= 1
    spacing = {(1, 1, 0): 0.25, (1, 0, 0): 0.204, (1, 1, 1): 0.1665}[zone]
    points = np.column_stack([scene.columns.y_nm, scene.columns.x_nm])
    away = np.sort(np.hypot(*(points[:, None] - points).transpose(2, 0, 1)), axis=1)[:, 1]
    assert np.median(away) == pytest.approx(spacing, rel=0.08)


def test_counts_and_rims_go_with_the_columns_of_the_image() -> None:
    sample = SMALL(rng(3))
    counts = counts_of(sample)
    assert len(counts) == len(sample.sites) == len(sample.truth["rim_nm"])  # type: ignore[arg-type]
    inside = sample.masks["crystal"][
        np.rint(sample.sites.y_nm / sample.pixel_nm).astype(int),
        np.rint(sample.sites.x_nm / sample.pixel_nm).astype(int),
    ]
    assert counts.min() >= 1 and (inside == 1).all() and 0.05 < sample.masks["crystal"].mean() < 0.8
    assert {"defocus_nm", "cs_mm", "voltage_kV", "dose_e_per_A2", "film_nm", "focal_spread_nm"} <= set(sample.params)


def test_only_holes_and_edges_have_rims() -> None:
    whole = GrapheneSheets(boundaries=0, holed=0, vacancies=0, strain=0, displaced_nm=(0, 0))(3.0, rng())
    holed = GrapheneSheets(boundaries=0, holed=1, vacancies=0, strain=0, displaced_nm=(0, 0))(3.0, rng())
    assert (whole.rim_nm == FAR_NM).all() and holed.rim_nm.min() == 0


def test_under_focus_shows_thin_atoms_dark_and_over_focus_bright() -> None:
    for defocus in (-6.0, 6.0):
        lens = Lens(80.0, defocus, focal_spread_nm=2.5)
        atom = Atoms([6], [[6.0, 6.0, 0.0]])
        image = phase_contrast(atom, lens, pixel_nm=0.02, shape=(60, 60))
        assert np.sign(lattice_contrast(lens, 4.69)) == np.sign(image[30, 30] - 1) == -np.sign(defocus)


def test_strong_astigmatism_has_no_contrast_of_its_own() -> None:
    assert lattice_contrast(Lens(80.0, 1.0, astigmatism_nm=8.0), 4.69) == 0.0


def test_drawn_lenses_show_the_lattice() -> None:
    draws = [GRAPHENE_HRTEM.lens(rng(seed)) for seed in range(12)]
    assert min(abs(lattice_contrast(lens, 4.69)) for lens in draws) >= 0.15
    assert len({np.sign(lens.defocus_nm) for lens in draws}) == 2


def test_ranges_without_contrast_are_refused() -> None:
    with pytest.raises(BadInput, match="No lens in these ranges"):
        replace(GRAPHENE_HRTEM, defocus_nm=(0.0, 0.01), cs_mm=(0.0, 0.0), least_transfer=0.5).lens(rng())


def test_a_film_is_as_dense_as_amorphous_carbon() -> None:
    film = amorphous_carbon(4.0, 3.0, rng(), margin_nm=0.0)
    assert len(film) / (4.0**2 * 3.0) == pytest.approx(100, rel=0.1)
    assert np.ptp(film.positions[:, 2]) < 31


def test_samples_follow_from_the_generator_and_domains_hold_both_kinds() -> None:
    first, again = (replace(GRAPHENE_HRTEM, field_nm=2.0)(rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    domain = COLUMN_IMAGES.domain()
    assert domain["voltage_kV"] == (80.0, 300.0) and domain["defocus_nm"][0] < 0 < domain["defocus_nm"][1]


def test_an_image_is_one_in_the_vacuum() -> None:
    sampler: HrtemSampler = SMALL
    scene, lens = sampler.scene(3.0, rng()), sampler.lens(rng())
    image = noise_free(sampler, scene, lens, 0.03)
    assert image[:3, :3] == pytest.approx(np.ones((3, 3)), abs=0.05)
