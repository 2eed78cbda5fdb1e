"""Frames and recordings: what enters the house."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core.calibration import Calibration


@dataclass(frozen=True)
class Frame:
    """One image (H, W), pattern (H, W) or spectrum (E,), float32 in the detector's own units, with its scale.

    `known` is what else was recorded while it was taken, by column name: its time ``t_s``, ``temperature_C``.
    """

    data: NDArray[np.float32]
    index: int
    calibration: Calibration
    known: Mapping[str, float] = field(default_factory=dict)


class Stream(Protocol):
    """Anything that yields calibrated frames: a file, a simulator or a running camera."""

    @property
    def calibration(self) -> Calibration:
        """Scale that all frames share."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in the order of recording."""
        ...


@dataclass(frozen=True)
class Recording:
    """A lazy recording: a `Stream` with a length. Slicing reads nothing; ``read(i)`` returns one (H, W) array.

    ``known(i)`` gives what a log says of frame i (see `Frame`), where there is one.
    """

    read: Callable[[int], NDArray[Any]]
    indices: range
    calibration: Calibration
    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    known: Callable[[int], Mapping[str, float]] | None = None

    def __len__(self) -> int:
        """Number of frames chosen."""
        return len(self.indices)

    def __getitem__(self, frames: slice) -> Recording:
        """Return the recording of a slice of the frames; nothing is read."""
        return replace(self, indices=self.indices[frames])

    def frame(self, position: int) -> Frame:
        """Read the frame at `position` (0 .. len - 1) of this recording as float32."""
        index = self.indices[position]
        known = self.known(index) if self.known is not None else {}
        return Frame(np.asarray(self.read(index), dtype=np.float32), index, self.calibration, known)

    def binned(self, number: int) -> Recording:
        """Return the recording with `number` x `number` pixels averaged into one; what is left over is cut."""
        if number == 1:
            return self
        height, width = (size // number for size in self.shape[-2:])
        return replace(
            self,
            read=lambda index: binned(np.asarray(self.read(index), np.float32), number),
            calibration=self.calibration.binned(number),
            shape=(height, width),
            dtype="float32",
        )

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames in order, one at a time."""
        return (self.frame(position) for position in range(len(self)))

    def calibrated(self, **values: Any) -> Recording:
        """Return the same recording with the given calibration values (those not ``None``) in place."""
        return replace(self, calibration=self.calibration.with_known(**values))


def binned(image: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return the means (H // n, W // n) of blocks of n x n pixels; what is left over at the far ends is cut."""
    height, width = (size // number for size in image.shape)
    blocks = image[: height * number, : width * number].reshape(height, number, width, number)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return means
