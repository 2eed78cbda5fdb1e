"""Particles of a movie as they are in one frame: outline, height, and what they cover of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.objects.particles import Particle, Shadow, shadow
from micrograph.simulate.objects.pores import inside_of
from micrograph.simulate.objects.shaping import even
from micrograph.simulate.objects.solids import Solid

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Body:
    """A particle: its outline (K, 2; y, x in nm of the image), greatest height, and its solid or its rounded edge.

    Without a `solid` it is a plate: as thick as its height but for an edge that is rounded over `edge_nm`; with the
    edge as deep as it is narrow, a rod. The solid's origin lies at `centre_nm`.
    """

    shape: str
    outline_nm: Array
    height_nm: float
    edge_nm: float = 0.0
    solid: Solid | None = None
    centre_nm: tuple[float, float] = (0.0, 0.0)

    def shadow(self, pixel_nm: float, shape: tuple[int, int]) -> Shadow:
        """Return what it covers of an image, and how thick it is there."""
        if self.solid is not None:
            return shadow(Particle(self.shape, self.solid, *self.centre_nm), pixel_nm, shape)
        covered = inside_of(self.outline_nm / pixel_nm, shape)
        if not covered.coverage.size:
            return covered
        return Shadow(covered.rows, covered.columns, covered.coverage, self._thickness(covered, pixel_nm))

    def _thickness(self, covered: Shadow, pixel_nm: float) -> Image:
        """Return the mean thickness in every pixel, averaged over its width along the edge's normal."""
        from scipy.spatial import cKDTree

        y, x = np.mgrid[covered.rows, covered.columns] * pixel_nm
        edge = even(self.outline_nm, max(400, 2 * len(self.outline_nm)))
        distance = np.asarray(cKDTree(edge).query(np.stack([y.ravel(), x.ravel()], axis=1))[0]).reshape(y.shape)
        depth = np.where(covered.coverage > 0.5, distance, -distance)
        total = np.zeros(y.shape)
        offsets = (np.arange(5) - 2) / 5 * pixel_nm
        for offset in offsets:
            share = np.clip((depth + offset) / max(self.edge_nm, 1e-9), 0, 1)
            total += np.sqrt(1 - (1 - share) ** 2)
        thick: Image = (self.height_nm * total / len(offsets)).astype(np.float32)
        return np.where(covered.coverage > 0, thick, np.float32(0))
