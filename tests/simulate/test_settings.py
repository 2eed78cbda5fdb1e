"""Settings by name: read, pinned, moved, claimed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.simulate import GrapheneSheets, HrtemSampler, StemSampler
from micrograph.simulate.settings import (
    Among,
    Elsewhere,
    Told,
    at_places,
    place_of,
    ranges_of,
    value_at,
    with_ranges,
)
from micrograph.structures import random_graphene

STEM = StemSampler(random_graphene, field_nm=1.2, contaminated=0.0, noise_only=0.0)
TEM = HrtemSampler(GrapheneSheets(), field_nm=1.6)


@given(st.sampled_from(["pixel_nm", "jitter_nm"]), st.floats(-0.4, 2.0))
def test_a_value_lies_where_it_was_placed(name: str, place: float) -> None:
    range_ = (0.002, 0.03)
    value = value_at(name, range_, place)
    assert value == 0.0 or place_of(name, range_, value) == pytest.approx(place)


@pytest.mark.parametrize("sampler", [STEM, TEM])
def test_pinned_settings_are_those_of_the_samples(sampler: StemSampler | HrtemSampler) -> None:
    pinned = at_places(sampler, {"astigmatism_nm": 1.5, "pixel_nm": 1.2})
    sample, ranges = pinned(np.random.default_rng(0)), ranges_of(sampler)
    for name, place in (("astigmatism_nm", 1.5), ("pixel_nm", 1.2)):
        assert sample.params[name] == pytest.approx(value_at(name, ranges[name], place))


def test_electrons_of_a_column_are_told_when_they_are_drawn() -> None:
    sampler = at_places(StemSampler(random_graphene, field_nm=1.0, electrons=(50.0, 100.0)), {"electrons": 1.0})
    assert "dose_e_per_A2" not in ranges_of(sampler)
    assert sampler(np.random.default_rng(0)).params["electrons"] == pytest.approx(100.0)


def test_a_claimed_scale_stretches_all_lengths_and_no_pixel() -> None:
    plain = with_ranges(Told(STEM), {"pixel_nm": (0.02, 0.02)})(np.random.default_rng(3))
    wrong = with_ranges(Told(STEM, (1.25, 1.25)), {"pixel_nm": (0.025, 0.025)})(np.random.default_rng(3))
    np.testing.assert_array_equal(plain.image, wrong.image)
    np.testing.assert_allclose(wrong.sites.x_nm, 1.25 * plain.sites.x_nm)
    assert wrong.pixel_nm == pytest.approx(1.25 * plain.pixel_nm)


def test_an_image_that_is_turned_over_is_dark_where_it_was_bright() -> None:
    plain, turned = (Told(STEM, turned=(share, share))(np.random.default_rng(3)) for share in (0.0, 1.0))
    assert np.corrcoef(plain.image.ravel(), turned.image.ravel())[0, 1] == pytest.approx(-1.0)
    np.testing.assert_array_equal(plain.sites.y_nm, turned.sites.y_nm)


def test_elsewhere_goes_beyond_what_was_trained() -> None:
    low, high = STEM.pixel_nm
    drawn = [Elsewhere(STEM, moved=1.0)(np.random.default_rng(seed)).pixel_nm for seed in range(12)]
    assert min(drawn) < low < high < max(drawn)


def test_settings_that_belong_together_stay_together() -> None:
    pairs = ({"pixel_nm": 0.02, "jitter_nm": 0.001}, {"pixel_nm": 0.03, "jitter_nm": 0.005})
    among = Among(STEM, pairs, (0.5, 0.5))
    drawn = {
        (round(sample.params["pixel_nm"], 6), round(sample.params["jitter_nm"], 6))
        for sample in map(among, map(np.random.default_rng, range(8)))
    }
    assert drawn == {(0.02, 0.001), (0.03, 0.005)}
    assert among.domain()["pixel_nm"] == (0.02, 0.03)


def test_unknown_settings_and_samplers_are_refused() -> None:
    with pytest.raises(BadInput, match="no setting 'mtf'"):
        with_ranges(STEM, {"mtf": (0.0, 1.0)})
    with pytest.raises(BadInput, match="not known by name"):
        ranges_of(lambda rng: STEM(rng))
