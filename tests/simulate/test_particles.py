"""Solids have the chords of geometry; fields of particles know what covers them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.simulate import ParticleSampler
from micrograph.simulate.objects.bright_field import LIQUID_CELL, Camera, record, transmission
from micrograph.simulate.objects.particles import SHAPES, Particle, field_of, scattered, shadow
from micrograph.simulate.objects.solids import Ball, Plate, Rod, about_beam, concave_cube, cube, prism, random_rotation

RNG = np.random.default_rng(4)
GRID = np.meshgrid(np.linspace(-20, 20, 401), np.linspace(-20, 20, 401), indexing="ij")
CELL = 0.1**2


def volume(solid: object) -> float:
    return float(solid.thickness(*GRID).sum() * CELL)  # type: ignore[attr-defined]


def test_volumes_are_those_of_geometry() -> None:
    assert volume(Ball((8, 8, 8))) == pytest.approx(4 / 3 * np.pi * 8**3, rel=2e-3)
    assert volume(Rod(24, 5)) == pytest.approx(np.pi * 25 * 14 + 4 / 3 * np.pi * 125, rel=2e-3)
    assert volume(prism(3, 18, 6, np.eye(3), truncation=0)) == pytest.approx(np.sqrt(3) / 4 * 18**2 * 6, rel=1e-2)
    assert volume(cube(12, np.eye(3), truncation=0)) == pytest.approx(12**3, rel=2e-2)
    dented = concave_cube(12, np.eye(3), dent=0.4)
    assert volume(dented) == pytest.approx(12**3 - 6 * (12**2 * 6 * 0.4 / 3), rel=2e-2)


def test_a_turned_body_keeps_its_volume() -> None:
    whole = volume(cube(11, np.eye(3), 0.2))
    for _ in range(5):
        assert volume(cube(11, random_rotation(RNG), 0.2)) == pytest.approx(whole, rel=2e-2)


def test_a_plate_with_a_round_edge_is_a_sphere_where_the_edge_is_the_radius() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    outline = 9 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    plate, ball = Plate(outline, 18, 9), Ball((9, 9, 9))
    y, x = np.meshgrid(np.linspace(-8, 8, 41), np.linspace(-8, 8, 41), indexing="ij")
    inside = np.hypot(y, x) < 8
    np.testing.assert_allclose(plate.thickness(y, x)[inside], ball.thickness(y, x)[inside], atol=0.25)


@settings(max_examples=15, deadline=None)
@given(y=st.floats(15, 25), x=st.floats(15, 25), radius=st.floats(4, 9))
def test_the_shadow_of_a_sphere_has_its_area_centre_and_volume(y: float, x: float, radius: float) -> None:
    one = shadow(Particle("sphere", Ball((radius,) * 3), y, x), 1.0, (40, 40))
    assert one.area_px == pytest.approx(np.pi * radius**2, rel=0.02)
    assert one.centre_px == pytest.approx((y, x), abs=0.05)
    assert float(one.thickness_nm.sum()) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_about_the_asked_diameter(shape: str) -> None:
    areas = [shadow(Particle(shape, SHAPES[shape](30.0, RNG), 40, 40), 1.0, (81, 81)).area_px for _ in range(20)]
    assert 2 * np.sqrt(np.mean(areas) / np.pi) == pytest.approx(30, rel=0.2)


def test_particles_that_stand_apart_do_not_overlap() -> None:
    solids = [("sphere", Ball((3.0, 3.0, 3.0))) for _ in range(40)]
    field = field_of(scattered(solids, (80.0, 80.0), RNG, (1.05, 1.2)), 1.0, (80, 80))
    assert len(field.particles) > 20 and field.overlaps.max() < 0.01
    assert field.coverage.sum() == pytest.approx(sum(one.area_px for one in field.shadows), rel=1e-3)


def test_half_covered_twins_share_half_their_area() -> None:
    box = cube(20, about_beam(0), 0.0)
    field = field_of([Particle("cube", box, 30, 30), Particle("cube", box, 30, 40)], 1.0, (64, 64))
    np.testing.assert_allclose(field.overlaps, 0.5, atol=0.03)
    assert field.depth.max() == pytest.approx(1)


def test_a_liquid_cell_passes_22_per_cent_and_20_nm_of_gold_a_quarter_less() -> None:
    assert LIQUID_CELL.transmitted == pytest.approx(0.22, abs=0.005)
    share = transmission(np.array([[0.0, 20.0]]), 70.0, LIQUID_CELL)
    assert 1 - share[0, 1] / share[0, 0] == pytest.approx(0.25, abs=0.01)


def test_a_camera_counts_electrons_and_its_mtf_keeps_their_mean() -> None:
    image = record(np.full((200, 200), 0.5), Camera(80.0, mtf=0.4, gain=3.0, offset=7.0), RNG)
    assert image.mean() == pytest.approx(3 * 40 + 7, rel=0.01)
    assert image.std() < 3 * np.sqrt(40)


def test_contrast_to_noise_is_what_was_asked() -> None:
    sampler = ParticleSampler(
        contrast_to_noise=(3, 3.001), contrast=(0.3, 0.301), diameter_px=(60, 61), shapes=("hexagon",), bragg=0,
        texture=0, slope=0, bright=0, liquid=0, empty=0, covered=(0.2, 0.21), gaps=("apart",),
    )  # fmt: skip
    scene = sampler.scene(np.random.default_rng(3))
    field = scene.field
    clear, mtf = scene.image[field.coverage == 0], scene.image
    inside = mtf[(field.coverage == 1) & (field.depth > 0.4)]
    contrast = (clear.mean() - inside.mean()) / clear.mean()
    assert 0.1 < contrast < 0.5
    assert scene.params["electrons"] == pytest.approx((3 / 0.3) ** 2, rel=0.05)


def test_a_scene_knows_its_masks_and_sites() -> None:
    sample = ParticleSampler(side_px=128, empty=0)(np.random.default_rng(2))
    assert set(sample.masks) == {"particle", "core"}
    for mask in sample.masks.values():
        assert mask.shape == sample.image.shape and mask.min() >= 0 and mask.max() <= 1
    assert len(sample.sites) > 0 and np.isfinite(sample.image).all()
