"""Carbides of ultrahigh-carbon steel: a network on grain boundaries, plates that grow from it, round particles inside.

After Hecht et al. (doi:10.1007/s40192-017-0097-0): next to the network lies a zone without particles, whose width is
planted here. All lengths are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range
from micrograph.simulate.steels.steel_textures import Shape, cells, smooth_noise

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Random places that are tried at once for a particle.
_TRIES = 24


@dataclass(frozen=True)
class CarbideRanges:
    """What ultrahigh-carbon steels are drawn from, lengths in pixels.

    diameter_px: median of the particles' diameters, log-uniform; spread: 1-sigma of their logarithm; covered: share
    that particles cover of their grain; network_px: thickness; denuded_px: width of the zone without particles on each
    side of the network; uneven: 1-sigma of that width over its mean; plates: share of grains with plates; touching:
    share of particles that may touch others; whole: share of images without any network.
    """

    diameter_px: Range = (4.5, 14.0)
    spread: Range = (0.2, 0.45)
    covered: Range = (0.1, 0.28)
    network_px: Range = (3.0, 9.0)
    denuded_px: Range = (7.0, 28.0)
    grain_px: Range = (90.0, 170.0)
    uneven: float = 0.0
    plates: float = 0.35
    touching: float = 0.1
    whole: float = 0.15


@dataclass(frozen=True)
class Carbides:
    """Where carbides are: coverage (H, W) 0..1 of the network, of plates and of each particle together.

    centres_px (N, 2), axes_px (N, 2; half), angle (N,) of the particles; zone (H, W): ferrite without particles;
    denuded_px: the planted width, NaN without a network; away_px (H, W): from the network.
    """

    network: Image
    plates: Image
    particles: Image
    labels: NDArray[np.int32]
    zone: NDArray[np.bool_]
    centres_px: Array
    axes_px: Array
    angle: Array
    denuded_px: float
    away_px: Image

    @property
    def diameters_px(self) -> Array:
        """Diameters (N,) of the circles of equal area."""
        return np.asarray(2 * np.sqrt(self.axes_px.prod(axis=1)))

    @property
    def reach_px(self) -> Array:
        """Half the sides (N, 2) along y and x of the upright boxes around the particles."""
        sin, cos = np.sin(self.angle), np.cos(self.angle)
        a, b = self.axes_px.T
        return np.stack([np.hypot(a * sin, b * cos), np.hypot(a * cos, b * sin)], axis=1)

    def inside(self, shape: Shape) -> NDArray[np.bool_]:
        """Return which particles lie wholly in an image of this shape."""
        low, high = self.centres_px - self.reach_px, self.centres_px + self.reach_px
        return np.asarray((low > -0.5).all(axis=1) & (high < np.array(shape) - 0.5).all(axis=1))


def random_carbides(shape: Shape, ranges: CarbideRanges, rng: np.random.Generator) -> Carbides:
    """Return the carbides of a random piece of ultrahigh-carbon steel."""
    from scipy.ndimage import distance_transform_edt

    number = max(1, round(shape[0] * shape[1] / rng.uniform(*ranges.grain_px) ** 2))
    own, edge = cells(shape, number, rng, rng.uniform(2, 7))
    network = np.zeros(shape, np.float32)
    denuded = float("nan")
    if rng.random() >= ranges.whole:
        thick = rng.uniform(*ranges.network_px) * (1 + 0.2 * smooth_noise(shape, 30.0, rng))
        network = np.clip(np.maximum(thick, 2.2) / 2 - edge + 0.5, 0, 1).astype(np.float32)
    has = bool((network > 0.5).any())
    away = (
        distance_transform_edt(network <= 0.5).astype(np.float32) - 0.5 if has else np.full(shape, np.inf, np.float32)
    )
    if has:
        denuded = float(np.exp(rng.uniform(*np.log(ranges.denuded_px))))
    width = 0.0 if not has else denuded * (1 + ranges.uneven * smooth_noise(shape, 60.0, rng))
    plates = _plates(own, edge, ranges.plates, rng) * (1 - network)
    zone = np.asarray((away < width) if has else np.zeros(shape, bool))
    room = np.where(zone, 0, away - width) if has else np.full(shape, 1e3, np.float32)
    if (plates > 0.3).any():
        room = np.minimum(room, distance_transform_edt(plates <= 0.3) - 1.5)
    centres, axes, angle = _thrown(np.asarray(room, np.float32), ranges, rng)
    particles, labels = drawn(centres, axes, angle, shape)
    return Carbides(network, plates, particles, labels, zone, centres, axes, angle, denuded, away)


def _plates(own: NDArray[np.intp], edge: Image, share: float, rng: np.random.Generator) -> Image:
    """Return the coverage (H, W) of straight plates that grow from the boundaries into some grains."""
    shape = own.shape
    y, x = np.ogrid[: shape[0], : shape[1]]
    found = np.zeros(shape, np.float32)
    for grain in np.unique(own):
        if rng.random() >= share:
            continue
        mine = own == grain
        at_rim = np.argwhere(mine & (edge < 3))
        if len(at_rim) < 10:
            continue
        turns = rng.uniform(0, np.pi, int(rng.integers(1, 3)))
        for start in at_rim[rng.integers(len(at_rim), size=int(rng.integers(2, 7)))]:
            turn = rng.choice(turns) + rng.normal(0, 0.05)
            across = np.abs(np.cos(turn) * (y - start[0]) - np.sin(turn) * (x - start[1]))
            along = np.abs(np.sin(turn) * (y - start[0]) + np.cos(turn) * (x - start[1]))
            thick, length = rng.uniform(2.5, 5.5), rng.uniform(20, 70)
            half = thick / 2 * np.clip((length - along) / 12, 0, 1)
            found = np.maximum(found, np.where(mine, np.clip(half - across + 0.5, 0, 1), 0))
    return np.asarray(found, np.float32)


def _thrown(room: Image, ranges: CarbideRanges, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return centres (N, 2), half axes (N, 2) and angles (N,) of particles with `room` (px) around their centres.

    They are thrown one by one, the large ones first, on a field that is somewhat larger than the image, so that some
    are cut by its border.
    """
    margin = int(2 * ranges.diameter_px[1])
    wide = np.pad(room, margin, mode="reflect")
    places = np.argwhere(wide > 1.0)
    middle = float(np.exp(rng.uniform(*np.log(ranges.diameter_px))))
    spread, share = rng.uniform(*ranges.spread), rng.uniform(*ranges.covered)
    area = np.pi / 4 * middle**2 * np.exp(2 * spread**2)
    radii = -np.sort(-middle / 2 * np.exp(rng.normal(0, spread, int(share * len(places) / area))))
    radii = radii[radii > 0.9]
    aspect = np.minimum(np.exp(np.abs(rng.normal(0, 0.2, len(radii)))), 2.2)
    axes = radii[:, None] * np.stack([np.sqrt(aspect), 1 / np.sqrt(aspect)], axis=1)
    gap = np.where(rng.random(len(radii)) < ranges.touching, -0.2, rng.uniform(1.2, 2.5))
    centres, kept = np.zeros((len(radii), 2)), np.zeros(len(radii), bool)
    for one in range(len(radii)):
        tries = places[rng.integers(len(places), size=_TRIES)]
        fits = wide[tries[:, 0], tries[:, 1]] > axes[one, 0]
        if one and fits.any():
            had = np.flatnonzero(kept[:one])
            reach = axes[had, 0] + axes[one, 0] + gap[one]
            away = ((tries[:, None] - centres[had]) ** 2).sum(axis=-1)
            fits &= (away > reach**2).all(axis=1)
        if fits.any():
            centres[one], kept[one] = tries[np.argmax(fits)], True
    centres = centres[kept] + rng.uniform(-0.5, 0.5, (int(kept.sum()), 2)) - margin
    return centres, axes[kept], rng.uniform(0, np.pi, int(kept.sum()))


