"""What the page asks of an analysis, read from a `Shown` and made small: one frame with all that was found in it."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.core.units import unit_of
from micrograph.draw.style import GREEN, KNOWN, ORANGE, PURPLE, RED, SKY, YELLOW, looks
from micrograph.live.shown import Shown

if TYPE_CHECKING:
    from pandas import DataFrame

#: At most so many rows of a table, points, and tracks are sent for one frame.
MOST_ROWS, MOST_POINTS, MOST_TRACKS = 5000, 50_000, 1500
#: At most so many corners of outlines are sent for one frame.
MOST_CORNERS = 400_000
#: A table of a running analysis is read again after so many seconds at the earliest.
FRESH_S = 0.5
_KEPT_IMAGES = 6
_KINDS = ("shape", "state", "class", "name", "label")
_COLORS = (ORANGE, SKY, GREEN, YELLOW, PURPLE, RED, "#FFFFFF")


class Palette:
    """A colour for every kind of object, the same in all frames: that of pictures and reports where it is free."""

    def __init__(self) -> None:
        self._colors: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, names: list[str]) -> dict[str, dict[str, str]]:
        """Return colour and marker of each name."""
        with self._lock:
            for name in names:
                if name not in self._colors:
                    self._colors[name] = self._new(name)
            return {name: {"color": self._colors[name], "marker": looks([name])[name].marker} for name in names}

    def _new(self, name: str) -> str:
        taken = set(self._colors.values())
        wish = KNOWN[name].color if name in KNOWN else ""
        if wish in _COLORS and wish not in taken:
            return wish
        free = [color for color in _COLORS if color not in taken]
        return free[0] if free else _COLORS[len(self._colors) % len(_COLORS)]


class View:
    """One analysis as browsers ask for it; may be used from several threads. Keeps a few images and tables at hand."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.palette = Palette()
        self._lock = threading.Lock()
        self._images: dict[int, NDArray[Any] | None] = {}
        self._tables: dict[str, tuple[float, Any, DataFrame]] = {}

    def image(self, frame: int) -> NDArray[Any] | None:
        """Return the pixels (H, W) of a frame, of which the last few are kept."""
        with self._lock:
            if frame in self._images:
                return self._images[frame]
        image = self.shown.image(frame)
        if image is not None:
            with self._lock:
                self._images[frame] = image
                while len(self._images) > _KEPT_IMAGES:
                    self._images.pop(next(iter(self._images)))
        return image

    def table(self, name: str) -> DataFrame:
        """Return a whole table, at most `FRESH_S` old while the analysis runs."""
        state, now = self.shown.state, time.monotonic()
        key = (state.frames, state.running, tuple(sorted(state.counters.items())) if state.running else ())
        with self._lock:
            kept = self._tables.get(name)
        if kept is not None and (kept[1] == key or now - kept[0] < FRESH_S):
            return kept[2]
        table = self.shown.table(name)
        with self._lock:
            self._tables[name] = (now, key, table)
        return table

    def numbers(self) -> NDArray[np.int64]:
        """Return the numbers of the frames that were analysed, ascending."""
        frames = self.table("frames")
        return np.unique(frames["frame"].to_numpy(np.int64)) if "frame" in frames else np.empty(0, np.int64)

    def nearest(self, wanted: int) -> tuple[int, int | None, int | None]:
        """Return the analysed frame that is nearest to a number, and the ones before and after it."""
        numbers, state = self.numbers(), self.shown.state
        if state.frames is not None and wanted == state.frames[1] and (not len(numbers) or wanted > numbers[-1]):
            numbers = np.append(numbers, wanted)
        if not len(numbers):
            return wanted, None, None
        at = int(np.argmin(np.abs(numbers - wanted)))
        before = int(numbers[at - 1]) if at > 0 else None
        return int(numbers[at]), before, int(numbers[at + 1]) if at + 1 < len(numbers) else None

    def look(self, wanted: int, tail: int) -> dict[str, Any]:
        """Return what is known of the analysed frame nearest to `wanted`, with tracks of its last `tail` frames."""
        frame, before, after = self.nearest(wanted)
        objects = self.shown.table("objects", frame)
        known = next(iter(self.shown.table("frames", frame).to_dict("records")), {})
        by = next((name for name in _KINDS if name in objects), None)
        kinds = objects[by].astype(str).to_numpy(dtype=str) if by else np.full(len(objects), "object")
        names, which = np.unique(kinds, return_inverse=True)
        counts = np.bincount(which, minlength=len(names)).tolist()
        marked = self.palette.of(names.tolist())
        flags = Flag(int(known.get("flags", 0) or 0))
        return {
            "frame": frame, "before": before, "after": after, "known": plain(known),
            "flags": [flag.name.lower() for flag in Flag if flag in flags and flag.name and flag],
            "by": by, "kinds": [{"name": n, "count": c, **marked[n]} for n, c in zip(names, counts, strict=True)],
            "points": _points(objects, which),
            "objects": self.columns("objects", objects.drop(columns="frame", errors="ignore")),
            "outlined": "outlines" in self.shown.tables, "tracks": self.tracks(frame, tail) if tail else [],
        }  # fmt: skip

    def columns(self, name: str, table: DataFrame) -> dict[str, Any]:
        """Return the first rows of a table with the units of its columns."""
        units = self.shown.state.units
        return columns_of(table) | {"units": {str(c): units.get(f"{name}.{c}") or unit_of(str(c)) for c in table}}

    def outlines(self, frame: int) -> bytes:
        """Return the outlines of a frame: their number N, N ids, N lengths (int32), then all y, x in nm (float32)."""
        table = self.shown.table("outlines", frame)
        if not len(table) or not {"id", "y_nm", "x_nm"} <= set(table):
            return struct.pack("<i", 0)
        table = table.sort_values([name for name in ("id", "point") if name in table], kind="stable")
        table = table.iloc[:: max(1, math.ceil(len(table) / MOST_CORNERS))]
        ids, first, lengths = np.unique(table["id"].to_numpy(np.int64), return_index=True, return_counts=True)
        order = np.argsort(first)
        places = table[["y_nm", "x_nm"]].to_numpy("<f4")
        head = np.concatenate([[len(ids)], ids[order], lengths[order]]).astype("<i4")
        return head.tobytes() + places.tobytes()

    def tracks(self, frame: int, tail: int) -> list[dict[str, Any]]:
        """Return the tracks that reach the last `tail` frames before `frame`: number, colour, places in nm."""
        if "tracks" not in self.shown.tables:
            return []
        table = self.table("tracks")
        if not {"track", "frame", "y_nm", "x_nm"} <= set(table):
            return []
        part = table[(table["frame"] <= frame) & (table["frame"] > frame - tail)]
        part = part.sort_values(["track", "frame"], kind="stable")
        track, first = np.unique(part["track"].to_numpy(np.int64), return_index=True)
        places = np.round(part[["y_nm", "x_nm"]].to_numpy(float), 4)
        ends = [*first[1:], len(part)]
        return [
            {
                "track": int(t),
                "color": _COLORS[t % len(_COLORS)],
                "y": plain(places[a:b, 0]),
                "x": plain(places[a:b, 1]),
            }
            for t, a, b in list(zip(track, first, ends, strict=True))[:MOST_TRACKS]
            if t >= 0
        ]


