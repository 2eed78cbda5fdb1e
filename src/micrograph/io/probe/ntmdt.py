"""NT-MDT files (.mdt): frames one after another, of which scans and two-dimensional maps are images.

The layout follows the description at https://formats.kaitai.io/nt_mdt/. Lines are stored from the bottom upwards.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.axes import LENGTHS_NM
from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal

_MAGIC = b"\x01\xb0\x93\xff"
#: Bytes before the first frame, and of a frame's own head.
_FILE_HEAD, _FRAME_HEAD = 33, 22
#: Kinds of frames that may hold images.
_SCAN, _MAP = 0, 106
#: What the number of a unit means in the head of a scan.
_UNITS = {
    -5: "m", -4: "cm", -3: "mm", -2: "um", -1: "nm", 0: "angstrom", 1: "nA", 2: "V", 5: "deg",
    20: "A", 23: "nA", 24: "pA", 25: "V", 26: "mV", 30: "N", 33: "nN",
}  # fmt: skip
#: What was measured, by the number in the head of a scan.
_MEASURED = {
    0: "Height", 1: "DFL", 2: "Lateral force", 3: "Bias", 4: "Current", 5: "Feedback", 6: "Magnitude", 9: "RMS",
    11: "Phase 1", 12: "Phase 2", 13: "Phase",
}  # fmt: skip
#: Kind of number by its code in a map.
_KINDS = {-1: "i1", 1: "u1", -2: "i2", 2: "u2", -4: "i4", 4: "u4", -8: "i8", 8: "u8", -5892: "f4", -13320: "f8"}


@dataclass(frozen=True)
class _Axis:
    """One calibration of a map: `size` steps of `scale` in `unit`; of what is measured the value is bias + scale n."""

    name: str
    unit: str
    bias: float
    scale: float
    size: int
    kind: str

    @property
    def side_nm(self) -> float | None:
        """Length of the side in nm, where it is a length."""
        nm = LENGTHS_NM.get(self.unit.lower())
        return None if nm is None or not self.scale else abs(self.scale) * nm * self.size


def signals(path: Path) -> list[Signal]:
    """Return every image of an NT-MDT file, scans and maps."""
    return read_channels(path, "NT-MDT", _channels)


def _channels(path: Path) -> list[Channel]:
    raw = path.read_bytes()
    if not raw.startswith(_MAGIC):
        raise BadInput(f"{path.name} does not begin like an NT-MDT file: it is another format, or damaged.")
    found = [_image(kind, body, variables, path) for kind, body, variables in _frames(raw, path)]
    return [channel for channel in found if channel is not None]


def _frames(raw: bytes, path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Yield kind, body and length of the variables of every frame."""
    (last,) = struct.unpack_from("<H", raw, 12)
    place = _FILE_HEAD
    for _ in range(last + 1):
        if place + _FRAME_HEAD > len(raw):
            raise BadInput(f"{path.name} ends before its data does: it is truncated; copy it again.")
        size, kind = struct.unpack_from("<IH", raw, place)
        (variables,) = struct.unpack_from("<H", raw, place + 20)
        if size < _FRAME_HEAD or place + size > len(raw):
            raise BadInput(f"{path.name} ends before its data does: it is truncated; copy it again.")
        yield kind, raw[place + _FRAME_HEAD : place + size], variables
        place += size


def _image(kind: int, body: bytes, variables: int, path: Path) -> Channel | None:
    if kind == _SCAN:
        return _scan(body, variables)
    return _map(body) if kind == _MAP else None


def _scan(body: bytes, variables: int) -> Channel | None:
    """Return the image of a scan, whole numbers (H, W) of 16 bits with the scale of the axis z."""
    scales = [struct.unpack_from("<ffh", body, 10 * axis) for axis in range(3)]
    measured = body[30]
    _, width, height, dots = struct.unpack_from("<4H", body, variables)
    place = variables + 8
    if dots:  # places of spectra: a head, then four numbers each, then the spectra
        place += 4 + struct.unpack_from("<i", body, place)[0]
        sizes = [struct.unpack_from("<ffii", body, place + 16 * number)[2:] for number in range(dots)]
        place += 16 * dots + 2 * sum(map(sum, sizes))
    if not width * height:
        return None
    stored = np.frombuffer(body, "<i2", width * height, place).reshape(height, width)
    offset, step, unit = scales[2]
    down, across = (
        _Axis("", _UNITS.get(scales[axis][2], ""), 0.0, scales[axis][1], size, "")
        for axis, size in ((1, height), (0, width))
    )
    title = _title(body, place + 2 * width * height) or _MEASURED.get(measured, "image")
    return Channel(title, _upright(offset + step * stored), _UNITS.get(unit, ""), (down.side_nm, across.side_nm))


def _title(body: bytes, place: int) -> str:
    if place + 4 > len(body):
        return ""
    (length,) = struct.unpack_from("<I", body, place)
    return body[place + 4 : place + 4 + length].decode("cp1251", "replace").strip("\0 ")


def _map(body: bytes) -> Channel | None:
    """Return the image of a map with two dimensions and one thing measured; others (volumes, curves) are no image."""
    head, data = struct.unpack_from("<II", body)
    name, comment, view, spec, source = struct.unpack_from("<5I", body, 44)
    title = body[head : head + name].decode("utf-8", "replace").strip("\0 ")
    place = head + name + comment + view + spec + source
    structure, _, _, dimensions, measured = struct.unpack_from("<IQIII", body, place + 4)
    if (dimensions, measured) != (2, 1):
        return None
    place += 8 + structure
    axes = []
    for _ in range(3):
        axis, place = _axis(body, place)
        axes.append(axis)
    across, down, value = axes
    stored: NDArray[Any] = np.frombuffer(body, "<" + value.kind, across.size * down.size, data)
    values = value.bias + value.scale * stored.reshape(down.size, across.size)
    return Channel(title or value.name, _upright(values), value.unit, (down.side_nm, across.side_nm))


def _axis(body: bytes, place: int) -> tuple[_Axis, int]:
    """Return the calibration at `place`, and where the next begins."""
    total, structure, name, comment, unit = struct.unpack_from("<5I", body, place)
    bias, scale, first, last, kind = struct.unpack_from("<ddQQi", body, place + 44)
    texts = place + 8 + structure
    words = body[texts : texts + name], body[texts + name + comment : texts + name + comment + unit]
    label, unit_name = (word.decode("cp1251", "replace").strip("\0 ") for word in words)
    if not math.isfinite(scale) or kind not in _KINDS:
        raise ValueError(f"a calibration of kind {kind}")
    return _Axis(label, unit_name, bias, scale, last - first + 1, _KINDS[kind]), place + total


def _upright(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values[::-1], np.float32)
