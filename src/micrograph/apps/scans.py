"""What a user says of a scan, as text: its shape, the angle of a pixel of its patterns, the energies of its spectra."""

from __future__ import annotations

import re

from micrograph.core import BadInput, SignalAxis, parse_positive, parse_quantity

#: What the angle of a pixel of a pattern is called among the calibrations of a request.
PATTERN_PIXEL = "signal_axis"
#: What the energies of spectra are called there.
ENERGY_AXIS = "energy_axis"


def parse_axis(text: str | None) -> SignalAxis | None:
    """Return the scale of patterns ("0.43 mrad", "0.02 1/angstrom") as an axis."""
    if text is None:
        return None
    try:
        return SignalAxis("mrad", parse_positive(text, "mrad", name="--pattern-pixel"))
    except BadInput:
        return SignalAxis("1/nm", parse_positive(text, "1/nm", name="--pattern-pixel"))


def parse_energies(text: str | None) -> SignalAxis | None:
    """Return the step and the first of a spectrum's energies ("0.01 eV, 0.2 eV"; the latter 0 where missing)."""
    if text is None:
        return None
    step, _, first = text.partition(",")
    name = "--energy-axis"
    begin = parse_quantity(first, "eV", name=name) if first.strip() else 0.0
    return SignalAxis("eV", parse_positive(step, "eV", name=name), begin)


def parse_scan(text: str | None) -> tuple[int, int] | None:
    """Return "64x48" as the lines of a scan and the places along each."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+)\s*[x, ]\s*(\d+)\s*", text)
    if not found or min(map(int, found.groups())) < 2:
        raise BadInput(f"--scan-shape is '{text}': write lines x places of the scan, such as 64x48, both from 2 on.")
    return int(found.group(1)), int(found.group(2))
