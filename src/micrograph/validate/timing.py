"""Checks of the processor time that one frame takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap

#: Draws an image (H, W) and its pixel size (nm).
Draw = Callable[[np.random.Generator], tuple[NDArray[np.float32], float]]


def frame_seconds(draw: Draw, *, frames: int, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame, prediction too; `draw` makes ones of 512 x 512 pixels."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seconds = []
        for _ in range(frames):
            image, pixel_nm = draw(rng)
            began = time.process_time()
            analyser(image, pixel_nm)
            seconds.append(time.process_time() - began)
        interval = bootstrap(lambda drawn: float(np.median(drawn)), seconds, rng)
        return Measurement.of(interval, detail=f"slowest {max(seconds):.2f} s of {len(seconds)}")

    return Check("processor time of a 512 x 512 frame", measure, at_most_s, "<=", unit="s")
