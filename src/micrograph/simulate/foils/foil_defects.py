"""Defects in a thin foil as geometry: dislocation lines with their depth, and bodies (precipitates, voids).

Positions are in pixels [y, x] with pixel centres at integers; depths count from the surface where the beam enters. What
an image shows of them is the matter of the simulators that take a `Foil` (`crystal_defects`, and for tests another).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Shape = tuple[int, int]

#: Distance (px) of the points of a line.
STEP_PX = 0.5
_ANGLES = 256


@dataclass(frozen=True)
class Dislocation:
    """A dislocation line: points_px (K, 2), evenly spaced; depth (K,) as share of the foil's thickness, 0..1.

    order: g.b, how strongly the reflection that makes the image sees it (0: residual contrast only); side: +1 or -1, on
    which side of the line, seen along its points, the image lies; screw: share of screw character; closed: a loop.
    """

    points_px: Array
    depth: Array
    order: float = 1.0
    side: float = 1.0
    screw: float = 1.0
    closed: bool = False

    @property
    def steps_px(self) -> Array:
        """Distances (K-1,) of neighbouring points in projection."""
        return np.asarray(np.hypot(*np.diff(self.points_px, axis=0).T))

    def length_px(self, shape: Shape) -> float:
        """Return the projected length inside an image of `shape`."""
        middle = (self.points_px[1:] + self.points_px[:-1]) / 2
        inside = ((middle >= -0.5) & (middle < np.array(shape) - 0.5)).all(axis=1)
        return float(self.steps_px[inside].sum())


@dataclass(frozen=True)
class Body:
    """A precipitate or a void: centre, radius along every direction, thickness along the beam.

    facets: corners of its outline in projection (0: none, an ellipse); aspect: longer over shorter axis; depth: of its
    centre as share of the foil's thickness; contrast: share of the beam that its middle takes away (below 0: gives
    back); strain: of its misfit, which shows as lobes along g; round_along: 1 for a ball, 0 for a plate of even
    thickness.
    """

    y_px: float
    x_px: float
    diameter_px: float
    facets: int = 0
    aspect: float = 1.0
    angle: float = 0.0
    depth: float = 0.5
    contrast: float = 0.2
    strain: float = 0.0
    round_along: float = 1.0
    _radii: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Draw the outline."""
        phi = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
        shape = np.ones(_ANGLES)
        if self.facets:
            sector = 2 * np.pi / self.facets
            polygon = np.cos(sector / 2) / np.cos(phi % sector - sector / 2)
            shape = 0.85 * polygon + 0.15
        ellipse = 1 / np.hypot(np.cos(phi) / np.sqrt(self.aspect), np.sin(phi) * np.sqrt(self.aspect))
        radii = shape * ellipse
        object.__setattr__(self, "_radii", radii * self.diameter_px / 2 / np.sqrt(np.mean(radii**2)))

    @property
    def reach_px(self) -> float:
        """The greatest distance of its border from its centre."""
        return float(self._radii.max())

    def polar(self, box: tuple[slice, slice]) -> tuple[Array, Array, Array]:
        """Return distance from the centre, direction (radians) and the body's radius there for the pixels of a box."""
        y, x = np.mgrid[box].astype(float)
        y, x = y - self.y_px, x - self.x_px
        direction = np.arctan2(y, x)
        place = ((direction - self.angle) / (2 * np.pi) % 1.0) * _ANGLES
        low = place.astype(int) % _ANGLES
        share = place - np.floor(place)
        radius = self._radii[low] * (1 - share) + self._radii[(low + 1) % _ANGLES] * share
        return np.hypot(y, x), direction, radius

    def box(self, shape: Shape, margin_px: float) -> tuple[slice, slice] | None:
        """Return the part of an image of `shape` within `margin_px` of the body, ``None`` where there is none."""
        reach = self.reach_px + margin_px
        sides = [
            slice(max(0, int(np.floor(at - reach))), min(size, int(np.ceil(at + reach)) + 1))
            for at, size in zip((self.y_px, self.x_px), shape, strict=True)
        ]
        return (sides[0], sides[1]) if all(side.stop > side.start for side in sides) else None


