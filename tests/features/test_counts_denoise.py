"""Counts are dealt, smoothed and mixed; none is lost."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.spectra.counts_denoise import (
    Estimator,
    as_counts,
    dealt,
    estimators,
    levels_of,
    map_sigma,
    mixture,
)

RNG = np.random.default_rng(0)


def disc(level: float = 1.0, side: int = 48) -> np.ndarray:
    y, x = np.indices((side, side))
    ring = np.hypot(y - 22, x - 25)
    return (np.stack([ring < 14, (ring >= 9) & (ring < 14)]) * level + 0.02).astype(np.float32)


def test_parts_of_counts_are_independent_counts() -> None:
    counts = RNG.poisson(4.0, (2, 60, 60)).astype(np.float32)
    parts = dealt(counts, 4, np.random.default_rng(1))
    np.testing.assert_array_equal(parts.sum(axis=0), counts)
    assert parts.mean(axis=(1, 2, 3)) == pytest.approx(np.full(4, 1.0), abs=0.05)
    assert abs(np.corrcoef(parts[0].ravel(), parts[1].ravel())[0, 1]) < 0.04


@pytest.mark.parametrize("one", estimators(20), ids=lambda one: one.name)
def test_every_estimator_keeps_the_counts_and_is_never_negative(one: Estimator) -> None:
    counts = RNG.poisson(disc()).astype(np.float32)
    found = one(counts)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), counts.sum(axis=(1, 2)), rtol=1e-4)
    assert (found >= 0).all()


def test_levels_of_brightness_add_up_to_one() -> None:
    np.testing.assert_allclose(levels_of(RNG.poisson(disc()).astype(np.float32)).sum(axis=0), 1, atol=1e-5)


def test_the_mixture_is_nearer_to_the_truth_than_any_gaussian() -> None:
    clean = disc(0.8)
    counts = np.random.default_rng(5).poisson(clean).astype(np.float32)
    mix = mixture(counts, np.random.default_rng(0), choices=estimators(30))
    found = mix(counts)
    error = ((found - clean) ** 2).mean()
    gauss = [((Estimator("gauss", width)(counts) - clean) ** 2).mean() for width in (1, 1.5, 2, 3, 4)]
    assert error < min(gauss) and mix.gain > 0
    sigma = map_sigma(found, mix, np.random.default_rng(1), replicas=4)
    assert 0.5 < (np.abs(found - clean) <= 1.5 * sigma).mean() <= 1


def test_a_guide_sharpens_edges_that_it_shares() -> None:
    clean = disc(0.3)
    counts = np.random.default_rng(2).poisson(clean).astype(np.float32)
    guide = np.random.default_rng(3).poisson(disc(60.0)[0]).astype(np.float32)
    how = Estimator("flat", 2.8, 60)
    assert ((how(counts, guide) - clean) ** 2)[0].mean() < ((how(counts) - clean) ** 2)[0].mean()


def test_scaled_counts_are_counts_again() -> None:
    counts = RNG.poisson(0.2, (1, 30, 30)).astype(np.float32)
    found, unit = as_counts(counts * 27.5)
    np.testing.assert_array_equal(found, counts)
    assert unit == pytest.approx(27.5)


@pytest.mark.parametrize(
    ("values", "said"),
    [(RNG.random((1, 9, 9)), "no multiples"), (-np.eye(3)[None], "negative"), (np.full((1, 3, 3), np.nan), "finite")],
)
def test_what_is_no_count_is_refused(values: np.ndarray, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        as_counts(values.astype(np.float32))
