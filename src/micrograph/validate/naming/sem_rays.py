"""Another simulator of the ten kinds: solids in space, seen obliquely, lit by a lamp, in a noisy picture.

It shares no code with the images that are learned from: the height of solids given by formulas stands over each point;
the signal is Lambert's law on the side of the detector, more at grazing slopes; hollows are dark by how far the horizon
rises in eight directions; noise is Gaussian, with lines that drift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Rng = np.random.Generator
#: Height over points x and y, in units of half the picture.
Solid = Callable[[Array, Array], Array]
#: Far below.
_DEEP = np.float32(-0.6)


@dataclass(frozen=True)
class Rays:
    """How a scene is shown: side of the picture, tilt of the view, noise over contrast, magnification."""

    side_px: int = 128
    tilt_deg: tuple[float, float] = (0.0, 40.0)
    noise: tuple[float, float] = (0.02, 0.12)
    magnification: tuple[float, float] = (0.8, 1.25)

    def __call__(self, kind: str, rng: Rng) -> Array:
        """Return a picture (side, side) of a kind of surface."""
        solid, tilt = SCENES[kind](rng), float(np.radians(rng.uniform(*self.tilt_deg)))
        scale = float(np.exp(rng.uniform(*np.log(self.magnification))))
        line = (np.linspace(-1, 1, 2 * self.side_px) / scale).astype(np.float32)
        y, x = np.meshgrid(line / np.float32(np.cos(tilt)), line, indexing="ij")
        lit = _lit(solid(x, y), float(line[1] - line[0]), tilt, rng)
        smooth = lit.reshape(self.side_px, 2, self.side_px, 2).mean(axis=(1, 3))
        return _recorded(smooth, self.noise, rng)


def _lit(height: Array, step: float, tilt: float, rng: Rng) -> Array:
    """Return the signal (side, side) of a height under a view that leans by `tilt` (radians)."""
    down, right = np.gradient(height, step * max(np.cos(tilt), 0.3) ** -1, step)
    normal = np.stack([-right, -down, np.ones_like(height)])
    normal /= np.linalg.norm(normal, axis=0)
    facing = np.clip(np.sin(tilt) * normal[1] + np.cos(tilt) * normal[2], 0, 1)
    turn = rng.uniform(0, 2 * np.pi)
    lambert = np.clip(0.7 * (np.cos(turn) * normal[0] + np.sin(turn) * normal[1] + normal[2]), 0, None)
    grazing = (1 - facing) ** rng.uniform(1.5, 4)
    signal = rng.uniform(0.2, 0.6) + rng.uniform(0.2, 0.8) * lambert + rng.uniform(0.3, 1.2) * grazing
    return np.asarray(signal * (0.2 + 0.8 * _sky(height, step)), np.float32)


def _sky(height: Array, step: float) -> Array:
    """Return the share of the sky (0 to 1) that is seen, by the horizon in eight directions."""
    seen, reach = np.zeros_like(height), 20
    wide = np.pad(height, reach, mode="edge")
    rows, columns = height.shape
    for down, right in ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)):
        horizon = np.zeros_like(height)
        for far in (1, 2, 3, 5, 8, 13, 20):
            top, left = reach + far * down, reach + far * right
            there = wide[top : top + rows, left : left + columns]
            np.maximum(horizon, (there - height) / (far * step * np.hypot(down, right)), out=horizon)
        seen += 1 / (1 + horizon**2)
    return seen / 8


def _recorded(signal: Array, noise: tuple[float, float], rng: Rng) -> Array:
    """Return the signal with slow drifts of the lines and Gaussian noise, which grows with the root of the signal."""
    low, high = np.quantile(signal, [0.005, 0.995])
    shown = (signal - low) / max(float(high - low), 1e-6)
    level = np.exp(rng.uniform(*np.log(noise)))
    lines = np.cumsum(rng.standard_normal(len(signal))) * 0.003
    grain = level * np.sqrt(0.3 + np.clip(shown, 0, None)) * rng.standard_normal(signal.shape)
    return np.asarray(shown + lines[:, None] + grain, np.float32)


def _places(rng: Rng, number: int, reach: float = 1.3) -> NDArray[np.float64]:
    """Return places (N, 2) that keep apart: each the farthest of a few from those before (Mitchell)."""
    found = rng.uniform(-reach, reach, (1, 2))
    for _ in range(number - 1):
        tried = rng.uniform(-reach, reach, (4, 2))
        away = ((tried[:, None] - found[None]) ** 2).sum(-1).min(axis=1)
        found = np.vstack([found, tried[np.argmax(away)]])
    return found


def _over(parts: Sequence[Solid]) -> Solid:
    return lambda x, y: np.asarray(np.max([part(x, y) for part in parts], axis=0), np.float32)


def _ground(x: Array, y: Array) -> Array:
    return np.zeros(x.shape, np.float32)


def _dome(q: Array, foot: float = 0.0) -> Array:
    """Return ``foot + sqrt(q)`` where q is positive, else far below."""
    return np.where(q > 0, np.float32(foot) + np.sqrt(np.maximum(q, 0)), _DEEP)


def _balls(middles: NDArray[np.float64], radii: NDArray[np.float64]) -> Solid:
    """Return many balls at (N, 3)."""

    def height(x: Array, y: Array) -> Array:
        found = np.full(x.shape, _DEEP, np.float32)
        for (cx, cy, cz), radius in zip(middles.tolist(), radii.tolist(), strict=True):
            np.maximum(found, _dome(radius**2 - (x - cx) ** 2 - (y - cy) ** 2, cz), out=found)
        return found

    return height


def _rods(starts: NDArray[np.float64], ends: NDArray[np.float64], radii: NDArray[np.float64]) -> Solid:
    """Return many round rods between points (N, 3)."""

    def height(x: Array, y: Array) -> Array:
        found = np.full(x.shape, _DEEP, np.float32)
        for a, b, radius in zip(starts.tolist(), ends.tolist(), radii.tolist(), strict=True):
            along = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
            long = max(along[0] ** 2 + along[1] ** 2, 1e-9)
            t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / long, 0, 1)
            q = radius**2 - (x - a[0] - t * along[0]) ** 2 - (y - a[1] - t * along[1]) ** 2
            np.maximum(found, np.where(q > 0, a[2] + t * along[2] + np.sqrt(np.maximum(q, 0)), _DEEP), out=found)
        return found

    return height


def _block(middle: tuple[float, float], half: tuple[float, float], top: float, turn: float = 0.0) -> Solid:
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))

    def height(x: Array, y: Array) -> Array:
        u, v = x - np.float32(middle[0]), y - np.float32(middle[1])
        inside = (np.abs(c * u + s * v) < half[0]) & (np.abs(c * v - s * u) < half[1])
        return np.where(inside, np.float32(top), _DEEP)

    return height


def _biological(rng: Rng) -> Solid:
    if rng.random() < 0.5:  # bacteria: short rods in a lawn
        number, radius = int(rng.integers(15, 40)), rng.uniform(0.06, 0.1)
        at, turn = _places(rng, number), rng.uniform(0, np.pi, number)
        half = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1) * radius * rng.uniform(1, 2.2, (number, 1))
        middle = np.column_stack([at, np.full(number, radius)])
        return _over([_ground, _rods(middle - half, middle + half, np.full(number, radius))])
    number = int(rng.integers(2, 6))  # round cells with spines
    at, radius = _places(rng, number, 0.8), rng.uniform(0.25, 0.45)
    cells = _balls(np.column_stack([at, np.full(number, 0.5 * radius)]), np.full(number, radius))
    frequency, high = rng.uniform(25, 45), rng.uniform(0.01, 0.03)

    def spiny(x: Array, y: Array) -> Array:
        return np.asarray(cells(x, y) + high * np.sin(frequency * x) * np.sin(frequency * y), np.float32)

    return _over([_ground, spiny])


def _walk(rng: Rng, radius: float, bend: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a long thread as short rods: a walk whose direction turns a little at each step."""
    angle, turn = rng.uniform(0, 2 * np.pi), 0.0
    points = [np.array([-1.7 * np.cos(angle), -1.7 * np.sin(angle)]) + rng.uniform(-1, 1, 2)]
    for _ in range(9):
        turn = 0.6 * turn + bend * rng.standard_normal()
        angle += turn
        points.append(points[-1] + 0.42 * np.array([np.cos(angle), np.sin(angle)]))
    line = np.column_stack([points, np.full(10, radius + rng.uniform(0, 0.25))])
    return line[:-1], line[1:]


