"""What the constituents of steels look like when etched: carbide that stands proud, and the tone of laths and grains.

Shapes after Krauss, Steels: Processing, Structure, and Performance (2015), chapters 3 to 8. All lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Texture:
    """carbide (H, W): share of a pixel that carbide covers; tone (H, W): how its ferrite differs, about -1 to 1."""

    carbide: Image
    tone: Image


def smooth_noise(shape: Shape, grain_px: float, rng: np.random.Generator) -> Image:
    """Return smooth noise (H, W) of mean 0 and standard deviation 1 whose lumps are about `grain_px` wide."""
    sigma = max(grain_px / 4, 0.5)
    down, right = (_weights(n, sigma) for n in shape)
    coarse = rng.standard_normal((down.shape[1], right.shape[1]), np.float32)
    return np.asarray(down @ coarse @ right.T, np.float32)


def _weights(size: int, sigma: float) -> Image:
    """Return Gaussian weights (size, nodes) of random nodes `sigma` apart, of which each row squared sums to 1."""
    nodes = np.arange(-3 * sigma, size + 3 * sigma, sigma)
    weight = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes) / sigma) ** 2)
    return np.asarray(weight / np.sqrt((weight**2).sum(axis=1, keepdims=True)), np.float32)


def cells(shape: Shape, number: int, rng: np.random.Generator, warp_px: float = 0.0) -> tuple[NDArray[np.intp], Image]:
    """Return which of about `number` cells each pixel (H, W) lies in, and how far (px) from its boundary with the next.

    Cells of random seeds (Voronoi), kept apart from each other; `warp_px` bends their boundaries.
    """
    seeds = _apart(shape, number, rng)
    y, x = (axis.astype(np.float32) for axis in np.mgrid[: shape[0], : shape[1]])
    if warp_px:
        side = float(np.sqrt(shape[0] * shape[1] / max(number, 1)))
        y += np.float32(warp_px) * smooth_noise(shape, 0.8 * side, rng)
        x += np.float32(warp_px) * smooth_noise(shape, 0.8 * side, rng)
    least, next_best = np.full(shape, np.inf, np.float32), np.full(shape, np.inf, np.float32)
    own, other = np.zeros(shape, np.intp), np.zeros(shape, np.intp)
    for place, (top, left) in enumerate(seeds):
        away = (y - top) ** 2 + (x - left) ** 2
        nearest, second = away < least, away < next_best
        np.copyto(next_best, np.where(nearest, least, away), where=second)
        np.copyto(other, np.where(nearest, own, place), where=second)
        np.copyto(least, away, where=nearest)
        own[nearest] = place
    if len(seeds) == 1:
        return own, np.full(shape, np.inf, np.float32)
    between = np.sqrt(((seeds[:, None] - seeds) ** 2).sum(axis=-1)) + np.eye(len(seeds))
    return own, np.asarray((next_best - least) / (2 * between[own, other]), np.float32)


def _apart(shape: Shape, number: int, rng: np.random.Generator) -> Image:
    """Return seeds (N, 2) that keep a distance, over a field somewhat larger than the image."""
    margin = 0.35 * np.sqrt(shape[0] * shape[1] / max(number, 1))
    low, high = np.full(2, -margin), np.array(shape) + margin
    wanted = max(1, round(number * float(np.prod(high - low)) / (shape[0] * shape[1])))
    gap = 0.6 * np.sqrt(float(np.prod(high - low)) / wanted)
    kept = np.empty((0, 2))
    for seed in rng.uniform(low, high, (12 * wanted, 2)):
        if not len(kept) or ((kept - seed) ** 2).sum(axis=1).min() > gap**2:
            kept = np.vstack([kept, seed])
        if len(kept) == wanted:
            break
    return kept.astype(np.float32)


def ferrite(shape: Shape, rng: np.random.Generator) -> Texture:
    """Return ferrite: grains of slightly different tone, almost smooth."""
    own, edge = cells(shape, int(rng.integers(3, 9)), rng, 3.0)
    tone = rng.normal(0, 0.25, own.max() + 1).astype(np.float32)[own]
    groove = np.exp(-((edge / 1.2) ** 2)) * np.float32(rng.uniform(0, 0.8))
    return Texture(np.zeros(shape, np.float32), np.asarray(tone - groove, np.float32))


def pearlite(shape: Shape, rng: np.random.Generator) -> Texture:
    """Return pearlite: colonies of parallel lamellae of cementite, each with its own direction and spacing."""
    own, edge = cells(shape, int(rng.integers(1, 6)), rng, 4.0)
    spacing = float(np.exp(rng.uniform(np.log(4.0), np.log(12.0))))
    share, broken = rng.uniform(0.25, 0.5), rng.uniform(0, 0.5)
    u, _ = _along(own, rng, bend=rng.uniform(0.3, 1.2))
    phase = u / (spacing * rng.lognormal(0, 0.15, own.max() + 1).astype(np.float32)[own])
    wave = np.cos(2 * np.pi * phase) - np.cos(np.pi * share) - broken * smooth_noise(shape, 2 * spacing, rng)
    steep = spacing / (2 * np.pi) * max(np.sin(np.pi * share), 0.3)
    carbide = np.clip(0.5 + wave * steep, 0, 1)
    tone = 0.15 * rng.normal(size=own.max() + 1)[own] - 0.3 * np.exp(-((edge / 1.0) ** 2))
    return Texture(np.asarray(carbide, np.float32), np.asarray(tone, np.float32))


def bainite(shape: Shape, rng: np.random.Generator) -> Texture:
    """Return bainite: sheaves of ferrite with short, uneven strips of carbide between the laths, no even spacing."""
    own, _ = cells(shape, int(rng.integers(1, 5)), rng, 4.0)
    length, width = rng.uniform(8, 24), rng.uniform(1.3, 2.6)
    strips = _strips(own, length, width, rng)
    level = np.quantile(strips, 1 - rng.uniform(0.14, 0.3))
    carbide = np.clip(0.5 + 1.2 * (strips - level), 0, 1)
    tone = 0.35 * _strips(own, 3 * length, 3 * width, rng)
    return Texture(np.asarray(carbide, np.float32), np.asarray(tone, np.float32))


def martensite(shape: Shape, rng: np.random.Generator) -> Texture:
    """Return martensite: packets of laths that differ in tone, with no carbide."""
    tone, edge = _laths(shape, rng)
    ridge = rng.uniform(0.2, 1.0) * np.exp(-((edge / 0.9) ** 2))
    return Texture(np.zeros(shape, np.float32), np.asarray(rng.uniform(0.5, 1.0) * tone + ridge, np.float32))


def tempered_martensite(shape: Shape, rng: np.random.Generator) -> Texture:
    """Return tempered martensite: fainter laths, full of fine carbides inside and along their boundaries."""
    tone, edge = _laths(shape, rng)
    fine = float(rng.uniform(0.8, 1.5))
    dots = smooth_noise(shape, 2.4 * fine, rng) + np.asarray(0.8 * np.exp(-((edge / 1.5) ** 2)), np.float32)
    level = np.quantile(dots, 1 - rng.uniform(0.08, 0.2))
    carbide = np.clip(0.5 + 1.0 * (dots - level), 0, 1)
    return Texture(np.asarray(carbide, np.float32), np.asarray(rng.uniform(0.1, 0.5) * tone, np.float32))


def _laths(shape: Shape, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return the tone (H, W) of laths in packets, and the distance (px) from the nearest boundary of a lath."""
    own, border = cells(shape, int(rng.integers(1, 5)), rng, 5.0)
    width, length = float(np.exp(rng.uniform(np.log(3.0), np.log(9.0)))), rng.uniform(25, 80)
    u, v = _along(own, rng, bend=rng.uniform(0.1, 0.5))
    u = u / width + 0.6 * smooth_noise(shape, 6 * width, rng) * 0.3 + 4096
    lath = np.floor(u).astype(np.int64)
    offset = rng.uniform(0, 1, 8192)[lath % 8192]
    piece = np.floor(v / length + offset + 512).astype(np.int64)
    tones = np.clip(rng.normal(0, 0.6, 65536), -1.2, 1.2)
    tone = tones[(lath * 7919 + piece * 104729 + own * 1299709) % 65536]
    inside = (0.5 - np.abs(u - lath - 0.5)) * width
    return np.asarray(tone, np.float32), np.minimum(inside, border).astype(np.float32)


