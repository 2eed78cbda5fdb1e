"""Crops: sampled where asked, in the direction asked, and a fair sample of a long stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.features.layers.crops import Disc, Sampled, cut, levelled

PIXEL_NM = 0.02
DISC = Disc(0.3, 0.05)


def waves(y, x):
    return 2 + np.cos(9 * y + 4 * x) + np.sin(5 * x - 7 * y)


def image(size=80):
    y, x = PIXEL_NM * np.indices((size, size))
    return waves(y, x).astype(np.float32)


@given(y=st.floats(0.4, 1.1), x=st.floats(0.4, 1.1), angle=st.floats(-180, 180))
def test_a_crop_is_the_image_at_the_turned_points(y, x, angle):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, sin], [-sin, cos]])
    crop = cut(image(), PIXEL_NM, [y], [x], Disc(0.3, 0.02), turn)
    at = Disc(0.3, 0.02).points @ turn + [y, x]
    np.testing.assert_allclose(crop.values[0], waves(*at.T), atol=2e-3)


def test_every_place_may_have_its_own_turn():
    turns = np.stack([np.eye(2), -np.eye(2)])
    crops = cut(image(), PIXEL_NM, [0.8, 0.8], [0.7, 0.7], DISC, turns)
    half_turn = DISC.permutation(-np.eye(2))
    np.testing.assert_allclose(crops.values[1], crops.values[0][half_turn], atol=1e-5)


def test_places_at_the_border_or_with_broken_pixels_are_left_out():
    broken = image()
    broken[60, 60] = np.nan
    crops = cut(broken, PIXEL_NM, [0.1, 0.6, 1.2, 1.5], [0.8, 0.6, 1.2, 0.8], DISC)
    assert crops.source.tolist() == [1]
    assert np.isfinite(crops.values).all()


def test_a_coarse_disc_throws_no_electron_away():
    noise = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    places = np.random.default_rng(1).uniform(0.5, 3.4, (200, 2))
    fine, coarse = (cut(noise, PIXEL_NM, *places.T, Disc(0.3, step)).values.std() for step in (0.02, 0.08))
    assert coarse < 0.45 * fine


def test_levels_do_not_depend_on_gain_and_zero():
    np.testing.assert_allclose(levelled(7 * image() + 100), levelled(image()), atol=1e-5)
    assert np.isfinite(levelled(np.ones((4, 4)))).all()


def test_a_picture_shows_the_disc_upright():
    points = DISC.points
    picture = DISC.picture(points[:, 0] + 10 * points[:, 1], 0.02)
    middle = len(picture) // 2
    assert picture[middle, middle] == pytest.approx(0, abs=1e-6)
    assert picture[middle + 3, middle] == pytest.approx(0.06, abs=1e-6)
    assert picture[middle, middle + 3] == pytest.approx(0.6, abs=1e-5)
    assert np.isnan(picture[0, 0])


def test_every_crop_of_a_stream_is_as_likely_to_stay():
    crops = cut(image(), PIXEL_NM, np.full(40, 0.8), np.linspace(0.5, 1.0, 40), DISC)
    kept = np.zeros(40)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        sample = Sampled.empty(DISC, most=10)
        for first in range(0, 40, 8):
            sample = sample.with_crops(crops[np.arange(first, first + 8)], rng)
        assert len(sample.crops) == 10 and sample.seen == 40
        assert (np.diff(sample.crops.source) > 0).all()
        kept[sample.crops.source] += 1
    assert abs(kept - 100).max() < 4.5 * np.sqrt(75)


def test_samples_of_parts_merge_into_the_sample_of_the_whole():
    crops = cut(image(), PIXEL_NM, np.full(20, 0.8), np.linspace(0.5, 1.0, 20), DISC)
    key = np.random.default_rng(0).random(20)
    parts = [Sampled(crops[rows], key[rows], 10, 6) for rows in (np.arange(10), np.arange(10, 20))]
    merged = parts[0].merged(parts[1])
    assert merged.crops.source.tolist() == sorted(np.argsort(key)[:6].tolist())
    with pytest.raises(BadInput, match="one disc"):
        merged.merged(Sampled.empty(Disc(0.2, 0.05)))


@pytest.mark.parametrize(("radius", "step"), [(0.1, 0.1), (0.1, 0.0), (np.inf, 0.1)])
def test_an_impossible_disc_is_refused(radius, step):
    with pytest.raises(BadInput, match="smaller than the radius"):
        Disc(radius, step)


def test_no_place_gives_no_crop():
    none = cut(np.ones((40, 40)), 0.02, [], [], Disc())
    assert len(none) == 0 and none.values.shape == (0, len(Disc().points))
