"""Training examples in a fixed order: the same for any number of workers and after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from micrograph.core import Sampler as SampleMaker
from micrograph.nets import NetSpec
from micrograph.train.targets import example

#: Samples that are shuffled together; each is seen `reuse` times, augmented anew.
BLOCK = 64
#: Batches that a process has ready ahead: while old samples are turned anew, those of the next block are simulated.
AHEAD = 32


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """Item i: sample number and augmentation follow from i and `seed` alone. Patches of (1, p, p) and (K, p, p)."""

    def __init__(self, maker: SampleMaker, spec: NetSpec, patch: int, seed: int, reuse: int) -> None:
        self.maker, self.spec, self.patch, self.seed, self.reuse = maker, spec, patch, seed, reuse
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        """Return sample number `item`, augmented, as (image, targets)."""
        block, place = divmod(item, BLOCK * self.reuse)
        image, targets = self._sample(block * BLOCK + place % BLOCK)
        return augment(image, targets, self.patch, np.random.default_rng([self.seed, 1, item]))

    def _sample(self, number: int) -> tuple[Tensor, Tensor]:
        if number not in self._kept:
            if len(self._kept) >= BLOCK:
                self._kept.clear()
            rng = np.random.default_rng([self.seed, 0, number])
            self._kept[number] = example(self.maker(rng), self.spec)
        return self._kept[number]


def augment(image: Tensor, targets: Tensor, patch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return a random patch, turned and mirrored, image and targets alike; small images are mirrored out."""
    height, width = image.shape[-2:]
    short = (max(0, patch - height), max(0, patch - width))
    if any(short):
        pad = (0, short[1], 0, short[0])
        image = torch.nn.functional.pad(image, pad, mode="reflect")
        targets = torch.nn.functional.pad(targets, pad, mode="reflect")
        height, width = image.shape[-2:]
    top, left = int(rng.integers(height - patch + 1)), int(rng.integers(width - patch + 1))
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def same(part: Tensor) -> Tensor:
        part = torch.rot90(part[..., top : top + patch, left : left + patch], turns, (-2, -1))
        return (part.flip(-1) if mirror else part).contiguous()

    return same(image), same(targets)


def batches(
    examples: Dataset[Any], numbers: range, batch: int, workers: int, part: tuple[int, int] = (0, 1)
) -> DataLoader[Any]:
    """Return the batches of these `numbers`, made by `workers` processes (0: in this one).

    part (k, n): of each batch only share k of n equal ones, in order.
    """
    share, ahead = batch // part[1], AHEAD if workers else None
    begins = [number * batch + part[0] * share for number in numbers]
    order = [item for begin in begins for item in range(begin, begin + share)]
    return DataLoader(
        examples, share, sampler=order, num_workers=workers, worker_init_fn=_one_thread, prefetch_factor=ahead
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
