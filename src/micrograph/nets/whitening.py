"""What a network that answers with images sees of one, and the way back to its units. Training and inference use it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
#: Log-variances of images are kept within these, in units of the whitened image.
LOG_VARIANCE = (-14.0, 8.0)


def whitened(image: Array) -> tuple[Array, float, float]:
    """Return (H, W) with mean 0 and variance 1, and the offset and scale that were taken out; zeros if constant.

    Pixels that are not finite take the mean. ``offset + scale * result`` is the image again.
    """
    finite = np.isfinite(image)
    known = image if finite.all() else image[finite]
    offset = float(known.mean(dtype=np.float64)) if known.size else 0.0
    spread = float(known.std(dtype=np.float64)) if known.size else 0.0
    scale = spread if spread > 0 else 1.0
    seen = np.where(finite, (image - offset) / scale, 0.0).astype(np.float32)
    return seen, offset, scale


def sigma_of(log_variance: Array) -> Array:
    """Return the 1-sigma that a log-variance means."""
    sigma: Array = np.exp(0.5 * np.clip(log_variance, *LOG_VARIANCE))
    return sigma
