"""Nanonis scans (.sxm): a text header, then big-endian floats, channel by channel, forward and backward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal

_END = b":SCANIT_END:"
_DATA = b"\x1a\x04"


def signals(path: Path) -> list[Signal]:
    """Return every channel of a scan, 'Z forward' first, constant ones last; lines that were not scanned are NaN."""
    return read_channels(path, "Nanonis", _channels)


def header_of(text: str) -> dict[str, list[str]]:
    """Return the entries of a header: name -> its lines.

    >>> header_of(":SCAN_PIXELS:\\n   4   2\\n:SCAN_DIR:\\ndown\\n")["SCAN_PIXELS"]
    ['   4   2']
    """
    entries: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":"):
            name = line.strip().strip(":")
            entries[name] = []
        elif name:
            entries[name].append(line)
    return entries


def _channels(path: Path) -> list[Channel]:
    raw = path.read_bytes()
    end = raw.find(_END)
    begin = raw.find(_DATA, end)
    if end < 0 or begin < 0:
        raise BadInput(f"{path.name} has no Nanonis header with an end: it is truncated, or no .sxm; copy it again.")
    header = header_of(raw[:end].decode("latin-1"))
    width, height = (int(word) for word in header["SCAN_PIXELS"][0].split())
    across, down = (1e9 * float(word) for word in header["SCAN_RANGE"][0].split())
    upwards = header["SCAN_DIR"][0].strip().lower() == "up"
    planned = [(channel, way) for channel in _table(header["DATA_INFO"]) for way in _ways(channel["Direction"])]
    data = np.frombuffer(raw, ">f4", offset=begin + len(_DATA))
    if data.size < len(planned) * height * width:
        raise BadInput(f"{path.name} ends before its data does: it is truncated; copy it again.")
    images = data[: len(planned) * height * width].reshape(-1, height, width)
    found = [
        Channel(_name(channel, way), _upright(image, way, upwards), channel["Unit"], (down, across))
        for (channel, way), image in zip(planned, images, strict=True)
    ]
    return sorted(found, key=lambda one: (_is_constant(one.values), one.name != "Z forward"))


def _table(lines: list[str]) -> list[dict[str, str]]:
    """Return the rows of a table whose first line names its columns."""
    rows = [line.strip("\t").split("\t") for line in lines if line.strip()]
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]


def _is_constant(image: NDArray[np.float32]) -> bool:
    """Tell whether a channel holds one value but for rounding, as heights do of a tip that was kept at one height."""
    finite = image[np.isfinite(image)]
    return not finite.size or float(np.ptp(finite)) <= 1e-6 * float(np.abs(finite).max())


def _name(channel: dict[str, str], way: str) -> str:
    return f"{channel['Name'].replace('_', ' ')} {way}"


def _ways(direction: str) -> tuple[str, ...]:
    return ("forward", "backward") if direction.lower() == "both" else (direction.lower(),)


def _upright(image: NDArray[np.float32], way: str, upwards: bool) -> NDArray[np.float32]:
    """Return an image as it lies on the specimen: backward lines come from the right, scans upwards from below."""
    image = image[:, ::-1] if way == "backward" else image
    return image[::-1] if upwards else image
