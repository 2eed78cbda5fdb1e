"""Laws of metrics, intervals and calibration of confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.validate.confidence import expected_calibration_error, reliability
from micrograph.validate.intervals import bootstrap, clopper_pearson, garwood, jeffreys, share_interval
from micrograph.validate.metrics import (
    Detection,
    auroc,
    balanced_accuracy,
    class_recall,
    confusion_matrix,
    coverage,
    displacement_slope,
    f1,
    match,
    normalised_correlation,
    over_limit,
    precision,
    recall,
)

points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=0, max_size=12)


@settings(max_examples=60, deadline=None)
@given(true=points, found=points, radius=st.floats(0.01, 0.5))
def test_match_is_one_to_one_and_as_large_as_can_be(
    true: list[tuple[float, float]], found: list[tuple[float, float]], radius: float
) -> None:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    a, b = (np.array(p, dtype=float).reshape(-1, 2) for p in (true, found))
    pairs = match(*a.T, *b.T, radius)
    assert len(set(pairs.true.tolist())) == len(set(pairs.found.tolist())) == len(pairs)
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(distance[pairs.true, pairs.found], pairs.distance, atol=1e-12)
    clear = not np.any(np.abs(distance - radius) < 1e-9)
    if clear and distance.size:
        most = (maximum_bipartite_matching(csr_array(distance <= radius)) >= 0).sum()
        assert len(pairs) == most


def test_match_takes_the_shortest_of_the_largest_matchings() -> None:
    pairs = match([0, 0], [0, 1.0], [0, 0, 0], [0.4, 0.6, 5.0], 0.7)
    assert pairs.true.tolist() == [0, 1]
    assert pairs.found.tolist() == [0, 1]


def test_match_leaves_out_points_that_are_not_finite() -> None:
    pairs = match([0, np.nan], [0, 0], [np.nan, 0], [0, 0.01], 0.1)
    assert (pairs.true.tolist(), pairs.found.tolist()) == ([0], [1])


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    counts = [Detection(8, 2, 4), Detection(1, 0, 0)]
    p, r = precision(counts), recall(counts)
    assert (p, r) == (9 / 11, 9 / 13)
    assert f1(counts) == pytest.approx(2 * p * r / (p + r))
    assert np.isnan(f1([]))


def test_balanced_accuracy_is_the_mean_recall_of_the_classes() -> None:
    counts = confusion_matrix(["a", "a", "b", "b", "b"], ["a", "x", "b", "b", "a"], ["a", "b", "c"])
    assert counts.tolist() == [[1, 0, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(class_recall(counts), [1 / 2, 2 / 3, np.nan])
    assert balanced_accuracy(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_slope_of_displacements_drawn_halfway_to_the_lattice_is_one_half() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 12, 4000)
    slope = displacement_slope(true, 0.5 * true + rng.normal(0, 5, 4000))
    assert abs(slope.value - 0.5) < 4 * slope.error
    assert slope.error == pytest.approx(5 / 12 / np.sqrt(4000), rel=0.05)


def test_coverage_of_honest_errors_is_the_level() -> None:
    rng = np.random.default_rng(1)
    sigma = rng.uniform(0.5, 2, 40000)
    error = sigma * rng.standard_normal(40000)
    assert coverage(error, sigma) == pytest.approx(0.6827, abs=0.01)
    assert coverage(error, sigma, 0.95) == pytest.approx(0.95, abs=0.005)
    assert over_limit(error, sigma) == pytest.approx(1, abs=0.02)


def test_auroc_is_one_half_for_one_set_and_one_for_parted_sets() -> None:
    scores = np.random.default_rng(2).normal(size=50)
    assert auroc(scores, scores) == 0.5
    assert auroc(scores, scores + 100) == 1.0
    assert auroc([0.0, 1.0], [1.0, 2.0]) == pytest.approx(7 / 8)


def test_correlation_is_blind_to_scale_and_offset() -> None:
    image = np.random.default_rng(3).normal(size=(8, 9))
    assert normalised_correlation(image, 5 - 2 * image) == pytest.approx(-1)
    assert np.isnan(normalised_correlation(image, np.ones((8, 9))))


def test_intervals_have_their_published_ends() -> None:
    np.testing.assert_allclose(garwood(3), (3, 0.6187, 8.7673), atol=1e-4)
    np.testing.assert_allclose(garwood(0), (0, 0, -np.log(0.025)), atol=1e-9)
    np.testing.assert_allclose(clopper_pearson(0, 10), (0, 0, 1 - 0.025**0.1), atol=1e-9)
    np.testing.assert_allclose(clopper_pearson(10, 10), (1, 0.025**0.1, 1), atol=1e-9)
    share = jeffreys(3, 10)
    exact = clopper_pearson(3, 10)
    assert exact.low < share.low < 0.3 < share.high < exact.high
    with pytest.raises(BadInput, match="11 hits in 10"):
        clopper_pearson(11, 10)


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    rng = np.random.default_rng(4)
    images = list(rng.normal(0, 1, 400))
    found = bootstrap(lambda drawn: float(np.mean(drawn)), images, rng)
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)
    assert np.isnan(bootstrap(lambda drawn: 1.0, [1], rng).low)


def test_a_share_of_no_hits_keeps_its_exact_upper_end() -> None:
    found = share_interval([0, 0], [6000, 6000], np.random.default_rng(5))
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(3.69 / 12000, rel=0.01)


def test_calibration_error_of_true_probabilities_vanishes() -> None:
    rng = np.random.default_rng(6)
    scores = rng.random(60000)
    right = rng.random(60000) < scores
    assert expected_calibration_error(scores, right) < 0.012
    assert expected_calibration_error(np.full(100, 0.9), np.arange(100) < 50) == pytest.approx(0.4)
    assert reliability(scores, right, bins=10).count.sum() == 60000


def test_scores_beyond_one_are_refused() -> None:
    with pytest.raises(BadInput, match="no probabilities"):
        reliability([0.5, 1.2], [1, 1])
