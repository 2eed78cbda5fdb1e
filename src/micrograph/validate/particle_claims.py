"""What is claimed of outlined objects: diameters, and how much of an image they cover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.particle_sampler import ParticleScene
from micrograph.validate.claims import Claim, Draw, Drawn, Tables, still
from micrograph.validate.particle_scenes import Answer

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


DIAMETER = Claim(
    "objects",
    "equivalent_diameter_nm",
    diameters,
    scale=("equivalent_diameter_sigma_nm", "equivalent_diameter_nm", "score", "solidity"),
    sigma="equivalent_diameter_sigma_nm",
    least=0.0,
)
COVERED = Claim("frames", "covered_nm2", covered, scale=("covered_nm2", "area_nm2"), least=0.0)
