"""A channel of a scan, as all these files have it, to a signal: its sides in nm, its values in our units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import LENGTHS_NM, Axis
from micrograph.io.files import unreadable
from micrograph.io.signals import Signal

#: Unit in a file -> (unit of ours, factor), beside lengths, which become nm.
_UNITS = {
    "A": ("nA", 1e9),
    "nA": ("nA", 1.0),
    "pA": ("nA", 1e-3),
    "V": ("V", 1.0),
    "mV": ("V", 1e-3),
    "Hz": ("Hz", 1.0),
    "deg": ("degree", 1.0),
}


@dataclass(frozen=True)
class Channel:
    """Values (H, W) of one channel, their `unit`, and the sides of the scan (y, x) in nm (``None``: not known)."""

    name: str
    values: NDArray[np.float32]
    unit: str
    sides_nm: tuple[float | None, float | None]

    def signal(self, reader: str) -> Signal:
        """Return the channel as a signal."""
        length = LENGTHS_NM.get(self.unit.lower())
        ours, factor = _UNITS.get(self.unit) or (("nm", length) if length else (self.unit, 1.0))
        values = np.ascontiguousarray(self.values, np.float32) * np.float32(factor)
        axes = tuple(
            Axis(size, name, None if side is None else side / size, "nm")
            for size, name, side in zip(values.shape, "yx", self.sides_nm, strict=True)
        )
        stated = Calibration(value_unit=ours)
        return Signal(self.name, values, values.dtype, axes, reader, stated, trusted=True)


def read_channels(path: Path, reader: str, read: Callable[[Path], list[Channel]]) -> list[Signal]:
    """Return the signals of the channels that `read` finds; raises `BadInput` where it cannot."""
    try:
        found = read(path)
    except BadInput:
        raise
    except Exception as error:
        raise unreadable(path, reader, error) from error
    if not found:
        raise BadInput(f"{path.name} holds no image of a scan: it may hold curves only; export the scan itself.")
    return [channel.signal(reader) for channel in found]
