"""What a network sees of a coarse image, and whether its finer answer says what was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, Prediction
from micrograph.features.restoring.super_resolution import FINER, agreement, finer, without_untold
from micrograph.infer.encoders import Views
from micrograph.nets import whitened

Image = NDArray[np.float32]

#: The map, and image, of the answer.
IMAGE = "image"
#: Least side of an image in pixels.
_LEAST = 32
#: An answer that leaves more of the image unsaid than this, or misses it at edges by more, is of another kind.
MOST_MISFIT, MOST_CHI_SQUARE = 0.02, 1.5


@dataclass(frozen=True)
class FinerLook:
    """A frame as a network sees it that answers with twice as many pixels a side."""

    def __call__(self, frame: Frame) -> Views:
        """Return the frame on the finer pixels; raises `BadInput` for one that is too small."""
        if min(frame.data.shape) < _LEAST:
            height, width = frame.data.shape
            raise BadInput(f"The image has {height} x {width} pixels: at least {_LEAST} a side are needed.")
        seen, offset, scale = whitened(frame.data)
        return Views(finer(seen)[None, None], {"offset": offset, "scale": scale})

    def finished(self, prediction: Prediction) -> Prediction:
        """Return the prediction on its finer pixels, with a note where it does not say what was measured."""
        answer = without_untold(prediction.maps[IMAGE], prediction.sigma[IMAGE])
        agreed = agreement(prediction.frame.data, answer)
        notes, flags = prediction.notes, prediction.flags
        if agreed.misfit_share > MOST_MISFIT or agreed.chi_square > MOST_CHI_SQUARE:
            notes += (
                f"The finer image does not say what was recorded: it is off by more than noise about "
                f"{100 * agreed.misfit_share:.1f} % of the pixels (mean square at edges {agreed.chi_square:.2f}, "
                "1 is noise alone).",
            )
            flags |= Flag.OUT_OF_DOMAIN
        pixel = prediction.pixel_nm / FINER
        return replace(prediction, maps={IMAGE: answer}, pixel_nm=pixel, notes=notes, flags=Flag(flags))
