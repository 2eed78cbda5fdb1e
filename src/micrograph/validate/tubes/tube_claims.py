"""What is claimed of nanotubes: diameter and chiral angle."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.validate.claims import Claim, Tables

Array = NDArray[np.float64]


def of_the_tube(name: str, sample: Sample, tables: Tables) -> Array:
    """Return the true value of the tube in the image for the first row, which is the clearest, NaN for others."""
    truth = np.full(len(tables["objects"]), np.nan)
    truth[:1] = float(sample.params[name])
    return truth


DIAMETER = Claim(
    "objects",
    "diameter_nm",
    functools.partial(of_the_tube, "diameter_nm"),
    scale=("diameter_sigma_nm",),
    sigma="diameter_sigma_nm",
    least=0.0,
)
ANGLE = Claim(
    "objects",
    "angle_deg",
    functools.partial(of_the_tube, "angle_deg"),
    scale=("angle_sigma_deg",),
    sigma="angle_sigma_deg",
    least=0.0,
)
