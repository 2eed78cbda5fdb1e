"""Scores become probabilities; a border is drawn around the training domain."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.train.calibrate import INSIDE, domain_statistics, platt


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.6, -1.0), (1.8, 0.7)])
def test_platt_finds_the_slope_and_offset_that_made_the_hits(a: float, b: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 20_000)
    hits = rng.random(len(logits)) < 1 / (1 + np.exp(-(a * logits + b)))
    assert platt(logits, hits) == pytest.approx((a, b), abs=0.08)


def test_platt_of_nothing_changes_nothing() -> None:
    assert platt(np.zeros(0), np.zeros(0, bool)) == (1.0, 0.0)


def test_platt_stays_finite_when_all_are_hits() -> None:
    a, b = platt(np.random.default_rng(0).normal(3, 1, 50), np.ones(50, bool))
    assert np.isfinite([a, b]).all()


def test_the_border_of_the_domain_holds_the_stated_share_of_it() -> None:
    rng = np.random.default_rng(2)
    mixing = rng.normal(0, 1, (5, 5))
    statistics = {
        key: tensor.numpy() for key, tensor in domain_statistics(rng.normal(0, 1, (4000, 5)) @ mixing).items()
    }
    fresh = rng.normal(0, 1, (4000, 5)) @ mixing
    distance = np.linalg.norm((fresh - statistics["domain.mean"]) @ statistics["domain.whitening"], axis=1)
    assert float((distance <= statistics["domain.border"]).mean()) == pytest.approx(INSIDE, abs=0.004)
