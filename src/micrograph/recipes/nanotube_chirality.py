"""Which carbon nanotube an HRTEM image shows: diameter, chiral angle, (n, m).   doi:10.1016/j.carbon.2020.06.086"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction, Task
from micrograph.features.tubes.nanotubes import CANDIDATES, SEEN, TUBES, TubeSettings, read_tubes
from micrograph.features.tubes.tube_census import CENSUS, Census
from micrograph.features.tubes.tube_model import Beam
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.optics import wavelength_nm
from micrograph.simulate.phase.nanotube_sampler import NanotubeSampler, carbon_amplitude_nm2
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.tubes.nanotube_checks import (
    Tubes,
    angle_error,
    diameter_coverage,
    diameter_error,
    exact_tube,
    foreign_images,
    metallicity,
    posterior_error,
    seconds_a_frame,
    top_three,
)
from micrograph.validate.tubes.nanotube_multislice import multislice_image
from micrograph.validate.tubes.tube_claims import ANGLE, DIAMETER

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Read(TubeSettings):
    """Nanotubes of a frame; `pixel_sigma` is the relative 1-sigma error of the pixel size."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'candidates' and 'frames' of one frame."""
        frame = prediction.frame
        return read_tubes(frame, beam_of(frame.calibration.voltage_kV or self.voltage_kV), self)


@functools.lru_cache(maxsize=8)
def beam_of(voltage_kV: float) -> Beam:
    """Return the electrons of a voltage and how carbon scatters them."""
    k = np.linspace(0.0, 30.0, 301)
    return Beam(wavelength_nm(voltage_kV), k, carbon_amplitude_nm2(voltage_kV, k))


IMAGES = NanotubeSampler()
OWN = Tubes("own ranges", IMAGES, 400)
FAINT = Tubes("half the dose", replace(IMAGES, dose_e_per_A2=(150.0, 1e4)), 80)
ANOTHER = Tubes("multislice", replace(IMAGES, optics=multislice_image), 40)

TRUST = Trust(
    stills(IMAGES),
    (DIAMETER, ANGLE),
    shifted=(
        ("half the dose", stills(replace(IMAGES, dose_e_per_A2=(150.0, 300.0)))),
        ("larger pixels", stills(replace(IMAGES, pixel_nm=(0.04, 0.05)))),
    ),
    frames=300,
    fresh=300,
    farther=60,
)
RECIPE = Recipe(
    name="nanotube-chirality",
    title="Carbon nanotubes: diameter, chiral angle, (n, m)",
    task=Task(
        question="Which single-wall nanotube (n, m) does an HRTEM image show, and how sure is that?",
        needs=("pixel_nm",),
        answers={"objects": TUBES, "candidates": CANDIDATES, "frames": SEEN, "summary": CENSUS},
        reference="doi:10.1016/j.carbon.2020.06.086",
    ),
    data=IMAGES,
    model=NoNet(),
    objects=Read(),
    summary=Census(),
    checks=(
        exact_tube(OWN, at_least=0.905),
        top_three(OWN, at_least=0.99),
        diameter_error(OWN, at_most_nm=0.018),
        angle_error(OWN, at_most_deg=0.75),
        diameter_coverage(OWN, at_least=0.9),
        metallicity(OWN, at_least=0.97),
        posterior_error(OWN, at_most=0.05),
        exact_tube(FAINT, at_least=0.905),
        diameter_error(FAINT, at_most_nm=0.018),
        exact_tube(ANOTHER, at_least=0.905),
        diameter_error(ANOTHER, at_most_nm=0.018),
        foreign_images(OWN, at_least=0.95),
        seconds_a_frame(OWN, at_most_s=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
)
