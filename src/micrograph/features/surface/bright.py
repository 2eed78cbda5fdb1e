"""Bright features of a surface: what stands out of terraces, and a crop of each at a physical scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.levelling import Levelling

Array = NDArray[np.float64]

#: Pixels a side of a crop, and nm between them.
SIDE, STEP_NM = 32, 0.15
#: 1-sigma (nm) of the two Gaussians whose difference features stand out of, and how far (robust sigma).
_FINE_NM, _COARSE_NM, _STANDS_OUT = 0.22, 1.1, 5.0
#: A feature is the highest within this distance; a ghost that a second apex casts lies nearer.
_ALONE_NM = 2.2
#: Most features of a frame: the clearest are kept.
MOST = 48
#: Pixels (nm) that resolve a feature.
PIXELS_NM = (0.005, 0.3)


@dataclass(frozen=True)
class Bright:
    """Features of one frame, the clearest first.

    places (N, 2): y, x in pixels of the frame; clear (N,): how many robust sigma each stands out; crops
    (N, SIDE, SIDE): see `crop_of`; level (H, W): the frame made level, in its own units, on pixels of `pixel_nm`.
    """

    places: Array
    clear: Array
    crops: NDArray[np.float32]
    level: NDArray[np.float32]
    pixel_nm: float

    def __len__(self) -> int:
        """Number of features."""
        return len(self.places)


def bright_features(image: NDArray[np.floating], pixel_nm: float, most: int = MOST) -> Bright:
    """Return the bright features of an image (H, W) whose crops lie within it.

    Raises `BadInput` for pixels that do not resolve them.
    """
    if not PIXELS_NM[0] <= pixel_nm <= PIXELS_NM[1]:
        raise BadInput(
            f"A pixel is {pixel_nm:.3g} nm: dangling bonds are about 1 nm wide, so pixels of {PIXELS_NM[0]:g} to "
            f"{PIXELS_NM[1]:g} nm were expected; give the right size with --pixel-size."
        )
    number = max(1, int(STEP_NM / pixel_nm))
    small, pixel = _binned(np.asarray(image, float), number), pixel_nm * number
    level = _filled(Levelling()(small).astype(float))
    margin = int(np.ceil(SIDE / 2 * STEP_NM / pixel))
    if min(level.shape) <= 2 * margin + 2:
        return Bright(np.empty((0, 2)), np.empty(0), np.empty((0, SIDE, SIDE), np.float32), _single(level), pixel)
    places, clear = _standing_out(level, pixel, margin, most)
    crops = np.array([crop_of(level, place, pixel) for place in places], np.float32).reshape(-1, SIDE, SIDE)
    return Bright(places * number + (number - 1) / 2, clear, crops, _single(level), pixel)


def crop_of(level: Array, place: Array, pixel_nm: float) -> NDArray[np.float32]:
    """Return the surroundings (SIDE, SIDE) of a place (y, x in pixels): 0 is the ground around it, 1 its own height."""
    from scipy.ndimage import map_coordinates

    away = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_NM / pixel_nm
    y, x = np.meshgrid(place[0] + away, place[1] + away, indexing="ij")
    crop = np.asarray(map_coordinates(level, [y, x], order=1, mode="nearest"))
    middle = SIDE // 2
    ring = np.concatenate([crop[:3].ravel(), crop[-3:].ravel(), crop[3:-3, :3].ravel(), crop[3:-3, -3:].ravel()])
    ground = float(np.median(ring))
    height = float(crop[middle - 2 : middle + 2, middle - 2 : middle + 2].mean()) - ground
    return np.clip((crop - ground) / max(height, 1e-6 * float(np.abs(crop).max()), 1e-300), -2, 3).astype(np.float32)


def _standing_out(level: Array, pixel: float, margin: int, most: int) -> tuple[Array, Array]:
    """Return the places (N, 2) of maxima and how far they stand out (N,), the clearest first."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = gaussian_filter(level, _FINE_NM / pixel)
    stands = smooth - gaussian_filter(level, _COARSE_NM / pixel)
    spread = 1.4826 * float(np.median(np.abs(stands - np.median(stands))))
    if not spread > 0:
        return np.empty((0, 2)), np.empty(0)
    reach = max(1, round(_ALONE_NM / pixel))
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    bright = stands > _STANDS_OUT * spread
    bright[:margin], bright[-margin:], bright[:, :margin], bright[:, -margin:] = False, False, False, False
    y, x = np.nonzero(bright & (stands >= maximum_filter(stands, size=3)))
    if len(y) > 20 * most:  # no single features: the clearest will do
        chosen = np.argsort(-stands[y, x], kind="stable")[: 20 * most]
        y, x = y[chosen], x[chosen]
    tops = [
        stands[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1][
            disc[max(0, reach - i) : reach + len(stands) - i, max(0, reach - j) : reach + stands.shape[1] - j]
        ].max()
        for i, j in zip(y, x, strict=True)
    ]
    highest = np.array([stands[i, j] >= top for i, j, top in zip(y, x, tops, strict=True)], bool)
    y, x = y[highest], x[highest]
    order = np.argsort(-stands[y, x], kind="stable")[:most]
    places = np.column_stack([y, x]).astype(float)[order]
    return places, stands[y, x][order] / spread


def _binned(image: Array, number: int) -> Array:
    if number == 1:
        return image
    height, width = (size // number for size in image.shape)
    return np.asarray(image[: height * number, : width * number].reshape(height, number, width, number).mean((1, 3)))


def _filled(level: Array) -> Array:
    """Return the image with pixels that are not finite set to its median."""
    good = np.isfinite(level)
    return level if good.all() else np.where(good, level, float(np.median(level[good])) if good.any() else 0.0)


def _single(level: Array) -> NDArray[np.float32]:
    return level.astype(np.float32)
