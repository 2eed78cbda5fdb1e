"""Labelled micrographs of etched steels, by secondary electrons or by light: low-carbon and ultrahigh-carbon ones.

Low-carbon steel: islands of one of several constituents in ferrite (as in doi:10.1038/s41598-018-20037-5); ultrahigh-
carbon steel: a carbide network, its denuded zone, plates and round particles (doi:10.1007/s40192-017-0097-0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.simulate.secondary.sem import SemBeam, expose_sem, secondary_yield
from micrograph.simulate.steels.carbides import CarbideRanges, Carbides, random_carbides
from micrograph.simulate.steels.steel_textures import TEXTURES, Shape, Texture, cells, ferrite, smooth_noise

Image = NDArray[np.float32]

#: What a pixel can belong to, and the particles that lie in one of these.
CONSTITUENTS = (*TEXTURES, "network", "spheroidite", "widmanstatten")
PARTICLE = "particle"
GROUND = "ferrite"


@dataclass(frozen=True)
class Metal:
    """An etched surface with its truth, before it is seen.

    constituent (H, W): place of each pixel's constituent in `CONSTITUENTS`; islands (H, W): number of the island, 0 in
    the ground; carbide (H, W) coverage and tone (H, W) of the ferrite; `carbides` of ultrahigh-carbon steel.
    """

    constituent: NDArray[np.int8]
    islands: NDArray[np.int32]
    carbide: Image
    tone: Image
    carbides: Carbides | None = None


@dataclass(frozen=True)
class Micrograph:
    """An image (H, W) of a metal, the size of its pixels, and the numbers that made it."""

    metal: Metal
    image: Image
    pixel_nm: float
    params: Mapping[str, float]


@dataclass(frozen=True)
class Seeing:
    """How etched steel is seen; ranges.

    electrons_per_px log-uniform, of the beam; probe_px: its full width; light: share of images by light, whose blur_px
    (1-sigma) and noise (1-sigma over the contrast of carbide and ferrite) are drawn; relief_px: how far carbide stands
    proud; charging, jitter_px: up to; shade: unevenness of the brightness, up to.
    """

    electrons_per_px: Range = (100.0, 2000.0)
    probe_px: Range = (0.6, 2.2)
    light: float = 0.25
    blur_px: Range = (0.6, 1.4)
    noise: Range = (0.03, 0.2)
    relief_px: Range = (0.5, 2.5)
    charging: float = 0.3
    jitter_px: float = 0.3
    shade: float = 0.25


@dataclass(frozen=True)
class MetallographySampler:
    """Random micrographs of steels, `side_px` pixels a side: a share `high_carbon` of them of ultrahigh carbon.

    islands_px: size of the islands of low-carbon steel, range; pixel_nm: log-uniform, only a scale; flipped: share of
    islands whose label is that of another constituent, as of an expert who errs.
    """

    side_px: int = 256
    high_carbon: float = 0.5
    islands_px: Range = (60.0, 130.0)
    pixel_nm: Range = (10.0, 200.0)
    flipped: float = 0.0
    carbides: CarbideRanges = field(default_factory=CarbideRanges)
    seeing: Seeing = field(default_factory=Seeing)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image: a mask for each of `CONSTITUENTS` and 'particle'; particles as sites."""
        made = self.micrograph(rng)
        constituent = made.metal.constituent
        if self.flipped:
            constituent = flipped(made.metal, self.flipped, rng)
        masks = {name: (constituent == number).astype(np.float32) for number, name in enumerate(CONSTITUENTS)}
        carbides = made.metal.carbides
        masks[PARTICLE] = np.zeros(constituent.shape, np.float32) if carbides is None else carbides.particles
        centres = np.empty((0, 2)) if carbides is None else carbides.centres_px[carbides.inside(constituent.shape)]
        places = centres * made.pixel_nm
        sites = Sites(places[:, 0], places[:, 1], np.full(len(centres), PARTICLE))
        return Sample(made.image, made.pixel_nm, sites, masks, made.params)

    def micrograph(self, rng: np.random.Generator) -> Micrograph:
        """Return a random metal and its image."""
        shape = (self.side_px, self.side_px)
        pixel = float(np.exp(rng.uniform(*np.log(self.pixel_nm))))
        high = rng.random() < self.high_carbon
        metal = high_carbon(shape, self.carbides, rng) if high else low_carbon(shape, self.islands_px, rng)
        image, params = seen(metal, self.seeing, rng)
        return Micrograph(metal, image, pixel, {**params, "high_carbon": float(high)})

    def domain(self) -> dict[str, Range]:
        """Return the ranges that a card shows."""
        own, metal = self.seeing, self.carbides
        beam = {"electrons_per_px": own.electrons_per_px, "probe_px": own.probe_px, "relief_px": own.relief_px}
        return {**beam, "particle_px": metal.diameter_px, "denuded_px": metal.denuded_px, "islands_px": self.islands_px}


def low_carbon(shape: Shape, islands_px: Range, rng: np.random.Generator) -> Metal:
    """Return islands of one to three constituents in ferrite; films of ferrite keep them apart."""
    ground = ferrite(shape, rng)
    number = max(3, round(shape[0] * shape[1] / rng.uniform(*islands_px) ** 2))
    own, edge = cells(shape, number, rng, rng.uniform(2, 8))
    names = list(TEXTURES)[1:]
    chosen = rng.choice(len(names), int(rng.integers(1, 4)), replace=False) + 1
    kind = np.where(rng.random(own.max() + 1) < rng.uniform(0.35, 0.8), rng.choice(chosen, own.max() + 1), 0)
    film = rng.uniform(2.5, 6.0) + rng.uniform(0, 1.5) * smooth_noise(shape, 12.0, rng)
    inside = edge > np.maximum(film, 1.5)
    constituent = np.where(inside, kind[own], 0).astype(np.int8)
    carbide, tone = ground.carbide.copy(), ground.tone.copy()
    for grain in np.flatnonzero(kind):
        mine = (own == grain) & inside
        if mine.any():
            _put(TEXTURES[names[kind[grain] - 1]], mine, carbide, tone, rng)
    rim = np.exp(-(((edge - film) / 1.0) ** 2)) * (constituent != 0)
    tone += np.float32(rng.uniform(0, 0.5)) * rim.astype(np.float32)
    return Metal(constituent, _islands(constituent), carbide, tone)


