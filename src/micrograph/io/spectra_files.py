"""Spectra of a map with their energies, as HDF5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core.provenance import whole

Array = NDArray[np.float64]


def write_spectra(
    path: Path, arrays: Mapping[str, Array], energy: Array, unit: str, step_nm: float | None = None
) -> None:
    """Write arrays (Y, X, E) by name with the axis `energy` (E,) in `unit`, each as float32, compressed."""
    import h5py

    with whole(path) as temporary, h5py.File(temporary, "w") as file:
        axis = file.create_dataset("energy", data=energy)
        axis.attrs["unit"] = unit
        axis.make_scale("energy")
        for name, values in arrays.items():
            stored = file.create_dataset(name, data=values.astype(np.float32), compression="gzip", shuffle=True)
            stored.dims[2].attach_scale(axis)
            stored.attrs["axes"] = ["y", "x", "energy"]
            if step_nm is not None:
                stored.attrs["step_nm"] = step_nm
