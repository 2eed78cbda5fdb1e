"""Maps over a 4D-STEM scan and mean patterns to files that other programs open: one HDF5 file, and a TIFF each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core.provenance import whole

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Length of a pixel along both axes, in `unit` ('nm', 'mrad'); ``None`` where it is not known."""

    pixel: float | None
    unit: str


def write_maps(folder: Path, maps: Mapping[str, Array], scales: Mapping[str, Scale]) -> list[Path]:
    """Write maps (H, W) by name into ``maps.h5`` and as float32 TIFFs into ``maps/``, with scales.

    In the HDF5 file the axes are dimension scales with units, in TIFFs the resolution is in the tags that ImageJ reads.
    """
    import h5py

    paths = [folder / "maps.h5"]
    with whole(paths[0]) as temporary, h5py.File(temporary, "w") as file:
        for name, values in maps.items():
            _keep(file, name, values, scales[name])
    for name, values in maps.items():
        paths.append(folder / "maps" / f"{name}.tif")
        with whole(paths[-1]) as temporary:
            _write_tiff(temporary, values, scales[name])
    return paths


def _keep(file: object, name: str, values: Array, scale: Scale) -> None:
    import h5py

    assert isinstance(file, h5py.File)
    kept = file.create_dataset(name, data=values.astype(np.float32), compression="gzip", compression_opts=1)
    if scale.pixel is None:
        return
    for number, axis in enumerate("yx"):
        places = file.create_dataset(f"{name}_{axis}", data=np.arange(values.shape[number]) * scale.pixel)
        places.attrs["units"] = scale.unit
        places.make_scale(axis)
        kept.dims[number].label = axis
        kept.dims[number].attach_scale(places)


def _write_tiff(path: Path, values: Array, scale: Scale) -> None:
    import tifffile

    if scale.pixel is None:
        tifffile.imwrite(path, values.astype(np.float32), imagej=True)
        return
    per_unit = 1 / scale.pixel
    said = {"unit": scale.unit, "axes": "YX"}
    tifffile.imwrite(path, values.astype(np.float32), imagej=True, resolution=(per_unit, per_unit), metadata=said)
