"""Tables of sites with their classes (CSV, Parquet), such as other analyses leave, as frames instead of images."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import plain_axes
from micrograph.io.signals import Signal
from micrograph.io.structures import HeldTables

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
#: Names of the column with the class, the first that is there counts.
_CLASS = ("class", "species", "label", "element", "type")
_LENGTH = {"_nm": 1.0, "_a": 0.1, "_angstrom": 0.1, "_pm": 1e-3}
_EXPECTED = "columns x_nm, y_nm (or _A, _pm) and class (or species, label, element) were expected, and score if known"


def signals(path: Path) -> list[Signal]:
    """Return the sites of a file as one signal (frames, N, 4) of content 'sites': y_nm, x_nm, number of class, score.

    The names of the classes are the calibration's channels. A column 'frame' makes one frame a number; shorter frames
    end in rows of zeros, whose score is 0. Raises `BadInput` where the columns do not say what they are.
    """
    import pandas as pd

    table = _read(path)
    table.columns = [str(name).strip().lower() for name in table.columns]
    places = [_length(table, axis) for axis in ("y", "x")]
    name = next((name for name in _CLASS if name in table.columns), None)
    if places[0] is None or places[1] is None or name is None:
        raise BadInput(f"{path.name} has the columns {', '.join(table.columns)}: {_EXPECTED}.")
    classes = sorted({str(value).strip() for value in table[name]})
    number = {value: place for place, value in enumerate(classes)}
    score = pd.to_numeric(table["score"], errors="coerce").clip(0.01, 1.0) if "score" in table else 1.0
    rows = pd.DataFrame(
        {"y": places[0], "x": places[1], "class": [number[str(v).strip()] for v in table[name]], "score": score}
    ).to_numpy(np.float32)
    if not np.isfinite(rows).all():
        raise BadInput(f"{path.name} has places that are not finite numbers: leave these rows out.")
    frame = table["frame"].to_numpy() if "frame" in table else np.zeros(len(rows))
    lists = [rows[frame == value] for value in np.unique(frame)]
    most = max(map(len, lists), default=0)
    if most < 2:
        raise BadInput(f"{path.name} holds no sites: {_EXPECTED}.")
    padded = np.stack([np.pad(one, ((0, most - len(one)), (0, 0))) for one in lists])
    array = padded if len(padded) > 1 else padded[0]
    stated = Calibration(content="sites", channels=tuple(classes))
    return [Signal(path.name, HeldTables(array), array.dtype, plain_axes(array.shape), "sites", stated, trusted=True)]


def names_sites(path: Path) -> bool:
    """Return whether a file is a table whose first line names places and classes of sites."""
    if path.suffix.lower() == ".parquet":
        return True
    with path.open("rb") as file:
        first = file.readline(4000).decode("utf-8", "replace").lower()
    names = {name.strip(' "#\r\n') for name in next(csv.reader([first.replace(";", ",").replace("\t", ",")]))}
    return any({f"y{end}", f"x{end}"} <= names for end in _LENGTH) and bool(names & set(_CLASS))


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        text = path.read_text(encoding="utf-8-sig").lstrip("# ")
        mark = next((mark for mark in (",", ";", "\t") if mark in text.split("\n", 1)[0]), ",")
        return pd.read_csv(io.StringIO(text), sep=mark, skipinitialspace=True)
    except Exception as error:  # pandas and pyarrow raise many kinds
        raise BadInput(f"{path.name} cannot be read as a table ({type(error).__name__}): {_EXPECTED}.") from error


def _length(table: pd.DataFrame, axis: str) -> pd.Series | None:
    import pandas as pd

    for end, factor in _LENGTH.items():
        if axis + end in table.columns:
            values: pd.Series = pd.to_numeric(table[axis + end], errors="coerce") * factor
            return values
    return None
