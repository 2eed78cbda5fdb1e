"""Movies as arrays of which the viewer reads a frame at a time, and painted masks made when they are looked at."""

from __future__ import annotations

import math
import operator
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Recording

#: Painted frames that are kept although nobody has changed them.
_KEPT = 8


class FrameArray(ABC):
    """An array (T, H, W) by frames: indexing reads the frames that the first index names, and no others."""

    ndim = 3

    def __init__(self, count: int, shape: tuple[int, int], dtype: str) -> None:
        self.shape = (count, *shape)
        self.dtype = np.dtype(dtype)

    @property
    def size(self) -> int:
        """Number of pixels in all frames."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        """Number of frames."""
        return self.shape[0]

    @abstractmethod
    def frame(self, index: int) -> NDArray[Any]:
        """Return frame `index` (0 .. T - 1) as an array (H, W)."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return what numpy would return for integers, slices, an ellipsis and arrays of indices."""
        first, rest = self._split(key)
        if isinstance(first, slice):
            chosen = [self.frame(index)[rest] for index in range(*first.indices(len(self)))]
            nothing: NDArray[Any] = np.empty((0, *self.shape[1:]), self.dtype)[:, *rest]
            return np.stack(chosen) if chosen else nothing
        if np.ndim(first) == 0:
            part: NDArray[Any] = self.frame(self._number(first))[rest]
            return part
        numbers, *others = np.broadcast_arrays(np.asarray(first), *rest)
        found = np.empty(numbers.shape, self.dtype)
        for index in np.unique(numbers):
            here = numbers == index
            found[here] = self.frame(self._number(index))[tuple(each[here] for each in others)]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all frames in memory, as saving them asks for."""
        return np.asarray(self[:], dtype=dtype)

    def _split(self, key: Any) -> tuple[Any, tuple[Any, ...]]:
        """Return the index of the frames and those within a frame."""
        keys = key if isinstance(key, tuple) else (key,)
        place = next((place for place, each in enumerate(keys) if each is Ellipsis), None)
        if place is not None:
            keys = (*keys[:place], *[slice(None)] * (self.ndim + 1 - len(keys)), *keys[place + 1 :])
        return (keys[0], keys[1:]) if keys else (slice(None), ())

    def _number(self, index: Any) -> int:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        return number % len(self)


class Movie(FrameArray):
    """The frames of a recording, read when asked for, by one thread at a time."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(len(recording), (recording.shape[-2], recording.shape[-1]), recording.dtype)
        self.recording = recording
        self._lock = threading.Lock()

    def frame(self, index: int) -> NDArray[Any]:
        """Read frame `index`; raises `BadInput` where the file cannot give it."""
        with self._lock:
            return np.asarray(self.recording.read(self.recording.indices[index]))


class Painted(FrameArray):
    """Masks (T, H, W) int32 that `paint` makes frame by frame; frames that somebody wrote into are kept."""

    def __init__(self, count: int, shape: tuple[int, int], paint: Callable[[int], NDArray[np.int32]]) -> None:
        super().__init__(count, shape, "int32")
        self.paint = paint
        self.changed: dict[int, NDArray[np.int32]] = {}
        self._seen: dict[int, NDArray[np.int32]] = {}

    def frame(self, index: int) -> NDArray[np.int32]:
        """Return the mask of frame `index` as it was left, or as it is painted."""
        if index in self.changed:
            return self.changed[index]
        if index not in self._seen:
            while len(self._seen) >= _KEPT:
                self._seen.pop(next(iter(self._seen)))
            self._seen[index] = self.paint(index)
        return self._seen[index]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write into the frames that the first index names, and keep them."""
        first, rest = self._split(key)
        if isinstance(first, slice) or np.ndim(first) == 0:
            chosen = range(*first.indices(len(self))) if isinstance(first, slice) else [self._number(first)]
            for index in chosen:
                self._kept(index)[rest] = value
            return
        numbers, values, *others = np.broadcast_arrays(np.asarray(first), value, *rest)
        for index in np.unique(numbers):
            here = numbers == index
            self._kept(self._number(index))[tuple(each[here] for each in others)] = values[here]

    def _kept(self, index: int) -> NDArray[np.int32]:
        if index not in self.changed:
            self.changed[index] = self.frame(index).copy()
            self._seen.pop(index, None)
        return self.changed[index]
