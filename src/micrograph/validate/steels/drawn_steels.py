"""Micrographs of steels by another way than the one that networks learned from: shapes drawn as polygons, other grains.

Grains are basins of a random landscape, lamellae are filtered noise, laths and needles polygons painted one over the
other, particles discs and rounded squares of gamma-distributed sizes on a shaken grid; the surface is lit from a side,
blurred by a disc, noisy, and its grey values are bent and rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range
from micrograph.simulate.steels.carbides import Carbides
from micrograph.simulate.steels.metallography import CONSTITUENTS, Metal, Micrograph
from micrograph.simulate.steels.steel_textures import TEXTURES

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Shape = tuple[int, int]
#: Polygons are drawn so many times finer than the image.
_FINE = 4
#: Polygons are painted with their outline, which makes them wider by so much (px).
_RIM_PX = 0.1


@dataclass(frozen=True)
class DrawnSteels:
    """Random micrographs with the truth of `MetallographySampler`, made by other algorithms.

    snr: contrast of carbide and ferrite over the noise of a pixel, log-uniform; diameter_px: mean of the particles;
    denuded_px: width of the zone beside the network.
    """

    side_px: int = 320
    high_carbon: float = 0.5
    snr: Range = (3.0, 12.0)
    blur_px: Range = (0.7, 1.3)
    diameter_px: Range = (6.0, 10.0)
    denuded_px: Range = (8.0, 22.0)

    def micrograph(self, rng: np.random.Generator) -> Micrograph:
        """Return a random metal and its image."""
        high = rng.random() < self.high_carbon
        metal = self._high_carbon(rng) if high else self._low_carbon(rng)
        return Micrograph(metal, self._lit(metal, rng), 50.0, {"high_carbon": float(high)})

    def _low_carbon(self, rng: np.random.Generator) -> Metal:
        shape = (self.side_px, self.side_px)
        grain, away = basins(shape, rng.uniform(26, 40), rng)
        names = list(TEXTURES)[1:]
        chosen = rng.choice(len(names), int(rng.integers(1, 4)), replace=False) + 1
        kind = np.where(rng.random(grain.max() + 1) < 0.6, rng.choice(chosen, grain.max() + 1), 0)
        constituent = np.where(away > rng.uniform(2.5, 5.0), kind[grain], 0).astype(np.int8)
        carbide = np.zeros(shape, np.float32)
        tone = rng.normal(0, 0.15, grain.max() + 1).astype(np.float32)[grain]
        for one in np.flatnonzero(kind):
            mine = (grain == one) & (constituent > 0)
            rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
            if not len(rows):
                continue
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            own = mine[box]
            found = _DRAWN[names[kind[one] - 1]]((own.shape[0], own.shape[1]), rng)
            carbide[box][own], tone[box][own] = found[0][own], found[1][own]
        from skimage.measure import label

        islands = label(constituent > 0, connectivity=1)  # type: ignore[no-untyped-call]
        return Metal(constituent, np.asarray(islands, np.int32), carbide, tone)

    def _high_carbon(self, rng: np.random.Generator) -> Metal:
        from scipy.ndimage import distance_transform_edt

        shape = (self.side_px, self.side_px)
        _, away = basins(shape, rng.uniform(38, 55), rng)
        network = np.clip(rng.uniform(1.5, 3.5) - away + 0.5, 0, 1).astype(np.float32)
        from_network = distance_transform_edt(network <= 0.5).astype(np.float32) - 0.5
        denuded = float(rng.uniform(*self.denuded_px))
        centres, radii, square = self._shaken(from_network - denuded, rng)
        particles = drawn_shapes(
            [_rounded(c, r, s, rng) for c, r, s in zip(centres, radii, square, strict=True)], shape
        )
        axes = np.repeat(radii[:, None], 2, axis=1)
        constituent = np.full(shape, CONSTITUENTS.index("spheroidite"), np.int8)
        constituent[from_network < denuded] = 0
        constituent[network > 0.5] = CONSTITUENTS.index("network")
        labels = np.zeros(shape, np.int32)
        zone = np.asarray(from_network < denuded)
        nowhere = np.zeros(shape, np.float32)
        made = Carbides(
            network, nowhere, particles, labels, zone, centres, axes, np.zeros(len(radii)), denuded, from_network
        )
        tone = rng.normal(0, 0.1) * np.ones(shape, np.float32)
        return Metal(constituent, labels, np.maximum(network, particles), np.asarray(tone, np.float32), made)

    def _shaken(self, room: Image, rng: np.random.Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return centres (N, 2) on a shaken hexagonal grid, radii of equal area (N,), and which are rounded squares."""
        mean = float(rng.uniform(*self.diameter_px))
        pitch = mean * rng.uniform(2.0, 2.6)
        rows = np.arange(-pitch, self.side_px + pitch, 0.866 * pitch)
        grid = [
            (y, x + (n % 2) * pitch / 2) for n, y in enumerate(rows) for x in np.arange(-pitch, self.side_px, pitch)
        ]
        centres = np.array(grid) + rng.uniform(-0.13, 0.13, (len(grid), 2)) * pitch
        radii = rng.gamma(9.0, mean / 18, len(grid))
        at = np.clip(np.rint(centres), 0, self.side_px - 1).astype(np.intp)
        fits = (room[at[:, 0], at[:, 1]] > radii) & (radii > 1.6) & (radii < 0.34 * pitch)
        return centres[fits], radii[fits], rng.random(int(fits.sum())) < 0.3

    def _lit(self, metal: Metal, rng: np.random.Generator) -> Image:
        """Return the image (H, W) of a surface lit from a side."""
        from scipy.ndimage import convolve

        contrast = float(rng.uniform(0.4, 1.0))
        height = metal.carbide + 0.5 * metal.tone
        down, right = np.gradient(height)
        turn, side = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25)
        light = 1 + contrast * metal.carbide + 0.5 * contrast * metal.tone
        light = light + side * (np.cos(turn) * down + np.sin(turn) * right) + 0.3 * np.hypot(down, right)
        seen = convolve(light, _disc(float(rng.uniform(*self.blur_px))), mode="reflect")
        noise = contrast / float(np.exp(rng.uniform(*np.log(self.snr))))
        seen = seen + noise * rng.standard_normal(seen.shape) * np.sqrt(np.clip(seen, 0.1, None))
        low, high = np.percentile(seen, (0.1, 99.9))
        grey = np.clip((seen - low) / max(float(high - low), 1e-6), 0, 1) ** rng.uniform(0.75, 1.3)
        return np.asarray(np.rint(255 * grey), np.float32)


