"""Tables and images of a run as NXdata, copied from disk to disk piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.io import read_columns
from micrograph.io.tables import ROW_GROUP
from micrograph.share.nexus_groups import group, unit_of
from micrograph.share.results import Kept, kept_arrays

if TYPE_CHECKING:
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Rows in a chunk of a column.
_CHUNK = 2**14
#: Slices of a volume that are copied at once.
_SLICES = 16


def write_images(entry: h5py.Group, folder: Path, unit: str = "") -> list[str]:
    """Write every image and map of a run as an NXdata 'image_NAME' and return their names.

    unit: that of the recording's values, and so of images; maps are shares.
    """
    return [_image(entry, kept, unit) for kept in kept_arrays(folder)]


def _image(entry: h5py.Group, kept: Kept, unit: str) -> str:
    name, array = f"image_{kept.name}", kept.array
    data = group(entry, name, "NXdata", {"title": kept.name})
    data.attrs.update(signal="data", axes=[axis for axis, _, _ in kept.axes])
    inner = array.shape[1:] if array.ndim == 3 else (min(array.shape[1], _SLICES), *array.shape[2:])
    chunks = (1, *inner) if array.size else None
    made = data.create_dataset(
        "data", array.shape, array.dtype, chunks=chunks, compression="gzip" if chunks else None, shuffle=bool(chunks)
    )
    made.attrs.update(long_name=kept.name, units=unit_of(unit) if kept.factor is None else "")
    for place in _pieces(array.shape):
        made[place] = array[place]
    if kept.factor is not None:
        data["data_scaling_factor"] = kept.factor
    for dimension, (axis, step, along) in enumerate(kept.axes):
        data[axis] = np.arange(array.shape[dimension]) * (1.0 if step is None else step)
        data[axis].attrs["units"] = "" if step is None else along
        data.attrs[f"{axis}_indices"] = dimension
    return name


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield where the pieces of an array (frames, [Z,] H, W) lie, one after the other."""
    for frame in range(shape[0]):
        if len(shape) == 3:
            yield (frame,)
        else:
            yield from ((frame, slice(first, first + _SLICES)) for first in range(0, shape[1], _SLICES))


def write_tables(entry: h5py.Group, folder: Path) -> list[str]:
    """Write every table of a run as an NXdata 'table_NAME', a field a column, and return the names of those shown."""
    written = [_table(entry, path) for path in sorted(folder.glob("*.parquet"))]
    return [name for name in ("table_objects", "table_summary") if name in written] or written


def _table(entry: h5py.Group, path: Path) -> str:
    import pyarrow.parquet as pq

    name, columns = f"table_{path.stem}", read_columns(path)
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        data = group(entry, name, "NXdata", {"title": path.stem})
        kinds = {field.name: _dtype(file, place, field) for place, field in enumerate(file.schema_arrow)}
        for column, kind in kinds.items():
            packed = {"chunks": (min(rows, _CHUNK),), "compression": "gzip", "shuffle": True} if rows else {}
            made = data.create_dataset(column, (rows,), kind, **packed)
            said = columns.get(column)
            made.attrs["units"] = unit_of(said.unit) if said else ""
            made.attrs.update({"long_name": said.about} if said and said.about else {})
        begun = 0
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            for column in kinds:
                data[column][begun : begun + batch.num_rows] = _values(batch.column(column), kinds[column])
            begun += batch.num_rows
    numbers = [column for column, kind in kinds.items() if np.dtype(kind).kind in "iuf"]
    measured = [column for column in numbers if column in columns and columns[column].unit] or numbers
    data.attrs.update({f"{column}_indices": 0 for column in kinds if column not in numbers})
    if measured:
        data["row"] = np.arange(rows)
        data["row"].attrs["units"] = ""
        data.attrs.update(signal=measured[0], axes=["row"], row_indices=0)
        data.attrs["auxiliary_signals"] = [column for column in numbers if column != measured[0]]
    for column, said in columns.items():
        if said.sigma in kinds and column in kinds:
            data[f"{column}_errors"] = data[said.sigma]  # a link: the 1-sigma by the name that NeXus gives it
    return name


def _dtype(file: pq.ParquetFile, place: int, field: pa.Field) -> Any:
    """Return as what a column is kept: numbers as they are, whole ones with gaps as float, all else as text."""
    import h5py
    import pyarrow as pa

    if pa.types.is_boolean(field.type):
        return np.dtype("uint8")
    if pa.types.is_integer(field.type):
        groups = (file.metadata.row_group(number).column(place) for number in range(file.metadata.num_row_groups))
        gaps = any(one.statistics is None or one.statistics.null_count for one in groups)
        return np.dtype("float64") if gaps else np.dtype(field.type.to_pandas_dtype())
    if pa.types.is_floating(field.type):
        return np.dtype(field.type.to_pandas_dtype())
    return h5py.string_dtype()


def _values(column: pa.Array, kind: Any) -> Any:
    if np.dtype(kind).kind == "O":
        return ["" if value is None else str(value) for value in column.to_pylist()]
    return column.to_numpy(zero_copy_only=False).astype(kind)
