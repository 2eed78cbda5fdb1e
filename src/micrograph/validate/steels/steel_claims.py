"""What is claimed of steels: the share of every constituent in the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.steels.metallography import CONSTITUENTS, Micrograph
from micrograph.validate.claims import Claim, Draw, Drawn, Tables, still
from micrograph.validate.steels.microstructure_trials import Metals

Array = NDArray[np.float64]


def steels(metals: Metals) -> Draw:
    """Return draws of single micrographs, which tell the truth themselves."""

    def draw(rng: np.random.Generator) -> Drawn:
        made = metals.micrograph(rng)
        return Drawn(still(made.image, made.pixel_nm), made)

    return draw


def shares(made: Micrograph, tables: Tables) -> Array:
    """Return the share of the image that the constituent of each row of 'phases' has."""
    places = [CONSTITUENTS.index(name) for name in tables["phases"]["class"].astype(str)]
    return np.array([float((made.metal.constituent == place).mean()) for place in places])


FRACTION = Claim("phases", "fraction", shares, scale=("fraction_sigma", "fraction"), sigma="fraction_sigma", least=0.0)