def _put(texture: object, mine: NDArray[np.bool_], carbide: Image, tone: Image, rng: np.random.Generator) -> None:
    """Fill the pixels `mine` of both maps with a texture."""
    rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    own = mine[box]
    found: Texture = texture(own.shape, rng)  # type: ignore[operator]
    shift = rng.normal(0, 0.25)
    carbide[box][own], tone[box][own] = found.carbide[own], found.tone[own] + np.float32(shift)


def _islands(constituent: NDArray[np.int8]) -> NDArray[np.int32]:
    from scipy.ndimage import label

    return np.asarray(label(constituent != 0)[0], np.int32)


def high_carbon(shape: Shape, ranges: CarbideRanges, rng: np.random.Generator) -> Metal:
    """Return a carbide network with its denuded zone, plates, and grains full of round particles."""
    made = random_carbides(shape, ranges, rng)
    constituent = np.full(shape, CONSTITUENTS.index("spheroidite"), np.int8)
    constituent[made.zone] = CONSTITUENTS.index(GROUND)
    constituent[made.plates > 0.5] = CONSTITUENTS.index("widmanstatten")
    constituent[made.network > 0.5] = CONSTITUENTS.index("network")
    carbide = np.maximum(np.maximum(made.network, made.plates), made.particles)
    tone = 0.6 * ferrite(shape, rng).tone
    return Metal(constituent, np.zeros(shape, np.int32), carbide, np.asarray(tone, np.float32), made)


def flipped(metal: Metal, share: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return the constituents (H, W) with a share of the islands named as another of the islands' constituents."""
    constituent = metal.constituent.copy()
    for island in range(1, int(metal.islands.max()) + 1):
        if rng.random() < share:
            mine = metal.islands == island
            others = [kind for kind in range(1, len(TEXTURES)) if kind != constituent[mine][0]]
            constituent[mine] = rng.choice(others)
    return constituent


def seen(metal: Metal, seeing: Seeing, rng: np.random.Generator) -> tuple[Image, dict[str, float]]:
    """Return the image (H, W) of a metal by secondary electrons or by light, and what was drawn for it."""
    by_light = rng.random() < seeing.light
    shape = (metal.carbide.shape[0], metal.carbide.shape[1])
    shade = 1 + rng.uniform(0, seeing.shade) * np.clip(smooth_noise(shape, 1.2 * max(shape), rng), -2, 2) / 2
    if by_light:
        image, params = _by_light(metal, seeing, shade, rng)
    else:
        image, params = _by_electrons(metal, seeing, shade, rng)
    return image, {**params, "light": float(by_light)}


def _by_electrons(
    metal: Metal, seeing: Seeing, shade: NDArray[np.floating], rng: np.random.Generator
) -> tuple[Image, dict[str, float]]:
    relief = float(rng.uniform(*seeing.relief_px))
    rough = 0.05 * smooth_noise((shade.shape[0], shade.shape[1]), rng.uniform(3, 12), rng)
    height = relief * (metal.carbide + rng.uniform(0.3, 0.8) * metal.tone) + rough
    brighter, grain = rng.uniform(0.05, 0.7), rng.uniform(0.15, 0.45)
    material = np.clip(1 + brighter * metal.carbide + grain * metal.tone, 0.2, None)
    edge = float(rng.uniform(0.1, 0.8))
    yielded = 0.25 * secondary_yield(height, material, 1.0, escape_nm=float(rng.uniform(0.2, 1.0)), edge=edge)
    electrons = float(np.exp(rng.uniform(*np.log(seeing.electrons_per_px))))
    beam = SemBeam(
        probe_nm=float(rng.uniform(*seeing.probe_px)),
        electrons_per_px=electrons,
        charging=float(rng.uniform(0, seeing.charging)) if rng.random() < 0.4 else 0.0,
        jitter_px=float(rng.uniform(0, seeing.jitter_px)) if rng.random() < 0.4 else 0.0,
        gain=float(rng.uniform(0.5, 5.0)),
        offset=float(rng.uniform(0, 50)),
    )
    image = expose_sem(yielded * shade, beam, 1.0, rng)
    return image, {"electrons_per_px": electrons, "probe_px": beam.probe_nm, "relief_px": relief}


def _by_light(
    metal: Metal, seeing: Seeing, shade: NDArray[np.floating], rng: np.random.Generator
) -> tuple[Image, dict[str, float]]:
    from scipy.ndimage import gaussian_filter

    darker, grain, outline = rng.uniform(-0.3, 0.5), rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.5)
    down, right = np.gradient(metal.carbide)
    light = 1 - darker * metal.carbide + grain * metal.tone - outline * np.minimum(2 * np.hypot(down, right), 1)
    blur = float(rng.uniform(*seeing.blur_px))
    noise = float(np.exp(rng.uniform(*np.log(seeing.noise))))
    image = gaussian_filter(light * shade, blur) + 0.5 * noise * rng.standard_normal(light.shape)
    counts = 200 * np.clip(image, 0, None)
    return counts.astype(np.float32), {"blur_px": blur, "noise": noise}
