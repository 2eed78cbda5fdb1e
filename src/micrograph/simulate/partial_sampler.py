"""Partial scans of scenes of many kinds: what was recorded along a path, and the noise-free image behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range
from micrograph.simulate.scan_paths import KINDS, ScanPath, scan_path
from micrograph.simulate.stem_scenes import StemScenes

Image = NDArray[np.float32]

#: How a spiral is spread over pixels where its places are given as shares of these.
_SPREAD = np.outer([1, 2, 1], [1, 2, 1]) / 16


@dataclass(frozen=True)
class PartialScan:
    """A simulated partial scan: recorded `image` (H, W), NaN where not visited, dwell times, the noise-free `truth`."""

    image: Image
    dwells: Image
    truth: Image
    kind: str
    path: str
    coverage: float
    electrons: float


@dataclass(frozen=True)
class PartialScans:
    """Random partial scans of random scenes.

    coverage: dwells over pixels (log-uniform); electrons: detected in a dwell on the brightest pixel (log-uniform);
    dark: electrons of the darkest pixel over those; spread: share of spirals that are given as dwell times on 3 x 3
    pixels around each place; cut_from: side of the field that the beam visits, of which the scene is a random part
    (``None``: of the scene itself).
    """

    scenes: StemScenes = field(default_factory=StemScenes)
    paths: tuple[str, ...] = KINDS
    coverage: Range = (1 / 40, 1 / 10)
    electrons: Range = (20.0, 5000.0)
    dark: Range = (0.0, 0.5)
    spread: float = 0.25
    cut_from: int | None = None

    def __call__(self, rng: np.random.Generator) -> PartialScan:
        """Return one partial scan; `truth` and `image` are in 0..1 but for the noise."""
        truth, kind = self.scenes(rng)
        return self.scanned(truth, rng, kind)

    def scanned(self, truth: Image, rng: np.random.Generator, kind: str = "") -> PartialScan:
        """Return a partial scan of the noise-free image `truth` (H, W) in 0..1."""
        name = str(rng.choice(self.paths))
        coverage, electrons = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (self.coverage, self.electrons))
        path = self._path(name, (truth.shape[0], truth.shape[1]), coverage, rng)
        dark = float(rng.uniform(*self.dark))
        if name == "spiral" and rng.random() < self.spread:
            image, dwells = _spread_out(truth, path.dwells, electrons, dark, rng)
        else:
            recorded = rng.poisson(electrons * ((1 - dark) * path.recorded(truth) + dark)) / electrons
            image, dwells = path.image((recorded - dark) / (1 - dark)), path.dwells
        return PartialScan(image.astype(np.float32), dwells, truth, kind, name, path.coverage, electrons)

    def _path(self, name: str, shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> ScanPath:
        """Return the path in the scene, a random part of a larger field where one is visited."""
        seed = int(rng.integers(2**31))
        if self.cut_from is None:
            return scan_path(name, shape, coverage, seed)
        field = (max(self.cut_from, shape[0]), max(self.cut_from, shape[1]))
        top, left = (int(rng.integers(far - near + 1)) for far, near in zip(field, shape, strict=True))
        return scan_path(name, field, coverage, seed).within(top, left, shape)


def _spread_out(
    truth: Image, dwells: Image, electrons: float, dark: float, rng: np.random.Generator
) -> tuple[Image, Image]:
    """Return what is recorded where dwell times are spread over the 3 x 3 pixels around each place."""
    from scipy.ndimage import convolve

    shares = convolve(dwells, _SPREAD.astype(np.float32), mode="constant")
    expected = electrons * shares * ((1 - dark) * truth + dark)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (rng.poisson(expected) / (electrons * shares) - dark) / (1 - dark)
    return np.where(shares > 0, values, np.nan).astype(np.float32), shares.astype(np.float32)