def basins(shape: Shape, scale_px: float, rng: np.random.Generator) -> tuple[NDArray[np.intp], Image]:
    """Return the basins (H, W; from 0) of a random landscape, and the distance (px) from their borders."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter, label, minimum_filter
    from skimage.segmentation import find_boundaries, watershed

    land = gaussian_filter(rng.normal(size=shape), scale_px / 1.6, mode="reflect")
    lowest, _ = label(land == minimum_filter(land, int(scale_px)))
    ruffle = 0.25 * land.std() * gaussian_filter(rng.normal(size=shape), 3) * 3
    grain = watershed(land + ruffle, lowest) - 1  # type: ignore[no-untyped-call]
    border = find_boundaries(grain, mode="inner")  # type: ignore[no-untyped-call]
    return np.asarray(grain, np.intp), np.asarray(distance_transform_edt(~border), np.float32)


def drawn_shapes(polygons: Sequence[Array], shape: Shape, grey: Sequence[float] | None = None) -> Image:
    """Return polygons (K, 2; y, x in px) painted one over the other on 0, in `grey` or 1, averaged over the pixels."""
    from PIL import Image as Picture
    from PIL import ImageDraw

    canvas = Picture.new("F", (shape[1] * _FINE, shape[0] * _FINE))
    pen = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(polygons):
        corners = [((x + 0.5) * _FINE - 0.5, (y + 0.5) * _FINE - 0.5) for y, x in polygon]
        pen.polygon(corners, fill=1.0 if grey is None else float(grey[number]))
    fine = np.asarray(canvas, np.float32)
    return np.asarray(fine.reshape(shape[0], _FINE, shape[1], _FINE).mean(axis=(1, 3)))


def _rounded(centre: Array, radius: float, square: bool, rng: np.random.Generator) -> Array:
    """Return a disc or a rounded square (K, 2) of the area of a circle of `radius`."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    power = 4.0 if square else 2.0
    reach = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    area = 0.5 * float(np.sum(reach * np.roll(reach, -1))) * np.sin(2 * np.pi / 48)
    reach = reach * (radius - _RIM_PX) * np.sqrt(np.pi / area)
    turned = angle + rng.uniform(0, np.pi)
    return np.asarray(centre + reach[:, None] * np.stack([np.sin(turned), np.cos(turned)], axis=1))


