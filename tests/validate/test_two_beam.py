"""Two-beam theory: known laws of perfect and imperfect crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.foils.crystal_defect_sampler import DefectImages
from micrograph.simulate.foils.foil_defects import Body, Dislocation, Foil
from micrograph.validate.foils.foil_baselines import shifted, threshold_masks
from micrograph.validate.foils.two_beam import Beams, TwoBeamImages, bright_field, profile_of, with_bodies

SHAPE = (48, 48)


def beams(deviation: float = 0.6, thickness: float = 3.0, clear: bool = False) -> Beams:
    return Beams(np.full(SHAPE, deviation), np.full(SHAPE, thickness), *((1e9, 1e9) if clear else (10.0, 14.0)))


def foil(**changes: object) -> Foil:
    return replace(Foil(SHAPE, 2.0, 60.0, 20.0), **changes)  # type: ignore[arg-type]


def line(order: float = 1.0, side: float = 1.0, screw: float = 1.0) -> Dislocation:
    points = np.stack([np.full(121, 23.5), np.arange(121) / 2 - 6], 1)
    return Dislocation(points, np.full(121, 0.5), order, side, screw)


@pytest.mark.parametrize("deviation", [0.0, 0.7])
@pytest.mark.parametrize("thickness", [0.5, 1.3, 2.2])
def test_a_perfect_crystal_shows_thickness_fringes(deviation: float, thickness: float) -> None:
    seen = bright_field(foil(), beams(deviation, thickness, clear=True), (0.0,))
    root = np.sqrt(1 + deviation**2)
    assert seen == pytest.approx(1 - (np.sin(np.pi * thickness * root) / root) ** 2, abs=1e-4)


def test_absorption_takes_intensity_away() -> None:
    fringes = np.tile(np.linspace(4.0, 6.0, SHAPE[1]), (SHAPE[0], 1))
    seen, clear = (
        bright_field(foil(), replace(beams(0.6, 5.0, clear), thickness=fringes), (0.0,)).mean()
        for clear in (False, True)
    )
    assert seen < 0.9 * clear


def test_a_screw_dislocation_that_g_does_not_see_leaves_no_trace() -> None:
    perfect = bright_field(foil(), beams())
    np.testing.assert_allclose(bright_field(foil(lines=(line(order=0.0),)), beams()), perfect, atol=1e-6)


def test_a_dislocation_is_a_dark_line_at_one_side_that_the_sign_turns_over() -> None:
    perfect = bright_field(foil(), beams())
    one, other = (bright_field(foil(lines=(line(side=side),)), beams()) for side in (1.0, -1.0))
    assert one.min() < 0.8 * perfect.min()
    np.testing.assert_allclose(one[:, 24], other[::-1, 24], rtol=0.02)
    assert abs(int(one[:, 24].argmin()) - 23.5) >= 0.5


def test_the_band_of_a_dislocation_is_a_share_of_the_extinction_distance() -> None:
    low, high = profile_of(line(), foil(thickness_nm=100.0), 0.8)
    assert 0.1 < (high - low) * 2.0 / 20.0 < 0.7


def test_a_void_is_bright_with_a_fringe_that_turns_over_with_the_focus() -> None:
    hole = foil(voids=(Body(23.5, 23.5, 16.0, contrast=-0.2),))
    flat = np.ones(SHAPE)
    under, sharp, over = (with_bodies(flat, hole, defocus) for defocus in (800.0, 0.0, -800.0))
    assert sharp[23, 23] > 1.15 and sharp[0, 0] == pytest.approx(1)
    ring = (23, 23 + 9)
    assert (under[ring] - 1) * (over[ring] - 1) < 0


def test_images_follow_from_the_generator_alone() -> None:
    fields = TwoBeamImages(DefectImages(side_px=64, thickness=(1.5, 2.0)))
    first, again = (fields(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert np.isfinite(first.image).all()


def test_classical_masks_find_a_clear_disc_and_half_a_pixel_costs_little() -> None:
    y, x = np.mgrid[:96, :96]
    disc = np.clip(12.5 - np.hypot(y - 48, x - 48), 0, 1).astype(np.float32)
    best = max(np.mean(mask == (disc > 0.5)) for mask in threshold_masks(100 - 40 * disc, dark=True))
    assert best > 0.98
    moved = shifted(disc)
    assert 0.9 < (moved & (disc > 0.5)).sum() / (moved | (disc > 0.5)).sum() < 1
