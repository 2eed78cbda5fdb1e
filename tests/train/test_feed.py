"""The order of examples depends on the seed alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from micrograph.core import Sample
from micrograph.nets import NetSpec
from micrograph.train.feed import BLOCK, Examples, augment, batches

Maker = Callable[[np.random.Generator], Sample]


@pytest.fixture
def examples(toy: Maker, spec: NetSpec) -> Examples:
    return Examples(toy, spec, patch=32, seed=5, reuse=3)


def drawn(
    examples: Examples, first: int, last: int, workers: int, part: tuple[int, int] = (0, 1)
) -> list[torch.Tensor]:
    return [torch.cat(list(pair), 1) for pair in batches(examples, range(first, last), 4, workers, part)]


def test_a_worker_makes_the_same_batches(examples: Examples, toy: Maker, spec: NetSpec) -> None:
    here, there = drawn(examples, 0, 3, 0), drawn(Examples(toy, spec, 32, 5, 3), 0, 3, 1)
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_resumed_feed_goes_on_where_it_stopped(examples: Examples, toy: Maker, spec: NetSpec) -> None:
    whole, rest = drawn(examples, 0, 5, 0), drawn(Examples(toy, spec, 32, 5, 3), 3, 5, 0)
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], rest, strict=True))


def test_the_shares_of_two_devices_are_together_the_batches_of_one(examples: Examples) -> None:
    whole, shares = drawn(examples, 1, 4, 0), [drawn(examples, 1, 4, 0, (rank, 2)) for rank in (0, 1)]
    assert all(torch.equal(torch.cat(pair), one) for *pair, one in zip(*shares, whole, strict=True))


def test_another_seed_gives_other_examples(examples: Examples, toy: Maker, spec: NetSpec) -> None:
    assert not torch.equal(examples[0][0], Examples(toy, spec, 32, 6, 3)[0][0])


def test_a_sample_is_made_once_and_cut_anew(toy: Maker, spec: NetSpec) -> None:
    made = []

    def counted(rng: np.random.Generator) -> Sample:
        made.append(1)
        return toy(rng)

    examples = Examples(counted, spec, 32, 0, reuse=2)
    first, again = examples[0], examples[BLOCK]
    assert len(made) == 1
    assert not torch.equal(first[0], again[0])


def test_image_and_targets_are_cut_and_turned_alike() -> None:
    image = torch.randn(1, 40, 50)
    for seed in range(12):
        cut, targets = augment(image, torch.cat([image, 2 * image]), 32, np.random.default_rng(seed))
        assert cut.shape == (1, 32, 32)
        assert torch.equal(torch.cat([cut, 2 * cut]), targets)


def test_an_image_smaller_than_a_patch_is_mirrored_out() -> None:
    image, targets = augment(torch.randn(1, 20, 40), torch.randn(2, 20, 40), 32, np.random.default_rng(0))
    assert image.shape == (1, 32, 32)
    assert targets.shape == (2, 32, 32)
