"""What is claimed of convergent-beam patterns: thickness and tilt."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.pattern_fit import PatternFit
from micrograph.validate.claims import Claim, Draw, Drawn, Tables
from micrograph.validate.diffraction.pattern_checks import PatternTrial, own_patterns, recording_of

Array = NDArray[np.float64]


def patterns(trial: PatternTrial) -> Draw:
    """Return draws of single patterns, of any of the trial's convergences."""

    def draw(rng: np.random.Generator) -> Drawn:
        convergence = float(rng.choice(trial.convergences_mrad))
        ((image, truth),) = own_patterns(replace(trial, each=1), convergence, rng)
        return Drawn(recording_of([image], convergence, truth.geometry.mrad_per_px), truth)

    return draw


def thickness(truth: PatternFit, tables: Tables) -> Array:
    """Return the true thickness (nm) of each row."""
    return np.full(len(tables["objects"]), truth.thickness_nm)


def tilt(axis: int, truth: PatternFit, tables: Tables) -> Array:
    """Return the true tilt (mrad) of each row, along the rows (`axis` 0) or the columns."""
    return np.full(len(tables["objects"]), truth.tilt_mrad[axis])


THICKNESS = Claim(
    "objects",
    "thickness_nm",
    thickness,
    scale=("thickness_sigma_nm",),
    sigma="thickness_sigma_nm",
    least=0.0,
)
TILTS = tuple(
    Claim(
        "objects",
        f"tilt_{name}_mrad",
        functools.partial(tilt, axis),
        scale=(f"tilt_{name}_sigma_mrad",),
        sigma=f"tilt_{name}_sigma_mrad",
    )
    for axis, name in enumerate("yx")
)
