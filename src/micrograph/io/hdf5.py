"""HDF5 files of no particular convention: the image-like data sets in them, with dimension scales where stated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.io.axes import Axis, axis_of, is_spectral
from micrograph.io.files import unreadable
from micrograph.io.signals import Key, Signal

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class Dataset:
    """A data set of an HDF5 file, opened for every read."""

    path: Path
    name: str

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the data set."""
        import h5py

        with h5py.File(self.path, "r") as file:
            return np.asarray(file[self.name][key])


def signals(path: Path) -> list[Signal]:
    """Return the numeric data sets of two or more dimensions in an HDF5 file (maybe none), in order of their names."""
    import h5py

    found: list[h5py.Dataset] = []

    def visit(_name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "biufc" and _is_array(node.shape):
            found.append(node)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
            return [_signal(path, node) for node in found]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise unreadable(path, f"h5py {h5py.__version__}", error) from error


def is_hyperspy(path: Path) -> bool:
    """Tell whether HyperSpy wrote the file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("file_format") == "HyperSpy")
    except OSError:
        return False


def _is_array(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and sum(size != 1 for size in shape) >= 2


def _signal(path: Path, node: h5py.Dataset) -> Signal:
    axes = tuple(_axis(node, number) for number in range(node.ndim))
    return Signal(str(node.name).lstrip("/"), Dataset(path, str(node.name)), node.dtype, axes, "h5py")


def _axis(node: h5py.Dataset, number: int) -> Axis:
    """Return an axis with the step and unit of its dimension scale, if it has one that rises evenly."""
    size, dimension = int(node.shape[number]), node.dims[number]
    stated: dict[str, Any] = {"name": dimension.label}
    if len(dimension) and dimension[0].shape == (size,) and size > 1:
        values = np.asarray(dimension[0][:], dtype=float)
        unit = dimension[0].attrs.get("units", "")
        stated["units"] = unit.decode() if isinstance(unit, bytes) else str(unit)
        step = (values[-1] - values[0]) / (size - 1)
        even = np.allclose(np.diff(values), step, rtol=1e-3, atol=0)
        if even or is_spectral(axis_of(stated, size)):
            stated |= {"scale": step, "offset": values[0]}
    return axis_of(stated, size)
