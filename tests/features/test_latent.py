"""Surroundings told so that turning changes nothing, processes, and which rows are alike."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.layers.latent import (
    invariants,
    learned_process,
    nearest,
    polar_views,
    principal,
    ring_radii,
    turned_alike,
)
from micrograph.features.objects.overlap import best_overlap, ring_areas

RADII = ring_radii(10.0, 8)


def scene(turn: float = 0.0, mirror: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[-20:21, -20:21] * 1.0
    x = mirror * x
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return np.exp(-((along - 5) ** 2 + across**2) / 8) + 0.5 * np.exp(-(along**2 + (across - 6) ** 2) / 8)


def views(*images: np.ndarray) -> np.ndarray:
    return np.concatenate([polar_views(image, np.array([[20.0, 20.0]]), RADII, 48) for image in images])


def test_turned_and_mirrored_surroundings_have_the_same_numbers() -> None:
    seen = invariants(views(scene(), scene(np.pi / 2), scene(0.9), scene(0.0, -1.0)))
    other = invariants(views(scene()[::2].repeat(2, axis=0)[:41]))
    spread = np.abs(seen[0] - other[0]).max()
    np.testing.assert_allclose(seen[1:], np.repeat(seen[:1], 3, axis=0), atol=0.35 * spread)
    np.testing.assert_allclose(seen[1], seen[0], atol=1e-6)


def test_turned_and_mirrored_surroundings_are_turned_alike() -> None:
    one, two, three = turned_alike(views(scene(), scene(np.pi / 4), scene(0.0, -1.0)))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.97
    assert np.corrcoef(one.ravel(), three.ravel())[0, 1] > 0.99


def test_the_overlap_of_a_mask_with_itself_turned_and_mirrored_is_whole() -> None:
    mask = views(scene()) > 0.3
    turned, mirrored = np.roll(mask, 7, axis=2), np.roll(mask, 7, axis=2)[:, :, ::-1]
    np.testing.assert_allclose(best_overlap(mask, turned, RADII), 1.0)
    np.testing.assert_allclose(best_overlap(mask, mirrored, RADII), 1.0)
    nothing = np.zeros_like(mask)
    assert best_overlap(nothing, nothing, RADII)[0] == 1 and best_overlap(nothing, mask, RADII)[0] == 0


def test_areas_of_rings_fill_the_disc() -> None:
    assert ring_areas(np.arange(0.5, 10)).sum() == pytest.approx(100)


def test_a_process_learns_a_smooth_function_and_says_how_well() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (300, 2))
    truth = np.stack([np.sin(2 * x[:, 0]), x[:, 1] ** 2], axis=1)
    process = learned_process(x, truth + 0.1 * rng.standard_normal(truth.shape), rng)
    new = rng.uniform(-1.8, 1.8, (200, 2))
    wanted = np.stack([np.sin(2 * new[:, 0]), new[:, 1] ** 2], axis=1)
    mean, variance = process(new)
    assert np.sqrt(np.mean((mean - wanted) ** 2)) < 0.05
    pull = (mean + 0.1 * rng.standard_normal(mean.shape) - wanted) / np.sqrt(variance)
    assert np.mean(np.abs(pull) < 1) == pytest.approx(0.68, abs=0.08)


def test_components_give_the_numbers_back() -> None:
    x = np.random.default_rng(1).standard_normal((50, 3)) @ np.random.default_rng(2).standard_normal((3, 9))
    scores = principal(x, 8)
    assert scores(x).shape == (50, 3)
    np.testing.assert_allclose(scores.back(scores(x)), x, atol=1e-9)


def test_the_nearest_rows_are_others() -> None:
    index, apart = nearest(np.array([[0.0], [0.0], [1.0], [5.0]]), 2)
    assert all(row not in found for row, found in enumerate(index.tolist()))
    assert apart[3].tolist() == [4.0, 5.0]
