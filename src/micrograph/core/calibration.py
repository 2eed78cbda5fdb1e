"""Physical scale of a recording, and the text-with-units border."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from micrograph.core.errors import BadInput

if TYPE_CHECKING:
    import pint

#: Fields of `Calibration` with the unit in which each is kept.
UNITS = {
    "pixel_nm": "nm",
    "frame_time_s": "s",
    "dose_e_per_A2": "1/angstrom^2",
    "voltage_kV": "kV",
    "convergence_mrad": "mrad",
    "inner_mrad": "mrad",
    "outer_mrad": "mrad",
    "step_nm": "nm",
}


@dataclass(frozen=True)
class SignalAxis:
    """A spectral or reciprocal axis: ``coordinate(i) = offset + scale * i`` in `unit` (eV, 1/nm, mrad)."""

    unit: str
    scale: float
    offset: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """Physical scale of a recording; ``None`` means unknown, never 'one pixel'. Pixels are square (io sees to it).

    `binning`: pixels of the file that were averaged into one along each axis; `pixel_nm` is that of the result.
    `step_nm` lies between neighbouring places of a scan whose frames are patterns.
    `content` says what a frame's array is: an 'image' (H, W); a pattern of a 'scan' (H, W), or 'rows' of such
    (N, H, W); a 'structure' (3 + N, 4), rows x, y, z in angstrom and atomic number, first of the cell (number 0), then
    of the atoms; 'peaks' (N, 4) of diffraction, rows gx, gy, gz in 1/nm and intensity (rows of zeros are padding); a
    line of 'spectra' (X, E); the maps of several 'elements' (C, H, W), whose names are the `channels`; or a 'coded'
    frame (H, W), several frames of a movie in one. `value_unit` is that of a frame's values ("nm" for heights), where
    the file says so.
    """

    pixel_nm: float | None = None
    frame_time_s: float | None = None
    dose_e_per_A2: float | None = None
    voltage_kV: float | None = None
    convergence_mrad: float | None = None
    inner_mrad: float | None = None
    outer_mrad: float | None = None
    step_nm: float | None = None
    signal_axis: SignalAxis | None = None
    binning: int = 1
    content: str = "image"
    channels: tuple[str, ...] = ()
    value_unit: str = ""

    @property
    def first_pixel_nm(self) -> float:
        """Where the centre of the first pixel lies, along each axis, from that of the first pixel before binning."""
        return 0.0 if self.pixel_nm is None else (1 - 1 / self.binning) / 2 * self.pixel_nm

    def binned(self, number: int) -> Calibration:
        """Return the scale of frames of which `number` x `number` pixels were averaged into one."""
        pixel = None if self.pixel_nm is None else self.pixel_nm * number
        axis = self.signal_axis
        angles = None if axis is None else replace(axis, scale=axis.scale * number)
        return replace(self, binning=self.binning * number, pixel_nm=pixel, signal_axis=angles)

    def with_known(self, **values: Any) -> Calibration:
        """Return a copy in which every value that is not ``None`` replaces the present one."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def missing(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names in `needs` whose value is unknown here."""
        return tuple(name for name in needs if getattr(self, name) is None)


@functools.cache
def _registry() -> pint.UnitRegistry[Any]:
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry()
    registry.define("e = [] = electron")
    return registry


def parse_quantity(text: str, unit: str, *, name: str = "value") -> float:
    """Return `text` ("80 kV", "0.0176 nm", "1e5 e/angstrom^2") as a float in `unit`.

    Raises `BadInput` if the text is no quantity, carries no unit, or has another dimension.

    >>> parse_quantity("17.6 pm", "nm")
    0.0176
    """
    import pint

    ureg = _registry()
    try:
        quantity: Any = ureg.Quantity(text)
        target = ureg.Unit(unit)
        if quantity.dimensionless and not target.dimensionless:
            raise BadInput(f"{name} is '{text}', which has no unit: write it with one, for example '{text} {unit}'.")
        return float(f"{quantity.to(target).magnitude:.12g}")
    except BadInput:
        raise
    except (pint.PintError, AttributeError, TypeError, ValueError, AssertionError, SyntaxError) as error:
        raise BadInput(f"{name} is '{text}', which is not a quantity in {unit}: write it like '0.0176 nm'.") from error


def parse_positive(text: str, unit: str, *, name: str = "value") -> float:
    """Return `text` as a positive, finite float in `unit`; refuse zero, negative and infinite values."""
    value = parse_quantity(text, unit, name=name)
    if not 0 < value < float("inf"):
        raise BadInput(f"{name} is '{text}': it must be greater than zero and finite.")
    return value
