"""Labelled micrographs of nickel superalloys: cuboids of secondary gamma-prime, fine tertiary spheres between them.

Cuboids lie on a disturbed square lattice along the matrix' cube axes, with channels of matrix between; tertiary spheres
fill the wide channels, beside a zone that the cuboids have depleted (doi:10.1016/j.actamat.2005.01.043).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.simulate.secondary.sem import SemBeam, expose_sem, secondary_yield
from micrograph.simulate.steels.steel_textures import smooth_noise

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: What a pixel can be.
PHASES = ("matrix", "secondary", "tertiary")
#: Tries for each sphere; share of the spacing of cuboids over which their outlines bend.
_TRIES, _BENT = 6, 1.2


@dataclass(frozen=True)
class SuperalloySampler:
    """A sampler of etched superalloys; ranges, sizes in pixels.

    secondary, tertiary: shares of the area; spacing_px: of the cuboids; channel_px: matrix between touching ones;
    rounding: exponent of the cuboids' outline (2: circles); lobes: how far outlines bend, over the spacing; sphere_px:
    diameter of tertiary spheres; depleted_px: matrix without spheres beside cuboids; deep_px: how far gamma-prime is
    etched away; contrast: how much darker it is; electrons_per_px log-uniform; shade: unevenness of the brightness.
    """

    side_px: int = 256
    secondary: Range = (0.35, 0.6)
    tertiary: Range = (0.005, 0.05)
    spacing_px: Range = (40.0, 90.0)
    channel_px: Range = (3.0, 10.0)
    rounding: Range = (2.2, 5.0)
    lobes: Range = (0.0, 0.25)
    sphere_px: Range = (4.0, 9.0)
    depleted_px: Range = (3.0, 7.0)
    deep_px: Range = (0.3, 2.0)
    contrast: Range = (0.05, 0.3)
    electrons_per_px: Range = (300.0, 3000.0)
    shade: float = 0.15

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image with the masks of `PHASES`."""
        secondary = self.cuboids(rng)
        tertiary = self.spheres(secondary, rng)
        masks = {
            name: np.asarray(mask, np.float32)
            for name, mask in zip(PHASES, (~(secondary | tertiary), secondary, tertiary), strict=True)
        }
        none = np.zeros(0)
        return Sample(
            self.seen(secondary | tertiary, rng), 1.0, Sites(none, none, none.astype(np.str_)), masks, {"pixel_nm": 1.0}
        )

    def cuboids(self, rng: np.random.Generator) -> Mask:
        """Return where secondary gamma-prime is (H, W); its share of the area is as drawn."""
        from scipy.spatial import cKDTree

        side, spacing = self.side_px, rng.uniform(*self.spacing_px)
        angle = rng.uniform(0, np.pi / 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        grid = np.indices((side, side)).reshape(2, -1).T - side / 2
        bend = [smooth_noise((side, side), _BENT * spacing, rng).ravel() for _ in range(2)]
        places = grid @ turn + rng.uniform(*self.lobes) * spacing * np.stack(bend, axis=1)
        number = int(side / spacing) + 3
        knots = np.stack(np.meshgrid(*2 * [np.arange(-number, number + 1)]), axis=-1).reshape(-1, 2) * spacing
        middles = knots + rng.normal(0, 0.22 * spacing, knots.shape)
        distance = np.asarray(cKDTree(middles).query(places, k=2, p=rng.uniform(*self.rounding))[0])
        apart = distance[:, 1] - distance[:, 0] > rng.uniform(*self.channel_px)
        wished = min(rng.uniform(*self.secondary), 0.98 * float(apart.mean()))
        reach = np.quantile(distance[apart, 0], wished / apart.mean())
        return np.asarray((apart & (distance[:, 0] < reach)).reshape(side, side))

    def spheres(self, secondary: Mask, rng: np.random.Generator) -> Mask:
        """Return where tertiary gamma-prime is (H, W), in the matrix away from `secondary`."""
        from scipy.ndimage import distance_transform_edt

        side, free = self.side_px, distance_transform_edt(~secondary)
        found = np.zeros_like(secondary)
        wished = rng.uniform(*self.tertiary) * secondary.size
        middle, depleted = rng.uniform(*self.sphere_px), rng.uniform(*self.depleted_px)
        places = np.argwhere(free > depleted + middle / 2)
        if not len(places):
            return found
        for _ in range(int(_TRIES * wished / (np.pi / 4 * middle**2))):
            y, x = places[int(rng.integers(len(places)))]
            radius = middle / 2 * np.exp(rng.normal(0, 0.25))
            reach = int(radius + 2)
            rows, columns = (slice(max(n - reach, 0), min(n + reach + 1, side)) for n in (y, x))
            near = np.hypot(*np.ogrid[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x])
            if found[rows, columns][near < radius + 1.5].any() or secondary[rows, columns][near < radius + 1].any():
                continue
            found[rows, columns] |= near < radius
            if found.sum() >= wished:
                break
        return found

    def seen(self, etched: Mask, rng: np.random.Generator) -> Image:
        """Return the image (H, W) in counts of a surface whose gamma-prime lies lower, darker, behind bright rims."""
        from scipy.ndimage import gaussian_filter

        side = self.side_px
        height = gaussian_filter(np.where(etched, -rng.uniform(*self.deep_px), 0.0), 0.8)
        tone = np.where(etched, 1 - rng.uniform(*self.contrast), 1.0) * (
            1 + 0.02 * smooth_noise((side, side), 3.0, rng)
        )
        tone = tone * (1 + self.shade * rng.random() * smooth_noise((side, side), side / 2, rng))
        electrons = float(np.exp(rng.uniform(*np.log(self.electrons_per_px))))
        beam = SemBeam(rng.uniform(1.0, 2.5), electrons, gain=100 / electrons, offset=20.0)
        bright = secondary_yield(height, tone, 1.0, escape_nm=rng.uniform(1.5, 5.0), edge=rng.uniform(0.1, 0.5))
        return expose_sem(np.clip(bright, 0.05, None), beam, 1.0, rng)
