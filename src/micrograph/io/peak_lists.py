"""Lists of diffraction peaks (CSV, text) as frames: spots of zones, peaks in three dimensions, or lines of a powder."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import plain_axes
from micrograph.io.signals import Signal
from micrograph.io.structures import HeldTables

Array = NDArray[np.float64]

SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
#: Ending of a column's name -> factor to 1/nm (of g) and to nm (of d).
_RECIPROCAL = {"_per_nm": 1.0, "_per_a": 10.0}
_LENGTH = {"_nm": 1.0, "_a": 0.1}
_EXPECTED = (
    "columns with names were expected: 'd_nm' or 'd_A' of a powder; or 'gx_per_nm', 'gy_per_nm' (or '_per_A') of "
    "spots, with 'gz_per_nm' or the tilts 'alpha_deg', 'beta_deg' where they are known and 'zone' (a number) where "
    "there are several; and 'intensity'"
)


def signals(path: Path) -> list[Signal]:
    """Return the peaks of a file as one signal (frames, N, 4) of content 'peaks': gx, gy, gz in 1/nm, intensity.

    Spots of several zones without tilts are one frame a zone; all else is one frame. Lines of a powder have their 1/d
    in gx. Shorter lists end in rows of zeros. Raises `BadInput` where the columns do not say what they are.
    """
    columns = _columns(path)
    lists = _lists(columns, path.name)
    rows = max(2, *(len(one) for one in lists))
    padded = np.stack([np.pad(one, ((0, rows - len(one)), (0, 0))) for one in lists]).astype(np.float32)
    if not np.isfinite(padded).all():
        raise BadInput(f"{path.name} has peaks that are not finite numbers: leave these rows out.")
    array = padded if len(padded) > 1 else padded[0]
    stated = Calibration(content="peaks")
    return [Signal(path.name, HeldTables(array), array.dtype, plain_axes(array.shape), "peaks", stated, trusted=True)]


def names_peaks(path: Path) -> bool:
    """Return whether the first line of a file names a column of peaks."""
    with path.open("rb") as file:
        first = file.readline(2000).decode("utf-8", "replace").lower()
    return bool(re.search(r"\b(gx_per_(nm|a)|d_(nm|a))\b", first))


def _columns(path: Path) -> dict[str, Array]:
    """Return the columns of a table by their names in lower case."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} cannot be read as text: {_EXPECTED}.") from error
    lines = [line.lstrip("# ") for line in text.splitlines() if line.strip(" #\t,;")]
    if len(lines) < 2:
        raise BadInput(f"{path.name} holds no peaks: {_EXPECTED}.")
    separator = next((mark for mark in (",", ";", "\t") if mark in lines[0]), None)
    rows = (
        list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator))
        if separator
        else [line.split() for line in lines]
    )
    names = [name.strip().lower() for name in rows[0]]
    if any(re.fullmatch(r"[-+.\deE]+", name) for name in names):
        raise BadInput(f"{path.name} begins with numbers, so it does not say what they are: {_EXPECTED}.")
    try:
        values = np.array([[float(cell) for cell in row[: len(names)]] for row in rows[1:]])
    except ValueError as error:
        raise BadInput(f"{path.name} has a cell that is no number ({error}): {_EXPECTED}.") from error
    if values.ndim != 2 or values.shape[1] != len(names):
        raise BadInput(f"{path.name} has rows of different lengths: {_EXPECTED}.")
    return dict(zip(names, values.T, strict=True))


def _lists(columns: dict[str, Array], name: str) -> list[Array]:
    """Return one array (N, 4) a frame."""
    intensity = columns.get("intensity", columns.get("i", np.ones(len(next(iter(columns.values()))))))
    powder = _scaled(columns, "d", _LENGTH)
    if powder is not None:
        if (powder <= 0).any():
            raise BadInput(f"{name} has a spacing d that is not greater than zero: leave that row out.")
        return [np.column_stack([1 / powder, *np.zeros((2, len(powder))), intensity])]
    parts = [_scaled(columns, axis, _RECIPROCAL) for axis in ("gx", "gy", "gz")]
    x, y, z = parts
    if x is None or y is None:
        raise BadInput(f"{name} has the columns {', '.join(columns)}: {_EXPECTED}.")
    g = np.column_stack([x, y, np.zeros(len(x)) if z is None else z])
    if z is None and "alpha_deg" in columns:
        g = _untilted(g, columns["alpha_deg"], columns.get("beta_deg", np.zeros(len(x))))
    table = np.column_stack([g, intensity])
    zones = columns.get("zone", columns.get("frame"))
    if zones is None or z is not None or "alpha_deg" in columns:
        return [table]
    return [table[zones == zone] for zone in np.unique(zones)]


def _scaled(columns: dict[str, Array], start: str, units: dict[str, float]) -> Array | None:
    return next((columns[start + end] * factor for end, factor in units.items() if start + end in columns), None)


def _untilted(g: Array, alpha_deg: Array, beta_deg: Array) -> Array:
    """Return spots in the frame of the crystal: the holder was turned by alpha about x, then by beta about y."""
    a, b = np.deg2rad(alpha_deg), np.deg2rad(beta_deg)
    x, y, z = g.T
    x, z = x * np.cos(b) - z * np.sin(b), x * np.sin(b) + z * np.cos(b)
    y, z = y * np.cos(a) + z * np.sin(a), -y * np.sin(a) + z * np.cos(a)
    return np.column_stack([x, y, z])
