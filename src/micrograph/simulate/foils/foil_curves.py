"""Curves that dislocations follow: random lines through a foil, loops, networks of three-fold nodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.foils.foil_defects import STEP_PX, Dislocation

Array = NDArray[np.float64]


def bent_line(
    centre_px: tuple[float, float],
    length_px: float,
    bend: float,
    rng: np.random.Generator,
    direction: float | None = None,
) -> Array:
    """Return points (K, 2) of a smooth line of exactly `length_px` around (or, with `direction`, from) a point.

    bend: 1-sigma of the direction's change from end to end, in radians.
    """
    number = max(int(np.ceil(length_px / STEP_PX)), 4)
    s = np.linspace(0, 1, number)
    turn = rng.uniform(0, 2 * np.pi) if direction is None else direction
    waves = (rng.normal(0, bend / order, 2) for order in (1.0, 2.0, 4.0))
    for order, (a, b) in zip((0.5, 1.0, 2.0), waves, strict=True):
        turn = turn + a * (np.cos(2 * np.pi * order * s) - 1) + b * np.sin(2 * np.pi * order * s)
    step = length_px / (number - 1)
    places = np.zeros((number, 2))
    middle = (np.asarray(turn)[1:] + np.asarray(turn)[:-1]) / 2 if np.ndim(turn) else np.full(number - 1, turn)
    places[1:, 0], places[1:, 1] = np.cumsum(np.sin(middle)) * step, np.cumsum(np.cos(middle)) * step
    shift = places[0] if direction is not None else places.mean(axis=0)
    return np.asarray(places - shift + np.asarray(centre_px))


def inclined(number: int, rng: np.random.Generator) -> Array:
    """Return depths (number,) of a line that leads from one surface of the foil to the other, or lies within it."""
    low, high = (0.0, 1.0) if rng.random() < 0.7 else np.sort(rng.uniform(0.1, 0.9, 2))
    depth = np.linspace(low, high, number)
    return np.asarray(depth if rng.random() < 0.5 else depth[::-1])


def loop(centre_px: tuple[float, float], radius_px: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return points (K, 2) and depths (K,) of a tilted loop, in projection an ellipse."""
    flat, turn = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    number = max(int(np.ceil(2 * np.pi * radius_px / STEP_PX)), 12)
    phi = np.linspace(0, 2 * np.pi, number)
    long, short = radius_px * np.cos(phi), flat * radius_px * np.sin(phi)
    y = long * np.sin(turn) + short * np.cos(turn) + centre_px[0]
    x = long * np.cos(turn) - short * np.sin(turn) + centre_px[1]
    middle, swing = rng.uniform(0.25, 0.75), rng.uniform(0.02, 0.2)
    return np.stack([y, x], 1), np.asarray(middle + swing * np.sin(phi))


def node(centre_px: tuple[float, float], length_px: float, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Yield points and depths of three lines that begin at one point."""
    first, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7)
    for place in range(3):
        direction = first + 2 * np.pi * (place / 3 + rng.normal(0, 0.04))
        points = bent_line(centre_px, length_px * rng.uniform(0.3, 0.6), 0.15, rng, direction)
        yield points, np.linspace(depth, float(rng.choice([0.0, 1.0])), len(points))


def randomly_seen(points: Array, depth: Array, rng: np.random.Generator, closed: bool = False) -> Dislocation:
    """Return a dislocation along a curve with a random Burgers vector: mostly g.b = 1, at times 2."""
    order = 2.0 if rng.random() < 0.06 and not closed else 1.0
    side, screw = float(rng.choice([-1.0, 1.0])), float(rng.uniform(0, 1))
    return Dislocation(points, np.clip(depth, 0, 1), order, side, screw, closed)
