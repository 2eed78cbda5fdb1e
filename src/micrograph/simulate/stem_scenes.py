"""Noise-free STEM images of many kinds, from 0 to 1: lattices, grains, particles, films, textures, fibres, spots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.contaminate import slow_background, smooth_field
from micrograph.simulate.ranges import Range
from micrograph.simulate.scanning.lattice_images import LATTICES, random_cell, spots

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class StemScenes:
    """Random images (side, side) in 0..1, darkest to brightest pixel, before any noise.

    shares: how often each kind comes (they need not add up to 1). spacing_px: of a lattice's shortest vector
    (log-uniform); size_px: diameters of particles, three times the widths of fibres (log-uniform); blur_px: 1-sigma of
    the probe (log-uniform), which is 35 to 50 pm on pixels of 6 to 30 pm.
    """

    side: int = 160
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "lattice": 0.25, "grains": 0.12, "particles": 0.2, "film": 0.15, "texture": 0.12, "fibres": 0.08,
            "spots": 0.08,
        }
    )  # fmt: skip
    spacing_px: Range = (12.0, 120.0)
    size_px: Range = (16.0, 300.0)
    blur_px: Range = (1.2, 6.0)

    def __call__(self, rng: np.random.Generator) -> tuple[Image, str]:
        """Return an image (side, side) and the name of its kind."""
        names = tuple(self.shares)
        weights = np.array([self.shares[name] for name in names])
        kind = str(rng.choice(names, p=weights / weights.sum()))
        image = _KINDS[kind](self, rng)
        if rng.random() < 0.3:
            image = image + rng.uniform(0.1, 0.5) * np.ptp(image) * self.smooth(rng, (0.1, 0.5))
        if rng.random() < 0.5:
            image = image * slow_background(image.shape, rng, depth=float(rng.uniform(0.02, 0.25)))
        return scaled(blurred(image, _log(self.blur_px, rng))), kind

    def smooth(self, rng: np.random.Generator, share: Range = (0.05, 0.4)) -> Array:
        """Return a smooth field of variance 1 whose grains are such a share of the side."""
        return smooth_field((self.side, self.side), self.side * _log(share, rng), rng).astype(float)


def scaled(image: NDArray[np.floating]) -> Image:
    """Return the image between 0 and 1; 0.5 where it is constant."""
    low, high = float(image.min()), float(image.max())
    if not high > low:
        return np.full(image.shape, 0.5, np.float32)
    return ((image - low) / (high - low)).astype(np.float32)


def blurred(image: NDArray[np.floating], sigma_px: float) -> Array:
    """Return the image as a probe of `sigma_px` sees it."""
    from scipy.ndimage import gaussian_filter

    found: Array = gaussian_filter(np.asarray(image, float), sigma_px, mode="reflect", truncate=3.0)
    return found


def lattice(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return a crystal of one to three kinds of columns a cell, with defects, displacements, a bent lattice."""
    spacing = _log(scenes.spacing_px, rng)
    return _columns(scenes, spacing, rng, np.ones((scenes.side, scenes.side), bool))


