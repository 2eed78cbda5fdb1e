"""Short movies of random moving things, drawn in milliseconds, for learning to decode coded frames.

Particles, pores and lattices that drift, turn, grow, come and go, in front of slow grounds and textures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range

Array = NDArray[np.float32]
#: Takes rows and columns (T, H, W) in pixels and gives a pattern of about unit contrast.
Pattern = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class CodingScenes:
    """Random scenes. Ranges: electrons a pixel (mean, log-uniform), drift and own motion in pixels over a block.

    still: share of scenes in which nothing drifts; lattice: share that show one.
    """

    side_px: int = 48
    electrons: Range = (2.5, 40.0)
    drift_px: Range = (0.1, 5.0)
    motion_px: Range = (0.1, 10.0)
    still: float = 0.25
    lattice: float = 0.45

    def draw(self, rng: np.random.Generator, times: NDArray[np.floating]) -> Array:
        """Return the noise-free movie (T, H, W) in electrons at `times`, in units of a block's length."""
        side = self.side_px
        t = np.asarray(times, np.float32)[:, None, None]
        shift = self._drift(rng, t)
        y = np.arange(side, dtype=np.float32)[None, :, None] - shift[0]
        x = np.arange(side, dtype=np.float32)[None, None, :] - shift[1]
        image = 1 + _ground(rng, side, y, x)
        if rng.random() < self.lattice:
            image = image + self._lattice(rng, y, x, t)
        if rng.random() < 0.75:
            image = self._with_objects(rng, image, y, x, t)
        level = np.exp(rng.uniform(*np.log(self.electrons)))
        image = np.maximum(image, 0.02)
        return np.asarray(image * (level / image.mean()), np.float32)

    def _drift(self, rng: np.random.Generator, t: Array) -> tuple[Array, Array]:
        size = 0.0 if rng.random() < self.still else _log_uniform(rng, self.drift_px)
        angle = rng.uniform(0, 2 * np.pi)
        bend = rng.normal(0, 0.2, 2) * size
        wobble = np.sin(rng.uniform(1, 6) * t + rng.uniform(0, 6))
        along = (np.sin(angle) * size * t + bend[0] * wobble, np.cos(angle) * size * t + bend[1] * wobble)
        return along[0].astype(np.float32), along[1].astype(np.float32)

    def _lattice(self, rng: np.random.Generator, y: Array, x: Array, t: Array) -> Array:
        """Return spots or fringes with a few missing ones that come and go."""
        period, angle = _log_uniform(rng, (3.5, 16.0)), rng.uniform(0, np.pi)
        sets = int(rng.choice([1, 2, 3, 3, 2]))
        turn = {1: 0.0, 2: float(rng.choice([np.pi / 2, rng.uniform(0.9, 1.6)])), 3: np.pi / 3}[sets]
        total = np.zeros(np.broadcast_shapes(y.shape, x.shape, t.shape), np.float32)
        for number in range(sets):
            ky, kx = np.sin(angle + number * turn), np.cos(angle + number * turn)
            phase = (2 * np.pi / period) * (ky * y + kx * x) + rng.uniform(0, 6)
            total += np.cos(phase, dtype=np.float32)
        if rng.random() < 0.6:
            total = np.exp(total * np.float32(rng.uniform(0.5, 1.5)))
        total = (total - total.mean()) * np.float32(rng.uniform(0.08, 0.6) / max(float(total.std()), 1e-6))
        for _ in range(int(rng.integers(0, 4))):
            cy, cx = rng.uniform(0, self.side_px, 2)
            begin, sign = rng.uniform(-1, 1.5), 1 if rng.random() < 0.5 else -1
            there = (sign * (t - begin) > 0).astype(np.float32)
            near = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * (0.25 * period) ** 2))
            total = total * (1 - there * near) + there * near * np.float32(rng.uniform(-0.5, 0.8))
        return np.asarray(total, np.float32)

    def _with_objects(self, rng: np.random.Generator, image: Array, y: Array, x: Array, t: Array) -> Array:
        """Return the image with particles or pores in front of it: darker, brighter, or in place of it."""
        contrast = rng.uniform(0.15, 2.0) if rng.random() < 0.5 else -rng.uniform(0.1, 0.9)
        shared = rng.random() < 0.5
        replaces = rng.random() < 0.3
        for _ in range(int(rng.integers(1, 6))):
            own = self.motion_px if not shared else (0.05, 0.3)
            cover = self._cover(rng, y, x, t, own)
            if replaces:
                image = image * (1 - cover) + cover * np.float32(max(1 + contrast, 0.05))
            elif contrast < 0:
                image = image * np.exp(np.float32(np.log(max(1 + contrast, 0.05))) * cover)
            else:
                image = image + np.float32(contrast * rng.uniform(0.6, 1.2)) * cover
        return image

    def _cover(self, rng: np.random.Generator, y: Array, x: Array, t: Array, motion: Range) -> Array:
        """Return how much (T, H, W; 0 .. 1) of one object lies over each pixel."""
        side = self.side_px
        radius = _log_uniform(rng, (2.0, side / 3.5))
        speed, heading = (0.0 if rng.random() < 0.3 else _log_uniform(rng, motion)), rng.uniform(0, 2 * np.pi)
        cy, cx = rng.uniform(-0.1 * side, 1.1 * side, 2)
        jitter = np.cumsum(rng.normal(0, 1, (2, t.size)), axis=1)[:, :, None, None] * (
            0.15 * speed / np.sqrt(t.size) if rng.random() < 0.5 else 0.0
        )
        dy = (y - cy - np.sin(heading) * speed * t - jitter[0]).astype(np.float32)
        dx = (x - cx - np.cos(heading) * speed * t - jitter[1]).astype(np.float32)
        grow = np.float32(rng.normal(0, 0.25) if rng.random() < 0.5 else 0.0)
        size = np.maximum(radius * (1 + grow * (t - 0.5)), 0.0).astype(np.float32)
        if rng.random() < 0.15:
            size = size * np.sqrt(np.clip((t - rng.uniform(-0.5, 1)) * rng.uniform(1, 20), 0, 1)).astype(np.float32)
        turn = (rng.uniform(0, np.pi) + rng.normal(0, 0.4) * t).astype(np.float32)
        u, v = np.cos(turn) * dy + np.sin(turn) * dx, np.cos(turn) * dx - np.sin(turn) * dy
        long = np.float32(rng.uniform(0.5, 1.0))
        if rng.random() < 0.55:
            reach = np.sqrt(u**2 + (v / long) ** 2)
        else:
            sides = int(rng.integers(3, 7))
            corner = 2 * np.pi * np.arange(sides) / sides
            reach = np.max([np.cos(a, dtype=np.float32) * u + np.sin(a, dtype=np.float32) * v for a in corner], axis=0)
        if rng.random() < 0.4:
            return np.asarray(np.sqrt(np.clip(1 - (reach / np.maximum(size, 0.1)) ** 2, 0, 1)), np.float32)
        soft = np.float32(rng.uniform(1.0, 3.0))
        return np.asarray(np.clip((size - reach) / soft + 0.5, 0, 1) * (size > 0), np.float32)


def _ground(rng: np.random.Generator, side: int, y: Array, x: Array) -> Array:
    """Return slow waves, and sometimes a texture of fine ones, that move with the specimen."""
    total = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
    fine = rng.random() < 0.35
    lengths = [(float(side), 4.0 * side)] * 3 + ([(4.0, 20.0)] * 8 if fine else [])
    rms = [float(rng.uniform(0, 0.2))] * 3 + [float(rng.uniform(0.01, 0.12))] * 8
    for limits, strength in zip(lengths, rms, strict=False):
        k, angle = 2 * np.pi / _log_uniform(rng, limits), rng.uniform(0, np.pi)
        total += np.float32(strength) * np.cos(
            np.float32(k) * (np.sin(angle) * y + np.cos(angle) * x).astype(np.float32) + np.float32(rng.uniform(0, 6))
        )
    return total


def _log_uniform(rng: np.random.Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
