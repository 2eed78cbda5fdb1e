"""What is claimed of particles whose atoms are counted: how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Recording
from micrograph.validate.claims import Claim, Draw, Drawn, Tables
from micrograph.validate.columns.height_scenes import HeightScene, Scenes

Array = NDArray[np.float64]


def heights(scenes: Scenes) -> Draw:
    """Return draws of single images of particles; the scene tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        scene = scenes(rng)
        image, known = scene.image, scene.known
        return Drawn(
            Recording(lambda index: image, range(1), scene.calibration, image.shape, known=lambda index: known), scene
        )

    return draw


def atoms(scene: HeightScene, tables: Tables) -> Array:
    """Return the atoms in all true columns, (1,)."""
    return np.array([float(scene.atoms.sum())])


ATOMS = Claim("frames", "atoms", atoms, scale=("atoms_sigma", "atoms"), sigma="atoms_sigma", least=0.0)
