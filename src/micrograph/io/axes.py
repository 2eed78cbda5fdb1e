"""Axes of an array as a file states them, and their units in ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from micrograph.core import Calibration, SignalAxis

#: Spellings of length units met in files, in nm.
LENGTHS_NM = {
    "m": 1e9, "meter": 1e9, "metre": 1e9,
    "cm": 1e7, "mm": 1e6,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0,
    "a": 0.1, "å": 0.1, "\u212b": 0.1, "a\u030a": 0.1, "ang": 0.1, "angstrom": 0.1, "angstroms": 0.1, "ångström": 0.1,
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3,
}  # fmt: skip

#: Spellings of time units met in files, in s.
TIMES_S = {
    "h": 3600.0, "hour": 3600.0, "min": 60.0, "minute": 60.0,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip

#: Spellings of reciprocal and angular units of diffraction patterns, as we write them.
RECIPROCAL = {"1/nm": "1/nm", "nm^-1": "1/nm", "nm-1": "1/nm", "1/å": "1/angstrom", "1/a": "1/angstrom", "mrad": "mrad"}
RECIPROCAL |= dict.fromkeys(("a^-1", "å^-1", "angstrom^-1", "1/angstrom"), "1/angstrom")

#: Units that only a spectral axis has.
SPECTRAL = {"ev", "kev", "mev", "v", "mv", "1/cm", "cm^-1", "hz", "khz", "mhz", "ghz"}


@dataclass(frozen=True)
class Axis:
    """One axis: its `size`, and where known its `name`, `scale` in `unit` per step, and whether it is `navigate`d."""

    size: int
    name: str = ""
    scale: float | None = None
    unit: str = ""
    navigate: bool | None = None
    offset: float = 0.0

    def text(self) -> str:
        """Return the axis in words, for `describe`: 'y 1024 x 0.0127 nm'."""
        step = f" x {self.scale:.6g} {self.unit}" if self.scale is not None and self.unit else ""
        return f"{self.name or 'axis'} {self.size}{step}"


def plain_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """Return axes of which nothing but the size is known."""
    return tuple(Axis(int(size)) for size in shape)


def axis_of(stated: dict[str, Any], size: int) -> Axis:
    """Return the axis that rosettasciio states as a dictionary; a missing or empty unit means an unknown scale."""
    unit = stated.get("units")
    unit = unit.strip() if isinstance(unit, str) else ""
    name, navigate = stated.get("name"), stated.get("navigate")
    return Axis(
        size,
        name if isinstance(name, str) else "",
        _number(stated.get("scale")),
        "" if unit.lower() in {"px", "pixel", "pixels", "<undefined>"} else unit,
        navigate if isinstance(navigate, bool) else None,
        _number(stated.get("offset")) or 0.0,
    )


def length_nm(axis: Axis) -> float | None:
    """Return the step of a length axis in nm (positive), or ``None`` where it is unknown or no length."""
    return _step(axis, LENGTHS_NM)


def time_s(axis: Axis) -> float | None:
    """Return the step of a time axis in s (positive), or ``None`` where it is unknown or no time."""
    return _step(axis, TIMES_S)


def reciprocal(axis: Axis) -> SignalAxis | None:
    """Return the scale of a pattern's axis (1/nm, 1/angstrom, mrad), or ``None`` where it is none."""
    unit = RECIPROCAL.get(axis.unit.lower())
    return SignalAxis(unit, abs(axis.scale), axis.offset) if unit and axis.scale else None


def is_spectral(axis: Axis) -> bool:
    """Tell whether the axis runs over energies, voltages or frequencies."""
    return axis.unit.lower() in SPECTRAL or "energy" in axis.name.lower()


def instrument(metadata: dict[str, Any]) -> Calibration:
    """Return what rosettasciio's metadata tree says of the microscope: voltage in kV, convergence in mrad."""
    tree = metadata.get("Acquisition_instrument", {})
    values: dict[str, float] = {}
    for kind in ("SEM", "TEM"):
        for name, field in (("beam_energy", "voltage_kV"), ("convergence_angle", "convergence_mrad")):
            value = _number(tree.get(kind, {}).get(name))
            if value is not None and value > 0:
                values[field] = value
    return Calibration(**values)  # type: ignore[arg-type]


def _step(axis: Axis, units: dict[str, float]) -> float | None:
    factor = units.get(axis.unit.lower())
    if factor is None or not axis.scale:
        return None
    return float(f"{abs(axis.scale) * factor:.12g}")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
