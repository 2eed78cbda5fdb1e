"""Particles in an image whose brightness goes with their thickness, as ellipsoids: by watershed and moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Brightness, in shares of that of a particle's middle, below which nothing is a particle, and the depth of the dip
#: between two of them.
_LEAST, _DIP = 0.25, 0.12
#: Particles of fewer pixels are specks.
_SPECK = 6


@dataclass(frozen=True)
class Bodies:
    """N ellipsoids: place (N, 2) as y, x; semi-axes (N, 3), the last along the beam; angle (N,) of the first.

    In the units of the pixels' side, from the corner of the image (half a pixel before its first centre).
    """

    place: Array
    semi: Array
    angle: Array

    def __len__(self) -> int:
        """Number of bodies."""
        return len(self.place)


def standard_image(image: NDArray[np.floating]) -> Array:
    """Return an image (H, W) of bright particles on a dark ground: about 0 beside them, 1 in their middle.

    The two are told apart by Otsu's threshold (doi:10.1109/TSMC.1979.4310076).
    """
    from skimage import filters

    otsu: Any = filters.threshold_otsu
    values = np.asarray(image, float)
    values = np.where(np.isfinite(values), values, np.nanmedian(values))
    if float(np.ptp(values)) == 0:
        return np.zeros_like(values)
    inside = values > otsu(values)
    low, high = float(np.median(values[~inside])), float(np.percentile(values[inside], 90))
    return np.asarray((values - low) / max(high - low, 1e-300))


def bodies_in(image: NDArray[np.floating], pixel: float = 1.0) -> Bodies:
    """Return the particles in an image (H, W) of pixels of side `pixel`.

    Brightness is thickness up to a factor: the one at which a typical particle is as thick as wide.
    """
    from scipy.ndimage import gaussian_filter, label
    from skimage import morphology, segmentation

    h_maxima: Any = morphology.h_maxima
    watershed: Any = segmentation.watershed
    bright = standard_image(image)
    smooth = gaussian_filter(bright, 0.7)
    tops, _ = label(h_maxima(smooth, _DIP), structure=np.ones((3, 3)))
    basin = watershed(-smooth, tops, mask=smooth > _LEAST * 0.5)
    found = [one for number in range(1, int(tops.max()) + 1) if (one := _moments(bright, basin == number)) is not None]
    if not found:
        return Bodies(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros(0))
    place, axes, angle, mass = (np.array(part) for part in zip(*found, strict=True))
    along = mass / (4 / 3 * np.pi * axes[:, 0] * axes[:, 1])
    round_ = np.sqrt(axes[:, 0] * axes[:, 1])
    along *= np.median(round_ / along)
    semi = np.column_stack([axes, np.clip(along, 0.5 * round_, 2 * round_)])
    return Bodies(pixel * (place + 0.5), pixel * semi, angle)


def _moments(bright: Array, inside: NDArray[np.bool_]) -> tuple[Array, Array, float, float] | None:
    """Return middle, semi-axes in the plane, angle and mass of one ellipsoid; ``None`` for a speck.

    The thickness of an ellipsoid has the second moments a^2 / 5 and b^2 / 5 along its axes.
    """
    y, x = np.nonzero(inside)
    weight = np.clip(bright[y, x], 0, None)
    mass = float(weight.sum())
    if len(y) < _SPECK or mass <= 0 or float(weight.max()) < _LEAST:
        return None
    middle = np.array([weight @ y, weight @ x]) / mass
    dy, dx = y - middle[0], x - middle[1]
    moments = np.array([[weight @ (dx * dx), weight @ (dx * dy)], [weight @ (dx * dy), weight @ (dy * dy)]]) / mass
    value, vectors = np.linalg.eigh(moments)
    long = vectors[:, 1]
    axes = np.sqrt(5 * np.maximum(value[::-1], 0.05))
    return middle, axes, float(np.arctan2(long[1], long[0])), mass
