"""Gold films on carbon in a scanning electron microscope: islands of all sizes with narrow gaps, seen coarse and fine.

The test specimen of microscopes, for learning and testing what a coarse image tells of a finer one
(doi:10.1038/s41598-019-48444-2). Lengths are in pixels of the finer image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core.frame import binned
from micrograph.simulate.contaminate import slow_background, smooth_field
from micrograph.simulate.ranges import Range
from micrograph.simulate.secondary.sem import SIGMA_PER_FWHM, SemBeam, expose_sem, secondary_yield

Image = NDArray[np.float32]

#: Pixels of the finer image in one of the coarse image, and points of the specimen in one of the finer image.
FINER, POINTS = 2, 2
#: Islands whose growth is tried, per 1000 pixels of the finer image.
_TRIES = 20.0
#: How far beyond an island's border its distance is known.
_REACH_PX = 4.0


@dataclass(frozen=True)
class SeenTwice:
    """One specimen in a coarse and in a finer image of the same beam.

    coarse: (H, W) as recorded, in counts; truth: (2 H, 2 W) what the finer image would be without noise, in counts of
    the coarse one; distance: (4 H, 4 W) to the gold's border, in pixels of the finer image, negative in gold;
    probe_px: width of the beam; electrons: primaries in a coarse pixel.
    """

    coarse: Image
    truth: Image
    distance: Image
    probe_px: float
    electrons: float


@dataclass(frozen=True)
class GoldFilms:
    """Random films of gold islands on carbon.

    side: of the coarse image in pixels; radius_px: of the islands (log-uniform); gap_px: nearest distance of an island
    to those that were there before (log-uniform); joined: share of the islands that grow into another one instead;
    rough_px: by how much borders wander; thickness_px, edge_px: height of the gold and how far its rim is round;
    probe_px: full width at half maximum of the beam, electrons: primaries in a coarse pixel (both log-uniform).
    """

    side: int = 128
    radius_px: Range = (3.0, 45.0)
    gap_px: Range = (1.4, 8.0)
    joined: Range = (0.0, 0.5)
    rough_px: Range = (0.3, 2.5)
    thickness_px: Range = (1.5, 4.0)
    edge_px: Range = (2.0, 5.0)
    probe_px: Range = (1.2, 2.4)
    electrons: Range = (60.0, 800.0)
    gold_yield: Range = (0.5, 0.9)
    carbon_share: Range = (0.2, 0.45)

    def __call__(self, rng: np.random.Generator) -> SeenTwice:
        """Return one film, seen twice."""
        distance = self.distances(rng)
        return self.seen(self.surface(distance, rng), distance, rng)

    def distances(self, rng: np.random.Generator) -> Image:
        """Return the distance (4 H, 4 W), in pixels of the finer image, to the gold's border; negative in gold."""
        size = self.side * FINER
        islands = self._islands(size, rng)
        return _painted(islands, size, _uniform(self.rough_px, rng), rng)

    def surface(self, distance: Image, rng: np.random.Generator) -> Image:
        """Return secondaries per primary (4 H, 4 W) of the film whose gold lies where `distance` is negative."""
        depth = np.clip(-distance, 0, None)
        rim = np.clip(depth / np.float32(_uniform(self.edge_px, rng)), 0, 1)
        thickness = np.float32(_uniform(self.thickness_px, rng))
        height = thickness * np.sqrt(1 - (1 - rim) ** 2)
        gold = _uniform(self.gold_yield, rng)
        carbon = gold * _uniform(self.carbon_share, rng)
        shape = (distance.shape[0], distance.shape[1])
        grains = 1 + np.float32(0.05) * smooth_field(shape, float(rng.uniform(8, 40)), rng)
        share = np.clip(np.float32(0.5) - np.float32(POINTS) * distance, 0, 1)
        material = (np.float32(carbon) + np.float32(gold - carbon) * share) * grains
        yields = secondary_yield(
            height, material, 1 / POINTS, escape_nm=float(rng.uniform(0.7, 2.0)), edge=float(rng.uniform(0.1, 0.5))
        )
        return np.asarray(yields * slow_background(shape, rng, depth=0.1), np.float32)

    def seen(self, yields: Image, distance: Image, rng: np.random.Generator) -> SeenTwice:
        """Return both images of a surface (4 H, 4 W) that gives so many secondaries per primary."""
        from scipy.ndimage import gaussian_filter

        probe, electrons = _log_uniform(self.probe_px, rng), _log_uniform(self.electrons, rng)
        blurred = gaussian_filter(yields, SIGMA_PER_FWHM * probe * POINTS, mode="nearest")
        finer = binned(blurred, POINTS)
        coarse = expose_sem(binned(finer, FINER), SemBeam(0.0, electrons), 1.0, rng)
        return SeenTwice(coarse, np.asarray(electrons * finer, np.float32), distance, probe, electrons)

    def _islands(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return centres and radii (N, 3) of round islands, each grown until it is as near as asked to another."""
        joined, margin = _uniform(self.joined, rng), self.radius_px[1] / 2
        found = np.zeros((0, 3))
        for _ in range(int(_TRIES * (size + 2 * margin) ** 2 / 1000)):
            place = rng.uniform(-margin, size + margin, 2)
            near = np.hypot(*(found[:, :2] - place).T) - found[:, 2]
            wanted, apart = _log_uniform(self.radius_px, rng), _log_uniform(self.gap_px, rng)
            if rng.random() < joined:
                apart = -min(apart, 0.3 * wanted)
            radius = min(wanted, float(near.min(initial=np.inf)) - apart)
            if radius >= self.radius_px[0] and near.min(initial=np.inf) > self.gap_px[0]:
                found = np.vstack([found, [*place, radius]])
        return found


@dataclass(frozen=True)
class SpinodalFilms:
    """Films of another kind, seen by another microscope: thresholds of smooth fields, electrons followed one by one.

    covered: share of gold; scale_px: smoothness of the field; the beam has wide tails, `tails` of its current, and each
    secondary gives a pulse of random height.
    """

    films: GoldFilms = GoldFilms()
    covered: Range = (0.5, 0.72)
    scale_px: Range = (4.0, 12.0)
    tails: Range = (0.05, 0.15)

    def __call__(self, rng: np.random.Generator) -> SeenTwice:
        """Return one film, seen twice."""
        from scipy.ndimage import distance_transform_edt

        points = self.films.side * FINER * POINTS
        scale = _log_uniform(self.scale_px, rng) * POINTS
        field = smooth_field((points, points), scale, rng)
        field = field + np.float32(0.5) * smooth_field((points, points), scale / 2, rng)
        gold = np.abs(field) > np.quantile(np.abs(field), 1 - _uniform(self.covered, rng))
        inside, outside = (distance_transform_edt(part) for part in (gold, ~gold))
        distance = np.asarray(np.where(gold, 0.5 - inside, outside - 0.5) / POINTS, np.float32)
        return self._followed(self._surface(distance, rng), distance, rng)

    def _surface(self, distance: Image, rng: np.random.Generator) -> Image:
        """Return the yield of steps that shine by how much of the escape sphere is open: no slopes, no boxes."""
        from scipy.ndimage import gaussian_filter

        gold = _uniform(self.films.gold_yield, rng)
        carbon = gold * _uniform(self.films.carbon_share, rng)
        solid = np.clip(np.float32(0.5) - np.float32(POINTS) * distance, 0, 1)
        escape = float(rng.uniform(1.0, 3.0)) * POINTS
        open_ = solid * (1 - gaussian_filter(solid, escape, mode="nearest"))
        shadow = (1 - solid) * gaussian_filter(solid, 2 * escape, mode="nearest")
        level = carbon + (gold - carbon) * solid
        brighter, darker = rng.uniform(0.5, 1.5), rng.uniform(0.3, 0.7)
        return np.asarray(level * (1 + brighter * open_) * (1 - darker * shadow), np.float32)

    def _followed(self, yields: Image, distance: Image, rng: np.random.Generator) -> SeenTwice:
        from scipy.ndimage import gaussian_filter

        probe, electrons = _log_uniform(self.films.probe_px, rng), _log_uniform(self.films.electrons, rng)
        tails, sigma = _uniform(self.tails, rng), SIGMA_PER_FWHM * probe * POINTS
        narrow, wide = (gaussian_filter(yields, times * sigma, mode="nearest") for times in (1.0, 3.0))
        finer = binned(np.asarray((1 - tails) * narrow + tails * wide, np.float32), POINTS)
        expected = binned(finer, FINER)
        number = rng.poisson(rng.poisson(electrons, expected.shape) * expected)
        counts = rng.gamma(np.maximum(4.0 * number, 1e-9), 0.25).astype(np.float32)
        return SeenTwice(counts, np.asarray(electrons * finer, np.float32), distance, probe, electrons)


def with_side(films: GoldFilms | SpinodalFilms, side: int) -> GoldFilms | SpinodalFilms:
    """Return the same films in coarse images of another side."""
    if isinstance(films, SpinodalFilms):
        return replace(films, films=replace(films.films, side=side))
    return replace(films, side=side)


def _painted(islands: NDArray[np.float64], size: int, rough_px: float, rng: np.random.Generator) -> Image:
    """Return the distance to the nearest of round islands whose surroundings were displaced by a smooth field."""
    points, scale = size * POINTS, float(rng.uniform(5, 14))
    shift = [np.float32(rough_px) * smooth_field((points, points), scale * POINTS, rng) for _ in range(2)]
    y, x = np.mgrid[:points, :points].astype(np.float32) / np.float32(POINTS)
    y, x = y + shift[0], x + shift[1]
    distance = np.full((points, points), np.float32(_REACH_PX))
    beyond = _REACH_PX + 3.5 * rough_px
    for middle_y, middle_x, radius in islands:
        rows, columns = (
            slice(
                max(0, int((middle - radius - beyond) * POINTS)), max(0, int((middle + radius + beyond) * POINTS) + 1)
            )
            for middle in (middle_y, middle_x)
        )
        part = distance[rows, columns]
        away = np.hypot(y[rows, columns] - np.float32(middle_y), x[rows, columns] - np.float32(middle_x))
        np.minimum(part, away - np.float32(radius), out=part)
    return distance


def _uniform(ends: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*ends))


def _log_uniform(ends: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))
