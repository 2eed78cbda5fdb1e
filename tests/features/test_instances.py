"""Objects that touch are told apart by their depth, and nothing else is cut."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.objects.instances import find_objects
from micrograph.features.objects.thickness import darkness

Y, X = np.mgrid[:96, :128]


def disc(y: float, x: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    depth = radius - np.hypot(Y - y, X - x)
    return np.clip(depth + 0.5, 0, 1), np.clip(depth / radius, 0, 1)


def together(*discs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    covered, deep = zip(*discs, strict=True)
    return np.max(covered, axis=0), np.max(deep, axis=0)


def test_two_discs_that_overlap_are_two() -> None:
    covered, deep = together(disc(40, 40, 20), disc(40, 68, 20))
    found = find_objects(covered, deep)
    assert found.labels.max() == 2 and found.labels[40, 40] != found.labels[40, 68]
    sizes = np.bincount(found.labels.ravel())[1:]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.03)


def test_a_rod_and_a_single_disc_stay_whole() -> None:
    along = np.clip(np.abs(X - 64) - 30, 0, None)
    depth = 10 - np.hypot(Y - 48, along)
    assert find_objects(np.clip(depth + 0.5, 0, 1), np.clip(depth / 10, 0, 1)).labels.max() == 1
    assert find_objects(*disc(48, 64, 25)).labels.max() == 1


def test_specks_and_nothing_are_left_out() -> None:
    empty = np.zeros((40, 40))
    assert find_objects(empty, empty).labels.max() == 0
    speck = empty.copy()
    speck[10:12, 10:12] = 1
    assert find_objects(speck, speck).labels.max() == 0


def test_doubtful_objects_are_left_out_and_others_have_a_score() -> None:
    covered, deep = disc(40, 40, 20)
    (score,) = find_objects(0.9 * covered, deep).scores
    assert score == pytest.approx(0.9, abs=0.02)
    assert find_objects(0.55 * covered, deep).labels.max() == 0


def test_labels_go_by_rows() -> None:
    covered, deep = together(disc(70, 20, 8), disc(20, 100, 8), disc(40, 50, 8))
    labels = find_objects(covered, deep).labels
    assert [labels[20, 100], labels[40, 50], labels[70, 20]] == [1, 2, 3]


def test_darkness_is_the_logarithm_of_what_passes_with_its_counting_error() -> None:
    rng, depths = np.random.default_rng(1), []
    labels = find_objects(*disc(48, 60, 20)).labels
    for _ in range(60):
        image = rng.poisson(np.where(labels > 0, 50 * np.exp(-0.7), 50)).astype(float)
        dark = darkness(image, labels)
        depths.append((dark.depth[0], dark.depth_sigma[0], dark.total_px[0]))
    depth, sigma, total = np.array(depths).T
    assert depth.mean() == pytest.approx(0.7, abs=0.005)
    assert depth.std() == pytest.approx(sigma.mean(), rel=0.4)
    assert total.mean() == pytest.approx(0.7 * np.pi * 20**2, rel=0.02)


def test_an_object_that_fills_the_image_has_no_surroundings() -> None:
    dark = darkness(np.ones((30, 30)), np.ones((30, 30), np.int32))
    assert np.isnan(dark.depth).all()
