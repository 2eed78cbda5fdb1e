"""What a user says of a 4D-STEM scan, as text: its shape, and the angle of a pixel of its patterns."""

from __future__ import annotations

import re

from micrograph.core import BadInput, SignalAxis, parse_positive

#: What the angle of a pixel of a pattern is called among the calibrations of a request.
PATTERN_PIXEL = "signal_axis"


def parse_axis(text: str | None) -> SignalAxis | None:
    """Return the scale of patterns ("0.43 mrad", "0.02 1/angstrom") as an axis."""
    if text is None:
        return None
    try:
        return SignalAxis("mrad", parse_positive(text, "mrad", name="--pattern-pixel"))
    except BadInput:
        return SignalAxis("1/nm", parse_positive(text, "1/nm", name="--pattern-pixel"))


def parse_scan(text: str | None) -> tuple[int, int] | None:
    """Return "64x48" as the lines of a scan and the places along each."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+)\s*[x, ]\s*(\d+)\s*", text)
    if not found or min(map(int, found.groups())) < 2:
        raise BadInput(f"--scan-shape is '{text}': write lines x places of the scan, such as 64x48, both from 2 on.")
    return int(found.group(1)), int(found.group(2))
