"""Logs of heating, biasing and gas holders: what was done to the sample while it was filmed."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Recording
from micrograph.io.files import existing, first_line
from micrograph.io.log_columns import (
    Heading,
    assumed,
    clock_s,
    date_s,
    heading,
    names_of,
    numbers,
    plain,
    unit_of,
)

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
EXPECTED = (
    "a table with a line of column names was expected, such as 'time (s), temperature (°C)' or 'frame, seconds, "
    "temperature'"
)
#: The file is read as a log only up to this size.
LARGEST_BYTES = 100_000_000
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?|nan", re.IGNORECASE)
_TIME = re.compile(r"\d{1,3}:\d{2}(:\d{2}([.,]\d+)?)?|\d{2,4}[-/.]\d{1,2}[-/.]\d{2,4}.*\d:\d{2}.*")
_IN_NAMES = re.compile(r"(?i:(frame))[ _-]*(\d+)|(\d+(?:\.\d+)?)(ms|sec|s|min|°C|C|K|V|mV|mA)(?![A-Za-z])")


@dataclass(frozen=True)
class _Lines:
    """The rows of a text, cut into cells, its headings, and what the file says of itself."""

    headings: list[Heading]
    cells: list[list[str]]
    start: str = ""


def read_log(path: str | Path) -> DataFrame:
    """Return a log as a table of ``t_s`` (s, rising) and one column a quantity, with its unit in the name.

    Understood are Protochips (.csv), DENSsolutions DigiHeater (.dens) and Impulse (.csv) logs, any text table with a
    line of column names (comma, semicolon, tab or blanks; time in s, ms, min or h, as clock time or as date and time),
    and lists of image names such as 'Frame124-125sec-49C.tif'. Times of a clock or calendar count from the first row.
    Known quantities come in C, V, A, mbar, W and ohm as ``temperature_C, voltage_V, current_A, pressure_mbar, power_W,
    resistance_ohm``, set points as ``temperature_set_C``; other columns keep their names; ``frame`` holds frame
    numbers. ``attrs['notes']`` are sentences on what was assumed, ``attrs['start']`` is when the log began, if stated.

    Raises `BadInput` where no such table is found.
    """
    source = existing(path)
    if source.is_dir() or source.stat().st_size > LARGEST_BYTES:
        raise BadInput(f"{source.name} is no log: {EXPECTED}.")
    lines = [line.rstrip("\r\n") for line in _text(source).splitlines()]
    return _table(_parsed([line for line in lines if line.strip()], source.name), source.name)


def log_at(log: DataFrame, t_s: ArrayLike) -> DataFrame:
    """Return the log's numbers at times (T,) in s: measured values by straight lines, set points as steps.

    Outside the log they are NaN, and a sentence in ``attrs['notes']`` says for how many times.
    """
    return _interpolated(log, "t_s", np.asarray(t_s, dtype=np.float64).reshape(-1))


def with_log(recording: Recording, log: DataFrame, begins_s: float = 0.0) -> Recording:
    """Return the recording with what the log says of each frame (`Recording.known`).

    A log with frame numbers also gives the frames' times; its numbers are those in the names of the files of a folder,
    else they count the frames from 0. Otherwise the first frame was taken at `begins_s` in the log's time, and the
    recording must know its ``frame_time_s``. Raises `BadInput` where no frame falls into the log.
    """
    indices = np.asarray(recording.indices)
    key, places = "t_s", np.empty(0)
    if "frame" in log:
        key, places = "frame", _frame_numbers(recording)[indices]
    elif recording.calibration.frame_time_s is None:
        raise BadInput("The log gives times, but the recording has no frame time: give it, for example '0.5 s'.")
    else:
        places = indices * recording.calibration.frame_time_s + begins_s
    known = _interpolated(log, key, places)
    if not known.drop(columns=key).notna().to_numpy().any():
        low, high = log[key].min(), log[key].max()
        raise BadInput(
            f"The log covers {key} {low:g} to {high:g}, the recording {places.min():g} to {places.max():g}: give the "
            "log of this recording, or say when in the log the recording begins."
        )
    kept = known.drop(columns=["t_s"] if key == "t_s" or known["t_s"].isna().all() else [])
    names = [str(name).replace("frame", "log_frame") for name in kept]
    rows = {
        int(index): dict(zip(names, map(float, row), strict=True))
        for index, row in zip(indices, kept.to_numpy(), strict=True)
    }
    notes = [*recording.metadata.get("notes", ()), *log.attrs.get("notes", ()), *known.attrs.get("notes", ())]
    return replace(recording, known=_Known(rows), metadata={**recording.metadata, "notes": notes})


@dataclass(frozen=True)
class _Known:
    """What a log says of every frame; callable and picklable."""

    rows: Mapping[int, Mapping[str, float]]

    def __call__(self, index: int) -> Mapping[str, float]:
        return self.rows.get(index, {})


def _frame_numbers(recording: Recording) -> Array:
    """Return the number of every frame of the file: those in the names of a folder's files, else 0, 1, 2, ..."""
    files = getattr(getattr(recording.read, "array", None), "files", ())
    found = [re.findall(r"\d+", Path(file).stem) for file in files]
    if found and all(found):
        named = np.array([float(digits[-1]) for digits in found])
        if (np.diff(named) > 0).all():
            return named
    return np.arange(max(recording.indices, default=-1) + 1, dtype=np.float64)


