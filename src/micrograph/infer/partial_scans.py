"""What a network sees of a partial scan, and the agreement of its answer with the pixels that were visited."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, Prediction, Recording
from micrograph.features.restoring.partial import KNOWN_COVERAGE, Partial, agreed, partial_of, seen_of
from micrograph.infer.encoders import Views

Image = NDArray[np.float32]

#: The map, and image, of the answer.
IMAGE = "image"


@dataclass(frozen=True)
class PartialLook:
    """How a frame tells its visited pixels.

    mask: a file of the frames' shape, above 0 where the beam was, its values relative dwell times (one mask for all
    frames, or one a frame); unvisited: the value of pixels that were not visited. Without either, pixels that are not
    finite were not visited, or those of a value that most pixels have.
    """

    mask: str | None = None
    unvisited: float | None = None

    def __call__(self, frame: Frame) -> Views:
        """Return the stack that the network sees of a frame."""
        seen, offset, scale = seen_of(self.partial(frame))
        return Views(seen[None], {"offset": offset, "scale": scale})

    def partial(self, frame: Frame) -> Partial:
        """Return the frame's values where it was visited; raises `BadInput` where that is nowhere."""
        mask = None if self.mask is None else _mask(self.mask, frame.index, frame.data.shape)
        found = partial_of(frame.data, mask, self.unvisited)
        if not found.weights.any():
            raise BadInput(
                f"Frame {frame.index} has no visited pixel: look at the mask, or at the value of 'unvisited'."
            )
        return found

    def finished(self, prediction: Prediction) -> Prediction:
        """Return the prediction with each visited pixel's own say, and with notes on the scan."""
        partial = self.partial(prediction.frame)
        image, sigma, noise = agreed(partial, prediction.maps[IMAGE], prediction.sigma[IMAGE])
        notes, flags = (*prediction.notes, *partial.notes), prediction.flags
        if not KNOWN_COVERAGE[0] <= partial.coverage <= KNOWN_COVERAGE[1]:
            low, high = (100 * end for end in KNOWN_COVERAGE)
            notes += (
                f"{100 * partial.coverage:.1f} % of the pixels were visited: the model learned from scans that visit "
                f"{low:g} to {high:g} %.",
            )
            flags |= Flag.OUT_OF_DOMAIN
        values = {"noise": np.array([noise]), "coverage": np.array([partial.coverage])}
        return replace(
            prediction, maps={IMAGE: image}, sigma={IMAGE: sigma}, values=values, notes=notes, flags=Flag(flags)
        )


def _mask(path: str, index: int, shape: tuple[int, ...]) -> Image:
    """Return the mask of frame `index`; refuse one of another shape."""
    masks = _masks(path)
    mask = masks.frame(index if 1 < len(masks) > index else 0).data
    if mask.shape != shape:
        raise BadInput(
            f"The mask {Path(path).name} has {' x '.join(map(str, mask.shape))} pixels, the frame "
            f"{' x '.join(map(str, shape))}: give a mask of the frame's shape."
        )
    return mask


@functools.lru_cache(maxsize=4)
def _masks(path: str) -> Recording:
    """Return the masks of a file, each read when it is asked for."""
    from micrograph.io import open_recording

    return open_recording(path)