def _points(objects: DataFrame, which: NDArray[np.intp]) -> dict[str, Any]:
    """Return where objects are, in nm, and of which kind each is."""
    if not {"y_nm", "x_nm"} <= set(objects):
        return {"y": [], "x": [], "kind": [], "id": [], "doubted": []}
    part = objects.iloc[:MOST_POINTS]
    flags = part["flags"].to_numpy(np.int64) if "flags" in part else np.zeros(len(part), np.int64)
    ids = part["id"].to_numpy(np.int64) if "id" in part else np.arange(len(part))
    return {
        "y": plain(np.round(part["y_nm"].to_numpy(float), 5)),
        "x": plain(np.round(part["x_nm"].to_numpy(float), 5)),
        "kind": which[: len(part)].tolist(),
        "id": ids.tolist(),
        "doubted": np.flatnonzero(flags & ~np.int64(Flag.OUT_OF_DOMAIN)).tolist(),
    }


def columns_of(table: DataFrame, most: int = MOST_ROWS) -> dict[str, Any]:
    """Return the first rows of a table: names of its columns, their values (one list each), how many rows there are.

    Flags are given as words.
    """
    part = table.iloc[:most]
    names = [str(name) for name in part.columns]
    values = [plain(part.iloc[:, k].to_numpy()) for k in range(len(names))]
    if "flags" in names:
        at = names.index("flags")
        values[at] = [Flag(int(one or 0)).words() for one in values[at]]
    return {
        "columns": names,
        "values": values,
        "rows": len(table),
    }


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what is not finite or missing becomes ``None``.

    >>> plain({"a": float("nan"), "b": np.array([1.0, np.inf])})
    {'a': None, 'b': [1.0, None]}
    """
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool | None):
        return value
    return str(value) if value == value else None


def _plain_array(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "f":
        found = values.astype(object)
        found[~np.isfinite(values)] = None
        return list(found.tolist())
    return values.tolist() if values.dtype.kind in "iub" else [plain(one) for one in values.tolist()]
