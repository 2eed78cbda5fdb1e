"""Names of a log's columns and values of its cells: which quantity in which unit, and its factor to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import Series

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """What a unit measures, the unit in which we keep it, and ``ours = theirs * factor + offset``."""

    quantity: str
    ours: str
    factor: float = 1.0
    offset: float = 0.0


_KNOWN: Mapping[Unit, str] = {
    Unit("time", "s"): "s sec secs second seconds",
    Unit("time", "s", 1e-6): "us µs microseconds",
    Unit("time", "s", 1e-3): "ms msec millisecond milliseconds",
    Unit("time", "s", 60.0): "min mins minute minutes",
    Unit("time", "s", 3600.0): "h hr hour hours",
    Unit("temperature", "C"): "C °C ºC degC deg_C degree_C degrees_C celsius",
    Unit("temperature", "C", 1.0, -273.15): "K kelvin",
    Unit("temperature", "C", 5 / 9, -160 / 9): "°F degF degrees_F fahrenheit",
    Unit("voltage", "V"): "V volt volts",
    Unit("voltage", "V", 1e-3): "mV millivolts",
    Unit("voltage", "V", 1e3): "kV",
    Unit("current", "A"): "A amp amps ampere",
    Unit("current", "A", 1e-3): "mA milliamps",
    Unit("current", "A", 1e-6): "uA µA microamps",
    Unit("current", "A", 1e-9): "nA",
    Unit("current", "A", 1e-12): "pA",
    Unit("pressure", "mbar"): "mbar hPa",
    Unit("pressure", "mbar", 1e3): "bar",
    Unit("pressure", "mbar", 1.01325e3): "atm",
    Unit("pressure", "mbar", 1.01325e3 / 760): "Torr mmHg",
    Unit("pressure", "mbar", 1e-2): "Pa",
    Unit("pressure", "mbar", 10.0): "kPa",
    Unit("power", "W"): "W watt watts",
    Unit("power", "W", 1e-3): "mW",
    Unit("power", "W", 1e-6): "uW µW",
    Unit("resistance", "ohm"): "ohm ohms Ω",
    Unit("resistance", "ohm", 1e3): "kohm kΩ",
}
UNITS = {name.replace("_", " "): unit for unit, names in _KNOWN.items() for name in names.split()}
_ANY_CASE = {name.lower(): unit for name, unit in UNITS.items() if len(name) > 2}
#: Units that are believed at the end of a name, without brackets; 'A' and 'min' are often words of the name itself.
_AT_THE_END = {"s", "ms", "sec", "seconds", "C", "°C", "degC", "K", "V", "mV", "mA", "mbar", "Torr", "Pa", "mW", "ohm"}
#: What a column without unit may be, by how its name begins, and the unit that is then assumed.
_WORDS = {"temp": "C", "volt": "V", "bias": "V", "current": "A"}
_SET = re.compile(r"(?<!off)(?<!re)set(?!up)|target|demand", re.IGNORECASE)
_DROPPED = {"time", "temperature", "temp", "voltage", "bias", "current", "pressure", "power", "resistance", "measured"}


@dataclass(frozen=True)
class Heading:
    """The heading of a column: its name without the unit, the unit as written ('' if none), and what is known of it."""

    name: str
    unit_text: str = ""
    unit: Unit | None = None

    @property
    def is_set(self) -> bool:
        """Whether the column holds what was asked for, not what was measured."""
        return bool(_SET.search(self.name))

    @property
    def is_frame(self) -> bool:
        """Whether the column holds frame numbers."""
        return plain(self.name) in {"frame", "frames", "frame_number", "frame_no", "frame_index", "image_number"}

    @property
    def is_time(self) -> bool:
        """Whether the column holds times: of a clock, of the day, or elapsed."""
        name = plain(self.name)
        words = {"timestamp", "elapsed", "datetime", "seconds", "sec", "minutes", "hours", "milliseconds"}
        return self.name == "t" or "time" in name.split("_") or name in words or _quantity(self) == "time"


def heading(text: str) -> Heading:
    """Return the heading that a cell such as 'Tset[C]', 'Time (ms)', 'T / K' or 'temperature_C' holds."""
    text = text.strip().strip('"').strip()
    bracket = re.fullmatch(r"(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]", text)
    slash = re.fullmatch(r"(.+?)\s*/\s*(\S+)", text)
    tail = re.fullmatch(r"(.+?)[\s_]+(\S+)", text)
    if bracket and bracket[1]:
        found = Heading(bracket[1], bracket[2], unit_of(bracket[2]))
    elif slash and unit_of(slash[2]):
        found = Heading(slash[1], slash[2], unit_of(slash[2]))
    elif tail and tail[2] in _AT_THE_END:
        found = Heading(tail[1], tail[2], unit_of(tail[2]))
    else:
        whole = unit_of(text) if len(text) > 2 else None
        found = Heading(text, text if whole else "", whole)
    return found


def unit_of(text: str) -> Unit | None:
    """Return the unit that a text names; short ones are told apart by their case ('mA' is no 'MA')."""
    text = re.sub(r"[_\s]+", " ", text.strip())
    return UNITS.get(text) or _ANY_CASE.get(text.lower())


def assumed(found: Heading) -> Heading:
    """Return a heading without a unit with the one that its name suggests, if any."""
    if found.unit is not None or found.unit_text:
        return found
    if re.match(r"T($|set|meas|_)", found.name):
        return replace(found, unit=UNITS["C"])
    words = plain(found.name).split("_")
    unit = next((unit for start, unit in _WORDS.items() for word in words if word.startswith(start)), None)
    return found if unit is None else replace(found, unit=UNITS[unit])


def names_of(headings: Sequence[Heading]) -> list[str]:
    """Return names for the columns of a table, each with its unit at the end, no two alike.

    The first measured column of a quantity is named after it alone ('temperature_C'), the first of its set points
    'temperature_set_C'; others carry what tells them apart ('tank1_pressure_mbar'). Unknown columns keep their words.
    """
    taken = ["t_s", "frame"]
    for found in headings:
        unit = found.unit
        ending = f"_{unit.ours}" if unit else f"_{plain(found.unit_text)}" if found.unit_text else ""
        stem = (plain(found.name) or "column") if unit is None else unit.quantity + "_set" * found.is_set
        if unit is not None and stem + ending in taken:
            stem = "_".join([*_qualifiers(found), stem])
        name, number = stem + ending, 2
        while name in taken:
            name, number = f"{stem}_{number}{ending}", number + 1
        taken.append(name)
    return taken[2:]


def plain(text: str) -> str:
    """Return a text as a name in small letters, digits and underscores.

    >>> plain("% Gas1 Measured")
    'gas1_measured'
    """
    return re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")


def numbers(cells: Series[str]) -> Array:
    """Return cells as numbers, NaN where they are none; a decimal comma counts as a point."""
    import pandas as pd

    text = cells.str.strip().str.replace(r"^([-+]?\d+),(\d+)$", r"\1.\2", regex=True)
    values: Array = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    return values


def clock_s(cells: Series[str]) -> Array:
    """Return 'hh:mm:ss.f' as seconds since the first, over midnight too; NaN where a cell is no such time."""
    parts = cells.str.strip().str.extract(r"^(\d{1,3}):(\d{2}):(\d{2}(?:[.,]\d+)?)$")
    hours, minutes, left = (numbers(parts[k].fillna("")) for k in range(3))
    seconds = np.asarray(hours * 3600 + minutes * 60 + left, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(seconds))
    if len(known):
        days = np.cumsum(np.diff(seconds[known], prepend=seconds[known[0]]) < -43_200)
        seconds[known] += 86_400.0 * days - seconds[known[0]]
    return seconds


def date_s(cells: Series[str]) -> Array:
    """Return dates with times as seconds since the first; NaN where a cell is none."""
    import pandas as pd

    text = cells.str.strip().where(cells.str.contains(r"\d[-/.T ]\d.*:", regex=True))
    stamps = pd.to_datetime(text, errors="coerce", format="mixed", dayfirst=not _iso(text))
    first = stamps.dropna()
    if not len(first):
        return np.full(len(cells), np.nan)
    return np.asarray((stamps - first.iloc[0]).dt.total_seconds(), dtype=np.float64)


def _iso(cells: Series[str]) -> bool:
    known = cells.dropna()
    return bool(len(known)) and bool(re.match(r"\d{4}", known.iloc[0]))


def _quantity(found: Heading) -> str:
    return found.unit.quantity if found.unit is not None else ""


def _qualifiers(found: Heading) -> list[str]:
    return [word for word in plain(found.name).split("_") if word not in _DROPPED and not _SET.search(word)]
