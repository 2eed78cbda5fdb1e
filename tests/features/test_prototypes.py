"""Naming by prototypes: what a few examples tell, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.features.naming.prototypes import (
    Prior,
    border_of,
    curve_of,
    fit_prototypes,
    folds_of,
    held_out_scores,
    left_out_distances,
    looks_mislabelled,
    map_temperature,
)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
DIMENSIONS = 6
PRIOR = Prior(np.eye(DIMENSIONS))


def clouds(each: int, apart: float, seed: int = 0, number: int = 3) -> tuple[Array, Index, Index]:
    """Return features of round classes with unit scatter, their classes, and a group for each."""
    rng = np.random.default_rng(seed)
    middles = apart * np.eye(number, DIMENSIONS)
    classes = np.repeat(np.arange(number), each)
    return middles[classes] + rng.normal(size=(len(classes), DIMENSIONS)), classes, np.arange(len(classes))


def head(features: Array, classes: Index, groups: Index, number: int = 0):  # type: ignore[no-untyped-def]
    return fit_prototypes(features, classes, groups, PRIOR, number)


def test_round_classes_are_named_as_well_as_their_overlap_allows() -> None:
    from scipy.stats import norm

    features, classes, groups = clouds(4000, 2.0, number=2)
    named = head(features[::2], classes[::2], groups[::2] // 2).scores(features[1::2]).argmax(axis=1)
    assert np.mean(named == classes[1::2]) == pytest.approx(norm.cdf(np.sqrt(2)), abs=0.015)


def test_one_example_a_class_is_enough_to_begin() -> None:
    features, classes, _ = clouds(40, 9.0)
    first = np.array([0, 40, 80])
    named = head(features[first], classes[first], np.arange(3)).probabilities(features).argmax(axis=1)
    assert np.mean(named == classes) > 0.95


def test_the_scatter_of_the_examples_replaces_that_of_the_prior() -> None:
    rng = np.random.default_rng(1)
    wide = rng.normal(size=(600, DIMENSIONS)) * np.array([20.0, 1, 1, 1, 1, 1])
    classes = np.repeat([0, 1], 300)
    wide[:, 1] += 3.0 * classes
    named = head(wide, classes, np.arange(600)).scores(wide).argmax(axis=1)
    assert np.mean(named == classes) > 0.9


def test_a_group_counts_once_however_many_images_it_has() -> None:
    one = np.zeros((1, DIMENSIONS))
    other = np.ones((1, DIMENSIONS))
    features = np.concatenate([np.repeat(one, 99, axis=0), other, 5 + other, 6 + other])
    groups = np.array([0] * 99 + [1, 2, 3])
    found = head(features, np.array([0] * 100 + [1, 1]), groups)
    np.testing.assert_allclose(found.mean[0], 0.5)
    np.testing.assert_allclose(found.groups, [2, 2])


def test_each_group_is_held_out_once_and_never_split() -> None:
    classes = np.repeat([0, 1], [30, 9])
    groups = np.arange(39) // 3
    folds = folds_of(classes, groups, most=4)
    assert sorted(np.concatenate(folds).tolist()) == list(range(13))


def test_held_out_images_of_a_copy_give_nothing_away() -> None:
    """Random labels: with copies in one group the held-out accuracy is chance, with groups torn apart it is not."""
    rng = np.random.default_rng(2)
    single = rng.normal(size=(60, DIMENSIONS))
    classes, features = np.tile(np.arange(2), 30).repeat(2), single.repeat(2, axis=0)
    honest, _ = held_out_scores(features, classes, np.repeat(np.arange(60), 2), head)
    assert abs(np.mean(honest.argmax(axis=1) == classes) - 0.5) < 0.2


def test_a_class_that_was_left_out_lies_farther_away() -> None:
    features, classes, groups = clouds(25, 12.0)
    unseen, seen = left_out_distances(features, classes, groups, head)
    assert np.median(unseen) > seen.max()
    border = border_of(seen)
    assert np.mean(unseen > border) > 0.9 and np.mean(seen > border) <= 0.06


def test_labels_that_were_swapped_are_found() -> None:
    features, classes, groups = clouds(20, 14.0)
    wrong = classes.copy()
    wrong[[3, 47]] = [2, 0]
    scores, _ = held_out_scores(features, wrong, groups, head)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert set(looks_mislabelled(e / e.sum(axis=1, keepdims=True), wrong).tolist()) == {3, 47}


def test_more_examples_do_better() -> None:
    features, classes, groups = clouds(30, 2.5)
    points = curve_of(features, classes, groups, head, np.random.default_rng(0))
    assert points[0][0] == 1 and points[-1][0] == 29
    assert points[-1][1] > points[0][1] + 0.1


def test_the_temperature_is_the_factor_by_which_scores_are_too_sure() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4000, 4))
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(4, p=one) for one in share])
    assert map_temperature(3 * scores, classes, 1.0) == pytest.approx(3, rel=0.1)
    few = map_temperature(3 * scores[:3], scores[:3].argmax(axis=1), 2.0)
    assert 0.5 < few < 4