def _along(own: NDArray[np.intp], rng: np.random.Generator, bend: float) -> tuple[Image, Image]:
    """Return coordinates (px) across and along a direction of each cell's own, bent a little."""
    shape = (own.shape[0], own.shape[1])
    turn = rng.uniform(0, np.pi, own.max() + 1)
    cos, sin = (values.astype(np.float32)[own] for values in (np.cos(turn), np.sin(turn)))
    y, x = (axis.astype(np.float32) for axis in np.ogrid[: shape[0], : shape[1]])
    wobble = np.float32(3 * bend) * smooth_noise(shape, 40.0, rng)
    start = rng.uniform(0, 100, own.max() + 1).astype(np.float32)[own]
    return cos * y - sin * x + wobble + start, sin * y + cos * x


def _strips(own: NDArray[np.intp], length: float, width: float, rng: np.random.Generator) -> Image:
    """Return noise (H, W) of standard deviation about 1 drawn out along a direction of each cell's own."""
    from scipy.ndimage import map_coordinates

    u, v = _along(own, rng, bend=rng.uniform(0.2, 1.0))
    grid = rng.normal(0, 1.4, (257, 129)).astype(np.float32)
    at = np.stack([(u / width) % 256, (v / length) % 128])
    return np.asarray(map_coordinates(grid, at, order=1, mode="wrap"), np.float32)


#: Constituents of low-carbon steels by name; ferrite is their ground.
TEXTURES: dict[str, Callable[[Shape, np.random.Generator], Texture]] = {
    "ferrite": ferrite,
    "pearlite": pearlite,
    "bainite": bainite,
    "martensite": martensite,
    "tempered martensite": tempered_martensite,
}
