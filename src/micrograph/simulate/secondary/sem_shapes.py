"""Shapes that surfaces under the electron microscope are made of: balls, rods, grains, threads, cells, random fields.

All in pixels: a height (H, W) over a square of `side` pixels; places are (y, x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Places = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class Surface:
    """A surface seen from above: height (H, W) in pixels, relative yield (H, W) of its materials."""

    height: Array
    material: Array


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between `low` and `high`, log-uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def grid(side: int) -> tuple[Array, Array]:
    """Return y and x (side, side) in pixels."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return y, x


def turned(side: int, angle: float) -> tuple[Array, Array]:
    """Return coordinates (side, side) along and across a direction, from the middle of the square."""
    y, x = grid(side)
    y, x = y - np.float32(side / 2), x - np.float32(side / 2)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def scattered(side: int, number: int, rng: np.random.Generator, apart: float = 0.0, margin: float = 0.0) -> Places:
    """Return places (N, 2) at random in the square and a margin around it, at least `apart` where they fit."""
    drawn = rng.uniform(-margin, side + margin, (number if apart <= 0 else 4 * number, 2))
    if apart <= 0:
        return np.asarray(drawn)
    kept, count = np.full((number, 2), np.inf), 0
    for place in drawn:
        if count < number and float(((kept - place) ** 2).sum(axis=1).min()) > apart**2:
            kept[count] = place
            count += 1
    return kept[:count]


def random_field(side: int, size: float, rng: np.random.Generator, band: bool = False, stretch: float = 1.0) -> Array:
    """Return a Gaussian random field (side, side), mean 0 and deviation 1, of features of `size` pixels.

    band: of one wavelength ``2 size`` instead of all longer ones; stretch: longer along a random direction.
    """
    from scipy.fft import irfft2, rfft2

    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * fx + np.sin(angle) * fy
    across = np.cos(angle) * fy - np.sin(angle) * fx
    f = np.hypot(along * stretch, across) * size
    passed = np.exp(-(((f - 0.5) / 0.12) ** 2)) if band else np.exp(-2 * np.pi * f**2)
    noise = rng.standard_normal((side, side), np.float32)
    field = irfft2(rfft2(noise) * passed.astype(np.float32), s=(side, side))
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-9), np.float32)


def _window(side: int, place: NDArray[np.float64], reach: float) -> tuple[slice, slice, Array, Array] | None:
    """Return the rows and columns within `reach` of a place, and y and x there from the place."""
    top, left = (max(0, int(np.floor(c - reach))) for c in place)
    bottom, right = (min(side, int(np.ceil(c + reach)) + 1) for c in place)
    if top >= bottom or left >= right:
        return None
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(place[0])
    x = np.arange(left, right, dtype=np.float32)[None] - np.float32(place[1])
    return slice(top, bottom), slice(left, right), y, x


@dataclass(frozen=True)
class Body:
    """One body on a surface: what it is ('ball', 'disc', 'box', 'grain', 'rod'), half its size, and how it lies.

    long: its length over its width; flat: its height over its width; lift: height of its foot; tone: its material.
    """

    kind: str
    place: NDArray[np.float64]
    radius: float
    angle: float = 0.0
    long: float = 1.0
    flat: float = 1.0
    lift: float = 0.0
    tone: float = 1.0


def heap(surface: Surface, bodies: list[Body], rng: np.random.Generator) -> Surface:
    """Return a surface with bodies on it; where several are, the highest is seen."""
    height, material = surface.height.copy(), surface.material.copy()
    side = len(height)
    for body in bodies:
        window = _window(side, body.place, 1.1 * body.radius * max(body.long, 1.0) + 1)
        if window is None:
            continue
        rows, columns, y, x = window
        c, s = np.float32(np.cos(body.angle)), np.float32(np.sin(body.angle))
        size = np.float32(body.radius)
        along, across = (np.asarray(part / size, np.float32) for part in (c * x + s * y, c * y - s * x))
        top = _profile(body, along, across, rng) * np.float32(body.radius * body.flat)
        there = top > 0
        level = top + np.float32(body.lift)
        seen = there & (level > height[rows, columns])
        height[rows, columns][seen] = level[seen]
        material[rows, columns][seen] = body.tone
    return Surface(height, material)


