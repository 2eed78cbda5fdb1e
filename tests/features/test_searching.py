"""The search improves on what it began with, finds discs without truth, and its survivors agree on what is there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects.searching import SearchSettings, search, typical_diameter
from micrograph.features.objects.stacking import agreed

QUICK = SearchSettings(population=7, generations=2, survivors=4, side_px=96, pieces=1)


def _scene(rng: np.random.Generator, radius: float = 9.0, bright: bool = False) -> tuple[NDArray[np.float32], int]:
    y, x = np.mgrid[:128, :128]
    covered = np.zeros((128, 128))
    centres = [(row, column) for row in range(20, 120, 30) for column in range(20, 120, 30)]
    for row, column in centres:
        at = rng.uniform(-4, 4, 2)
        covered = np.maximum(covered, np.clip(radius - np.hypot(y - row - at[0], x - column - at[1]) + 0.5, 0, 1))
    image = 100 + (20 if bright else -20) * covered + 0.05 * y + rng.normal(0, 5, y.shape)
    return image.astype(np.float32), len(centres)


@pytest.mark.parametrize("bright", [False, True])
def test_search_finds_discs_of_either_contrast_without_truth(bright: bool) -> None:
    image, count = _scene(np.random.default_rng(1), bright=bright)
    found = search([image], np.random.default_rng(0), QUICK)
    assert found.history[-1] >= found.history[0] > 0.3
    assert found.chain.step("polarity").method == ("bright" if bright else "dark")
    assert found.diameter_px == pytest.approx(18, rel=0.35)
    stacked = agreed([chain.labels(image) for chain in found.survivors])
    assert len(stacked.scores) == pytest.approx(count, abs=1)
    assert stacked.scores.max() == 1


def test_the_same_rng_gives_the_same_chains() -> None:
    image, _ = _scene(np.random.default_rng(2))
    settings = SearchSettings(population=4, generations=2, survivors=3, side_px=48, pieces=1)
    first, again = (search([image], np.random.default_rng(3), settings) for _ in range(2))
    assert first == again


def test_typical_diameter_follows_the_discs() -> None:
    rng = np.random.default_rng(4)
    for radius in (5.0, 10.0):
        assert typical_diameter(_scene(rng, radius)[0]) == pytest.approx(2 * radius, rel=0.35)


def test_images_without_content_are_refused() -> None:
    with pytest.raises(BadInput, match="no image of at least 32 pixels"):
        search([np.zeros((64, 64), np.float32), np.ones((8, 8), np.float32)], np.random.default_rng(0), QUICK)


def test_stacking_keeps_what_most_hold_and_says_how_many() -> None:
    one = np.zeros((40, 40), np.int32)
    one[2:10, 2:10], one[20:30, 20:30] = 1, 2
    two, three = one.copy(), one.copy()
    two[20:30, 20:30] = 0
    three[2:10, 2:10], three[30:38, 2:10] = 0, 3
    three[3:11, 2:10] = 1
    found = agreed([one, two, three], least=0.6)
    assert found.labels.max() == 2
    assert found.scores == pytest.approx([1.0, 2 / 3])
    assert (found.labels == 1).sum() == 64
    assert agreed([one, two, three], least=1.0).labels.max() == 1
    assert agreed([np.zeros((5, 5), np.int32)] * 2).labels.max() == 0


def test_stacking_gives_each_pixel_to_one_object() -> None:
    whole, halves = np.zeros((30, 30), np.int32), np.zeros((30, 30), np.int32)
    whole[5:25, 5:25] = 1
    halves[5:25, 5:15], halves[5:25, 15:25] = 1, 2
    found = agreed([whole, whole, halves], least=0.3)
    assert found.labels.max() == 1
    assert found.scores == pytest.approx([2 / 3])
