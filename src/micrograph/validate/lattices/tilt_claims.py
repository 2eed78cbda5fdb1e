"""What is claimed of tilted octahedra: the three angles of the whole image."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.tilts import ANSWERS, ordered
from micrograph.simulate.tilt_images import CellImage, Kept, random_crystal
from micrograph.validate.claims import Claim, Draw, Drawn, Tables, still
from micrograph.validate.lattices.tilt_checks import TiltTrial, random_view

Array = NDArray[np.float64]


def tilted(trial: TiltTrial) -> Draw:
    """Return draws of single images of crystals by Bloch waves; the doubled cell tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        crystal = random_crystal(trial.ranges, rng, 1, 1)
        cell = random_view(Kept.of(crystal.images()), crystal, (0, 0), trial.ranges, rng)
        return Drawn(still(*trial.scan(cell, rng)), cell)

    return draw


def angle(axis: int, cell: CellImage, tables: Tables) -> Array:
    """Return the true angle (degrees) about one of the axes in their order, (1,); NaN where no answer was given."""
    known = str(tables["frames"]["class"].iloc[0]) in ANSWERS
    _, angles = ordered(cell.tilts.signs, np.array(cell.tilts.angles_deg))
    return np.array([angles[axis] if known else np.nan])


_FIRST = Claim(
    "frames", "a_deg", functools.partial(angle, 0), scale=("a_sigma_deg", "noise"), sigma="a_sigma_deg", least=0.0
)
#: Angles about the first and the other of [100] and [010], and about [001].
ANGLES = tuple(
    replace(
        _FIRST,
        column=f"{name}_deg",
        truth=functools.partial(angle, axis),
        scale=(f"{name}_sigma_deg", "noise"),
        sigma=f"{name}_sigma_deg",
    )
    for axis, name in enumerate("abc")
)