def _interpolated(log: DataFrame, key: str, places: Array) -> DataFrame:
    import pandas as pd

    kept = log.select_dtypes("number")
    at = kept[key].to_numpy(np.float64)
    inside = (places >= at[0]) & (places <= at[-1])
    result = pd.DataFrame({key: places})
    for name in kept.columns.drop(key):
        values = kept[name].to_numpy(np.float64)
        known = np.isfinite(values)
        result[name] = np.nan
        if known.any() and "_set" in name:
            last = np.searchsorted(at[known], places, side="right") - 1
            result[name] = np.where(inside & (last >= 0), values[known][np.maximum(last, 0)], np.nan)
        elif known.any():
            line = np.interp(places, at[known], values[known], np.nan, np.nan)
            result[name] = np.where(inside, line, np.nan)
    outside = int(np.sum(~inside))
    if outside:
        what = "frames" if key == "frame" else "times"
        result.attrs["notes"] = [f"{outside} of {len(places)} {what} lie outside the log, where nothing is known"]
    return result


def _text(source: Path) -> str:
    raw = source.read_bytes()
    for encoding in ("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise BadInput(f"{source.name} is no text: {EXPECTED}.")


def _parsed(lines: list[str], name: str) -> _Lines:
    """Return the table in a text, whichever kind of log it is and whichever sign parts its columns."""
    names = _from_names(lines)
    if names is not None:
        return names
    refused: BadInput | None = None
    for delimiter in ("\t", ";", ",", None):
        try:
            rows = [_cut(line, delimiter) for line in lines]
        except csv.Error as error:
            raise BadInput(f"{name} is no log ({first_line(error)}): {EXPECTED}.") from error
        if {"Time", "Notes"} <= set(rows[0]):
            return _protochips(rows)
        try:
            return _plain_table(rows, name)
        except BadInput as error:
            refused = error
    raise refused or BadInput(f"{name} is no log: {EXPECTED}.")


def _plain_table(rows: list[list[str]], name: str) -> _Lines:
    """Return the rows after the line of column names; a line of units may follow the names."""
    first = next((k for k, row in enumerate(rows) if _is_data(row)), None)
    if first is None:
        raise BadInput(f"{name} holds no rows of numbers: {EXPECTED}.")
    width = Counter(len(row) for row in rows[first:] if _is_data(row)).most_common(1)[0][0]
    above = [[cell.lstrip("#%/ ") for cell in row] for row in rows[:first]]
    above = [row[1:] if len(row) == width + 1 and not row[0] else row for row in above]
    if not above or len(above[-1]) != width:
        raise BadInput(f"{name} has no line of column names above its {width} columns of numbers: {EXPECTED}.")
    headings = [heading(cell) for cell in above[-1]]
    units = [cell.strip("[]()") for cell in above[-1]]
    if len(above) > 1 and len(above[-2]) == width and any(units) and all(unit_of(unit) or not unit for unit in units):
        headings = [heading(f"{words} ({unit})") for words, unit in zip(above[-2], units, strict=True)]
    return _Lines(headings, [row for row in rows[first:] if len(row) == width])


def _protochips(rows: list[list[str]]) -> _Lines:
    """Return a Protochips log, whose first rows hold 'Temperature units = Degrees C' and the like as notes."""
    place, said = rows[0].index("Notes"), {}
    first = 1
    while first < len(rows) and len(rows[first]) > place and " = " in rows[first][place]:
        words, value = rows[first][place].split(" = ", 1)
        said[words.strip().lower()] = value.strip()
        first += 1
    headings = []
    for cell in rows[0]:
        unit = said.get(f"{cell.split(' ')[-1].lower()} units", "")
        headings.append(Heading(cell, unit, unit_of(unit)))
    start = f"{said.get('date (yyyy.mm.dd)', '')} {said.get('time (hh:mm:ss.ms)', '')}".strip()
    width = len(rows[0])
    cells = [(row + [""] * width)[:width] for row in rows[first:]]
    return _Lines(headings, cells, start)


def _from_names(lines: list[str]) -> _Lines | None:
    """Return frame, time and values out of names of images, one a line; ``None`` if the lines are no such names."""
    if any(re.search(r"\s", line.strip()) or "." not in line for line in lines):
        return None
    found = [[(m[1] or m[4], m[2] or m[3]) for m in _IN_NAMES.finditer(line)] for line in lines]
    kinds = [kind for kind, _ in found[0]]
    if len(kinds) < 2 or any([kind for kind, _ in row] != kinds for row in found):
        return None
    headings = []
    for kind in kinds:
        unit = unit_of(kind)
        headings.append(Heading(unit.quantity if unit else "frame", kind if unit else "", unit))
    return _Lines(headings, [[value for _, value in row] for row in found])


def _cut(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return re.sub(r"\s+(?=[\[(][^\])]*[\])])", "", line).split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _is_data(row: list[str]) -> bool:
    """Tell whether a row holds measured values: two cells or more are numbers or times, at least half of the filled."""
    filled = [cell for cell in row if cell]
    values = sum(bool(_NUMBER.fullmatch(cell) or _TIME.fullmatch(cell)) for cell in filled)
    return values >= 2 and 2 * values >= len(filled)


def _table(lines: _Lines, name: str) -> DataFrame:
    import pandas as pd

    raw = pd.DataFrame(lines.cells, dtype=str)
    notes: list[str] = []
    place, t_s, start = _time_column(lines.headings, raw)
    frames = next((k for k, found in enumerate(lines.headings) if found.is_frame and k != place), None)
    if t_s is None and frames is None:
        found = ", ".join(f"'{found.name}'" for found in lines.headings[:8])
        raise BadInput(f"{name} has no column of times or frame numbers among {found}: {EXPECTED}.")
    if place is not None and not lines.headings[place].unit and np.isfinite(numbers(raw[place])).any():
        notes.append(f"the times in '{lines.headings[place].name}' have no unit and are taken as seconds")
    table = pd.DataFrame({"t_s": np.full(len(raw), np.nan) if t_s is None else t_s})
    if frames is not None:
        table["frame"] = numbers(raw[frames])
    table = pd.concat([table, _quantities(lines.headings, raw, {place, frames}, notes)], axis=1)
    key = "t_s" if t_s is not None else "frame"
    table = pd.DataFrame(table[np.isfinite(table[key])])
    if not len(table) or table.shape[1] < 2:
        raise BadInput(f"{name} has no rows with a time and a value: {EXPECTED}.")
    if (np.diff(table[key]) < 0).any():
        notes.append("the rows of the log were not in the order of time and have been sorted")
    table = table.sort_values(key, kind="stable").reset_index(drop=True)
    table.attrs = {"notes": notes, "start": lines.start or start}
    return table


def _quantities(headings: list[Heading], raw: DataFrame, used: set[int | None], notes: list[str]) -> DataFrame:
    """Return every other column under its new name and in our unit; text stays text, empty columns go."""
    import pandas as pd

    rest = [k for k in range(len(headings)) if k not in used and raw[k].str.strip().ne("").any()]
    full = [assumed(headings[k]) for k in rest]
    for k, found in zip(rest, full, strict=True):
        if found.unit is not None and headings[k].unit is None:
            notes.append(f"'{found.name}' has no unit in the log: {found.unit.ours} is assumed")
    columns: dict[str, Any] = {}
    for k, found, name in zip(rest, full, names_of(full), strict=True):
        values = numbers(raw[k])
        if not np.isfinite(values).any():
            columns[name] = raw[k].str.strip()
        else:
            columns[name] = values if found.unit is None else values * found.unit.factor + found.unit.offset
    return pd.DataFrame(columns)


def _time_column(headings: list[Heading], raw: DataFrame) -> tuple[int | None, Array | None, str]:
    """Return which column holds the time, its values in s, and when the log began ('' if only elapsed time is known).

    Elapsed times with a unit are best, then those without, then dates with times, then times of a clock.
    """
    places = [k for k, found in enumerate(headings) if found.is_time and not found.is_frame]
    elapsed = [k for k in sorted(places, key=lambda k: headings[k].unit is None) if _mostly(numbers(raw[k]))]
    stamped = [(k, *_stamps(headings, raw, k)) for k in places if k not in elapsed]
    known = [(k, seconds, start) for k, seconds, start in stamped if _mostly(seconds)]
    start = known[0][2] if known else ""
    if elapsed:
        unit = headings[elapsed[0]].unit
        return elapsed[0], numbers(raw[elapsed[0]]) * (1.0 if unit is None else unit.factor), start
    return (known[0][0], known[0][1], start) if known else (None, None, "")


def _stamps(headings: list[Heading], raw: DataFrame, place: int) -> tuple[Array, str]:
    """Return a column of dates with times, or of times of a clock (with the dates beside), in s, and the first cell."""
    date = next((k for k, found in enumerate(headings) if plain(found.name) == "date" and k != place), None)
    cells = raw[place].str.strip() if date is None else raw[date].str.strip() + " " + raw[place].str.strip()
    dated = date_s(cells)
    seconds = dated if _mostly(dated) else clock_s(raw[place])
    first = np.flatnonzero(np.isfinite(seconds))
    return seconds, str(cells.iloc[first[0]]) if len(first) else ""


def _mostly(values: Array) -> bool:
    return bool(2 * np.isfinite(values).sum() > len(values))
