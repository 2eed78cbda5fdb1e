"""Tables of results to Parquet (unit and meaning beside every column) and CSV, whole or part by part."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from micrograph.core import BadInput, Column
from micrograph.core.provenance import whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Columns = Mapping[str, Column] | Sequence[Column]

#: Rows that are gathered before they are written as one row group.
ROW_GROUP = 2**17


def write_table(df: pd.DataFrame, stem: Path, columns: Columns = ()) -> tuple[Path, Path]:
    """Write `df` as ``stem.parquet`` and ``stem.csv`` and return both paths; the same table gives the same bytes.

    `columns` gives unit, meaning and 1-sigma column of the columns in it, kept as Parquet field metadata (keys
    ``unit``, ``about``, ``sigma``). The index is not written. Both files appear whole or not at all.
    """
    with TableWriter(stem, columns) as writer:
        writer.append(df)
    return writer.paths


def read_table(path: Path) -> pd.DataFrame:
    """Return a table written here, Parquet or CSV by its suffix; raises `BadInput` where it cannot be read."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    read = pa.csv.read_csv if path.suffix == ".csv" else pa.parquet.read_table
    try:
        table: pd.DataFrame = read(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise BadInput(f"{path} cannot be read as a table ({first}): it may be missing or truncated.") from error
    return table


def read_columns(path: Path) -> dict[str, Column]:
    """Return unit, meaning and 1-sigma column of every column of a Parquet table that states them."""
    import pyarrow.parquet

    found = {}
    for field in pyarrow.parquet.read_schema(path):
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        if "unit" in said:
            found[field.name] = Column(field.name, said["unit"], said.get("about", ""), said.get("sigma"))
    return found


def merge_parts(parts: Iterable[Path], stem: Path, columns: Columns = ()) -> tuple[Path, Path]:
    """Write the Parquet files `parts` one after the other as one table and return its two paths.

    Memory stays at one row group whatever the length of the table. Raises `BadInput` where a part cannot be read.
    """
    with TableWriter(stem, columns) as writer:
        for part in parts:
            for table in _row_groups(part):
                writer.append_arrow(table)
    return writer.paths


def _row_groups(part: Path) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pa.parquet.ParquetFile(part) as file:
            # A part without rows has no batch, but its types count.
            yield file.schema_arrow.empty_table()
            yield from (pa.Table.from_batches([batch]) for batch in file.iter_batches(batch_size=ROW_GROUP))
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(f"The part {part} of the table cannot be read: remove it and run again.") from error


def _with_sigmas(columns: Columns) -> dict[str, Column]:
    """Return the columns by name, and those that hold their 1-sigma in the same unit."""
    stated = dict(columns) if isinstance(columns, Mapping) else {column.name: column for column in columns}
    sigmas = {
        column.sigma: Column(column.sigma, column.unit, f"1-sigma of {name}")
        for name, column in stated.items()
        if column.sigma
    }
    return sigmas | stated


class TableWriter:
    """Writes one table in parts, in order, with bounded memory; a context manager.

    The first part that has rows settles the types; parts without rows only settle them when no other does. Leaving
    the block moves both files into place; leaving it by an exception leaves nothing behind.
    """

    def __init__(self, stem: Path, columns: Columns = ()) -> None:
        # A stem may hold dots ('run_0.5nm'), so that `with_suffix` would cut it.
        self.paths = (stem.parent / f"{stem.name}.parquet", stem.parent / f"{stem.name}.csv")
        self._columns = _with_sigmas(columns)
        self._stack = ExitStack()
        self._waiting: list[pa.Table] = []
        self._empty: pa.Table | None = None
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._sinks: tuple[Any, Any] | None = None
        # Numbers as text cost more than all else: they are written beside the rest.
        self._as_text: Future[None] = Future()
        self._as_text.set_result(None)

    def __enter__(self) -> Self:
        """Open the files under temporary names."""
        self._stack.__enter__()
        self._beside = self._stack.enter_context(ThreadPoolExecutor(1))
        self._files = [self._stack.enter_context(whole(path)) for path in self.paths]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Finish the files and put them in place; after an error leave none."""
        wait([self._as_text])
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, at)

    def append(self, df: pd.DataFrame) -> None:
        """Append the rows of `df`, whose columns must be those of the parts before it."""
        import pyarrow as pa

        self.append_arrow(pa.Table.from_pandas(df, preserve_index=False, nthreads=1))

    def append_arrow(self, table: pa.Table) -> None:
        """Append the rows of an arrow table."""
        if table.num_rows == 0:
            self._empty = table if self._empty is None else self._empty
            return
        if self._schema is None:
            self._schema = self._annotated(table.schema)
        self._waiting.append(self._fitted(table))
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP:
            self._flush()

    def _fitted(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        assert self._schema is not None
        if table.column_names != self._schema.names:
            names = self._schema.names
            raise BadInput(f"A part of the table has columns {table.column_names}, but {names} were expected.")
        try:
            return table.replace_schema_metadata(None).cast(self._schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise BadInput(f"A part of the table has other types than the first: {error}.") from error

    def _annotated(self, schema: pa.Schema) -> pa.Schema:
        import pyarrow as pa

        fields = []
        for field in schema:
            column = self._columns.get(field.name)
            said = {"unit": column.unit, "about": column.about} if column else {}
            if column and column.sigma:
                said["sigma"] = column.sigma
            fields.append(pa.field(field.name, _plain(field.type, column), metadata=said or None))
        return pa.schema(fields)

    def _flush(self) -> None:
        import pyarrow as pa

        assert self._schema is not None
        table = pa.concat_tables(self._waiting).combine_chunks() if self._waiting else self._schema.empty_table()
        parquet, text = self._sinks or self._open()
        self._as_text.result()
        if table.num_rows:
            self._as_text = self._beside.submit(text.write_table, table)
            parquet.write_table(table, row_group_size=ROW_GROUP)
        self._waiting, self._rows = [], 0

    def _open(self) -> tuple[Any, Any]:
        import pyarrow.csv
        import pyarrow.parquet

        assert self._schema is not None
        names = [field.name for field in self._schema if pyarrow.types.is_string(field.type)]
        parquet = pyarrow.parquet.ParquetWriter(
            self._files[0], self._schema, compression="snappy", use_dictionary=names or False
        )
        file = self._stack.enter_context(self._files[1].open("wb"))
        file.write(_header(self._schema.names))
        options = pyarrow.csv.WriteOptions(include_header=False, batch_size=4096)
        self._sinks = parquet, pyarrow.csv.CSVWriter(file, self._schema, write_options=options)
        return self._sinks

    def _finish(self) -> None:
        import pyarrow as pa

        if self._schema is None:
            self._schema = self._annotated(pa.schema([]) if self._empty is None else self._empty.schema)
        self._flush()
        self._as_text.result()
        for sink in self._sinks or ():
            sink.close()


def _plain(kind: pa.DataType, column: Column | None) -> pa.DataType:
    """Return the type in which a column is kept: texts and categories as strings, nothing but gaps by its unit."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return pa.float64() if column and column.unit else pa.string()
    return pa.string() if pa.types.is_large_string(kind) else kind


def _header(names: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue().encode()
