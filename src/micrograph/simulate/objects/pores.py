"""Labelled images of nanopores in thin crystalline films, as for following the healing of a pore.

Wang et al. 2021, Nanotechnology 33, 085302, as reviewed in doi:10.1088/1674-4926/43/8/081001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.objects.film import FRINGES, random_film
from micrograph.simulate.objects.particles import Shadow, depth_of
from micrograph.simulate.ranges import Range

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Lines per row of pixels along which an outline is filled.
_FINE = 8
#: A random place for a pore is sought so many times.
_TRIES = 30


def pore_outline(radius: float, roughness: float, rng: np.random.Generator, points: int = 128) -> Array:
    """Return a random closed outline (points, 2) of y and x around the origin that encloses ``pi * radius**2``.

    `roughness` is the relative standard deviation of its radius; waves of order 2 to 6 share it, lower ones have more.
    """
    order = np.arange(2, 7)
    strength = rng.normal(0, 1, (2, len(order))) / order
    strength *= roughness / np.sqrt(np.sum(1 / order**2))
    angle = 2 * np.pi * np.arange(points) / points
    waves = strength[0] @ np.cos(np.outer(order, angle)) + strength[1] @ np.sin(np.outer(order, angle))
    r = np.clip(1 + waves, 0.35, 2.0)
    outline = np.stack([-r * np.sin(angle), r * np.cos(angle)], axis=1)
    y, x = outline.T
    area = 0.5 * abs(float(np.sum(y * np.roll(x, -1) - x * np.roll(y, -1))))
    return np.asarray(outline * radius * np.sqrt(np.pi / area))


def inside_of(outline_px: Array, shape: tuple[int, int]) -> Shadow:
    """Return what a closed outline (K, 2; y, x in pixels) covers of an image; its thickness is its coverage.

    Exact along the rows of an image; `_FINE` lines are drawn per row.
    """
    low = np.floor(outline_px.min(axis=0) + 0.5).astype(int)
    high = np.floor(outline_px.max(axis=0) + 0.5).astype(int) + 1
    top, left = np.clip(low, 0, shape)
    bottom, right = np.maximum(np.clip(high, 0, shape), (top, left))
    lines = top - 0.5 + (np.arange((bottom - top) * _FINE) + 0.5) / _FINE
    y, x = outline_px.T
    next_y, next_x = np.roll(y, -1), np.roll(x, -1)
    line, edge = np.nonzero((y <= lines[:, None]) != (next_y <= lines[:, None]))
    crossing = x[edge] + (lines[line] - y[edge]) / (next_y - y)[edge] * (next_x - x)[edge]
    crossing = np.clip(crossing - left + 0.5, 0, right - left)
    column, sign = np.floor(crossing).astype(int), np.where(next_y > y, 1.0, -1.0)[edge]
    steps = np.zeros((bottom - top, right - left + 2))
    np.add.at(steps, (line // _FINE, column), sign * (column + 1 - crossing))
    np.add.at(steps, (line // _FINE, column + 1), sign * (crossing - column))
    covered = np.abs(np.cumsum(steps, axis=1)[:, : right - left] / _FINE)
    coverage: Image = np.clip(covered, 0, 1).astype(np.float32)
    return Shadow(slice(int(top), int(bottom)), slice(int(left), int(right)), coverage, coverage)


def pore_maps(shadows: Sequence[Shadow], shape: tuple[int, int]) -> tuple[Image, Image]:
    """Return the coverage (H, W) by all pores and the depth (H, W; 0 .. 1) inside each."""
    pore, core = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for one in shadows:
        place = (one.rows, one.columns)
        pore[place] = np.maximum(pore[place], one.coverage)
        core[place] = np.maximum(core[place], depth_of(one.coverage))
    return pore, core


@dataclass(frozen=True)
class PoreSampler:
    """Random images of pores in a crystalline film, `side_px` pixels a side, in bright or dark field.

    Ranges: radius_px of pores and contrast_to_noise (vacuum against film, per pixel) log-uniform; contrast (share of
    the vacuum's intensity that the film takes) uniform; roughness of the outlines; fringes:
    their amplitude in units of the contrast, log-uniform; most: pores in one image, up to;
    empty: share of images without any pore.
    """

    side_px: int = 256
    radius_px: Range = (8.0, 70.0)
    contrast_to_noise: Range = (0.5, 10.0)
    contrast: Range = (0.08, 0.6)
    roughness: Range = (0.0, 0.2)
    fringes: Range = FRINGES
    pixel_nm: Range = (0.02, 0.2)
    most: int = 8
    empty: float = 0.05

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image: masks 'pore' and 'core', the pores' centroids as sites."""
        shape = (self.side_px, self.side_px)
        cnr, pixel = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (self.contrast_to_noise, self.pixel_nm))
        contrast = float(rng.uniform(*self.contrast))
        outlines = [] if rng.random() < self.empty else self._outlines(rng)
        shadows = [one for one in (inside_of(outline, shape) for outline in outlines) if one.area_px > 4]
        pore, core = pore_maps(shadows, shape)
        film = random_film(self.side_px, contrast, rng, self.fringes)
        share = film.share(pore, rng)
        electrons = (cnr / contrast) ** 2 * float(np.median(share))
        camera = Camera(electrons, float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.5, 5)), float(rng.uniform(0, 50)))
        centres = np.array([one.centre_px for one in shadows]).reshape(-1, 2) * pixel
        sites = Sites(centres[:, 0], centres[:, 1], np.full(len(shadows), "pore"))
        params = {"contrast_to_noise": cnr, "contrast": contrast, "electrons": electrons}
        image = record(share, camera, rng)
        return Sample(image, pixel, sites, {"pore": pore, "core": core}, {**params, "bright": float(film.dark_field)})

    def domain(self) -> dict[str, Range]:
        """Return the ranges that a card shows."""
        return {"radius_px": self.radius_px, "contrast_to_noise": self.contrast_to_noise}

    def _outlines(self, rng: np.random.Generator) -> list[Array]:
        """Return outlines (px) that do not touch one another; some are cut by the border."""
        number = int(rng.integers(1, self.most + 1))
        typical = float(np.exp(rng.uniform(*np.log(self.radius_px))))
        found: list[Array] = []
        centres, reaches = np.empty((0, 2)), np.empty(0)
        for _ in range(number):
            radius = float(np.clip(typical * np.exp(rng.normal(0, 0.35)), *self.radius_px))
            outline = pore_outline(radius, float(rng.uniform(*self.roughness)), rng)
            reach = float(np.linalg.norm(outline, axis=1).max())
            gap = float(rng.uniform(2, 12))
            for at in rng.uniform(-0.4 * radius, self.side_px + 0.4 * radius, (_TRIES, 2)):
                if np.all(np.linalg.norm(centres - at, axis=1) >= reaches + reach + gap):
                    found.append(outline + at)
                    centres, reaches = np.vstack([centres, at]), np.append(reaches, reach)
                    break
        return found