def _fibres(rng: Rng) -> Solid:
    radius = rng.uniform(0.025, 0.07)
    walks = [_walk(rng, radius, rng.uniform(0.02, 0.15)) for _ in range(int(rng.integers(6, 14)))]
    starts, ends = np.vstack([walk[0] for walk in walks]), np.vstack([walk[1] for walk in walks])
    return _over([_ground, _rods(starts, ends, np.full(len(starts), radius))])


def _waves(rng: Rng, low: float, high: float, number: int = 14) -> Solid:
    """Return a rough height: the mean of waves of random directions."""
    k = np.exp(rng.uniform(np.log(low), np.log(high), number))
    angle, phase = rng.uniform(0, 2 * np.pi, number), rng.uniform(0, 2 * np.pi, number)
    facts = list(zip(k.tolist(), angle.tolist(), phase.tolist(), strict=True))

    def height(x: Array, y: Array) -> Array:
        waves = [np.sin(one * (np.cos(a) * x + np.sin(a) * y) + b) for one, a, b in facts]
        return np.asarray(np.mean(waves, axis=0), np.float32)

    return height


def _films(rng: Rng) -> Solid:
    if rng.random() < 0.5:  # grains: the upper envelope of domes on scattered seeds
        seeds, high = _places(rng, int(rng.integers(60, 120)), 1.4), rng.uniform(0.01, 0.03)

        def domes(x: Array, y: Array) -> Array:
            nearest = np.full(x.shape, 9.0, np.float32)
            for a, b in seeds.tolist():
                np.minimum(nearest, (x - a) ** 2 + (y - b) ** 2, out=nearest)
            return np.asarray(-50 * high * nearest, np.float32)

        return domes
    rough, bend, wide = _waves(rng, 3, 9), rng.uniform(0.3, 0.8), rng.uniform(0.012, 0.03)
    pitch = rng.uniform(0.5, 0.9)

    def cracked(x: Array, y: Array) -> Array:
        u, v = x + bend * rough(x, y), y + bend * rough(y, x)
        shift = 0.5 * pitch * (np.floor(v / pitch) % 2)
        away = np.minimum(_from_line(v + pitch / 2, pitch), _from_line(u + shift, 1.3 * pitch))
        return np.where(away < wide, np.float32(-0.12), np.float32(0))

    return cracked