def drawn(centres: Array, axes: Array, angle: Array, shape: Shape) -> tuple[Image, NDArray[np.int32]]:
    """Return the coverage (H, W) of ellipses, and in which of them (1 .. N; 0 none) most of each pixel lies."""
    covered, labels = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for number, ((y, x), (a, b), turn) in enumerate(zip(centres, axes, angle, strict=True), start=1):
        reach = int(np.ceil(a)) + 2
        top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
        bottom, right = min(int(y) + reach + 2, shape[0]), min(int(x) + reach + 2, shape[1])
        if bottom <= top or right <= left:
            continue
        dy = np.arange(top, bottom)[:, None] - y
        dx = np.arange(left, right) - x
        along, across = np.cos(turn) * dx - np.sin(turn) * dy, np.sin(turn) * dx + np.cos(turn) * dy
        rho = np.sqrt((along / a) ** 2 + (across / b) ** 2)
        slope = np.sqrt((along / a**2) ** 2 + (across / b**2) ** 2) / np.maximum(rho, 1e-6)
        bent = 1 / (24 * np.sqrt(a * b))  # a straight edge's share of a pixel is too large where the outline is bent
        inside = np.clip(0.5 - bent + (1 - rho) / np.maximum(slope, 1 / a), 0, 1)
        place = (slice(top, bottom), slice(left, right))
        covered[place] = np.maximum(covered[place], inside)
        labels[place][inside > 0.5] = number
    return covered, labels
