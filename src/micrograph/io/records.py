"""Patterns that lie one behind the other in a file, each with what its writer put before or behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.signals import Key


@dataclass(frozen=True)
class Records:
    """Patterns (*nav, H, W) in a file from byte `offset` on: `head` bytes, the pattern's `stored` rows, `tail` bytes.

    nav is (N,) or (Y, X) of a scan; of the stored rows the first H are kept; `flipped` turns them upside down. A key
    reads only the patterns that its leading numbers, and one slice behind them, choose.
    """

    path: Path
    nav: tuple[int, ...]
    pattern: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int = 0
    head: int = 0
    tail: int = 0
    flipped: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (*self.nav, *self.pattern)

    @property
    def stride(self) -> int:
        """Bytes from one pattern to the next."""
        return self.head + self.tail + self.pattern[0] * self.pattern[1] * self.dtype.itemsize

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the array."""
        first, last, kept = chosen(key, self.nav)
        found = self._patterns(first, last).reshape(*kept, *self.pattern)
        rest = key[len(self.nav) - len(kept) :]
        whole = tuple(slice(None) if number == 0 else part for number, part in enumerate(rest[: len(kept)]))
        return found[(*whole, *rest[len(kept) :])]

    def _patterns(self, first: int, last: int) -> NDArray[Any]:
        record = np.dtype([("head", "V", self.head), ("data", self.dtype, self.pattern), ("tail", "V", self.tail)])
        with self.path.open("rb") as file:
            file.seek(self.offset + first * self.stride)
            block = np.fromfile(file, record, last - first)
        if len(block) < last - first:
            raise BadInput(f"{self.path.name} ends before its patterns do: it is truncated; copy it again.")
        patterns: NDArray[Any] = block["data"]
        return patterns[:, ::-1] if self.flipped else patterns


def chosen(key: Key, nav: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
    """Return which patterns, in order, a key reads (first, one behind the last), and the shape (kept axes) of those.

    Leading numbers choose places; a first slice behind them chooses a stretch; what follows is read whole.
    """
    leading: list[int] = []
    for part in key[: len(nav)]:
        if not isinstance(part, int):
            break
        leading.append(part)
    inner = nav[len(leading) :]
    size = int(np.prod(inner, dtype=np.int64))
    begin = int(np.ravel_multi_index(leading, nav[: len(leading)])) * size if leading else 0
    if not inner:
        return begin, begin + 1, ()
    part = key[len(leading)] if len(key) > len(leading) else slice(None)
    assert isinstance(part, slice)
    start, stop, step = part.indices(inner[0])
    if step != 1:
        raise ValueError("a stretch of patterns is read without gaps")
    each = size // max(inner[0], 1)
    return begin + start * each, begin + stop * each, (max(stop - start, 0), *inner[1:])
