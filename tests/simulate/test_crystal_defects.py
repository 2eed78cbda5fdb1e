"""Foils with defects: geometry that is exact, masks that mean what they say, images that follow from the generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.foils.crystal_defect_sampler import DefectImages
from micrograph.simulate.foils.crystal_defects import KINDS, LineLook, Looks, half_maximum, transmitted
from micrograph.simulate.foils.foil_curves import bent_line
from micrograph.simulate.foils.foil_defects import Body, Dislocation, Foil, beside, coverage_of

SMALL = DefectImages(side_px=96, void_px=(6.0, 14.0), precipitate_px=(6.0, 14.0), absent=0.0)


def straight(length: float = 60.0, **changes: object) -> Dislocation:
    points = bent_line((48.0, 48.0), length, 0.0, np.random.default_rng(3))
    line = Dislocation(points, np.linspace(0, 1, len(points)))
    return replace(line, **changes)  # type: ignore[arg-type]


def foil(*lines: Dislocation, thickness_nm: float = 100.0) -> Foil:
    return Foil((96, 96), 1.0, thickness_nm, 20.0, lines=lines)


@pytest.mark.parametrize("bend", [0.0, 0.8])
def test_a_line_is_as_long_as_asked(bend: float) -> None:
    points = bent_line((0.0, 0.0), 73.0, bend, np.random.default_rng(1))
    assert np.hypot(*np.diff(points, axis=0).T).sum() == pytest.approx(73.0, rel=1e-3)


@pytest.mark.parametrize(("facets", "aspect"), [(0, 1.0), (0, 1.8), (4, 1.0), (6, 1.4)])
def test_a_body_covers_the_area_of_its_diameter(facets: int, aspect: float) -> None:
    body = Body(47.6, 48.3, 30.0, facets, aspect, 0.7)
    covered = coverage_of((body,), (96, 96)).sum()
    assert 2 * np.sqrt(covered / np.pi) == pytest.approx(30.0, rel=0.01)


def test_the_distance_across_a_line_is_signed_and_to_a_fraction_of_a_pixel() -> None:
    line = Dislocation(np.stack([np.full(141, 40.25), np.arange(141) / 2 + 10], 1), np.linspace(0, 1, 141))
    near = beside(line, (96, 96), 8.0)
    assert near is not None
    rows = np.arange(near.box[0].start, near.box[0].stop)
    middle = 45 - near.box[1].start
    np.testing.assert_allclose(np.abs(near.across[:, middle]), np.abs(rows - 40.25), atol=1e-6)
    assert near.across[0, middle] * near.across[-1, middle] < 0
    assert near.depth[0, middle] == pytest.approx(0.5, abs=0.01)


def test_the_band_of_a_steady_gaussian_line_is_its_full_width_at_half_maximum() -> None:
    look = LineLook(fwhm_px=7.0, dash=0.0, swing=0.0, offset=1.0, flank=0.0)
    low, high = look.band(straight(), foil())
    assert high - low == pytest.approx(7.0, abs=0.02)
    assert (low + high) / 2 == pytest.approx(look.sigma_px, abs=0.02)
    assert half_maximum(np.arange(5.0), np.array([0, 1, 2, 1, 0.0])) == (1.0, 3.0)


def test_dashes_do_not_interrupt_the_mask_of_a_line() -> None:
    look = Looks(LineLook(fwhm_px=6.0, dash=0.9, fading=0.0), np.ones((96, 96), np.float32))
    share, masks = transmitted(foil(straight()), look)
    seen = share[masks["dislocation"] > 0.5]
    assert seen.min() < 0.75 and seen.max() > 0.95
    assert masks["dislocation"].sum() == pytest.approx(60 * 6.0, rel=0.08)


def test_a_line_that_the_reflection_does_not_see_is_faint_and_not_marked() -> None:
    look = Looks(LineLook(strength=0.5), np.ones((96, 96), np.float32))
    share, masks = transmitted(foil(straight(order=0.0)), look)
    assert 0.93 < share.min() < 1.0 and not masks["dislocation"].any()


@pytest.mark.parametrize("focus", [1.0, -1.0])
def test_the_fringe_of_a_void_follows_the_focus_and_its_mask_does_not(focus: float) -> None:
    hole = replace(foil(), voids=(Body(48.0, 48.0, 24.0, contrast=-0.2),))
    share, masks = transmitted(hole, Looks(LineLook(), np.ones((96, 96), np.float32), 0.3, 1.5, focus))
    outside = share[48, 48 + 13]
    assert (outside < 1) == (focus > 0)
    assert share[48, 48] > 1.1
    assert masks["void"].sum() == pytest.approx(np.pi * 12**2, rel=0.01)


def test_samples_follow_from_the_generator_alone() -> None:
    first, again, other = (SMALL(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    assert set(first.masks) == set(KINDS)
    for name in KINDS:
        np.testing.assert_array_equal(first.masks[name], again.masks[name])
        assert first.masks[name].min() >= 0 and first.masks[name].max() <= 1
    assert not np.array_equal(first.image, other.image)


def test_lines_have_the_length_per_area_that_was_planted() -> None:
    fields = replace(
        SMALL, side_px=128, curves=(1.0, 0.0, 0.0), line_cover=(0.1, 0.1001), line_px=(5.0, 5.001), residual=0.0
    )
    found = [fields.foil(np.random.default_rng(seed)) for seed in range(60)]
    lengths = np.array([one.length_px for one, _, _ in found]) / 128**2
    assert {round(planted["dislocation"], 3) for _, planted, _ in found} == {0.02}
    assert lengths.mean() == pytest.approx(0.02, abs=3 * lengths.std() / np.sqrt(len(lengths)))
