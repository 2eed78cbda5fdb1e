"""How many images are computed at once: a fixed number on a processor, on a GPU as many as its memory holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]
#: What a network gives, one row an image of the batch: its answers, and what they were made of.
Pair = tuple[Array, Array]
#: Takes images (B, C, H, W), encoders also known numbers (B, M).
Computes = Callable[..., Pair]
#: Share of the free memory of a GPU that one batch may take.
SHARE = 0.5


class Memory(Protocol):
    """The memory of a GPU, in bytes."""

    def free(self) -> int:
        """Return what a computation may still take."""
        ...

    def taken(self, work: Callable[[], object]) -> int:
        """Do `work` and return what it took at most."""
        ...


@dataclass(frozen=True)
class GpuMemory:
    """The memory of the GPU 'cuda' or 'cuda:N'; what PyTorch holds without using it counts as free."""

    device: str

    def free(self) -> int:
        """Return what a computation may still take, in bytes."""
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0]) + int(held)

    def taken(self, work: Callable[[], object]) -> int:
        """Do `work` and return the bytes that it took at most."""
        torch.cuda.reset_peak_memory_stats(self.device)
        before = int(torch.cuda.memory_allocated(self.device))
        work()
        return int(torch.cuda.max_memory_allocated(self.device)) - before


def in_pieces(compute: Computes, most: Callable[..., int]) -> Computes:
    """Return `compute` for batches of any length: never more images at once than `most` says for a batch."""

    def whole(*arrays: Array) -> Pair:
        size = most(*arrays)
        begins = range(0, len(arrays[0]), size)
        parts = [compute(*(np.ascontiguousarray(one[at : at + size]) for one in arrays)) for at in begins]
        return np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])

    return whole


def as_fits(compute: Computes, memory: Memory) -> Computes:
    """Return `compute` for a GPU: pieces of a batch are as large as half of its free memory holds.

    What a value of an image takes is measured once, on the first image.
    """
    cost: list[float] = []

    def most(*arrays: Array) -> int:
        first = [one[:1] for one in arrays]
        if not cost:
            cost.append(max(1, memory.taken(lambda: compute(*first))) / first[0].size)
        return max(1, int(SHARE * memory.free() / (cost[0] * first[0].size)))

    return in_pieces(compute, most)
