"""The bar with scale and settings that scanning electron microscopes burn into their pictures: found, and cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Recording

#: A bar's rows hold at least this share of one value; above it, rows hold less than the other on average.
_PLAIN, _GRAINY = 0.5, 0.35
#: Share of a row of one value that makes it a line of the bar's frame, whatever its value.
_LINE = 0.9
#: Height of a bar as a share of the picture's, and least height in pixels.
_HEIGHT, _LEAST = (0.02, 0.25), 8
#: Share of a bar's pixels that are text.
_TEXT = (0.005, 0.5)
#: Rows above the bar that are looked at, and rows below it that may be the picture's again.
_ABOVE, _ODD = 12, 2


def bar_rows(image: NDArray[Any]) -> int:
    """Return how many rows at the bottom of a picture (H, W) of whole numbers are a bar with text; 0 for none."""
    if image.ndim != 2 or image.dtype.kind not in "ui" or min(image.shape) < 64:
        return 0
    height = image.shape[0]
    least, most = max(_LEAST, _HEIGHT[0] * height), _HEIGHT[1] * height
    values, shares = (np.array(found) for found in zip(*map(_commonest, image[-int(most) - _ABOVE :]), strict=True))
    lower = slice(-int(least), None)
    ground = _commonest(values[lower][shares[lower] >= _PLAIN])[0] if (shares[lower] >= _PLAIN).any() else -1
    plain = ((shares >= _PLAIN) & (values == ground)) | (shares >= _LINE)
    plain[-_ODD:] = True
    rows = int(np.argmin(plain[::-1])) if not plain.all() else len(plain)
    if not least <= rows <= most or not plain[-rows:-_ODD].any():
        return 0
    text = float(np.mean(image[-rows:] != ground))
    above = float(np.mean(shares[-rows - _ABOVE : -rows]))
    return rows if _TEXT[0] <= text <= _TEXT[1] and above < _GRAINY else 0


def without_bar(recording: Recording) -> Recording:
    """Return the recording without the bar that its first frame shows, and a note that says so."""
    if recording.calibration.content != "image" or len(recording.shape) != 2 or not len(recording):
        return recording
    rows = bar_rows(np.asarray(recording.read(recording.indices[0])))
    if not rows:
        return recording
    height, width = recording.shape[0] - rows, recording.shape[1]
    notes = [*recording.metadata.get("notes", ()), f"a bar of {rows} rows with text was cut off at the bottom"]
    return replace(
        recording,
        read=lambda index: np.asarray(recording.read(index))[:height],
        shape=(height, width),
        block=None,
        metadata={**recording.metadata, "notes": notes},
    )


def _commonest(values: NDArray[Any]) -> tuple[int, float]:
    """Return the commonest of some whole numbers and its share."""
    found, counts = np.unique(values, return_counts=True)
    best = int(np.argmax(counts))
    return int(found[best]), float(counts[best] / values.size)
