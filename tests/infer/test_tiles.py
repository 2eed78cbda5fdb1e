"""A large frame in tiles gives what the whole frame gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from micrograph.infer import tiles
from micrograph.infer.backends import torch_backend
from micrograph.nets import load


@pytest.mark.parametrize("shape", [(512, 512), (1025, 3001), (545, 1200), (1100, 600), (40, 2000)])
def test_tiles_cover_a_frame_exactly_once(shape: tuple[int, int]) -> None:
    covered = np.zeros(shape, int)
    for top, bottom, left, right in tiles._centres(*shape, 16, tiles.HALO):
        covered[top:bottom, left:right] += 1
        assert max(bottom - top, right - left) <= tiles.HALO * (tiles.CORE + 1)
    assert (covered == 1).all()


def test_tiled_equals_whole(weights: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    compute = torch_backend(load(weights()), "cpu")
    image = np.random.default_rng(0).normal(0, 1, (352, 288)).astype(np.float32)
    whole, embedding = tiles.tiled(image, compute, 16)
    monkeypatch.setattr(tiles, "CORE", 3)
    parts, average = tiles.tiled(image, compute, 16)
    np.testing.assert_allclose(parts, whole, atol=1e-3)
    np.testing.assert_allclose(average, embedding, atol=0.05 * np.abs(embedding).max())


def test_a_frame_larger_than_a_tile_has_no_seam(weights: Callable[..., Path]) -> None:
    compute = torch_backend(load(weights()), "cpu")
    image = np.random.default_rng(1).normal(0, 1, (64, tiles.HALO * (tiles.CORE + 2) + 48)).astype(np.float32)
    parts, _ = tiles.tiled(image, compute, 16)
    np.testing.assert_allclose(parts[None], compute(image[None, None])[0], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (64, 64), (63, 65)])
def test_logits_have_the_size_of_any_frame(shape: tuple[int, int]) -> None:
    seen = []

    def compute(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(batch.shape[2:])
        return np.repeat(batch, 2, axis=1), np.zeros((1, 3), np.float32)

    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    logits, _ = tiles.tiled(image, compute, 16)
    np.testing.assert_array_equal(logits, [image, image])
    assert all(n % 16 == 0 for side in seen for n in side)


def test_neighbours_that_are_alike_go_as_one_batch() -> None:
    seen = []

    def compute(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(batch.shape)
        return batch, batch.mean(axis=(2, 3))

    image = np.random.default_rng(0).random((64, 4 * tiles.HALO * tiles.CORE), dtype=np.float32)
    logits, embedding = tiles.tiled(image, compute, 16)
    np.testing.assert_array_equal(logits, [image])
    assert embedding == pytest.approx(image.mean(), abs=0.01)
    assert [batch[0] for batch in seen] == [1, 2, 1]
