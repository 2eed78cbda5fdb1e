"""Dumbbells of crystals seen along an axis: separation, direction and polarity of each.   arXiv:1801.05133"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from micrograph.core import Prediction, Task
from micrograph.features.columns.dumbbells import COLUMNS, DUMBBELLS, MEANS, located_in_pairs, read_dumbbells
from micrograph.features.columns.locate import LocateSettings
from micrograph.features.overview import FRAME_COLUMNS
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import StemSampler
from micrograph.structures.dumbbell import CRYSTALS, dumbbells
from micrograph.validate import Trial
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.columns.dumbbell_checks import (
    both_columns,
    direction_error,
    linear_dumbbells,
    polarity,
    seconds_a_frame,
    separation_coverage,
    separation_over_limit,
)
from micrograph.validate.columns.dumbbell_claims import SEPARATION

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dumbbells:
    """Columns found by the network, refined jointly, paired by their lattice."""

    threshold: float = 0.5
    min_distance_nm: float = 0.07

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'columns' and 'frames' of one frame."""
        settings = LocateSettings(threshold=self.threshold, min_distance_nm=self.min_distance_nm)
        return read_dumbbells(prediction, located_in_pairs(prediction, settings))


def any_dumbbells(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return any of `CRYSTALS` along [110], 2 to 5 nm thick, columns displaced by 12 pm, some missing."""
    return dumbbells(
        str(rng.choice(list(CRYSTALS))),
        size_nm,
        rng,
        thickness_nm=float(rng.uniform(2, 5)),
        rotation_deg=float(rng.uniform(0, 360)),
        displaced_nm=0.012,
        missing=float(rng.choice([0.0, 0.02])),
    )


DATA = StemSampler(
    structure=any_dumbbells,
    field_nm=4.0,
    pixel_nm=(0.009, 0.022),
    voltage_kV=(120.0, 300.0),
    dose_e_per_A2=(1e4, 1e6),
    microscope={
        "defocus_nm": (-2.0, 2.0),
        "astigmatism_nm": (0.0, 1.0),
        "coma_nm": (0.0, 40.0),
        "convergence_mrad": (20.0, 30.0),
        "source_fwhm_nm": (0.04, 0.08),
    },
    scan=dict.fromkeys(("affine", "drift_nm", "flyback_nm", "jitter_nm", "line_noise"), (0.0, 0.0)),
    contaminated=0.0,
    noise_only=0.0,
)  # fmt: skip

#: Every crystal and microscope of the simulator; half the dose on other pixels; multislice.
OWN = Trial(
    tuple(f"{name}-{number}" for number in range(3) for name in CRYSTALS),
    1e5, repeats=1, pixel_nm=0.015, load=linear_dumbbells, of="linear images",
)  # fmt: skip
OTHER = Trial(
    tuple(f"{name}-{number}" for number in (3, 4) for name in CRYSTALS),
    5e4, repeats=1, pixel_nm=0.025, load=linear_dumbbells, of="pixels of 25 pm",
)  # fmt: skip
MULTISLICE = Trial(("silicon_110",), 1e5, repeats=16, pixel_nm=0.015, of="multislice")

#: Half the least dose; pixels larger than were learned from.
TRUST = Trust(
    stills(DATA),
    (SEPARATION,),
    shifted=(
        ("half the dose", stills(replace(DATA, dose_e_per_A2=(5e3, 1e4)))),
        ("larger pixels", stills(replace(DATA, pixel_nm=(0.022, 0.03)))),
    ),
    frames=500,
    fresh=500,
    farther=30,
)
RECIPE = Recipe(
    name="dumbbells",
    title="Dumbbells of crystals",
    task=Task(
        question="Where are the dumbbells of a crystal, how long are they, where do they point, which end is brighter?",
        needs=("pixel_nm",),
        answers={"objects": DUMBBELLS, "columns": COLUMNS, "frames": (*FRAME_COLUMNS, *MEANS), "summary": SUMMARY},
        reference="arXiv:1801.05133",
    ),
    data=DATA,
    model=NetSpec(
        heads=(Head("atom", "spots", labels=("atom",)), Head("contamination", "region")),
        weights="atoms-1",
    ),
    objects=Dumbbells(),
    summary=ArealDensity(always=("dumbbell", "single")),
    checks=(
        both_columns(OWN, at_least=0.98),
        direction_error(OWN, at_most_deg=1.0),
        separation_over_limit(OWN, at_most=1.5),
        separation_coverage(OWN, at_least=0.6),
        polarity(OWN, at_least=0.8),
        both_columns(OTHER, at_least=0.95),
        direction_error(OTHER, at_most_deg=2.0),
        separation_over_limit(OTHER, at_most=1.5),
        both_columns(MULTISLICE, at_least=0.95),
        direction_error(MULTISLICE, at_most_deg=1.5),
        separation_over_limit(MULTISLICE, at_most=1.5),
        seconds_a_frame(at_most_s=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
)
