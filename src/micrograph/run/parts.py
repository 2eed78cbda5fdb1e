"""A recording in parts: each is written as it finishes, so that rows are on disk early and a killed run can go on.

Parts are Arrow files as they lie in memory, which cost a tenth of what Parquet does to write; the results that are
merged from them are Parquet and CSV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import Column, Flag
from micrograph.core.provenance import whole
from micrograph.run.recipe import FoldsMany

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import DataFrame

    from micrograph.run.recipe import Fold, Tables


#: Ending of a part's files.
SUFFIX = ".arrow"


@dataclass(frozen=True)
class Part:
    """Frames `positions` of a recording, whose indices run from `first` to `last`, and their files in `folder`."""

    positions: range
    first: int
    last: int
    folder: Path

    def path(self, table: str) -> Path:
        """Return the file of one table of this part."""
        return self.folder / f"{table}-{self.first:07d}-{self.last:07d}{SUFFIX}"

    @property
    def finished(self) -> bool:
        """Whether all tables of this part are on disk: 'frames' is written last."""
        return self.path("frames").exists()

    def write(self, tables: Mapping[str, DataFrame]) -> None:
        """Write all tables of this part, 'frames' last."""
        import pyarrow as pa

        for name in sorted(tables, key=lambda name: (name == "frames", name)):
            table = _arrow(tables[name])
            with (
                whole(self.path(name)) as temporary,
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_table(table)

    def read(self) -> Tables:
        """Return the tables of a finished part, each read when it is asked for."""
        ending = self.path("").name
        paths = sorted(self.folder.glob(f"*{ending}"))
        return PartTables({path.name.removesuffix(ending): path for path in paths})

    def remove(self) -> None:
        """Remove all files of this part, 'frames' first, so that it is not finished any more."""
        ending = self.path("").name
        for path in sorted(self.folder.glob(f"*{ending}"), key=lambda path: path != self.path("frames")):
            path.unlink()


@dataclass(frozen=True)
class PartTables(Mapping[str, "DataFrame"]):
    """The tables of a part by name, from their files; one that was read is kept, one that nobody asks for costs none.

    Folds rarely ask for outlines, which are most of what a part holds.
    """

    paths: Mapping[str, Path]
    known: dict[str, DataFrame] = field(default_factory=dict)

    def __getitem__(self, name: str) -> DataFrame:
        """Return the table called `name`."""
        if name not in self.known:
            self.known[name] = _read(self.paths[name]).to_pandas()
        return self.known[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a table, reading none."""
        return name in self.paths

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tables."""
        return iter(self.paths)

    def __len__(self) -> int:
        """Number of tables."""
        return len(self.paths)


def _arrow(table: DataFrame) -> pa.Table:
    """Return the table as Arrow has it, missing values null; half the time of `pyarrow.Table.from_pandas`."""
    import pyarrow as pa

    columns = {
        str(name): pa.array(values.to_numpy() if values.dtype.kind in "biuf" else values, from_pandas=True)
        for name, values in table.items()
    }
    return pa.table(columns)


def _read(path: Path) -> pa.Table:
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as source:
        return pa.ipc.open_file(source).read_all()


def _schema(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as source:
        return pa.ipc.open_file(source).schema


def parts_of(indices: range, most: int, folder: Path) -> list[Part]:
    """Return the parts of a recording: 1, 1, 2, 4, ... frames, never more than `most` in one.

    Depends on nothing but the arguments, so that a resumed run cuts where the killed one did.
    """
    parts: list[Part] = []
    begin = 0
    while begin < len(indices):
        end = min(begin + max(1, min(begin, most)), len(indices))
        parts.append(Part(range(begin, end), indices[begin], indices[end - 1], folder))
        begin = end
    return parts


def joined(tables: list[Tables]) -> dict[str, DataFrame]:
    """Return the tables of several frames, one below the other; a table that has no rows keeps its columns."""
    import pandas as pd

    names = dict.fromkeys(name for frame in tables for name in frame)
    found: dict[str, DataFrame] = {}
    for name in names:
        pieces = [frame[name] for frame in tables if name in frame]
        filled = [piece for piece in pieces if len(piece)]
        found[name] = pd.concat(filled, ignore_index=True) if filled else pieces[-1]
    return found


def fold_part(fold: Fold[Any], state: Any, tables: Tables) -> Any:
    """Return the state after the usable frames of a part, in order: at once where the fold can, else one by one."""
    rows = tables["frames"]
    bad = (rows["flags"].to_numpy(np.int64) & np.int64(Flag.BAD_FRAME)) != 0
    if isinstance(fold, FoldsMany) and not bad.any():
        return fold.steps(state, tables)
    groups = {name: dict(iter(table.groupby("frame"))) for name, table in tables.items()}
    empty = {name: table.iloc[:0] for name, table in tables.items()}
    for index in rows["frame"][~bad]:
        frame = {name: groups[name].get(index, empty[name]).reset_index(drop=True) for name in tables}
        state = fold.step(state, frame)
    return state


def tables_of(parts: list[Part]) -> list[str]:
    """Return the names of the tables among the results, in the order of the alphabet; working tables begin with '_'."""
    return sorted({path.name.rsplit("-", 2)[0] for path in parts[0].folder.glob(f"[!._]*{SUFFIX}")})


def merge(parts: list[Part], table: str, stem: Path, columns: tuple[Column, ...]) -> int:
    """Write one table of all parts, in order, as ``stem.parquet`` and ``stem.csv``; return its number of rows.

    A column that a part lacks is missing there; a column that is whole in one part and broken in another is broken.
    Memory holds one part at a time.
    """
    import pyarrow as pa

    from micrograph.io import TableWriter

    paths = [path for part in parts if (path := part.path(table)).exists()]
    found = sorted(map(_schema, paths), key=len, reverse=True)
    schema = pa.unify_schemas(found, promote_options="permissive")
    rows = 0
    with TableWriter(stem, columns) as writer:
        for path in paths:
            part = _read(path)
            lacking = [field for field in schema if field.name not in part.column_names]
            for field in lacking:
                part = part.append_column(field, pa.nulls(part.num_rows, field.type))
            writer.append_arrow(part.select(schema.names).cast(schema))
            rows += part.num_rows
    return rows
