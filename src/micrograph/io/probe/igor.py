"""Igor binary waves (.ibw) of Asylum microscopes, through igor2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal

#: How a channel's name begins -> its unit; other channels have none.
_UNITS = {"Height": "m", "ZSensor": "m", "Amplitude": "m", "Deflection": "m", "Phase": "deg", "Current": "A"}


def signals(path: Path) -> list[Signal]:
    """Return every layer of a wave (X, Y, layers)."""
    return read_channels(path, "igor2", _channels)


def _channels(path: Path) -> list[Channel]:
    from igor2 import binarywave

    wave: dict[str, Any] = binarywave.load(str(path))["wave"]
    data = np.asarray(wave["wData"], np.float32)
    if data.ndim < 2:
        return []
    layers = data.reshape(*data.shape[:2], -1)
    names = _names(wave, layers.shape[2])
    sides = _sides(wave, layers.shape[:2])
    # Igor counts x first and y upwards.
    return [Channel(name, layers[:, ::-1, number].T, _unit(name), sides[::-1]) for number, name in enumerate(names)]


def _names(wave: dict[str, Any], count: int) -> list[str]:
    labels = [one.decode("latin-1") for one in wave["labels"][2] if one] if len(wave.get("labels", ())) > 2 else []
    return labels if len(labels) == count else [f"layer {number}" for number in range(count)]


def _sides(wave: dict[str, Any], shape: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Return the sides (x, y) in nm, where the wave's dimensions are in metres."""
    head = wave["wave_header"]
    if "sfA" not in head or b"m" not in bytes(np.asarray(head.get("dimUnits", b"")).tobytes()):
        return None, None
    x, y = (1e9 * abs(float(step)) * size for step, size in zip(head["sfA"], shape, strict=False))
    return x, y


def _unit(name: str) -> str:
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), "")
