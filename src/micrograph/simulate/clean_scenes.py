"""Clean images of many kinds to judge denoising by: lattices with defects, particles, fringes, fields, lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Pixels around an image from which columns reach into it.
_MARGIN = 16


@dataclass(frozen=True)
class CleanScenes:
    """Images (side_px, side_px) float32 of mean 1, nowhere below 0: what electrons would be counted on average.

    kinds: share of lattices of columns, particles, phase-contrast fringes, and smooth fields with lines.
    """

    side_px: int = 192
    kinds: tuple[float, float, float, float] = (0.5, 0.2, 0.2, 0.1)

    def __call__(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a new image."""
        make = (lattice, particles, fringes, fields)[int(rng.choice(4, p=self.kinds))]
        image = make(self.side_px, rng)
        ground = float(rng.uniform(0.02, 0.6)) if rng.random() < 0.8 else float(rng.uniform(0.6, 3.0))
        image = image / max(float(image.mean()), 1e-9) + ground
        image *= 1 + 0.3 * rng.random() * _smooth(self.side_px, self.side_px / 3, rng).clip(-2, 2)
        return np.asarray(image / image.mean(), np.float32).clip(0)


def lattice(side: int, rng: np.random.Generator) -> Array:
    """Return bright columns on one or two lattices of one to four columns a cell, a few missing, odd or displaced."""
    image = _one_lattice(side, rng)
    if rng.random() < 0.25:
        y, x = np.indices((side, side)) - side / 2
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3) * side
        beyond = y * np.sin(angle) + x * np.cos(angle) > offset
        other = _one_lattice(side, rng) if rng.random() < 0.6 else np.zeros_like(image)
        image = np.where(beyond, other, image)
    return image


def _one_lattice(side: int, rng: np.random.Generator) -> Array:
    spacing = float(np.exp(rng.uniform(np.log(5.0), np.log(22.0))))
    shape = rng.uniform(0.7, 1.4)
    angle = np.deg2rad(rng.choice([60.0, 90.0, rng.uniform(60, 120)]))
    turn = rng.uniform(0, 2 * np.pi)
    one, other = (length * np.array([np.cos(a), np.sin(a)]) for length, a in ((1.0, turn), (shape, turn + angle)))
    cell = spacing * np.stack([one, other])
    reach = int(1.5 * side / (spacing * min(1.0, shape) * np.sin(angle))) + 2
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), -1).reshape(-1, 2)
    number = int(rng.integers(1, 5))
    points, brightness = [], []
    for _ in range(number):
        place = (steps + rng.random(2)) @ cell + side / 2
        value = np.full(len(place), float(np.exp(rng.uniform(np.log(0.15), 0))))
        odd = rng.random(len(place)) < rng.choice([0.0, 0.01, 0.04])
        value[odd] *= rng.choice([0.0, 0.5, 1.5, 3.0], odd.sum())
        points.append(place + rng.normal(0, spacing * rng.uniform(0, 0.04), place.shape))
        brightness.append(value)
    place, value = np.concatenate(points), np.concatenate(brightness)
    width = spacing * rng.uniform(0.1, 0.32) / np.sqrt(number) ** 0.5
    image = _blurred(_splat(place, value, side), width)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    if rng.random() < 0.5:
        image = image + rng.uniform(0.05, 0.4) * _blurred(image, 2.5 * width)
    if rng.random() < 0.15:
        image = image.max() - image
    return image / max(float(image.max()), 1e-9)


