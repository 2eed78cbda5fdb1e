"""What a frame shows of a crystal, in the form that the network of recipe 'crystal-class' looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Frame
from micrograph.features.diffraction.pattern_vector import PATTERN_FEATURES, pattern_vector
from micrograph.features.diffraction.spots import Spots, find_spots
from micrograph.features.layers.surroundings import FEATURES, surroundings

if TYPE_CHECKING:
    from pandas import DataFrame

Vector = NDArray[np.float32]

#: A vector enters the encoder as so many channels of 2 x 2 equal pixels.
CHANNELS = FEATURES + PATTERN_FEATURES


def as_channels(structure: Vector | None = None, patterns: Vector | None = None) -> Vector:
    """Return what the network sees (CHANNELS, 2, 2): the vector of a structure or of patterns, zeros for the other."""
    parts = [
        np.zeros(FEATURES, np.float32) if structure is None else structure,
        np.zeros(PATTERN_FEATURES, np.float32) if patterns is None else patterns,
    ]
    return np.asarray(np.broadcast_to(np.concatenate(parts)[:, None, None], (CHANNELS, 2, 2)), np.float32)


def spots_of(frame: Frame) -> Spots:
    """Return the spots of a frame that is an image of a pattern, in pixels, or a list of peaks, in 1/nm."""
    if frame.calibration.content == "image":
        return find_spots(frame.data)
    rows = frame.data[frame.data.any(axis=1)].astype(float)
    return Spots(rows[:, :2], rows[:, 3])


def channels_of(frame: Frame) -> Vector:
    """Return what the network sees of one frame: of a structure, a pattern, or a list of its peaks."""
    if frame.calibration.content == "structure":
        return as_channels(surroundings(frame.data))
    return as_channels(patterns=pattern_vector([spots_of(frame)]))


def spots_table(spots: Spots) -> DataFrame:
    """Return the spots as rows ``x, y, intensity`` from the direct beam, in the frame's own unit."""
    import pandas as pd

    return pd.DataFrame({"x": spots.place[:, 0], "y": spots.place[:, 1], "intensity": spots.intensity})


def together(patterns: Sequence[Spots]) -> Vector:
    """Return what the network sees of several patterns of one crystal that share a camera length."""
    return as_channels(patterns=pattern_vector(patterns))
