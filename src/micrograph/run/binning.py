"""How far images may be binned before their objects are too small: one rule, for recordings and for labelled images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Recording
from micrograph.features.objects.instances import find_objects
from micrograph.nets import NetSpec
from micrograph.run.learning import Searcher
from micrograph.run.recipe import Recipe
from micrograph.run.streaming import Predict, is_usable

#: The choices, coarsest first.
BINS = (8, 4, 2)
#: After binning the image has at least so many pixels a side.
LEAST_SIDE = 96
#: Objects that are smaller may cover this share of what all cover: specks of noise do.
_SMALL = 0.1
#: Noise that is alike over more pixels than this misleads a network (cameras of its training: up to 2.2).
_ALIKE_PX = 3.0
#: Side in pixels of the tiles, and most distance of two pixels, over which it is measured how far noise is alike.
_TILE, _LAG = 24, 8


def is_wide_enough(model: NetSpec, number: int, diameter_px: float, alike_px: float) -> bool:
    """Return whether objects of `diameter_px`, after binning by `number`, are wide enough for a network.

    They are from its ``least_px`` on. Where the noise is alike over `alike_px` > 3 pixels of the unbinned image,
    half of that will do up to the binning nearest to `alike_px`: such grains look like objects, and bins as wide as
    they are lose little that is not noise.
    """
    grainy = alike_px > _ALIKE_PX and number < np.sqrt(2) * alike_px
    return bool(diameter_px >= model.least_px * (0.5 if grainy else 1.0))


def alike_px(image: NDArray[Any]) -> float:
    """Return over how many pixels along an axis the noise of an image (H, W) is alike: 1 where each has its own.

    It is the sum of the autocorrelation over all distances, up to where that falls below 0.1, in the half of all tiles
    of 24 pixels that varies least, each without its own slope: there are few edges of objects in these.
    """
    tiles = _flattened(np.asarray(image, float))
    power = (tiles**2).mean(axis=(1, 2))
    tiles, power = tiles[np.isfinite(power)], power[np.isfinite(power)]
    calm = tiles[power <= np.median(power)] if len(power) else tiles
    total = float((calm**2).mean()) if len(calm) else 0.0
    if total <= 1e-12 * float(power.mean() if len(power) else 0.0):
        return 1.0
    length = 1.0
    for lag in range(1, _LAG + 1):
        along = [(calm[:, lag:] * calm[:, :-lag]).mean(), (calm[:, :, lag:] * calm[:, :, :-lag]).mean()]
        share = float(np.mean(along)) / total
        if share < 0.1:
            break
        length += 2 * share
    return length


def _flattened(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tiles (N, 24, 24) of an image, each minus the plane that fits it best."""
    rows, columns = (n // _TILE for n in image.shape)
    tiles = image[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE).swapaxes(1, 2)
    flat = tiles.reshape(-1, _TILE, _TILE)
    slope = np.linspace(-1, 1, _TILE)
    slope = slope / np.sqrt((slope**2).mean())
    flat = flat - flat.mean(axis=(1, 2), keepdims=True)
    along_y = (flat * slope[:, None]).mean(axis=(1, 2), keepdims=True) * slope[:, None]
    along_x = (flat * slope).mean(axis=(1, 2), keepdims=True) * slope
    return np.asarray(flat - along_y - along_x)


def small_diameter(labels: NDArray[np.integer[Any]]) -> float:
    """Return the diameter (pixels) below which labelled objects (H, W) hardly cover anything; 0 without any."""
    areas = np.sort(np.bincount(np.ravel(labels))[1:])
    if not areas.any():
        return 0.0
    below = np.searchsorted(np.cumsum(areas), _SMALL * areas.sum())
    return float(2 * np.sqrt(areas[below] / np.pi))


def suitably_binned(recipe: Recipe, recording: Recording, predict: Predict, wish: int | None = None) -> Recording:
    """Return the recording binned by `wish`, or as far as its objects allow where the recipe measures outlined objects.

    A network that looks at the frame's own pixels is slow on the large objects of an oversampled frame, and noise that
    binning averages out misleads it. So the first usable frame is looked at coarsely first: the coarsest binning stands
    in which all objects but the smallest, a tenth of what they cover together, stay wide enough (`is_wide_enough`).
    What was chosen is written into the notes of the recording, and from there into the run record.
    """
    if wish is not None and recording.calibration.content == "spectra":
        raise BadInput("Spectra are not binned by --bin, whose pixels are those of images: leave it out.")
    if wish is not None:
        return _noted(recording, wish, "as asked")
    model = recipe.model
    if isinstance(recipe.data, Searcher) or not isinstance(model, NetSpec):
        return recording
    if model.pixel_nm is not None or "core" not in model.names:
        return recording
    frame = next((frame for frame in recording if is_usable(frame)), None)
    if frame is None:
        return recording
    alike = alike_px(frame.data)
    for number in BINS:
        if min(recording.shape[-2:]) // number >= LEAST_SIDE:
            diameter = _diameter_seen(recording.binned(number), predict)
            if is_wide_enough(model, number, diameter, alike):
                return _noted(
                    recording, number, f"objects in the first frame are at least {diameter:.0f} such pixels wide"
                )
    return recording


def _diameter_seen(recording: Recording, predict: Predict) -> float:
    """Return the `small_diameter` of what a network finds in the first usable frame."""
    for frame in recording:
        if is_usable(frame):
            found = predict(frame)
            covered = next(image for name, image in found.maps.items() if name != "core")
            return small_diameter(find_objects(covered, found.maps["core"]).labels)
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