def particles(side: int, rng: np.random.Generator) -> Array:
    """Return particles with soft edges on a granular ground, brighter or darker than it, some with fringes inside."""
    grain = float(np.exp(rng.uniform(np.log(0.8), np.log(4.0))))
    image = 1 + rng.uniform(0, 0.15) * _smooth(side, grain, rng)
    y, x = np.indices((side, side)).astype(float)
    sign = rng.choice([-1.0, 1.0])
    for _ in range(int(rng.integers(1, 14))):
        radius = side * float(np.exp(rng.uniform(np.log(0.02), np.log(0.3))))
        cy, cx = rng.uniform(0, side, 2)
        corners, turn, sharp = int(rng.integers(3, 9)), rng.uniform(0, 7), rng.uniform(0, 0.2)
        angle = np.arctan2(y - cy, x - cx)
        rim = radius * (1 + sharp * np.cos(corners * angle + turn))
        inside = 1 / (1 + np.exp(-np.clip((rim - np.hypot(y - cy, x - cx)) / rng.uniform(0.4, 2.5), -30, 30)))
        strength = sign * rng.uniform(0.1, 0.7)
        if rng.random() < 0.3:
            k = rng.normal(0, 1, 2)
            k *= 2 * np.pi / rng.uniform(5, 15) / np.hypot(*k)
            inside = inside * (1 + 0.5 * np.cos(k[0] * y + k[1] * x))
        image = image * (1 + strength * inside)
    return image.clip(0.02)


def fringes(side: int, rng: np.random.Generator) -> Array:
    """Return phase contrast: grains whose lattice fringes differ, on an amorphous ground with its ring."""
    y, x = np.indices((side, side)).astype(float)
    period = float(np.exp(rng.uniform(np.log(4.5), np.log(20.0))))
    ring = _smooth(side, period / 6, rng) - _smooth(side, period / 3, rng)
    image = 1 + rng.uniform(0.02, 0.12) * ring
    for _ in range(int(rng.integers(1, 4))):
        cy, cx, radius = *rng.uniform(0, side, 2), side * rng.uniform(0.15, 0.9)
        mask = 1 / (1 + np.exp(-np.clip((radius - np.hypot(y - cy, x - cx)) / rng.uniform(1, 8), -30, 30)))
        waves, turn = np.zeros((side, side)), rng.uniform(0, np.pi)
        for place in range(int(rng.integers(1, 4))):
            k = 2 * np.pi / period * rng.uniform(0.8, 1.25)
            a = turn + place * np.pi / rng.choice([2, 3])
            waves += rng.uniform(0.3, 1) * np.cos(k * (y * np.sin(a) + x * np.cos(a)) + rng.uniform(0, 7))
        image = image + rng.uniform(0.05, 0.3) * mask * waves
    return image.clip(0.02)


def fields(side: int, rng: np.random.Generator) -> Array:
    """Return a smooth field with a few bright or dark lines across it."""
    y, x = np.indices((side, side)).astype(float)
    image = np.exp(rng.uniform(0.1, 0.8) * _smooth(side, float(np.exp(rng.uniform(np.log(3), np.log(40)))), rng))
    for _ in range(int(rng.integers(0, 6))):
        angle, offset, width = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * side, rng.uniform(0.7, 4)
        distance = (y - side / 2) * np.sin(angle) + (x - side / 2) * np.cos(angle) - offset
        image = image * (1 + rng.uniform(-0.7, 1.5) * np.exp(-0.5 * (distance / width) ** 2))
    return image


def _splat(place: Array, value: Array, side: int) -> Array:
    """Return values put on the pixels beside each place, with a margin all around."""
    wide = side + 2 * _MARGIN
    image = np.zeros((wide, wide))
    shifted = place + _MARGIN
    base = np.floor(shifted).astype(int)
    part = shifted - base
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = base[:, 0] + dy, base[:, 1] + dx
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1]) * value
            inside = (y >= 0) & (x >= 0) & (y < wide) & (x < wide)
            np.add.at(image, (y[inside], x[inside]), share[inside])
    return image


def _blurred(image: Array, width: float) -> Array:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, width, mode="reflect"))


def _smooth(side: int, width: float, rng: np.random.Generator) -> Array:
    """Return a random field of mean 0 and spread 1 that varies over `width` pixels."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.standard_normal((side, side)), width, mode="wrap")
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-12))
