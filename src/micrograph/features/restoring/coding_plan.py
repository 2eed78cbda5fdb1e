"""How a movie is to be coded: its noise, and from that the scale on which coded frames are rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micrograph.core import BadInput, Recording
from micrograph.features.restoring.raw_noise import raw_noise
from micrograph.io.coded import CodedHeader, Levels

#: Pairs of frames, spread over the movie, that show the noise.
_PAIRS = 5
#: Frames without noise are rounded to this share of their range.
_FINE = 1e-3


@dataclass(frozen=True)
class Coding:
    """How to code: frames summed into one, kind and seed of the masks, width of a level in 1-sigmas of the noise."""

    together: int = 20
    kind: str = "shifting"
    seed: int = 0
    step: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.together < 2:
            raise BadInput(f"{self.together} frames were to be coded into one: give at least 2.")
        if not 0 < self.step <= 10:
            raise BadInput(f"The step is {self.step}: give a share of the noise above 0 and at most 10, such as 1.")


def planned(recording: Recording, coding: Coding) -> CodedHeader:
    """Return the header of a coded movie; raises `BadInput` for a recording that cannot be coded.

    The noise is measured in some pairs of frames. Dark values below the offset of a camera whose variance would fall
    below 0 show where that lies: it is taken off.
    """
    count = len(recording)
    if recording.calibration.content != "image" or len(recording.shape) != 2:
        raise BadInput(f"{recording.name} is no movie of images: only such are coded.")
    if count < 2:
        raise BadInput(f"{recording.name} has one frame: a movie of at least 2 was expected; keep an image as it is.")
    places = sorted({int(place) for place in np.linspace(0, count - 2, _PAIRS)})
    pairs = [(recording.frame(place).data, recording.frame(place + 1).data) for place in places]
    values = np.concatenate([one[np.isfinite(one)] for pair in pairs for one in pair])
    if not len(values):
        raise BadInput(f"{recording.name} holds no number in its first frames: export it anew.")
    noise = raw_noise(pairs)
    gain, floor, zero = noise.gain, noise.readout_variance, 0.0
    if floor < 0:
        zero, floor = -floor / gain, 0.0
    together = min(coding.together, count)
    open_for = max(1, together // 2)
    least = (_FINE * float(np.ptp(values)) or 1e-6) ** 2
    levels = Levels(gain, open_for * max(floor, least) + 0.375 * gain**2, coding.step)
    shape = (int(recording.shape[0]), int(recording.shape[1]))
    return CodedHeader(
        count, together, shape, coding.kind, coding.seed, zero, gain, floor, levels,
        calibration=recording.calibration, source=recording.name, dtype=recording.dtype,
    )  # fmt: skip
