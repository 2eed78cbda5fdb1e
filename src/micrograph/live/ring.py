"""The newest frames of a running experiment as they came, on disk: for looking back and for keeping."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core.provenance import whole


class Ring:
    """The newest `size` frames (H, W) of one dtype in a file that never grows."""

    def __init__(self, path: Path, size: int, shape: tuple[int, int], dtype: str) -> None:
        self._path, self._size = path, size
        path.parent.mkdir(parents=True, exist_ok=True)
        self._pixels: NDArray[Any] = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(size, *shape))
        self._numbers = np.full(size, -1, np.int64)
        self._next = 0
        self._lock = threading.Lock()

    def add(self, number: int, pixels: NDArray[Any]) -> None:
        """Keep frame `number`, in the place of the oldest one."""
        with self._lock:
            self._pixels[self._next] = pixels
            self._numbers[self._next] = number
            self._next = (self._next + 1) % self._size

    @property
    def numbers(self) -> list[int]:
        """The numbers of the frames that are kept, oldest first."""
        with self._lock:
            return [int(n) for n in np.roll(self._numbers, -self._next) if n >= 0]

    def frame(self, number: int) -> NDArray[Any] | None:
        """Return a copy of frame `number`, ``None`` when it is kept no longer."""
        with self._lock:
            at = np.flatnonzero(self._numbers == number)
            return np.array(self._pixels[at[0]]) if len(at) else None

    def write(self, path: Path) -> list[int]:
        """Write the kept frames (N, H, W), oldest first, to a .npy file, whole or not at all; return their numbers."""
        with self._lock:
            order = [int(i) for i in np.roll(np.arange(self._size), -self._next) if self._numbers[i] >= 0]
            numbers = [int(self._numbers[i]) for i in order]
            with whole(path) as temporary:
                shape = (len(order), *self._pixels.shape[1:])
                kept = np.lib.format.open_memmap(temporary, "w+", dtype=self._pixels.dtype, shape=shape)
                for place, source in enumerate(order):
                    kept[place] = self._pixels[source]
                kept.flush()
        return numbers

    def close(self) -> None:
        """Let go of the file and remove it."""
        with self._lock:
            self._numbers[:] = -1
            self._path.unlink(missing_ok=True)
