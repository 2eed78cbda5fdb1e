"""A model that is no network: chains of image operations that were sought for a recording, and what they agree on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, MissingCalibration, Prediction
from micrograph.core.depth import normalised_depth
from micrograph.features.objects.operation_chain import Chain, coverage_of
from micrograph.features.objects.stacking import agreed

#: What separates chains in one text.
_NEXT = "# ---- the next chain\n"
#: Deeper than this the map 'particle' says which share of the chains agrees; nearer the border it shows the border.
_INNER = 0.3


@dataclass(frozen=True)
class Chains:
    """Chains of operations as a model: frames in, the maps 'particle' and 'core' of what most chains agree on out."""

    chains: tuple[Chain, ...]

    @property
    def digest(self) -> str:
        """Digest of the chains' text."""
        return f"sha256:{hashlib.sha256(self.to_text().encode()).hexdigest()}"

    @property
    def card(self) -> dict[str, Any]:
        """What the run record says of the model."""
        return {"chains": [chain.to_text() for chain in self.chains]}

    def to_text(self) -> str:
        """Return the chains as text that people can read and change; the first is the best."""
        return _NEXT.join(chain.to_text() for chain in self.chains)

    @staticmethod
    def from_text(text: str) -> Chains:
        """Return the chains that `to_text` wrote or someone changed; raises `BadInput` for what is none."""
        return Chains(tuple(Chain.from_text(part) for part in text.split(_NEXT)))

    def __call__(self, frame: Frame) -> Prediction:
        """Return the maps of one frame on its own pixels; raises `MissingCalibration` without a pixel size."""
        if frame.calibration.pixel_nm is None:
            raise MissingCalibration('The pixel size is unknown: give it with --pixel-size "0.0176 nm".')
        image = np.asarray(frame.data, np.float32)
        maps = self._maps(image)
        zeros = {name: np.zeros_like(one) for name, one in maps.items()}
        flag = Flag.OK if np.ptp(image[np.isfinite(image)], axis=None) > 0 else Flag.BAD_FRAME
        return Prediction(frame, maps, zeros, frame.calibration.pixel_nm, flag)

    def _maps(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        found = agreed([chain.labels(image) for chain in self.chains])
        depth = normalised_depth(found.labels)
        score = np.concatenate([[0.0], found.scores]).astype(np.float32)[found.labels]
        covered = coverage_of(image, found.labels)
        return {"particle": np.where(depth > _INNER, score, covered).astype(np.float32), "core": depth}


def sought(images: Sequence[NDArray[Any]], seconds: float, seed: int) -> Chains:
    """Return the chains that suit `images` (each (H, W)) after about `seconds` of computing."""
    from micrograph.features.objects.searching import SearchSettings, search

    if not images:
        raise BadInput("There is no image to suit chains of operations to: give a recording with frames.")
    return Chains(search(images, np.random.default_rng(seed), SearchSettings(seconds=seconds)).survivors)
