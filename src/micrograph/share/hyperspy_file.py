"""The results of a run as one HyperSpy file (.hspy): every image and map a signal, every table one too.

Written by RosettaSciIO, so HyperSpy itself need not be installed; ``hyperspy.api.load(FILE)`` gives the list of
signals. Arrays are copied piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core.provenance import whole
from micrograph.io import read_columns, read_table
from micrograph.share.results import Kept, finished_run, kept_arrays

if TYPE_CHECKING:
    import pandas as pd

_MADE_BY = {"package": "hyperspy", "package_version": "2.0"}


def write_hyperspy(folder: Path, path: Path) -> None:
    """Write the results in `folder` as the file `path` (.hspy); raises `BadInput` where there is no finished run.

    Signals are called after images ('denoised'), maps ('score_atom') and tables ('table_objects'). A table's signal has
    one spectrum a column of numbers, in the order of ``original_metadata.columns``, over its rows; its columns of text
    are in ``original_metadata.text``. Tables without rows are left out.
    """
    import h5py
    from rsciio.hspy import file_writer

    record = finished_run(folder)
    with whole(path) as temporary, h5py.File(temporary, "w") as file, TemporaryDirectory(dir=path.parent) as beside:
        for signal in _signals(folder, record):
            file_writer(f"{beside}/one.hspy", signal, show_progressbar=False)  # it writes files of one signal
            with h5py.File(f"{beside}/one.hspy", "r") as written:
                file.attrs.update(written.attrs)
                found = file.require_group("Experiments")
                for name, group in written["Experiments"].items():
                    written.copy(group, found, name)


def _signals(folder: Path, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    beam = {
        "beam_energy": record["key"]["input"].get("calibration", {}).get("voltage_kV"),
        "convergence_angle": record["key"]["input"].get("calibration", {}).get("convergence_mrad"),
    }
    known = {name: value for name, value in beam.items() if value is not None}
    instrument = {"Acquisition_instrument": {"TEM": known}} if known else {}
    said = {"recipe": record["recipe"]["name"], "recording": str(record["key"]["input"].get("name", ""))}
    for kept in kept_arrays(folder):
        yield _signal(kept.name, _lazy(kept), _axes(kept), instrument, said)
    for path in sorted(folder.glob("*.parquet")):
        if len(table := read_table(path)):
            yield _table_signal(path, table, said)


def _signal(
    title: str, data: Any, axes: list[dict[str, Any]], instrument: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a signal as RosettaSciIO writes it."""
    metadata = {"General": {"title": title}, "Signal": {"signal_type": ""}, **instrument}
    return {
        "data": data, "axes": axes, "metadata": metadata,
        "original_metadata": dict(said), "attributes": {"_lazy": not isinstance(data, np.ndarray), "ragged": False},
        "package_info": _MADE_BY, "tmp_parameters": {}, "learning_results": {}, "models": {},
    }  # fmt: skip


def _lazy(kept: Kept) -> Any:
    from importlib import import_module

    lazy = import_module("dask.array").from_array(kept.array, chunks=kept.array.chunks)
    return lazy if kept.factor is None else lazy.astype(np.float32) * np.float32(kept.factor)


def _axes(kept: Kept) -> list[dict[str, Any]]:
    return [
        _axis(name, size, place < kept.array.ndim - 2, step, unit)
        for place, (size, (name, step, unit)) in enumerate(zip(kept.array.shape, kept.axes, strict=True))
    ]


def _axis(name: str, size: int, navigate: bool, step: float | None = None, unit: str = "") -> dict[str, Any]:
    return {
        "_type": "UniformDataAxis", "name": name, "size": int(size), "navigate": navigate, "is_binned": False,
        "scale": step or 1.0, "offset": 0.0, "units": unit if step else "",
    }  # fmt: skip


def _table_signal(path: Path, table: pd.DataFrame, said: Mapping[str, Any]) -> dict[str, Any]:
    columns = read_columns(path)
    numbers = [str(name) for name in table if table[name].dtype.kind in "biuf"]
    data = table[numbers].to_numpy(np.float64).T.copy()
    known = {
        "columns": np.array(numbers, dtype="S"),
        "units": np.array([columns[name].unit if name in columns else "" for name in numbers], dtype="S"),
        "text": {str(name): _texts(table[name]) for name in table if str(name) not in numbers},
    }
    axes = [_axis("column", len(numbers), True), _axis("row", len(table), False)]
    return _signal(f"table_{path.stem}", data, axes, {}, {**said, **known})


def _texts(column: pd.Series) -> Any:
    """Return a column of text as bytes in UTF-8, as HDF5 keeps arrays of it."""
    return np.array([str(value).encode() for value in column], dtype="S")
