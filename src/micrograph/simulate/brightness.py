"""How bright columns of given elements are in a recording, as far as its calibration tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from micrograph.core import Calibration
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scattering import cross_section_A2

#: Fields of a `Microscope` that a `Calibration` may know.
_KNOWN = ("voltage_kV", "convergence_mrad", "inner_mrad", "outer_mrad")


def microscope_of(calibration: Calibration, usual: Microscope | None = None) -> Microscope:
    """Return the microscope of a recording; what its `calibration` does not know is as in `usual`."""
    known = {name: value for name in _KNOWN if (value := getattr(calibration, name)) is not None}
    return replace(usual or Microscope(), **known)


def brightness(calibration: Calibration, usual: Microscope | None = None) -> Callable[[tuple[str, ...]], float]:
    """Return the function that gives the annular dark-field cross-section (square angstrom) of a column of elements.

    >>> of = brightness(Calibration(voltage_kV=60.0))
    >>> 4 < of(("Si",)) / of(("C",)) < 5.5
    True
    """
    microscope = microscope_of(calibration, usual)

    def of(elements: tuple[str, ...]) -> float:
        from ase.data import atomic_numbers

        numbers = [atomic_numbers[element] for element in elements]
        return float(cross_section_A2(numbers, microscope).sum()) if numbers else 0.0

    return of
