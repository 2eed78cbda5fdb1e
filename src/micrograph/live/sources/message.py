"""The message by which a camera's program sends a frame: two parts, a header in JSON and the raw pixels.

Header: ``{"micrograph": 1, "frame": n, "shape": [H, W], "dtype": "<u2"}`` and, where known, ``pixel_nm``,
``frame_time_s``, ``voltage_kV`` and the other names of `Calibration`, ``time`` (unix seconds), ``run`` (a text that is
new whenever the sender begins anew) and ``known`` (numbers by column name). ``{"micrograph": 1, "end": true}`` ends.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.core.calibration import UNITS

VERSION = 1
LONGEST_HEADER = 64 * 1024
LARGEST_SIDE = 16384
DTYPES = (
    "|u1", "|i1", "<u1", "<i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8",
)  # fmt: skip
#: Entries of `known` at most, and the columns that are the analysis' own.
_MOST_KNOWN, _OWN = 64, {"frame", "flags", "count", "notes", "id"}
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True)
class End:
    """The sender says that the recording is over."""

    run: str = ""


@dataclass(frozen=True)
class Sent:
    """One frame as it was sent: pixels (H, W) in native byte order, read-only; `time_s` in unix seconds."""

    frame: int
    data: NDArray[Any]
    calibration: Calibration
    run: str = ""
    time_s: float | None = None
    known: Mapping[str, float] = field(default_factory=dict)


def parsed(parts: Sequence[Any]) -> Sent | End:
    """Return the message in `parts` (buffers); raises `BadInput` with what is wrong for one that is malformed."""
    if not 1 <= len(parts) <= 2:
        raise BadInput(f"A message of {len(parts)} parts came: header and pixels were expected.")
    header = _header(bytes(parts[0]) if memoryview(parts[0]).nbytes <= LONGEST_HEADER else None)
    run = header.get("run", "")
    if not isinstance(run, str | int) or len(str(run)) > 64:
        raise BadInput("A message's 'run' was expected to be a text of at most 64 characters.")
    if header.get("end") is True:
        return End(str(run))
    if len(parts) != 2:
        raise BadInput("A message came without pixels: header and pixels were expected.")
    frame = _whole(header, "frame")
    time_s = header.get("time")
    if time_s is not None and not _is_number(time_s):
        raise BadInput(f"Frame {frame} has the time {str(time_s)[:40]!r}: unix seconds were expected.")
    data = _pixels(header, parts[1], frame)
    return Sent(frame, data, _calibration(header, frame), str(run), time_s, _known(header, frame))


def _header(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        raise BadInput(f"A header of more than {LONGEST_HEADER // 1024} KiB came: a few hundred bytes were expected.")
    try:
        header = json.loads(raw.decode("utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise BadInput("A header came that is no JSON with finite numbers: see the example senders.") from error
    version = header.get("micrograph") if isinstance(header, dict) else None
    if type(version) is not int or version != VERSION:
        raise BadInput(f'A header came without "micrograph": {VERSION}: see the example senders.')
    return dict(header)


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no finite number")


def _whole(header: Mapping[str, Any], name: str) -> int:
    value = header.get(name)
    if type(value) is not int or not 0 <= value < _LARGEST_NUMBER:
        raise BadInput(f"A message has {name} {str(value)[:40]!r}: a whole number from 0 was expected.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _pixels(header: Mapping[str, Any], raw: Any, frame: int) -> NDArray[Any]:
    """Return the image over the memory of the message, in native byte order."""
    shape, name = header.get("shape"), header.get("dtype")
    sides = shape if isinstance(shape, list) and len(shape) == 2 else []
    if not sides or any(type(side) is not int or not 2 <= side <= LARGEST_SIDE for side in sides):
        raise BadInput(f"Frame {frame} has the shape {str(shape)[:40]}: [H, W] from 2 to {LARGEST_SIDE} was expected.")
    if name not in DTYPES:
        raise BadInput(f"Frame {frame} has the dtype {str(name)[:40]!r}: one of {', '.join(DTYPES)} was expected.")
    dtype = np.dtype(str(name))
    expected, found = math.prod(sides) * dtype.itemsize, memoryview(raw).nbytes
    if found != expected:
        raise BadInput(f"Frame {frame} has {found} bytes: {expected} were expected for {sides} of {name}.")
    image = np.frombuffer(raw, dtype).reshape(sides)
    return image if dtype.isnative else image.astype(dtype.newbyteorder("="))


def _calibration(header: Mapping[str, Any], frame: int) -> Calibration:
    values = {name: header[name] for name in UNITS if header.get(name) is not None}
    for name, value in values.items():
        if not _is_number(value) or value <= 0:
            raise BadInput(f"Frame {frame} has {name} {str(value)[:40]!r}: a number above 0 was expected.")
    return Calibration().with_known(**{name: float(value) for name, value in values.items()})


def _known(header: Mapping[str, Any], frame: int) -> dict[str, float]:
    known = header.get("known") or {}
    if not isinstance(known, dict) or len(known) > _MOST_KNOWN:
        raise BadInput(f"Frame {frame} has no 'known' of at most {_MOST_KNOWN} numbers by column name.")
    for name, value in known.items():
        if not _COLUMN.fullmatch(name) or name in _OWN or not _is_number(value):
            raise BadInput(
                f"Frame {frame} has {name[:40]!r}: {str(value)[:40]!r} in 'known': a column name such as "
                "'temperature_C' and a number were expected."
            )
    return {name: float(value) for name, value in known.items()}
