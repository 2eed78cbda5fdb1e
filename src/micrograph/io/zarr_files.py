"""Zarr stores: the image-like arrays in those of no particular convention, and HyperSpy's (.zspy) with their axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import axis_of, instrument, plain_axes
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


def hyperspy_signals(path: Path) -> list[Signal]:
    """Return the signals of a .zspy store, a folder or a zip file; raises `BadInput` where it cannot be read.

    Read here because rosettasciio's reader needs a Zarr older than 3.
    """
    try:
        experiments = _opened(path, "Experiments")
        found = [_experiment(path, name, experiments[name]) for name in sorted(experiments.group_keys())]
    except Exception as error:
        raise BadInput(
            f"{path.name} cannot be read as a HyperSpy store ({first_line(error)}): copy it again, with all its files."
        ) from error
    if not found:
        raise BadInput(f"{path.name} holds no signal: {EXPECTED}.")
    return found


def _experiment(path: Path, name: str, group: Any) -> Signal:
    array = group["data"]
    axes = tuple(axis_of(dict(group[f"axis-{number}"].attrs), int(size)) for number, size in enumerate(array.shape))
    metadata = _tree(group["metadata"])
    kind = metadata.get("Signal", {}).get("signal_type")
    return Signal(
        str(metadata.get("General", {}).get("title") or name),
        ZarrArray(path, f"Experiments/{name}/data"),
        np.dtype(array.dtype),
        axes,
        "zarr of HyperSpy",
        instrument(metadata),
        trusted=True,
        metadata={"signal_type": kind} if kind else {},
    )


def _tree(group: Any) -> dict[str, Any]:
    """Return the attributes of a group and of those in it as nested dictionaries."""
    return dict(group.attrs) | {name: _tree(group[name]) for name in group.group_keys()}


def _stated(array: Any) -> Calibration:
    """Return the calibration in an array's attributes ``pixel_nm`` and ``frame_time_s``, as our own stores have it."""
    said = {name: array.attrs.get(name) for name in ("pixel_nm", "frame_time_s")}
    numbers = {name: float(value) for name, value in said.items() if isinstance(value, int | float) and value > 0}
    return Calibration().with_known(**numbers)


def _opened(path: Path, name: str) -> Any:
    import zarr

    root: Any = zarr.open(zarr.storage.ZipStore(path, mode="r") if path.is_file() else path, mode="r")
    return root[name] if name else root