def _profile(body: Body, along: Array, across: Array, rng: np.random.Generator) -> Array:
    """Return the height of a body over its radius, at coordinates over its radius; not above 0 outside."""
    if body.kind == "rod":
        beyond = np.maximum(np.abs(along) - (body.long - 1), 0)
        return np.asarray(np.sqrt(np.clip(1 - beyond**2 - across**2, 0, None)))
    if body.kind == "box":
        inside = np.minimum(body.long - np.abs(along), 1 - np.abs(across))
        return np.asarray(np.clip(inside * 8, 0, 1))
    if body.kind == "grain":
        return _facets(along / body.long, across, rng)
    q = (along / body.long) ** 2 + across**2
    dome = np.sqrt(np.clip(1 - q, 0, None))
    if body.kind == "disc":
        return np.asarray(0.45 * dome**0.5 * (1 - 0.7 * np.exp(-q / 0.22)))
    return np.asarray(dome)


def _facets(along: Array, across: Array, rng: np.random.Generator) -> Array:
    """Return the height of a broken grain: the lowest of some planes that lean at random."""
    number = int(rng.integers(4, 7))
    turn = np.sort(rng.uniform(0, 2 * np.pi, number))
    steep, far = rng.uniform(0.5, 3.0, number), rng.uniform(0.55, 1.0, number)
    height = np.full(np.broadcast_shapes(along.shape, across.shape), rng.uniform(0.5, 1.0), np.float32)
    for angle, slope, reach in zip(turn, steep, far, strict=True):
        np.minimum(height, slope * (reach - along * np.cos(angle) - across * np.sin(angle)), out=height)
    return np.where(along**2 + across**2 < 1.2, height, 0)


@dataclass(frozen=True)
class Thread:
    """An endless curved thread: its direction, how far it passes from the middle, its radius, and its waves."""

    angle: float
    offset: float
    radius: float
    wave: float
    bend: float
    lift: float
    tone: float


def threads(surface: Surface, lines: list[Thread], rng: np.random.Generator) -> Surface:
    """Return a surface with threads on it; where several are, the highest is seen."""
    height, material = surface.height.copy(), surface.material.copy()
    side = len(height)
    fine = np.arange(-4 * side, 4 * side + 1) / 4
    for line in lines:
        along, across = turned(side, line.angle)
        k, phase = 2 * np.pi / line.wave, rng.uniform(0, 2 * np.pi, 2)
        waves = [(line.bend, k, phase[0]), (0.4 * line.bend, 2.3 * k, phase[1])]
        course = np.sum([size * np.sin(rate * fine + at) for size, rate, at in waves], axis=0)
        slope = np.sum([size * rate * np.cos(rate * fine + at) for size, rate, at in waves], axis=0)
        at = (4 * (along + side)).astype(np.intp)
        away = across - np.float32(line.offset) - course.astype(np.float32)[at]
        q = away**2 * (1 / (1 + slope**2) / line.radius**2).astype(np.float32)[at]
        rows, columns = np.nonzero(q < 1)
        level = np.float32(line.radius) * np.sqrt(1 - q[rows, columns]) + np.float32(line.lift)
        seen = level > height[rows, columns]
        height[rows[seen], columns[seen]] = level[seen]
        material[rows[seen], columns[seen]] = line.tone
    return Surface(height, material)


def cells(side: int, size: float, rng: np.random.Generator, warp: float = 0.0) -> tuple[Array, NDArray[np.intp]]:
    """Return the distance (side, side) in pixels from the border between the cells of scattered seeds, and the cell.

    warp: by how many pixels the borders are bent.
    """
    from scipy.spatial import cKDTree

    wide = int(np.ceil(side / size)) + 4
    seeds = (np.indices((wide, wide)).reshape(2, -1).T - 1.5 + rng.uniform(-0.45, 0.45, (wide**2, 2))) * size
    y, x = grid(side)
    if warp:
        y = y + warp * random_field(side, size * 0.4, rng)
        x = x + warp * random_field(side, size * 0.4, rng)
    points = np.stack([y.ravel(), x.ravel()], 1)
    found = cKDTree(seeds).query(points, k=[1, 2])
    distance, which = np.asarray(found[0]), np.asarray(found[1], np.intp)
    border = ((distance[:, 1] - distance[:, 0]) / 2).reshape(side, side)
    return border.astype(np.float32), which[:, 0].reshape(side, side)


def flat(side: int, rng: np.random.Generator, tone: tuple[float, float] = (0.15, 0.6), rough: float = 0.3) -> Surface:
    """Return a bare substrate, a little rough."""
    height = rng.uniform(0, rough) * random_field(side, between(rng, 0.01, 0.2) * side, rng)
    return Surface(height, np.full((side, side), rng.uniform(*tone), np.float32))
