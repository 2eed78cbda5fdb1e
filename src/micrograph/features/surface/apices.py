"""The second apex of a double tip: where it stands and how strong its ghost is, from the crops of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.bright import SIDE, STEP_NM

Array = NDArray[np.float64]

#: Ghosts are looked for from here on (nm), and as far as the crop holds them whole.
_NEAREST_NM, _FARTHEST_NM = 0.35, (SIDE / 2 - 2) * STEP_NM
#: Most features whose ghost is fitted.
_MOST = 8


@dataclass(frozen=True)
class Ghost:
    """A ghost beside every feature: offset (y, x) in nm with its 1-sigma (each), height over that of the feature."""

    offset_nm: tuple[float, float]
    sigma_nm: float
    height: float
    height_sigma: float

    @property
    def distance_nm(self) -> float:
        """How far the two apices are apart."""
        return float(np.hypot(*self.offset_nm))

    @property
    def angle_deg(self) -> float:
        """Direction of the ghost, counter-clockwise on the screen from +x."""
        return float(np.degrees(np.arctan2(-self.offset_nm[0], self.offset_nm[1])))

    @property
    def angle_sigma_deg(self) -> float:
        """1-sigma of the direction."""
        return float(np.degrees(self.sigma_nm / self.distance_nm))


def find_ghost(crops: NDArray[np.floating]) -> Ghost | None:
    """Return the ghost that crops (N, SIDE, SIDE) share, ``None`` where no second protrusion is seen in their mean."""
    if not len(crops):
        return None
    mean = np.median(np.asarray(crops, float), axis=0)
    start = _start(mean)
    first = _fitted(mean, start)
    if first is None:
        return None
    each = [_fitted(np.asarray(crop, float), first) for crop in crops[:_MOST]]
    found = np.array([one for one in each if one is not None])
    if len(found) < 2:
        return Ghost((first[4], first[5]), STEP_NM, float(first[1]), 0.2)
    middle = np.median(found, axis=0)
    spread = 1.4826 * np.median(np.abs(found - middle), axis=0) / np.sqrt(len(found))
    sigma = float(max(np.hypot(spread[4], spread[5]) / np.sqrt(2), 0.01))
    return Ghost((float(middle[4]), float(middle[5])), sigma, float(middle[1]), float(max(spread[1], 0.01)))


def _start(mean: Array) -> Array:
    """Return heights of feature and ghost, place of the feature, offset of the ghost, width: where a fit begins."""
    from scipy.ndimage import gaussian_filter

    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_NM
    y, x = np.meshgrid(axis, axis, indexing="ij")
    smooth = gaussian_filter(mean, 1.0)
    away = np.hypot(y, x)
    # What a round feature leaves: the median of its ring is taken off.
    ring = (away / STEP_NM).astype(int)
    median = np.array([np.median(smooth[ring == number]) for number in range(ring.max() + 1)])
    left = np.where((away >= _NEAREST_NM) & (away <= _FARTHEST_NM), smooth - median[ring], -np.inf)
    at = np.unravel_index(int(left.argmax()), left.shape)
    return np.array([1.0, max(float(smooth[at]), 0.1), 0.0, 0.0, float(y[at]), float(x[at]), 0.35])


def _fitted(crop: Array, start: Array) -> Array | None:
    """Return the best parameters (see `_start`) for one crop; ``None`` where the ghost is lost."""
    from scipy.optimize import least_squares

    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_NM
    y, x = axis[:, None], axis[None, :]
    near = np.minimum(np.hypot(y, x), np.hypot(y - start[4], x - start[5])) < 1.0

    def rest(p: Array) -> Array:
        one = np.exp(-0.5 * ((y - p[2]) ** 2 + (x - p[3]) ** 2) / p[6] ** 2)
        two = np.exp(-0.5 * ((y - p[2] - p[4]) ** 2 + (x - p[3] - p[5]) ** 2) / p[6] ** 2)
        return np.asarray((p[0] * one + p[1] * two - crop)[near])

    moved = 0.4
    low = np.array([0.2, 0.02, -moved, -moved, start[4] - moved, start[5] - moved, 0.12])
    high = np.array([3.0, 3.0, moved, moved, start[4] + moved, start[5] + moved, 1.0])
    found = least_squares(rest, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), max_nfev=30)
    p = np.asarray(found.x, float)
    if p[1] < 0.08 * p[0] or np.hypot(p[4], p[5]) < _NEAREST_NM:
        return None
    p[1] = p[1] / p[0]
    p[0] = 1.0
    return p