def grains(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return two to five grains of one crystal, or of two, at other angles."""
    spacing, owner = _log(scenes.spacing_px, rng), _cells(scenes, int(rng.integers(2, 6)), rng)
    image = np.zeros((scenes.side, scenes.side))
    for one in range(int(owner.max()) + 1):
        image += _columns(scenes, spacing * rng.uniform(0.9, 1.1), rng, owner == one) * rng.uniform(0.6, 1)
    return image


def particles(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return round, long or angular particles on a support, flat, rounded or crystalline."""
    side = scenes.side
    size, y, x = _log(scenes.size_px, rng), *np.mgrid[:side, :side].astype(float)
    image = rng.uniform(0, 0.4) * (1 + 0.3 * scenes.smooth(rng, (0.01, 0.2)))
    crystal = _columns(scenes, _log(scenes.spacing_px, rng), rng, np.ones((side, side), bool))
    many = int(np.clip(rng.uniform(0.1, 0.8) * (side / size) ** 2, 1, 40))
    for _ in range(many):
        depth = _depth(y - rng.uniform(0, side), x - rng.uniform(0, side), size * rng.uniform(0.6, 1.2), rng)
        inside = np.clip(depth * size / 2 / rng.uniform(1, 3) + 0.5, 0, 1)
        form = np.sqrt(np.clip(2 * depth - depth**2, 0, 1)) if rng.random() < 0.5 else 1.0
        inner = 0.6 + 0.4 * crystal / max(crystal.max(), 1e-9) if rng.random() < 0.3 else 1.0
        image = image + rng.uniform(0.4, 1) * inside * form * inner
    return image


def film(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return a film with steps, islands or holes: levels of a smooth field, soft at their borders, and a gradient."""
    ground = scenes.smooth(rng, (0.03, 0.35))
    image = 0.3 * rng.random() * scenes.smooth(rng)
    for level in np.sort(rng.normal(0, 1, int(rng.integers(1, 4)))):
        steepness = _log((3.0, 60.0), rng)
        image = image + rng.uniform(0.3, 1) / (1 + np.exp(-np.clip(steepness * (ground - level), -30, 30)))
    if rng.random() < 0.4:
        turn, place = rng.uniform(0, 2 * np.pi), np.linspace(-1, 1, scenes.side)
        edge = np.cos(turn) * place[:, None] + np.sin(turn) * place + rng.uniform(-0.6, 0.6)
        image = image + rng.uniform(-1.5, 1.5) / (1 + np.exp(-np.clip(_log((3.0, 100.0), rng) * edge, -30, 30)))
    return np.asarray(image)


def texture(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return a random field whose power falls with a power of the frequency, bent by a curve of brightness."""
    import scipy.fft

    side, slope = scenes.side, rng.uniform(3.0, 5.0)
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    power = 1 / np.maximum(wave, rng.uniform(0.5, 4) / side) ** (slope / 2)
    seed = rng.normal(size=power.shape) + 1j * rng.normal(size=power.shape)
    image = np.asarray(scipy.fft.irfft2(power * seed, s=(side, side)))
    image /= max(float(image.std()), 1e-9)
    bends: tuple[Callable[[Array], Array], ...] = (np.tanh, np.abs, lambda part: part, lambda part: np.exp(0.7 * part))
    return bends[int(rng.integers(4))](image)


def fibres(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return bent fibres, wires or tubes that cross each other."""
    side = scenes.side
    y, x = np.mgrid[:side, :side].astype(float)
    image = 0.1 * scenes.smooth(rng)
    for _ in range(int(rng.integers(1, 8))):
        turn, width = rng.uniform(0, np.pi), _log(scenes.size_px, rng) / 3
        along = np.cos(turn) * x + np.sin(turn) * y
        bend = rng.uniform(0, 0.1) * side * np.sin(2 * np.pi * along / side * rng.uniform(0.3, 1.5) + rng.uniform(0, 6))
        off = np.abs(np.cos(turn) * y - np.sin(turn) * x - rng.uniform(-0.2, 1.2) * side + bend) / (width / 2)
        wall = np.sqrt(np.clip(1 - off**2, 0, 1))
        hollow = rng.uniform(0.5, 0.9) * np.sqrt(np.clip(1 - (off / 0.7) ** 2, 0, 1)) if rng.random() < 0.4 else 0.0
        image = image + rng.uniform(0.4, 1) * (wall - hollow)
    return np.asarray(image)


def points(scenes: StemScenes, rng: np.random.Generator) -> Array:
    """Return single atoms or clusters, scattered on a support."""
    many = int(rng.integers(3, 60))
    places = rng.uniform(0, scenes.side, (many, 2))
    image = spots(places, rng.uniform(0.3, 1, many), _log((2.0, 7.0), rng), scenes.side)
    return image + rng.uniform(0.02, 0.2) * scenes.smooth(rng, (0.01, 0.2))


_KINDS: Mapping[str, Callable[[StemScenes, np.random.Generator], Array]] = {
    "lattice": lattice,
    "grains": grains,
    "particles": particles,
    "film": film,
    "texture": texture,
    "fibres": fibres,
    "spots": points,
}


def _columns(scenes: StemScenes, spacing: float, rng: np.random.Generator, within: NDArray[np.bool_]) -> Array:
    """Return the columns of a lattice that lie `within` a mask, as Gaussians."""
    side = scenes.side
    cell = spacing * random_cell(str(rng.choice(LATTICES)), 2.0, rng)
    cell = cell @ (np.eye(2) + 0.02 * rng.normal(size=(2, 2)))
    reach = int(np.ceil(1.2 * side / spacing)) + 2
    numbers = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), -1).reshape(-1, 2)
    places, heights = [], []
    for height in (1.0, *rng.uniform(0.15, 1, int(rng.integers(0, 3)))):
        places.append((numbers + rng.uniform(size=2)) @ cell + side / 2)
        heights.append(np.full(len(numbers), height))
    found, height = np.concatenate(places), np.concatenate(heights)
    margin = 2 * spacing
    near = ((found > -margin) & (found < side + margin)).all(axis=1)
    found, height = found[near], height[near]
    at = np.clip(np.rint(found).astype(int), 0, side - 1)
    kept = within[at[:, 0], at[:, 1]] & (rng.random(len(found)) > (rng.uniform(0, 0.1) if rng.random() < 0.4 else 0))
    found = found + rng.uniform(0, 0.04) * spacing * rng.normal(size=found.shape)
    if rng.random() < 0.5:
        wave = scenes.smooth(rng, (0.2, 0.5))
        found = found + rng.uniform(0, 0.3) * spacing * wave[at[:, 0], at[:, 1]][:, None] * rng.normal(size=2)
    height = height * (1 + rng.uniform(0, 0.15) * rng.normal(size=len(height)))
    return spots(found[kept], height[kept], float(rng.uniform(0.14, 0.3)) * spacing, side)


def _cells(scenes: StemScenes, many: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return to which of `many` random seeds each pixel is nearest, along bent borders."""
    side = scenes.side
    seeds = rng.uniform(0, side, (many, 2))
    y, x = np.mgrid[:side, :side] + 0.04 * side * np.stack([scenes.smooth(rng), scenes.smooth(rng)])
    return np.asarray(np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in seeds], axis=0))


def _depth(y: Array, x: Array, size: float, rng: np.random.Generator) -> Array:
    """Return 1 in the middle of a particle, 0 at its border, below outside: an ellipse or a polygon."""
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(0.5, 1)
    a, b = (np.cos(turn) * x + np.sin(turn) * y) / (size / 2), (np.cos(turn) * y - np.sin(turn) * x) / (size / 2)
    if rng.random() < 0.5:
        return np.asarray(1 - np.hypot(a, b / ratio))
    sides = int(rng.integers(3, 9))
    angles = 2 * np.pi * np.arange(sides) / sides
    return np.asarray(1 - np.max([np.cos(angle) * a + np.sin(angle) * b / ratio for angle in angles], axis=0))


def _log(limits: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
