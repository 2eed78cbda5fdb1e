"""Pores in films: their outlines, what the maps say of them, and the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.objects.film import CrystalFilm, random_film, waves
from micrograph.simulate.objects.pores import PoreSampler, inside_of, pore_maps, pore_outline


def test_coverage_of_a_circle_sums_to_its_area() -> None:
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.stack([30.3 + 17 * np.sin(angle), 40.7 + 17 * np.cos(angle)], axis=1)
    covered = inside_of(circle, (80, 90))
    assert covered.area_px == pytest.approx(np.pi * 17**2, rel=1e-4)
    assert covered.centre_px == pytest.approx((30.3, 40.7), abs=3e-3)


def test_coverage_of_a_rectangle_is_exact_where_a_border_cuts_pixels() -> None:
    box = np.array([[1.5, 2.25], [1.5, 5.75], [4.5, 5.75], [4.5, 2.25]])
    covered = inside_of(box, (8, 8))
    assert (covered.rows, covered.columns) == (slice(2, 6), slice(2, 7))
    assert covered.coverage[:3] == pytest.approx(np.tile([0.25, 1, 1, 1, 0.25], (3, 1)))
    assert not covered.coverage[3].any()


@pytest.mark.parametrize("at", [(-3.0, 20.0), (20.0, 41.0), (39.0, -2.0), (-80.0, 20.0)])
def test_an_outline_beyond_the_image_is_cut_at_the_border(at: tuple[float, float]) -> None:
    outline = pore_outline(9.0, 0.1, np.random.default_rng(1)) + at
    whole = np.zeros((240, 240))
    far = inside_of(outline + 100, whole.shape)
    whole[far.rows, far.columns] = far.coverage
    here = np.zeros((40, 40))
    cut = inside_of(outline, here.shape)
    here[cut.rows, cut.columns] = cut.coverage
    assert here == pytest.approx(whole[100:140, 100:140], abs=1e-6)


def test_a_random_outline_has_the_area_that_was_asked() -> None:
    covered = inside_of(pore_outline(20.0, 0.2, np.random.default_rng(3)) + 60.2, (120, 120))
    assert covered.area_px == pytest.approx(np.pi * 400, rel=1e-3)


def test_the_core_map_reaches_one_in_every_pore() -> None:
    rng = np.random.default_rng(0)
    shadows = [inside_of(pore_outline(r, 0.1, rng) + at, (128, 128)) for r, at in ((20, 40), (9, 100), (15, (126, 30)))]
    pore, core = pore_maps(shadows, (128, 128))
    for one in shadows:
        assert core[one.rows, one.columns].max() == pytest.approx(1.0)
    assert not core[pore < 0.4].any()


def test_samples_are_reproducible_and_complete() -> None:
    sampler = PoreSampler(side_px=96, radius_px=(8, 20))
    one, again = sampler(np.random.default_rng(5)), sampler(np.random.default_rng(5))
    assert np.array_equal(one.image, again.image)
    assert one.image.dtype == np.float32 and one.masks["pore"].dtype == np.float32 and np.isfinite(one.image).all()
    assert set(one.sites.label.tolist()) <= {"pore"}


def test_contrast_of_pore_and_film_over_noise_is_what_was_asked() -> None:
    rng = np.random.default_rng(2)
    film = replace(random_film(256, 0.3, rng), slope=waves(0, 100, rng), light=waves(0, 100, rng), dirt=None)
    plain = replace(film, dark_field=False, rim_px=0, support=0, fresnel=0, speckle=0)
    plain = replace(plain, fringes=replace(plain.fringes, amplitude=np.zeros(0)))
    pore = np.zeros((64, 64), np.float32)
    pore[20:40, 20:40] = 1
    share = plain.share(pore, rng)
    assert share[pore == 1] == pytest.approx(1.0, abs=1e-5)
    assert share[pore == 0] == pytest.approx(0.7, abs=1e-5)


def test_a_film_that_drifts_carries_its_fringes_along() -> None:
    rng = np.random.default_rng(4)
    film: CrystalFilm = replace(random_film(128, 0.4, rng), speckle=0.0)
    empty = np.zeros((100, 100), np.float32)
    still = film.share(empty, np.random.default_rng(0))
    moved = film.share(empty, np.random.default_rng(0), (3.0, -5.0))
    assert moved[3:, :-5] == pytest.approx(still[:-3, 5:], abs=2e-3)