def _from_line(x: Array, pitch: float) -> Array:
    return np.asarray(np.abs(np.mod(x + pitch / 2, pitch) - pitch / 2), np.float32)


def _mems(rng: Rng) -> Solid:
    turn = rng.normal(0, 0.05)
    parts: list[Solid] = [_ground]
    pitch, fingers, long = rng.uniform(0.12, 0.2), int(rng.integers(4, 8)), rng.uniform(0.3, 0.6)
    y = rng.uniform(-0.6, 0)
    for finger in range(fingers):
        side = 0.2 if finger % 2 else -0.2
        parts.append(_block((side, y + finger * pitch), (long, 0.3 * pitch), 0.1, turn))
    for x in (-0.35 - long, 0.35 + long):
        parts.append(_block((x, y + fingers * pitch / 2), (0.14, fingers * pitch / 2 + 0.1), 0.11, turn))
    for _ in range(int(rng.integers(1, 4))):
        u, v = rng.uniform(-0.9, 0.9, 2).tolist()
        parts.append(_block((u, v), (rng.uniform(0.1, 0.4), rng.uniform(0.03, 0.25)), 0.09, turn))
    return _over(parts)


def _nanowires(rng: Rng) -> Solid:
    number, radius, long = int(rng.integers(25, 60)), rng.uniform(0.01, 0.018), rng.uniform(0.25, 0.6)
    at, turn, lean = rng.uniform(-1.3, 1.3, (number, 2)), rng.uniform(0, 2 * np.pi, number), rng.uniform(0, 0.5)
    half = np.column_stack([np.cos(turn), np.sin(turn), lean * rng.uniform(0, 1, number)]) * long
    middle = np.column_stack([at, radius + half[:, 2]])
    return _over([_ground, _rods(middle - half, middle + half, np.full(number, radius))])


