"""Images of scanning probes made level: the sample's tilt, jumps between lines and scars of the tip taken off.

Heights of terraces are kept: fits go to what is most common, not to the mean (Horcas et al., doi:10.1063/1.2432410).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: How lines are brought to one height.
Lines = Literal["none", "median", "difference"]

#: Rounds of a robust fit, and how many sigma from the commonest height a pixel may lie to count in the next.
_ROUNDS, _NEAR = 4, 3.0
#: Blocks along each side whose medians stand for the image.
_BLOCKS = 24
#: Steps between so many lines tell which step is usual, and from this correlation of neighbours on they are alike.
_AROUND, _ALIKE = 9, 0.3
#: A scar is so many robust sigma of the usual step between lines above or below both its neighbours.
_SCAR = 5.0


@dataclass(frozen=True)
class Levelling:
    """What is taken off an image: a polynomial of `order` (0 none, 1 a plane, 2 a bow), jumps of `lines`, `scars`.

    lines: 'median' brings the median of every line to one height (flat surfaces); 'difference' the median step from
    each line to the next to zero, which keeps terraces; 'none'.
    """

    order: int = 1
    lines: Lines = "difference"
    scars: bool = True

    def __call__(self, image: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return an image (H, W) made level about zero; pixels that are not finite stay so."""
        level = np.asarray(image, float)
        if self.lines == "median":
            level = level - np.nan_to_num(_line_medians(level))[:, None]
        elif self.lines == "difference":
            level = level - jumps(level)[:, None]
        if self.scars:
            level = without_scars(level)
        return np.asarray(level - surface(level, self.order), np.float32)


def surface(image: Array, order: int = 1) -> Array:
    """Return the polynomial (H, W) of total degree `order` that the commonest terrace follows; for 0 the median.

    It is fitted to the medians of blocks, which lattices do not move, and starts from the median slopes between
    neighbouring blocks, which steps and islands do not change.
    """
    if order == 0 or not np.isfinite(image).any():
        return np.full(image.shape, _median(image))
    y, x, heights = _blocks(image)
    terms, flat = _terms(y, x, order), heights.ravel()
    fitted = np.add.outer(_median_slope(heights, y) * y, _median_slope(heights.T, x) * x).ravel()
    found = np.linalg.lstsq(terms[np.isfinite(flat)], flat[np.isfinite(flat)], rcond=None)[0]
    for _ in range(_ROUNDS):
        rest = flat - fitted
        width = _NEAR * max(_spread(np.diff(rest.reshape(heights.shape), axis=1)), 1e-6 * _spread(image), 1e-300)
        used = np.abs(rest - _commonest(rest, width)) <= width
        if used.sum() < 2 * terms.shape[1]:
            break
        found = np.linalg.lstsq(terms[used], flat[used], rcond=None)[0]
        fitted = terms @ found
    sides = [np.linspace(-1, 1, n) for n in image.shape]
    return np.asarray((_terms(sides[0], sides[1], order) @ found).reshape(image.shape))


def _blocks(image: Array) -> tuple[Array, Array, Array]:
    """Return the medians (M, N) of blocks, and where these lie from -1 to 1 along each axis; NaN where all is empty."""
    cuts = [np.linspace(0, n, min(_BLOCKS, max(n // 2, 1)) + 1).astype(int) for n in image.shape]
    places = [(edge[:-1] + edge[1:] - 1) / max(n - 1, 1) - 1 for edge, n in zip(cuts, image.shape, strict=True)]
    parts = [np.split(rows, cuts[1][1:-1], axis=1) for rows in np.split(image, cuts[0][1:-1], axis=0)]
    medians = [[_median(part) if np.isfinite(part).any() else np.nan for part in row] for row in parts]
    return places[0], places[1], np.array(medians)


def _terms(y: Array, x: Array, order: int) -> Array:
    """Return the powers (len(y) * len(x), P) of places on a grid, up to a total degree."""
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    return np.stack([np.multiply.outer(y**i, x**j).ravel() for i, j in powers], axis=1)


def _median_slope(heights: Array, places: Array) -> float:
    """Return the median slope along the first axis."""
    return _median(np.diff(heights, axis=0) / np.diff(places)[:, None])


def _commonest(values: Array, width: float) -> float:
    """Return the median of those values that the fullest window of twice a `width` holds."""
    ordered = np.sort(values[np.isfinite(values)])
    held = np.searchsorted(ordered, ordered + 2 * width, side="right") - np.arange(len(ordered))
    first = int(np.argmax(held))
    return float(np.median(ordered[first : first + int(held[first])]))


def jumps(image: Array) -> Array:
    """Return the height (H,) by which each line lies off: the sum of the jumps before it, of which the mean is taken.

    Jumps are the median steps from line to line. Where those of neighbouring lines are alike, they follow the outline
    of something large: then only steps that stand out of those around are jumps.
    """
    from scipy.ndimage import median_filter

    steps = np.array([_median(step) for step in np.diff(image, axis=0)])
    rough = steps - median_filter(steps, _AROUND, mode="nearest")
    spread = float(steps.std())
    if spread > 0 and float(np.mean((steps[1:] - steps.mean()) * (steps[:-1] - steps.mean()))) > _ALIKE * spread**2:
        steps = np.where(np.abs(rough) > _SCAR * _spread(rough), rough, 0.0)
    off = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(off - off.mean())


def without_scars(image: Array) -> Array:
    """Return an image in which parts of a line that stand far off the lines above and below are their mean."""
    if len(image) < 3:
        return image
    up, down = image[1:-1] - image[:-2], image[1:-1] - image[2:]
    usual = _spread(up)
    same_side = (np.sign(up) == np.sign(down)) & (np.minimum(np.abs(up), np.abs(down)) > _SCAR * max(usual, 1e-300))
    found = image.copy()
    found[1:-1][same_side] = ((image[:-2] + image[2:]) / 2)[same_side]
    return found


def _line_medians(image: Array) -> Array:
    return np.array([_median(line) for line in image])


def _spread(values: Array) -> float:
    return 1.4826 * _median(np.abs(values - _median(values)))


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    half = len(finite) // 2
    if half == 0:
        return float(finite[0]) if len(finite) else 0.0
    # np.median would do; for the many small parts of an image this is five times as fast.
    if len(finite) % 2:
        return float(np.partition(finite, half)[half])
    return float(np.partition(finite, (half - 1, half))[half - 1 : half + 1].mean())
