"""HDF5 files of no particular convention: the image-like data sets in them, with dimension scales where stated."""

from __future__ import annotations

import re
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


def holds_scan(path: Path) -> bool:
    """Tell whether an EMD file holds an array of four dimensions, as Berkeley's and py4DSTEM's do of 4D-STEM."""
    import h5py

    found: list[str] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim == 4 and "emd_group_type" in node.parent.attrs:
            found.append(name)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError):
        return False
    return bool(found)


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
    if node.ndim == 4 and not any(axis.scale for axis in axes):
        axes = _calibrated(node, axes)
    return Signal(str(node.name).lstrip("/"), Dataset(path, str(node.name)), node.dtype, axes, "h5py")


def _calibrated(node: h5py.Dataset, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Return the axes of a scan with the steps of py4DSTEM's group 'calibration', wherever that lies."""
    import h5py

    found: list[h5py.Group] = []
    node.file.visititems(lambda name, one: found.append(one) if name.rsplit("/", 1)[-1] == "calibration" else None)
    said = next((one for one in found if isinstance(one, h5py.Group)), None)
    if said is None:
        return axes

    def value(name: str) -> Any:
        kept = said[name][()] if name in said else said.attrs.get(name)
        return kept.decode() if isinstance(kept, bytes) else kept

    stated = [
        {"name": axis.name or name, "scale": value(f"{kind}_pixel_size"), "units": str(value(f"{kind}_pixel_units"))}
        for axis, name, kind in zip(axes, ("y", "x", "ky", "kx"), "RRQQ", strict=True)
    ]
    return tuple(axis_of(one, axis.size) for one, axis in zip(stated, axes, strict=True))


def _beside(node: h5py.Dataset, number: int) -> dict[str, Any]:
    """Return what an EMD file says of an axis in the array 'dim0', or 'dim1', beside the data."""
    import h5py

    first = 0 if "dim0" in node.parent else 1
    values = node.parent.get(f"dim{number + first}")
    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iuf" or values.size < 2:
        return {}
    text = {name: values.attrs.get(name, "") for name in ("name", "units")}
    name, unit = (one.decode() if isinstance(one, bytes) else str(one) for one in text.values())
    places = np.asarray(values[:2], dtype=float)
    return {"name": name, "units": re.sub(r"[\[\]_]", "", unit), "scale": places[1] - places[0], "offset": places[0]}


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
    elif "emd_group_type" in node.parent.attrs:
        stated |= _beside(node, number)
    return axis_of(stated, size)
