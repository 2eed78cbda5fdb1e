"""Keep of every frame only what the analysis over time needs, compactly, while a movie of any length runs through."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput

#: Columns of a table of points that matter over time; those that a table lacks are left out.
POINT_COLUMNS = ("y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "class", "name", "score", "flags")
#: Columns of 'frames' that matter over time.
FRAME_COLUMNS = ("t_s", "temperature_C", "area_nm2", "flags")

Records = NDArray[np.void]


@dataclass(frozen=True)
class Gathered:
    """All frames so far: a chain in which each state holds one step and the state before it, so a step copies nothing.

    `rows` are the records of the step by table, each with its frame; `names` the words of the text columns, which rows
    hold as numbers.
    """

    before: Gathered | None = None
    rows: Mapping[str, Records] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def chain(self) -> list[Gathered]:
        """Return the states of all steps, in order."""
        return [state for state in self._backwards() if state.before is not None][::-1]

    def _backwards(self) -> Iterator[Gathered]:
        state: Gathered | None = self
        while state is not None:
            yield state
            state = state.before

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a list: a chain would nest as deep as the movie is long."""
        return _rebuilt, ([(state.rows, state.names) for state in self.chain()],)


def _rebuilt(steps: list[tuple[Mapping[str, Records], tuple[str, ...]]]) -> Gathered:
    state = Gathered()
    for rows, names in steps:
        state = Gathered(state, rows, names)
    return state


@dataclass(frozen=True)
class Gather:
    """Collects `tables` over time: start, step, step, ..., then `table` and `frames`.

    Of each row the `columns` are kept: numbers as float32, whole numbers as int32, text as a number into a list of
    words: some 30 bytes a point. Times are kept in double precision. A step costs what its frames cost, not the movie.
    """

    tables: tuple[str, ...] = ("defects",)
    columns: tuple[str, ...] = POINT_COLUMNS
    frame_columns: tuple[str, ...] = FRAME_COLUMNS

    def start(self) -> Gathered:
        """Return the state before the first frame."""
        return Gathered()

    def step(self, state: Gathered, tables: Mapping[str, pd.DataFrame]) -> Gathered:
        """Return the state after one more frame, or several; their numbers are those in the table 'frames'."""
        frames = tables["frames"]
        if len(frames) == 0:
            return state
        names = list(state.names)
        rows = {"frames": _records(frames, self.frame_columns, names, exact=True)}
        for name in self.tables:
            if name in tables:
                table = tables[name]
                numbered = table if "frame" in table else table.assign(frame=np.int64(frames["frame"].iloc[0]))
                rows[name] = _records(numbered, self.columns, names)
        return Gathered(state, rows, state.names if len(names) == len(state.names) else tuple(names))

    def table(self, state: Gathered, name: str) -> pd.DataFrame:
        """Return one table of all frames: ``frame``, what 'frames' says of its time (``t_s``), and the kept columns."""
        if name not in self.tables:
            raise BadInput(f"Table '{name}' was not gathered over time: gathered are {', '.join(self.tables)}.")
        found = self._joined(state, name, self.columns)
        frames = self.frames(state)
        times = frames["t_s"].to_numpy(float)[np.searchsorted(frames["frame"].to_numpy(), found["frame"].to_numpy())]
        found.insert(1, "t_s", times)
        return found

    def frames(self, state: Gathered) -> pd.DataFrame:
        """Return one row a frame: ``frame``, ``t_s`` (s, NaN where unknown) and the other kept columns of 'frames'."""
        found = self._joined(state, "frames", self.frame_columns)
        if "t_s" not in found:
            found.insert(1, "t_s", np.nan)
        return found

    def _joined(self, state: Gathered, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
        chain = [one for one in state.chain() if name in one.rows]
        chain = [one for one in chain if len(one.rows[name])] or chain  # a table without rows may not know its types
        frames = [one.rows[name]["frame"] for one in chain]
        data: dict[str, Any] = {"frame": np.concatenate([np.empty(0, np.int64), *frames])}
        if not chain:
            return pd.DataFrame({**data, **{column: _no_values(column) for column in columns}})
        words = np.array([*state.names, ""], dtype=object)
        for column in columns:
            pieces = [_piece(one.rows[name], column) for one in chain]
            if any(column in (one.rows[name].dtype.names or ()) for one in chain):
                values = np.concatenate(pieces)
                text = any(_is_text(one.rows[name], column) for one in chain)
                data[column] = words[np.nan_to_num(values, nan=-1).astype(np.int64)] if text else values
        return pd.DataFrame(data)


def _records(table: pd.DataFrame, columns: tuple[str, ...], names: list[str], *, exact: bool = False) -> Records:
    """Return the rows of `table` as compact records with their frame; words that are new are added to `names`."""
    found = {column: table[column] for column in ("frame", *columns) if column in table}
    kept = tuple((column, _kind(values, column, exact)) for column, values in found.items())
    records = np.empty(len(table), dtype=_dtype(kept))
    for column, kind in kept:
        records[column] = _coded(found[column], names) if kind == "text" else found[column].to_numpy()
    return records


def _kind(values: pd.Series[Any], column: str, exact: bool) -> str:
    """Return how a column is kept: 'f4', 'f8', 'i4' or 'text'."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "biu":
        return "i4"
    if kind == "f":
        return "f8" if exact else "f4"
    if len(values) and not isinstance(values.iloc[0], str):
        raise BadInput(f"Column '{column}' holds {type(values.iloc[0]).__name__}: only numbers and text are gathered.")
    return "text"


@functools.lru_cache(maxsize=256)
def _dtype(kept: tuple[tuple[str, str], ...]) -> np.dtype[np.void]:
    """Return the type of a record; its metadata says which columns are text."""
    text = {column: True for column, kind in kept if kind == "text"}
    return np.dtype([(column, "i4" if kind == "text" else kind) for column, kind in kept], metadata=text)


def _coded(values: pd.Series[Any], names: list[str]) -> NDArray[np.int32]:
    words, codes = np.unique(values.to_numpy(str), return_inverse=True)
    for word in words.tolist():
        if word not in names:
            names.append(word)
    places = np.array([names.index(word) for word in words.tolist()], dtype=np.int32)
    return places[codes] if len(words) else np.empty(0, np.int32)


def _is_text(rows: Records, column: str) -> bool:
    return column in dict(rows.dtype.metadata or {})


def _piece(rows: Records, column: str) -> NDArray[Any]:
    return rows[column] if column in (rows.dtype.names or ()) else np.full(len(rows), np.nan, np.float32)


def _no_values(column: str) -> NDArray[Any]:
    if column in ("class", "name"):
        return np.empty(0, dtype=object)
    return np.empty(0, np.int32 if column == "flags" else np.float64 if column == "t_s" else np.float32)
