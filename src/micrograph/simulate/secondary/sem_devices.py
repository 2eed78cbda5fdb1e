"""Devices and electrodes as scanning electron microscopes show them: few levels, straight edges, round wheels."""

from __future__ import annotations

import numpy as np

from micrograph.simulate.secondary.sem_shapes import Array, Surface, flat, turned

Rng = np.random.Generator
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def mems(side: int, unit: float, rng: Rng) -> Surface:
    """Return devices and electrodes: pads, beams, combs, springs and wheels, of few levels and straight edges."""
    angle = float(rng.choice([0.0, np.pi / 2])) + (rng.normal(0, 0.03) if rng.random() < 0.7 else rng.uniform(0, 3))
    along, across = turned(side, angle)
    base = flat(side, rng, (0.15, 0.4), rough=0.15)
    height, material, step = base.height.copy(), base.material.copy(), rng.uniform(2, 14)
    parts = (_pad, _pad, _beam, _comb, _spring, _wheel, _plate)
    for _ in range(int(rng.integers(2, 7))):
        part = parts[rng.integers(len(parts))](along, across, unit, rng)
        level, tone = step * rng.uniform(0.4, 1.5), rng.uniform(0.3, 0.75)
        height[part] = level
        material[part] = tone
    return Surface(height, material)


def _box(along: Array, across: Array, middle: tuple[float, float], half: tuple[float, float]) -> Mask:
    return np.asarray((np.abs(along - middle[0]) < half[0]) & (np.abs(across - middle[1]) < half[1]))


def _middle(along: Array, rng: Rng, reach: float = 0.4) -> tuple[float, float]:
    u, v = rng.uniform(-reach, reach, 2) * len(along)
    return float(u), float(v)


def _pad(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    return _box(along, across, _middle(along, rng), (unit * rng.uniform(0.08, 0.3), unit * rng.uniform(0.08, 0.3)))


def _beam(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    long, thin = unit * rng.uniform(0.3, 1.0), unit * rng.uniform(0.01, 0.05)
    half = (long, thin) if rng.random() < 0.5 else (thin, long)
    return _box(along, across, _middle(along, rng), half)


def _comb(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    if rng.random() < 0.5:
        along, across = across, along
    u, v = _middle(along, rng, 0.2)
    pitch, long, wide = unit * rng.uniform(0.05, 0.14), unit * rng.uniform(0.15, 0.4), unit * rng.uniform(0.2, 0.5)
    fill, turn = rng.uniform(0.3, 0.7), np.floor((across - v) / pitch)
    shift = np.where(turn % 2 == 0, 0.25, -0.25) * long
    inside = (np.mod((across - v) / pitch, 1) < fill) & (np.abs(across - v) < wide)
    fingers = inside & (np.abs(along - u - shift) < long)
    bars = (np.abs(np.abs(along - u) - 1.25 * long) < 0.08 * unit) & (np.abs(across - v) < wide)
    return np.asarray(fingers | bars)


def _spring(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    u, v = _middle(along, rng, 0.3)
    pitch, wide, long = unit * rng.uniform(0.06, 0.15), unit * rng.uniform(0.08, 0.25), unit * rng.uniform(0.2, 0.5)
    thin = pitch * rng.uniform(0.2, 0.4)
    turn = np.floor((along - u) / pitch)
    near = np.abs(along - u - (turn + 0.5) * pitch) < thin / 2
    rungs = near & (np.abs(across - v) < wide)
    ends = np.where(turn % 2 == 0, wide, -wide)
    joins = np.abs(across - v - ends) < thin / 2
    return np.asarray((rungs | joins) & (np.abs(along - u) < long))


def _wheel(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    u, v = _middle(along, rng, 0.25)
    radius, teeth = unit * rng.uniform(0.12, 0.35), int(rng.integers(0, 2) * rng.integers(8, 30))
    r, angle = np.hypot(along - u, across - v), np.arctan2(across - v, along - u)
    rim = radius * (1 + (0.06 * np.sign(np.sin(teeth * angle)) if teeth else 0.0))
    hole = radius * rng.uniform(0.1, 0.8)
    return np.asarray((r < rim) & (r > hole))


def _plate(along: Array, across: Array, unit: float, rng: Rng) -> Mask:
    middle, half = _middle(along, rng, 0.25), (unit * rng.uniform(0.15, 0.35), unit * rng.uniform(0.15, 0.35))
    plate, pitch = _box(along, across, middle, half), unit * rng.uniform(0.08, 0.16)
    holes = np.hypot(np.mod(along - middle[0], pitch) - pitch / 2, np.mod(across - middle[1], pitch) - pitch / 2)
    return np.asarray(plate & (holes > pitch * rng.uniform(0.15, 0.3)))
