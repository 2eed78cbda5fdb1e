"""What is claimed of outlined objects: diameters, and how much of an image they cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.simulate.objects.particle_sampler import ParticleScene
from micrograph.simulate.objects.particles import Shadow
from micrograph.validate.claims import Claim, Draw, Drawn, Tables, still
from micrograph.validate.objects.particle_scenes import Answer, found_in, same

Array = NDArray[np.float64]


def scenes(scene: Callable[[np.random.Generator], ParticleScene]) -> Draw:
    """Return draws of single images of particles; the scene tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        drawn = scene(rng)
        return Drawn(still(drawn.image, drawn.field.pixel_nm), drawn)

    return draw


def diameters(scene: ParticleScene, tables: Tables) -> Array:
    """Return the diameter (nm) of the circle of equal area of each found object that is a whole true one, else NaN."""
    answer = Answer(scene, tables)
    truth = np.full(len(answer.found), np.nan)
    for i, j in answer.pairs:
        if answer.inner[i]:
            truth[j] = 2 * np.sqrt(scene.field.shadows[i].area_px / np.pi) * scene.field.pixel_nm
    return truth


def covered(scene: ParticleScene, tables: Tables) -> Array:
    """Return the area (nm^2) that all true particles cover in the image, (1,)."""
    return np.array([float(scene.field.coverage.sum()) * scene.field.pixel_nm**2])


def pore_diameters(sample: Sample, tables: Tables) -> Array:
    """Return the diameter (nm) of the disc of equal area of each found pore that is a whole true one, else NaN."""
    from scipy.ndimage import find_objects, label

    covered, (height, width) = sample.masks["pore"], sample.image.shape
    labels, _ = label(covered > 0, np.ones((3, 3)))
    parts = [covered[box] * (labels[box] == number) for number, box in enumerate(find_objects(labels), start=1)]
    true = [
        Shadow(rows, columns, part, part) for (rows, columns), part in zip(find_objects(labels), parts, strict=True)
    ]
    truth = np.full(len(tables["objects"]), np.nan)
    for i, j in same(tuple(true), found_in(tables, (height, width), sample.pixel_nm)):
        rows, columns = true[i].rows, true[i].columns
        if rows.start > 0 and columns.start > 0 and rows.stop < height and columns.stop < width:
            truth[j] = 2 * np.sqrt(true[i].area_px / np.pi) * sample.pixel_nm
    return truth


def pores_covered(sample: Sample, tables: Tables) -> Array:
    """Return the area (nm^2) that all true pores cover in the image, (1,)."""
    return np.array([float(sample.masks["pore"].sum()) * sample.pixel_nm**2])


DIAMETER = Claim(
    "objects",
    "equivalent_diameter_nm",
    diameters,
    scale=("equivalent_diameter_sigma_nm", "equivalent_diameter_nm", "score"),
    sigma="equivalent_diameter_sigma_nm",
    least=0.0,
)
COVERED = Claim("frames", "covered_nm2", covered, scale=("covered_nm2", "area_nm2"), least=0.0)
PORE_DIAMETER = replace(DIAMETER, truth=pore_diameters)
PORES_COVERED = replace(COVERED, truth=pores_covered)
