"""Gwyddion's own files (.gwy), through gwyfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from micrograph.io.axes import LENGTHS_NM
from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal


def signals(path: Path) -> list[Signal]:
    """Return every data field of a Gwyddion file."""
    return read_channels(path, "gwyfile", _channels)


def _channels(path: Path) -> list[Channel]:
    import gwyfile

    fields: dict[str, Any] = gwyfile.util.get_datafields(gwyfile.load(str(path)))
    return [_channel(name, field) for name, field in fields.items()]


def _channel(name: str, field: Any) -> Channel:
    to_nm = LENGTHS_NM.get(_unit(field, "si_unit_xy").lower())
    sides = (None, None) if to_nm is None else (float(field.yreal) * to_nm, float(field.xreal) * to_nm)
    return Channel(name, np.asarray(field.data, np.float32), _unit(field, "si_unit_z"), sides)


def _unit(field: Any, name: str) -> str:
    unit = field.get(name)
    return "" if unit is None else str(unit.unitstr)