def _particles(rng: Rng) -> Solid:
    number, radius = int(rng.integers(10, 36)), rng.uniform(0.05, 0.14)
    radii = radius * np.exp(0.2 * rng.standard_normal(number))
    if rng.random() < 0.6:
        return _over([_ground, _balls(np.column_stack([_places(rng, number), 0.8 * radii]), radii)])
    cubes = [
        _block((x, y), (0.8 * r, 0.8 * r), 1.5 * r, rng.uniform(0, 3))
        for (x, y), r in zip(_places(rng, number).tolist(), radii.tolist(), strict=True)
    ]
    return _over([_ground, *cubes])


def _patterned(rng: Rng) -> Solid:
    pitch, turn, deep = rng.uniform(0.16, 0.4), rng.uniform(0, np.pi), rng.uniform(0.05, 0.15)
    fill, kind = rng.uniform(0.25, 0.38), int(rng.integers(3))

    def pattern(x: Array, y: Array) -> Array:
        u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        a, b = _from_line(u, pitch), _from_line(v, pitch)
        up = np.clip((fill * pitch - (a if kind == 0 else np.hypot(a, b))) / 0.02, 0, 1)
        return np.asarray(deep * (up if kind < 2 else 1 - up), np.float32)

    return pattern


def _porous(rng: Rng) -> Solid:
    k, level, bend = rng.uniform(10, 24), rng.uniform(-0.25, 0.15), _waves(rng, 3, 9)

    def gyroid(x: Array, y: Array) -> Array:
        found, shift = np.full(x.shape, -0.5, np.float32), 8 * bend(x, y)
        a, b = k * x + shift, k * y + 8 * bend(y, -x)
        for z in np.linspace(-0.5, 0, 24):
            c = k * z + shift
            solid = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a) < level
            found = np.where(solid, np.float32(z), found)
        return found

    return gyroid


def _powder(rng: Rng) -> Solid:
    number, radius = int(rng.integers(50, 90)), rng.uniform(0.13, 0.22)
    at = np.column_stack([_places(rng, number, 1.4), rng.uniform(-0.15, 0.12, number)])
    radii = radius * np.exp(0.35 * rng.standard_normal(number))
    planes = rng.standard_normal((number, 7, 3))
    planes /= np.linalg.norm(planes, axis=-1, keepdims=True)
    planes[..., 2] = np.maximum(np.abs(planes[..., 2]), 0.05)
    reach = rng.uniform(0.6, 1.0, (number, 7))

    def grains(x: Array, y: Array) -> Array:
        found = np.full(x.shape, -0.3, np.float32)
        for (cx, cy, cz), own, faces, far in zip(at.tolist(), radii.tolist(), planes, reach, strict=True):
            u, v = x - cx, y - cy
            top = np.min([(r * own - n[0] * u - n[1] * v) / n[2] for n, r in zip(faces, far, strict=True)], axis=0)
            ball = _dome(own**2 - u**2 - v**2)
            inside = np.minimum(top, ball)
            np.maximum(found, np.where(inside > -0.5 * own, cz + inside, _DEEP), out=found)
        return found

    return grains


def _tips(rng: Rng) -> Solid:
    angle, wide, blunt = rng.uniform(0, 2 * np.pi), np.tan(rng.uniform(0.1, 0.45)), rng.uniform(0.01, 0.06)
    u, v = rng.uniform(-0.35, 0.35, 2)

    def cone(x: Array, y: Array) -> Array:
        along = np.cos(angle) * (x - u) + np.sin(angle) * (y - v)
        across = np.cos(angle) * (y - v) - np.sin(angle) * (x - u)
        half = np.sqrt(np.clip(along, 0, None) * blunt * 2 + (wide * np.clip(along, 0, None)) ** 2)
        top = np.where(along > 0, _dome(half**2 - across**2), _DEEP)
        return np.maximum(top, np.float32(-0.15))

    return cone


SCENES: dict[str, Callable[[Rng], Solid]] = {
    "biological": _biological,
    "fibres": _fibres,
    "films and coated surfaces": _films,
    "MEMS devices and electrodes": _mems,
    "nanowires": _nanowires,
    "particles": _particles,
    "patterned surface": _patterned,
    "porous sponge": _porous,
    "powder": _powder,
    "tips": _tips,
}
