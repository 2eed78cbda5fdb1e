"""Paths of a beam that visits few pixels: spiral, random, jittered grid. For the microscope and for the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
PathKind = Literal["spiral", "random", "jittered"]
KINDS: tuple[str, ...] = get_args(PathKind)
#: Share of the pixels that a path may visit.
COVERAGES = (1e-3, 1.0)


@dataclass(frozen=True)
class ScanPath:
    """Where the beam dwells, in order: `y_px`, `x_px` (N,) within a field of `shape` (H, W) pixels.

    Pixel centres are at whole numbers; a spiral dwells between them, the other paths on them.
    """

    kind: str
    shape: tuple[int, int]
    y_px: Array
    x_px: Array

    @property
    def coverage(self) -> float:
        """Dwells over pixels: the share of the dose, and of the time, of a full scan."""
        return len(self.y_px) / (self.shape[0] * self.shape[1])

    @property
    def travel_px(self) -> float:
        """Length of the way from the first place to the last (pixels), which the scan coils have to follow."""
        return float(np.hypot(np.diff(self.y_px), np.diff(self.x_px)).sum())

    @property
    def dwells(self) -> NDArray[np.float32]:
        """How often the beam dwells nearest to each pixel (H, W); 0 where it never does."""
        return self._summed(np.ones(len(self.y_px)))

    def image(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the image (H, W) of what was recorded at each place (N,): means of each pixel, NaN where none was."""
        dwells = self.dwells
        with np.errstate(invalid="ignore"):
            means = self._summed(np.asarray(values, float)) / np.where(dwells > 0, dwells, np.nan)
        return means.astype(np.float32)

    def recorded(self, image: NDArray[np.floating]) -> Array:
        """Return what an image (H, W) has at each place (N,), linearly between pixels."""
        from scipy.ndimage import map_coordinates

        found: Array = map_coordinates(np.asarray(image, float), [self.y_px, self.x_px], order=1, mode="nearest")
        return found

    def within(self, top: int, left: int, shape: tuple[int, int]) -> ScanPath:
        """Return the part of the path in a smaller field of `shape`, whose first pixel is (top, left) of this one."""
        y, x = self.y_px - top, self.x_px - left
        inside = (np.rint(y) >= 0) & (np.rint(y) < shape[0]) & (np.rint(x) >= 0) & (np.rint(x) < shape[1])
        return ScanPath(self.kind, shape, y[inside], x[inside])

    def _summed(self, values: Array) -> NDArray[np.float32]:
        rows, columns = (np.rint(place).astype(int) for place in (self.y_px, self.x_px))
        flat = np.bincount(rows * self.shape[1] + columns, values, self.shape[0] * self.shape[1])
        return flat.reshape(self.shape).astype(np.float32)


def scan_path(kind: str, shape: tuple[int, int], coverage: float = 0.05, seed: int = 0) -> ScanPath:
    """Return a path that dwells on the share `coverage` of the pixels of a field of `shape` (H, W).

    'spiral': from the centre outwards, one dwell a pixel of its length, its turns ``1 / coverage`` pixels apart; it
    never jumps, so that ordinary scan coils can follow it. 'random': pixels at random. 'jittered': one pixel at random
    in each cell of a grid, so that no large gaps are left. The latter two go from side to side in bands. The same
    `seed` gives the same path. Raises `BadInput` for another kind, an empty field or a coverage outside 0.001 to 1.
    """
    if kind not in KINDS:
        raise BadInput(f"There is no scan path '{kind}': choose one of {', '.join(KINDS)}.")
    if min(shape) < 8:
        raise BadInput(f"The field has {shape[0]} x {shape[1]} pixels: a scan path needs 8 or more along each side.")
    if not COVERAGES[0] <= coverage <= COVERAGES[1]:
        raise BadInput(f"The coverage is {coverage:g}: it must lie between {COVERAGES[0]:g} and {COVERAGES[1]:g}.")
    rng = np.random.default_rng(seed)
    places = {"spiral": _spiral, "random": _random, "jittered": _jittered}[kind](shape, coverage, rng)
    return ScanPath(kind, shape, *places)


def _spiral(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return an Archimedean spiral at constant speed, cut to the field; it begins at a random angle."""
    gap = 1 / coverage
    reach = 0.5 * float(np.hypot(*shape)) + gap
    length = np.arange(0.5, np.pi * reach**2 / gap)
    angle = np.sqrt(4 * np.pi * length / gap)
    radius = gap * angle / (2 * np.pi)
    turn = angle + rng.uniform(0, 2 * np.pi)
    y, x = (0.5 * (side - 1) + radius * part for side, part in zip(shape, (np.sin(turn), np.cos(turn)), strict=True))
    inside = (y > -0.49) & (y < shape[0] - 0.51) & (x > -0.49) & (x < shape[1] - 0.51)
    return y[inside], x[inside]


def _random(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> tuple[Array, Array]:
    pixels = shape[0] * shape[1]
    chosen = rng.choice(pixels, max(1, round(coverage * pixels)), replace=False)
    rows, columns = np.divmod(chosen, shape[1])
    return _from_side_to_side(rows, columns, np.sqrt(1 / coverage))


def _jittered(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> tuple[Array, Array]:
    counts = [max(1, round(side * np.sqrt(coverage))) for side in shape]
    corners = np.meshgrid(*(np.arange(count) for count in counts), indexing="ij")
    places = [
        np.floor((corner + rng.uniform(size=corner.shape)) * side / count).astype(int).ravel()
        for corner, side, count in zip(corners, shape, counts, strict=True)
    ]
    return _from_side_to_side(places[0], places[1], np.sqrt(1 / coverage))


def _from_side_to_side(rows: NDArray[np.intp], columns: NDArray[np.intp], band: float) -> tuple[Array, Array]:
    """Order pixels by bands of rows, to the right in one and to the left in the next."""
    number = (rows / band).astype(int)
    order = np.lexsort((np.where(number % 2, -columns, columns), number))
    return rows[order].astype(float), columns[order].astype(float)
