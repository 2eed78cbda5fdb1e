"""Pictures of recipes whose answer is an image: what was recorded, what came out, what is left over, how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.core.frame import binned
from micrograph.draw.image import contrast
from micrograph.draw.scans import ScanMap, scan_maps_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from micrograph.run import Recipe

Array = NDArray[np.float64]

#: Contents whose frames are in the units of the images that come out of them.
_ALIKE = ("image", "elements", "coded")
#: What stands beside the answer where that is not the frame as it was recorded.
_FIRST = {"coded": "mean of its block"}


def restored_figures(recipe: Recipe, prediction: Prediction) -> dict[str, Figure]:
    """Return a picture of every answered image (H, W) of a frame: before, after, residual, 1-sigma, one scale bar."""
    scale, found = prediction.frame.calibration, {}
    known = scale.pixel_nm is not None or scale.step_nm is not None
    for name in recipe.images_in(prediction):
        after = prediction.maps.get(name)
        if after is None or after.ndim != 2:
            continue
        first = _FIRST.get(scale.content, "as recorded")
        panels = _panels(_before(prediction, name), after.astype(float), first)
        if (sigma := prediction.sigma.get(name)) is not None and np.any(sigma > 0):
            panels["1-sigma"] = ScanMap(sigma.astype(float), "1-sigma, same units", "magma")
        title = f"{recipe.title}, {name}: frame {prediction.frame.index}"
        found[f"restored-{name}"] = scan_maps_figure(panels, prediction.pixel_nm if known else None, title)
    return found


def _before(prediction: Prediction, name: str) -> Array | None:
    """Return the recorded image that an answer is to be compared with; ``None`` where they have nothing in common."""
    frame = prediction.frame
    data, channels = frame.data, frame.calibration.channels
    if frame.calibration.content not in _ALIKE:
        return None
    if data.ndim == 3:
        if name not in channels:
            return None
        data = data[channels.index(name)]
    return data.astype(float)


def _panels(before: Array | None, after: Array, first: str = "as recorded") -> dict[str, ScanMap]:
    """Return what is shown of an image, recorded and answered ones in one scale of grey.

    An answer on finer pixels is averaged over the recorded ones before these are compared.
    """
    grey = contrast(after.astype(np.float32))
    finer = 1 if before is None else after.shape[0] // before.shape[0]
    if before is None or finer < 1 or after.shape != tuple(finer * n for n in before.shape):
        return {"result": ScanMap(after, "as recorded", "gray", limits=grey)}
    left = before - binned(after.astype(np.float32), finer)
    said = "" if finer == 1 else ", averaged"
    return {
        first: ScanMap(_enlarged(before, finer), "as recorded", "gray", limits=grey),
        "result": ScanMap(after, "same units", "gray", limits=grey),
        f"residual: {first.removeprefix('as ')} - result{said}": ScanMap(
            _enlarged(left, finer), "same units", "PuOr", even=True
        ),
    }


def _enlarged(image: Array, number: int) -> Array:
    """Return the image with every pixel as `number` x `number` of them."""
    return np.asarray(image.repeat(number, axis=0).repeat(number, axis=1)) if number > 1 else image
