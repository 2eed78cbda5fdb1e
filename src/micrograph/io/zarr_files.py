"""Zarr stores of no particular convention: the image-like arrays in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import plain_axes
from micrograph.io.files import first_line
from micrograph.io.signals import EXPECTED, Key, Signal


@dataclass(frozen=True)
class ZarrArray:
    """An array of a Zarr store, opened for every read."""

    path: Path
    name: str

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the array."""
        return np.asarray(_opened(self.path, self.name)[key])


def signals(path: Path) -> list[Signal]:
    """Return the numeric arrays of two or more dimensions in a Zarr store; raises `BadInput` where there is none."""
    import zarr

    try:
        root = zarr.open(path, mode="r")
        named = {"": root} if isinstance(root, zarr.Array) else dict(root.members(max_depth=None))
    except Exception as error:
        raise BadInput(
            f"{path.name} cannot be read as a Zarr store ({first_line(error)}): copy it again, with all its files."
        ) from error
    arrays = {name: one for name, one in sorted(named.items()) if isinstance(one, zarr.Array) and one.ndim >= 2}
    if not arrays:
        raise BadInput(f"{path.name} holds no array: {EXPECTED}.")
    return [
        Signal(
            name or path.name, ZarrArray(path, name), np.dtype(one.dtype), plain_axes(one.shape), "zarr", _stated(one)
        )
        for name, one in arrays.items()
    ]


def _stated(array: Any) -> Calibration:
    """Return the calibration in an array's attributes ``pixel_nm`` and ``frame_time_s``, as our own stores have it."""
    said = {name: array.attrs.get(name) for name in ("pixel_nm", "frame_time_s")}
    numbers = {name: float(value) for name, value in said.items() if isinstance(value, int | float) and value > 0}
    return Calibration().with_known(**numbers)


def _opened(path: Path, name: str) -> Any:
    import zarr

    root: Any = zarr.open(path, mode="r")
    return root[name] if name else root
