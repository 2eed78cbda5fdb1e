"""Labelled images of particles by the thousand: any size, either sign of contrast, clean supports and dirty ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.objects.bright_field import LIQUID_CELL, VACUUM, Camera, record, transmission
from micrograph.simulate.objects.particles import SHAPES, Field, Particle, field_of, scattered
from micrograph.simulate.ranges import Range

Image = NDArray[np.float32]
#: How particles lie: (smallest, largest) least distance of two centres over the sum of their reaches.
_GAPS = {"apart": (1.1, 1.3), "close": (0.9, 1.05), "overlapping": (0.6, 1.0), "anyhow": (0.0, 1.0)}


@dataclass(frozen=True)
class ParticleScene:
    """One simulated field of particles and its image."""

    field: Field
    image: Image
    params: Mapping[str, float]

    @property
    def sample(self) -> Sample:
        """The image with the masks 'particle' (coverage) and 'core' (depth), centroids as sites, shapes as labels."""
        pixel = self.field.pixel_nm
        centres = np.array([one.centre_px for one in self.field.shadows]).reshape(-1, 2) * pixel
        labels = np.array([one.shape for one in self.field.particles], dtype="U16")
        masks = {"particle": self.field.coverage, "core": self.field.depth}
        return Sample(self.image, pixel, Sites(centres[:, 0], centres[:, 1], labels), masks, self.params)


@dataclass(frozen=True)
class ParticleSampler:
    """Random images of particles, `side_px` pixels a side.

    Ranges, drawn log-uniformly per image: diameter_px, contrast_to_noise (of a typical particle, per pixel), contrast
    (share of the background's intensity that it takes). covered: share of the image that particles cover, with not more
    than `most` of them; shapes: of which up to three are in one image, or `kinds`, which all are; gaps: how close they
    lie ('apart', 'close', 'overlapping', 'anyhow'); spread: relative standard deviation of sizes in one image, up to;
    bright: share of images with particles brighter than their background; liquid: share of images through a liquid
    cell, with blurred particles that pass; texture, slope: strength of the support's speckle and of uneven illumination
    over the particles' contrast, up to; rough: share of images whose support speckles as strongly as the particles, in
    grains much smaller than these; grainy: share of images whose noise has grains (scaled, compressed); bragg: spread
    of darkness from particle to particle, up to; banded: share of images whose particles show bands (bend contours,
    twins); empty: share of images without any particle; offset: what the camera reads without beam.
    """

    side_px: int = 256
    diameter_px: Range = (7.0, 72.0)
    contrast_to_noise: Range = (0.6, 12.0)
    contrast: Range = (0.06, 0.7)
    covered: Range = (0.03, 0.5)
    most: int = 250
    pixel_nm: Range = (0.05, 2.0)
    shapes: tuple[str, ...] = tuple(SHAPES)
    kinds: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ("apart", "close", "close", "overlapping", "anyhow")
    spread: float = 0.25
    bright: float = 0.4
    liquid: float = 0.2
    texture: float = 0.45
    slope: float = 1.0
    rough: float = 0.0
    grainy: float = 0.0
    bragg: float = 0.3
    banded: float = 0.0
    empty: float = 0.03
    offset: Range = (0.0, 50.0)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image."""
        return self.scene(rng).sample

    def domain(self) -> dict[str, Range]:
        """Return the ranges that a card shows."""
        return {"diameter_px": self.diameter_px, "contrast_to_noise": self.contrast_to_noise}

    def scene(self, rng: np.random.Generator) -> ParticleScene:
        """Return one image with all particles in it."""
        pixel, diameter_px, cnr, contrast, covered = (
            float(np.exp(rng.uniform(*np.log(limits))))
            for limits in (self.pixel_nm, self.diameter_px, self.contrast_to_noise, self.contrast, self.covered)
        )
        field, shape = self._field(pixel, diameter_px, covered, rng), (self.side_px,) * 2
        liquid, bright = rng.random() < self.liquid, rng.random() < self.bright
        typical = _typical_thickness(field, diameter_px * pixel)
        path = typical / -np.log1p(-contrast)
        share = transmission(field.thickness_nm, path, LIQUID_CELL if liquid else VACUUM)
        if liquid:
            share = share * transmission(self._passing(pixel, diameter_px, shape, rng), path)
        share = self._uneven(share, contrast, rng)
        if _happens(self.rough, rng):
            strength, grain = contrast * rng.uniform(0.15, 0.7), rng.uniform(0.6, max(0.7, 0.12 * diameter_px))
            share = np.clip(share * (1 + strength * speckles(share.shape, 2 * grain, rng)), 1e-4, None)
        electrons = (cnr / contrast) ** 2 / float(np.median(share))
        mtf, gain, offset = (float(rng.uniform(*limits)) for limits in ((0.25, 1.0), (0.5, 5.0), self.offset))
        grain = float(rng.uniform(0.4, 2.5)) if _happens(self.grainy, rng) else 0.0
        camera = Camera(electrons, mtf, gain, offset, grain_px=grain)
        image = record(share, camera, rng)
        if bright:
            image = image.max() - image
        params = {
            "contrast_to_noise": cnr,
            "contrast": contrast,
            "diameter_px": diameter_px,
            "electrons": electrons,
            "mean_free_path_nm": path,
            "electrons_on_particle": electrons * float(np.median(share)) * (1 - contrast),
        }
        return ParticleScene(field, image, {**params, "liquid": float(liquid), "bright": float(bright)})

    def _field(self, pixel: float, diameter_px: float, covered: float, rng: np.random.Generator) -> Field:
        side = self.side_px * pixel
        diameter = diameter_px * pixel
        number = (
            0
            if rng.random() < self.empty
            else min(self.most, max(1, round(covered * side**2 / (np.pi / 4 * diameter**2))))
        )
        kinds = self.kinds or rng.choice(self.shapes, size=int(rng.integers(1, 4)))
        spread = float(rng.uniform(0.02, self.spread))
        names = rng.choice(kinds, size=number)
        sizes = diameter * np.clip(rng.normal(1, spread, number), 0.4, 2.0)
        solids = [(str(name), SHAPES[str(name)](float(size), rng)) for name, size in zip(names, sizes, strict=True)]
        margin = diameter / 2
        particles = scattered(solids, (side + 2 * margin,) * 2, rng, _GAPS[str(rng.choice(self.gaps))])
        moved = [replace(one, y_nm=one.y_nm - margin, x_nm=one.x_nm - margin) for one in particles]
        darkness = np.exp(rng.normal(0, rng.uniform(0, self.bragg), len(moved)))
        field = field_of(moved, pixel, (self.side_px,) * 2, darkness)
        return banded(field, rng) if _happens(self.banded, rng) else field

    def _passing(self, pixel: float, diameter_px: float, shape: tuple[int, int], rng: np.random.Generator) -> Image:
        """Return the thickness (H, W) of particles that move during the exposure, smeared along their paths."""
        total = np.zeros(shape, np.float32)
        steps = 24
        for _ in range(int(rng.integers(0, 5))):
            solid = SHAPES[str(rng.choice(self.shapes))](diameter_px * pixel, rng)
            path = np.cumsum(rng.normal(0, rng.uniform(0.1, 0.6) * diameter_px * pixel, (steps, 2)), axis=0)
            start = rng.uniform(0, np.array(shape) * pixel)
            field = field_of([Particle("", solid, *(start + offset)) for offset in path], pixel, shape)
            total += field.thickness_nm / steps
        return total

    def _uneven(self, share: Image, contrast: float, rng: np.random.Generator) -> Image:
        """Return `share` with an illumination that varies slowly and a support that speckles."""
        height, width = share.shape
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        strength = contrast * float(rng.uniform(0, self.slope))
        terms = np.stack([y, x, y * x, y**2 - 1 / 3, x**2 - 1 / 3])
        slow = np.tensordot(rng.normal(0, 1, len(terms)), terms, 1)
        slow = strength * slow / max(float(np.ptp(slow)), 1e-9)
        speckle = contrast * float(rng.uniform(0, self.texture)) * speckles(share.shape, float(rng.uniform(1, 25)), rng)
        return np.asarray(np.clip(share * (1 + slow) * (1 + 0.5 * speckle), 1e-4, None), dtype=np.float32)


def _happens(share: float, rng: np.random.Generator) -> bool:
    """Return whether something that happens in a share of images happens; nothing is drawn for what never does."""
    return share > 0 and rng.random() < share


def banded(field: Field, rng: np.random.Generator) -> Field:
    """Return the field with bands of diffraction contrast in every particle, each with its own direction and width."""
    thick, strength = field.thickness_nm.copy(), float(rng.uniform(0.1, 0.6))
    for one in field.shadows:
        y, x = np.ogrid[one.rows, one.columns]
        width, turn, phase = np.sqrt(one.area_px) * rng.uniform(0.25, 1.5), rng.uniform(0, np.pi), rng.uniform(0, 6.3)
        bands = np.cos(2 * np.pi * (np.cos(turn) * y + np.sin(turn) * x) / width + phase)
        bands = np.sign(bands) if rng.random() < 0.3 else bands
        thick[one.rows, one.columns] += (strength * one.thickness_nm * bands).astype(np.float32)
    return replace(field, thickness_nm=np.clip(thick, 0, None))


def speckles(shape: tuple[int, int], grain_px: float, rng: np.random.Generator) -> Image:
    """Return random speckle (H, W) of mean 0 and standard deviation 1, with grains of so many pixels."""
    from scipy.ndimage import gaussian_filter

    grains = gaussian_filter(rng.normal(0, 1, shape), grain_px / 2, mode="reflect")
    grains = grains - grains.mean()
    found: Image = (grains / max(float(grains.std()), 1e-9)).astype(np.float32)
    return found


def _typical_thickness(field: Field, otherwise: float) -> float:
    """Return the median over the particles of their mean thickness (nm)."""
    means = [float(one.thickness_nm.sum() / one.area_px) for one in field.shadows]
    return float(np.median(means)) if means else otherwise
