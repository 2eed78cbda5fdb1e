"""What is claimed of surfaces: energies between their species."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.claims import Claim, Draw, Drawn, Tables
from micrograph.validate.surfaces.energy_checks import EnergyTrial

Array = NDArray[np.float64]


def surfaces(trial: EnergyTrial) -> Draw:
    """Return draws of single configurations; the planted energies (K,) are the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        recording, planted = replace(trial, frames=1).recording(rng)
        return Drawn(recording, planted[0])

    return draw


def planted(truth: Array, tables: Tables) -> Array:
    """Return the planted energy (kT) of each row."""
    return np.asarray(truth[: len(tables["energies"])], np.float64)


ENERGY = Claim("energies", "w_kT", planted, scale=("w_sigma_kT",), sigma="w_sigma_kT")
