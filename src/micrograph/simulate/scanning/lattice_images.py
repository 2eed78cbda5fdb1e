"""Images of two-dimensional lattices of every type, as an STM or a STEM shows them: spots, noise, a tilted ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range

Array = NDArray[np.float64]

#: The types, and what holds none.
LATTICES = ("square", "hexagonal", "rectangular", "centred rectangular", "oblique")


@dataclass(frozen=True)
class LatticeImages:
    """Random images of one lattice each.

    side_px: pixels a side; kinds: which types, all as likely. Ranges: spacing_px (of the shortest vector, log-uniform),
    snr (height of the spots over the noise of a pixel, log-uniform), spot (1-sigma of the spots over the shortest
    vector), scatter (1-sigma of each spot's place over the shortest vector), tilt (of the ground, edge to edge over the
    spots' height). most_ratio: of the sides of a conventional cell (log-uniform from 1). two: share of images with
    two spots of unlike height in a cell; missing: share of missing spots, up to; distortion: 1-sigma of each element of
    the scan's stretch and shear.
    """

    side_px: int = 160
    kinds: tuple[str, ...] = LATTICES
    spacing_px: Range = (8.0, 13.0)
    snr: Range = (5.0, 5.001)
    spot: Range = (0.18, 0.3)
    scatter: Range = (0.0, 0.05)
    tilt: Range = (0.0, 2.0)
    most_ratio: float = 2.5
    two: float = 0.3
    missing: float = 0.03
    distortion: float = 0.005
    pixel_nm: float = 0.02

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image; `truth` has 'type' (its place in `LATTICES`), `params` the cell (px)."""
        kind = str(rng.choice(self.kinds))
        spacing, snr = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (self.spacing_px, self.snr))
        ideal = spacing * random_cell(kind, self.most_ratio, rng)
        seen = ideal @ (np.eye(2) + self.distortion * rng.normal(size=(2, 2)))
        points, heights = self._spots(seen, spacing, rng)
        image = spots(points, heights, float(rng.uniform(*self.spot)) * spacing, self.side_px)
        place = np.linspace(-0.5, 0.5, self.side_px)
        slope = rng.uniform(*self.tilt) * np.array([[np.cos(turn), np.sin(turn)] for turn in [rng.uniform(0, 6.3)]])[0]
        image = image + slope[0] * place[:, None] + slope[1] * place + rng.normal(0, 1 / snr, image.shape)
        a, b = ideal
        params = {
            "a_y_px": a[0], "a_x_px": a[1], "b_y_px": b[0], "b_x_px": b[1], "snr": snr, "spacing_px": spacing,
            "type": float(LATTICES.index(kind)),
        }  # fmt: skip
        nothing = Sites(np.empty(0), np.empty(0), np.empty(0, dtype="U8"))
        truth = {"type": float(LATTICES.index(kind))}
        return Sample(image.astype(np.float32), self.pixel_nm, nothing, params=params, truth=truth)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges in which the answers were measured."""
        return {name: getattr(self, name) for name in ("spacing_px", "snr", "spot", "scatter", "tilt")}

    def _spots(self, cell: Array, spacing: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return the places (N, 2) and heights (N,) of all spots in and around the image."""
        count = int(np.ceil(1.6 * self.side_px / spacing)) + 2
        grid = np.stack(np.meshgrid(*[np.arange(-count, count + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        middle = self.side_px / 2 + rng.uniform(0, 1, 2) @ cell
        points, heights = [grid @ cell + middle], [np.ones(len(grid))]
        if rng.random() < self.two:
            points.append(points[0] + rng.uniform(0, 1, 2) @ cell)
            heights.append(np.full(len(grid), rng.uniform(0.2, 0.7)))
        place, height = np.concatenate(points), np.concatenate(heights)
        place = place + rng.normal(0, float(rng.uniform(*self.scatter)) * spacing, place.shape)
        stays = rng.random(len(place)) >= rng.uniform(0, self.missing)
        near = ((place > -spacing) & (place < self.side_px + spacing)).all(axis=1)
        return place[stays & near], height[stays & near]


def random_cell(kind: str, most_ratio: float, rng: np.random.Generator) -> Array:
    """Return a primitive cell (2, 2) of the type, rows a and b, in any direction; its shortest vector is one long."""
    ratio = float(np.exp(rng.uniform(0, np.log(most_ratio))))
    if kind == "square":
        cell = np.eye(2)
    elif kind == "hexagonal":
        cell = np.array([[1.0, 0.0], [-0.5, np.sqrt(3) / 2]])
    elif kind == "rectangular":
        cell = np.array([[1.0, 0.0], [0.0, ratio]])
    elif kind == "centred rectangular":
        cell = np.array([[0.5, ratio / 2], [-0.5, ratio / 2]])
        cell = cell / min(1.0, float(np.hypot(0.5, ratio / 2)))
    else:
        angle = rng.uniform(np.pi / 2, np.pi - np.arccos(0.5 / ratio))
        cell = np.array([[1.0, 0.0], [ratio * np.cos(angle), ratio * np.sin(angle)]])
    turn = rng.uniform(0, 2 * np.pi)
    return np.asarray(cell @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]))


def spots(points: Array, heights: Array, sigma: float, side: int) -> Array:
    """Return the image (side, side) of round Gaussian spots at `points` (N, 2) [y, x]."""
    grid = np.arange(side)
    rows = np.exp(-0.5 * ((grid - points[:, :1]) / sigma) ** 2) * heights[:, None]
    columns = np.exp(-0.5 * ((grid - points[:, 1:]) / sigma) ** 2)
    return np.asarray(rows.T @ columns)
