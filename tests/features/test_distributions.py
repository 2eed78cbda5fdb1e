"""Distributions: intervals cover, shares follow Wilson, the 1/sqrt(n) law, weighted Kolmogorov-Smirnov."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.features.objects import distributions
from micrograph.features.objects.distributions import (
    compare,
    describe,
    effective_number,
    half_width,
    histogram,
    number_needed,
    number_needed_for_mean,
    shapes_table,
    sizes_table,
    wilson,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def test_interval_of_a_mean_covers_the_truth_95_times_in_100(rng: np.random.Generator) -> None:
    hits = []
    for _ in range(120):
        found = describe(rng.normal(10, 2, 15), rng)
        hits.append((found.mean_low <= 10 <= found.mean_high, found.median_low <= 10 <= found.median_high))
    mean, median = np.mean(hits, axis=0)
    assert 0.90 <= mean <= 0.99
    assert 0.88 <= median <= 1.0


def test_many_objects_give_the_same_interval_as_resampling(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, weights = rng.lognormal(2, 0.3, 2000), rng.uniform(0.5, 2, 2000)
    drawn = describe(values, rng, weights)
    monkeypatch.setattr(distributions, "MANY", 100)
    law = describe(values, rng, weights)
    for name in ("mean_low", "mean_high", "median_low", "median_high"):
        assert getattr(law, name) == pytest.approx(getattr(drawn, name), abs=0.25 * (drawn.mean_high - drawn.mean_low))


def test_weights_undo_that_small_objects_were_kept_more_often(rng: np.random.Generator) -> None:
    values = rng.lognormal(2, 0.4, 6000)
    p = np.exp(-values / 10)
    seen = rng.random(6000) < p
    assert compare(values[seen], values).p < 1e-6
    assert compare(values[seen], values, 1 / p[seen]).p > 0.05
    assert describe(values[seen], rng, 1 / p[seen]).mean == pytest.approx(values.mean(), rel=0.03)


def test_one_particle_in_many_frames_is_one_draw(rng: np.random.Generator) -> None:
    sizes = rng.normal(10, 1, 20)
    once = describe(sizes, rng)
    often = describe(np.repeat(sizes, 30), rng, groups=np.repeat(np.arange(20), 30))
    assert often.mean == pytest.approx(once.mean)
    assert often.effective_number == pytest.approx(20)
    assert often.mean_high - often.mean_low == pytest.approx(once.mean_high - once.mean_low, rel=0.15)


def test_many_rows_of_few_objects_have_the_intervals_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 80)
    values, weights = draw.normal(draw.normal(10, 2, 30)[groups], 0.5), draw.uniform(0.5, 1.5, len(groups))
    pooled = describe(values, np.random.default_rng(0), weights, groups)
    monkeypatch.setattr(distributions, "_RANKS", 10**6)
    whole = describe(values, np.random.default_rng(0), weights, groups)
    np.testing.assert_allclose(list(vars(pooled).values()), list(vars(whole).values()), rtol=2e-3)


def test_half_width_is_0_025_at_1500_objects() -> None:
    assert half_width(0.5, 1500) == pytest.approx(0.025, abs=5e-4)
    assert number_needed(0.0253) == pytest.approx(1500, abs=5)
    with pytest.raises(BadInput):
        number_needed(0.0)


def test_number_needed_for_a_mean_follows_its_scatter(rng: np.random.Generator) -> None:
    found = describe(rng.normal(10, 2, 4000), rng)
    assert number_needed_for_mean(found, 0.1) == pytest.approx((1.96 * 2 / 0.1) ** 2, rel=0.06)
    with pytest.raises(BadInput):
        number_needed_for_mean(describe(np.array([1.0]), rng), 0.1)


@given(st.floats(0, 1), st.floats(1, 1e6))
def test_wilson_interval_holds_its_share_and_stays_in_0_to_1(share: float, number: float) -> None:
    low, high = wilson(share, number)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_wilson_interval_of_0_of_10_is_the_published_one() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(np.nan, 0) == (0.0, 1.0)


def test_ks_p_of_equal_populations_is_uniform(rng: np.random.Generator) -> None:
    p = np.array([compare(rng.normal(size=150), rng.normal(size=20000)).p for _ in range(200)])
    assert 0.90 <= np.mean(p > 0.05) <= 0.99
    assert 0.4 <= np.mean(p > 0.5) <= 0.6


def test_tables_hold_a_row_for_each_quantity_and_shape(rng: np.random.Generator) -> None:
    shape = np.where(np.arange(200) % 4 == 0, "rod", "round")
    objects = pd.DataFrame({"area_nm2": rng.normal(100, 5, 200), "aspect": rng.normal(2, 0.1, 200), "shape": shape})
    sizes = sizes_table(objects, rng)
    assert list(sizes.columns) == [column.name for column in distributions.SIZES]
    assert set(zip(sizes["name"], sizes["quantity"], strict=True)) == {
        (name, quantity) for name in ("all", "rod", "round") for quantity in ("area_nm2", "aspect")
    }
    shapes = shapes_table(objects, always=("cube",))
    assert list(shapes["shape"]) == ["round", "rod", "cube"]
    assert list(shapes["share"]) == [0.75, 0.25, 0.0]
    assert (shapes["share_low"] <= shapes["share"]).all() and (shapes["share"] <= shapes["share_high"]).all()


def test_empty_tables_stay_tables(rng: np.random.Generator) -> None:
    objects = pd.DataFrame({"area_nm2": np.zeros(0), "shape": np.zeros(0, str)})
    assert list(sizes_table(objects, rng)["number"]) == [0]
    assert len(shapes_table(objects)) == 0
    assert histogram(np.zeros(0))["number"].sum() == 0


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=60))
def test_histogram_holds_every_object(values: list[float]) -> None:
    bins = histogram(np.array(values))
    assert bins["number"].sum() == len(values)
    assert bins["share"].sum() == pytest.approx(1)


def test_effective_number_of_equal_weights_is_the_number() -> None:
    assert effective_number(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_number(np.array([1.0, 0.0])) == pytest.approx(1)


def test_lengths_and_signs_of_weights_are_checked(rng: np.random.Generator) -> None:
    with pytest.raises(BadInput, match="one for each"):
        describe(np.ones(3), rng, np.ones(2))
    with pytest.raises(BadInput, match="zero or greater"):
        describe(np.ones(2), rng, np.array([1.0, -1.0]))