def _bar(centre: Array, length: float, width: float, turn: float) -> Array:
    """Return a lens-shaped bar (6, 2) around a centre."""
    along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    places = ((0.5, 0.0), (0.35, 0.5), (-0.35, 0.5), (-0.5, 0.0), (-0.35, -0.5), (0.35, -0.5))
    return np.array([centre + a * length * along + b * width * across for a, b in places])


def _lamellae(shape: Shape, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return pearlite: noise of one wavelength and a narrow range of directions, cut at a level."""
    wave, turn = rng.uniform(4.5, 10.0), rng.uniform(0, np.pi)
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    radius, angle = np.hypot(ky, kx), np.arctan2(ky, kx)
    off = np.angle(np.exp(2j * (angle - turn))) / 2
    ring = np.exp(-0.5 * ((radius * wave - 1) / 0.1) ** 2 - 0.5 * (off / 0.22) ** 2)
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * ring).real
    noise /= noise.std()
    carbide = np.clip(0.5 + (noise - rng.uniform(0.1, 0.5)) * wave / 6, 0, 1)
    return carbide.astype(np.float32), np.zeros(shape, np.float32)


def _needles(shape: Shape, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return bainite: short needles of carbide in nearly one direction."""
    turn, length, width = rng.uniform(0, np.pi), rng.uniform(9, 20), rng.uniform(1.5, 2.8)
    number = int(rng.uniform(0.16, 0.28) * shape[0] * shape[1] / (0.8 * length * width))
    centres = rng.uniform(-10, np.array(shape) + 10, (number, 2))
    bars = [_bar(c, length * rng.uniform(0.5, 1.5), width, turn + rng.normal(0, 0.12)) for c in centres]
    return drawn_shapes(bars, shape), np.zeros(shape, np.float32)


def _strips(shape: Shape, rng: np.random.Generator) -> Image:
    """Return the tone of laths: long strips in two or three directions painted one over the other."""
    turns = rng.uniform(0, np.pi) + np.arange(int(rng.integers(2, 4))) * np.pi / 3
    width, length = rng.uniform(3.5, 8.0), rng.uniform(30, 70)
    number = int(5 * shape[0] * shape[1] / (width * length))
    centres = rng.uniform(-20, np.array(shape) + 20, (number, 2))
    block = ((centres / rng.uniform(35, 60)).astype(int) @ np.array([7, 13])) % len(turns)
    bars = [_bar(c, length, width, turns[b] + rng.normal(0, 0.03)) for c, b in zip(centres, block, strict=True)]
    return drawn_shapes(bars, shape, rng.normal(0, 0.6, number).tolist())


def _laths(shape: Shape, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return martensite: strips alone."""
    return np.zeros(shape, np.float32), np.asarray(_strips(shape, rng) * rng.uniform(0.7, 1.2), np.float32)


def _tempered(shape: Shape, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return tempered martensite: faint strips and many small discs of carbide."""
    radius = rng.uniform(0.8, 1.4)
    number = int(rng.uniform(0.08, 0.16) * shape[0] * shape[1] / (np.pi * radius**2))
    centres = rng.uniform(0, np.array(shape), (number, 2))
    dots = drawn_shapes([_rounded(c, radius * rng.uniform(0.6, 1.4), False, rng) for c in centres], shape)
    return dots, np.asarray(0.3 * _strips(shape, rng), np.float32)


_DRAWN: dict[str, Callable[[Shape, np.random.Generator], tuple[Image, Image]]] = {
    "pearlite": _lamellae,
    "bainite": _needles,
    "martensite": _laths,
    "tempered martensite": _tempered,
}


def _disc(radius: float) -> Image:
    """Return the weights of a disc of this radius (px), its rim shared between pixels."""
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weight = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    return np.asarray(weight / weight.sum(), np.float32)