@dataclass(frozen=True)
class Foil:
    """A foil and what is in it; thickness and extinction distance in nm, g_angle in radians from +x towards +y."""

    shape: Shape
    pixel_nm: float
    thickness_nm: float
    extinction_nm: float
    g_angle: float = 0.0
    lines: tuple[Dislocation, ...] = ()
    precipitates: tuple[Body, ...] = ()
    voids: tuple[Body, ...] = ()

    @property
    def length_px(self) -> float:
        """Projected length of all visible lines inside the image."""
        return float(sum(line.length_px(self.shape) for line in self.lines if line.order))


@dataclass(frozen=True)
class Beside:
    """Pixels near a line: their box, the signed distance across it (px), its depth there (0..1), which lie beside it.

    ``beyond`` (px) is how far a pixel lies past the line's end (negative: beside it).
    """

    box: tuple[slice, slice]
    across: Array
    depth: Array
    direction: Array
    beyond: Array


def beside(line: Dislocation, shape: Shape, reach_px: float) -> Beside | None:
    """Return what lies within `reach_px` of a line in an image of `shape`; ``None`` where nothing does."""
    from scipy.ndimage import distance_transform_edt

    pad = int(np.ceil(reach_px)) + 2
    low = np.maximum(np.floor(line.points_px.min(axis=0)).astype(int) - pad, -pad)
    high = np.minimum(np.ceil(line.points_px.max(axis=0)).astype(int) + pad + 1, np.array(shape) + pad)
    if (high <= low).any():
        return None
    cell = np.rint(line.points_px).astype(int) - low
    held = ((cell >= 0) & (cell < high - low)).all(axis=1)
    if not held.any():
        return None
    owner = np.full(tuple(high - low), -1)
    owner[tuple(cell[held].T)] = np.flatnonzero(held)
    nearest = distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    top, left = np.maximum(low, 0)
    bottom, right = np.minimum(high, shape)
    if bottom <= top or right <= left:
        return None
    here = (slice(top - low[0], bottom - low[0]), slice(left - low[1], right - low[1]))
    number = owner[tuple(nearest[(slice(None), *here)])]
    return _measured(line, number, (slice(top, bottom), slice(left, right)))


def _measured(line: Dislocation, number: NDArray[np.intp], box: tuple[slice, slice]) -> Beside:
    """Return the place of the pixels of a box beside the line's points of a `number` each."""
    points, last = line.points_px, len(line.points_px) - 1
    if line.closed:
        tangent = np.roll(points, -2, axis=0) - np.roll(points, 2, axis=0)
    else:
        tangent = points[np.minimum(np.arange(last + 1) + 2, last)] - points[np.maximum(np.arange(last + 1) - 2, 0)]
    tangent = tangent / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    y, x = np.mgrid[box].astype(float)
    off_y, off_x = y - points[number, 0], x - points[number, 1]
    along = off_y * tangent[number, 0] + off_x * tangent[number, 1]
    across = off_y * tangent[number, 1] - off_x * tangent[number, 0]
    beyond = np.full(across.shape, -np.inf)
    if not line.closed:
        ends = 3  # points near an end share it: the nearest cell is known to a pixel only
        before = np.where(number < ends, -along - number * STEP_PX, -np.inf)
        after = np.where(number > last - ends, along - (last - number) * STEP_PX, -np.inf)
        beyond = np.maximum(before, after)
    direction = np.arctan2(tangent[number, 0], tangent[number, 1])
    return Beside(box, across, line.depth[number], direction, beyond)


def coverage_of(bodies: tuple[Body, ...], shape: Shape) -> Image:
    """Return what bodies cover of every pixel (H, W), 0..1."""
    covered = np.zeros(shape, np.float32)
    for body in bodies:
        box = body.box(shape, 1.5)
        if box is not None:
            distance, _, radius = body.polar(box)
            np.maximum(covered[box], np.clip(radius - distance + 0.5, 0, 1), out=covered[box])
    return covered


def chord(body: Body, distance: Array, radius: Array) -> Array:
    """Return the length along the beam inside a body over its diameter, 1 in the middle of a ball."""
    inside = np.clip(1 - (distance / np.maximum(radius, 1e-9)) ** 2, 0, None)
    plate = np.clip((radius - distance + 0.5) / np.maximum(0.15 * radius, 1.0), 0, 1)
    return np.asarray(body.round_along * np.sqrt(inside) + (1 - body.round_along) * plate)
