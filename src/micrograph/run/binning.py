"""How far a recording may be binned before its objects are too small: decided once, before the first frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from micrograph.core import BadInput, Recording
from micrograph.features.instances import find_objects
from micrograph.run.learning import Searcher
from micrograph.run.recipe import Recipe
from micrograph.run.streaming import Predict, is_usable

#: The choices, coarsest first.
BINS = (8, 4, 2)
#: After binning the image has at least so many pixels a side.
LEAST_SIDE = 96
#: Objects that are smaller may cover this share of what all cover: specks of noise do.
_SMALL = 0.1


def suitably_binned(recipe: Recipe, recording: Recording, predict: Predict, wish: int | None = None) -> Recording:
    """Return the recording binned by `wish`, or as far as its objects allow where the recipe measures outlined objects.

    A network that looks at the frame's own pixels is slow on the large objects of an oversampled frame, and noise that
    binning averages out misleads it. So the first usable frame is looked at coarsely first: the coarsest binning stands
    in which all objects but the smallest, a tenth of what they cover together, stay ``least_px`` of the network wide.
    What was chosen is written into the notes of the recording, and from there into the run record.
    """
    if wish is not None:
        return _noted(recording, wish, "as asked")
    if isinstance(recipe.data, Searcher) or recipe.model.pixel_nm is not None or "core" not in recipe.model.names:
        return recording
    for number in BINS:
        if min(recording.shape[-2:]) // number >= LEAST_SIDE:
            diameter = _small_diameter(recording.binned(number), predict)
            if diameter >= recipe.model.least_px:
                return _noted(
                    recording, number, f"objects in the first frame are at least {diameter:.0f} such pixels wide"
                )
    return recording


def _small_diameter(recording: Recording, predict: Predict) -> float:
    """Return the diameter (pixels) below which the objects of the first usable frame hardly cover anything."""
    for frame in recording:
        if is_usable(frame):
            found = predict(frame)
            covered = next(image for name, image in found.maps.items() if name != "core")
            labels = find_objects(covered, found.maps["core"]).labels
            areas = np.sort(np.bincount(labels.ravel())[1:])
            if not len(areas):
                return 0.0
            below = np.searchsorted(np.cumsum(areas), _SMALL * areas.sum())
            return float(2 * np.sqrt(areas[below] / np.pi))
    return 0.0


def _noted(recording: Recording, number: int, reason: str) -> Recording:
    """Return the binned recording with a note that says so."""
    if number < 1 or min(recording.shape[-2:]) // number < 8:
        raise BadInput(f"--bin is {number}: give a whole number from 1 that leaves at least 8 pixels a side.")
    if number == 1:
        return recording
    note = f"Analysed with {number} x {number} pixels binned into one ({reason})."
    notes = [*recording.metadata.get("notes", ()), note]
    return replace(recording.binned(number), metadata={**recording.metadata, "notes": notes})
