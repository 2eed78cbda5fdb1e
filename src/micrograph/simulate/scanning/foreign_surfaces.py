"""Images of scanning probes without dangling bonds (lattices, islands, grains), to teach what is foreign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range
from micrograph.simulate.scanning.lattice_images import LATTICES, random_cell, spots

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ForeignSurfaces:
    """Random images (side_px, side_px) of a lattice of spots, grains or islands; `pixel_nm` is log-uniform."""

    side_px: int = 128
    pixel_nm: Range = (0.08, 0.2)

    def __call__(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """Return an image and its pixel (nm)."""
        pixel = float(np.exp(rng.uniform(*np.log(self.pixel_nm))))
        kind = rng.integers(0, 3)
        made = (self._lattice, self._grains, self._islands)[kind](pixel, rng)
        noise = rng.normal(0, rng.uniform(0.02, 0.3), made.shape)
        return np.asarray(made + noise, np.float32), pixel

    def _lattice(self, pixel: float, rng: np.random.Generator) -> Array:
        spacing = float(np.exp(rng.uniform(np.log(max(0.5, 4 * pixel)), np.log(2.5)))) / pixel
        cell = spacing * random_cell(str(rng.choice(LATTICES)), 1.8, rng)
        reach = int(np.ceil(2.2 * self.side_px / spacing)) + 1
        grid = np.stack(np.meshgrid(*2 * [np.arange(-reach, reach + 1)], indexing="ij"), axis=-1).reshape(-1, 2)
        places = grid @ cell + rng.uniform(0, self.side_px, 2)
        near = ((places > -spacing) & (places < self.side_px + spacing)).all(axis=1)
        stays = near & (rng.random(len(places)) > rng.uniform(0, 0.4))
        heights = rng.uniform(1 - rng.uniform(0, 0.6), 1, int(stays.sum()))
        return spots(places[stays], heights, float(rng.uniform(0.18, 0.32)) * spacing, self.side_px)

    def _grains(self, pixel: float, rng: np.random.Generator) -> Array:
        from scipy.ndimage import gaussian_filter

        made = gaussian_filter(rng.normal(size=(self.side_px, self.side_px)), float(rng.uniform(0.2, 1.2)) / pixel)
        return np.asarray(made / made.std())

    def _islands(self, pixel: float, rng: np.random.Generator) -> Array:
        from scipy.ndimage import gaussian_filter

        grains = self._grains(pixel, rng)
        high = grains > rng.uniform(0.3, 2.0)
        return np.asarray(gaussian_filter(high.astype(float), float(rng.uniform(0.1, 0.3)) / pixel))
