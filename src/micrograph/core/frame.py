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
    """One image (H, W), or what else a recording holds (see `Calibration.content`), with its scale.

    It is float32 in the detector's own units.

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

    ``known(i)`` gives what a log says of frame i (see `Frame`), where there is one. The patterns of a 4D-STEM scan are
    its frames row by row; `nav_shape` is then the scan's (Y, X), and ``block(i, j)`` reads frames i to j - 1 at once.
    """

    read: Callable[[int], NDArray[Any]]
    indices: range
    calibration: Calibration
    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    known: Callable[[int], Mapping[str, float]] | None = None
    nav_shape: tuple[int, ...] = ()
    block: Callable[[int, int], NDArray[Any]] | None = None

    def __len__(self) -> int:
        """Number of frames chosen."""
        return len(self.indices)

    def __getitem__(self, frames: slice) -> Recording:
        """Return the recording of a slice of the frames; nothing is read."""
        return replace(self, indices=self.indices[frames])

    def frame(self, position: int) -> Frame:
        """Read the frame at `position` (0 .. len - 1) of this recording as float32."""
        index = self.indices[position]
        known = dict(self.known(index)) if self.known is not None else {}
        data = np.asarray(self.read(index), dtype=np.float32)
        return Frame(data, index, self.calibration, known | self._place(index))

    def _place(self, index: int) -> dict[str, float]:
        """Return where on a scan a pattern was taken, by column name; nothing for other frames."""
        if not self.nav_shape or self.calibration.content == "rows":
            return {}
        step = self.calibration.step_nm
        if self.calibration.content == "spectra":
            return {"scan_row": float(index)} | ({} if step is None else {"y_nm": index * step})
        row, column = divmod(index, self.nav_shape[1])
        places = {"scan_row": float(row), "scan_column": float(column)}
        return places if step is None else places | {"y_nm": row * step, "x_nm": column * step}

    def binned(self, number: int) -> Recording:
        """Return the recording with `number` x `number` pixels averaged into one; what is left over is cut."""
        if number == 1:
            return self
        height, width = (size // number for size in self.shape[-2:])
        return replace(
            self,
            read=lambda index: binned(np.asarray(self.read(index)), number),
            calibration=self.calibration.binned(number),
            shape=(*self.shape[:-2], height, width),
            dtype="float32",
            block=None,
        )

    def many(self, first: int, last: int) -> NDArray[Any]:
        """Read the frames whose numbers in the file are `first` to ``last - 1``, (N, H, W), as they are stored."""
        if self.block is not None:
            return self.block(first, last)
        return np.stack([np.asarray(self.read(index)) for index in range(first, last)])

    def rows(self, together: int = 1) -> Recording:
        """Return a 4D-STEM scan as frames (N, H, W), each of so many rows `together`, of which frames were chosen."""
        down, across = self.nav_shape
        first, last = self.indices.start // across, min(down, -(-self.indices.stop // across))

        def read(number: int) -> NDArray[Any]:
            row = first + number * together
            return self.many(row * across, min(row + together, last) * across)

        return replace(
            self,
            read=read,
            indices=range(-(-(last - first) // together)),
            calibration=replace(self.calibration, content="rows"),
            shape=(together * across, *self.shape),
            known=None,
            block=None,
            metadata={**self.metadata, "first_row": first},
        )

    def averaged(self, number: int) -> Recording:
        """Return the chosen rows of a 4D-STEM scan, patterns at `number` x `number` places averaged into one.

        What is left over at the far ends is cut; rows count from the first chosen one.
        """
        if number == 1:
            return self
        across = self.nav_shape[1]
        first, last = self.indices.start // across, -(-self.indices.stop // across)
        down, wide = (last - first) // number, across // number

        def read(index: int) -> NDArray[np.float32]:
            row, column = (number * place for place in divmod(index, wide))
            starts = [(first + one) * across + column for one in range(row, row + number)]
            total = sum(self.many(start, start + number).sum(axis=0, dtype=np.float64) for start in starts)
            return np.asarray(total / number**2, np.float32)

        step = self.calibration.step_nm
        return replace(
            self,
            read=read,
            indices=range(down * wide),
            calibration=self.calibration.with_known(step_nm=None if step is None else step * number),
            dtype="float32",
            known=None,
            nav_shape=(down, wide),
            block=None,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames in order, one at a time."""
        return (self.frame(position) for position in range(len(self)))

    def calibrated(self, **values: Any) -> Recording:
        """Return the same recording with the given calibration values (those not ``None``) in place."""
        return replace(self, calibration=self.calibration.with_known(**values))


def binned(image: NDArray[Any], number: int) -> NDArray[np.float32]:
    """Return the means (..., H // n, W // n) of blocks of n x n pixels; what is left over at the far ends is cut."""
    height, width = (size // number for size in image.shape[-2:])
    cut = image[..., : height * number, : width * number]
    blocks = cut.reshape(*image.shape[:-2], height, number, width, number)
    means: NDArray[np.float32] = blocks.mean(axis=(-3, -1), dtype=np.float32)  # without a copy in float32
    return means
