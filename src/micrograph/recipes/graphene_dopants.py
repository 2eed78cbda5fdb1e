"""Atoms, silicon and named defects in graphene (ADF-STEM).   doi:10.1021/acsnano.7b07504, doi:10.1126/sciadv.aaw8989"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from micrograph.core import Prediction, Task
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.layers.sheet import SheetSettings, read_sheet
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import GRAPHENE_IMAGES
from micrograph.validate import (
    Trial,
    atom_f1,
    coverage_1sigma,
    defect_recall,
    domain_auroc,
    position_over_limit,
    score_calibration,
    slope_error,
    species_error,
)
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.columns.site_claims import POSITIONS
from micrograph.validate.mending_checks import elsewhere

#: Multislice images, made by another simulator: displaced atoms, displaced atoms with silicon, named defects.
DISPLACED = Trial(tuple(f"graphene_displaced_{i}" for i in range(4)), 1e5)
SILICON = Trial(("graphene_displaced_1", "graphene_displaced_3"), 1e5, repeats=4)
DEFECTS = Trial(tuple(f"graphene_defects_{i}" for i in range(6)), 1e5, repeats=3)


@dataclass(frozen=True)
class Graphene(SheetSettings):
    """Atoms with element, named defects, lattice, strain. `cutoff_scale` stretches the bond cut-offs."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        return read_sheet(prediction, self, brightness(prediction.frame.calibration)).tables()


MODEL = NetSpec(
    heads=(Head("atom", "spots", labels=("C", "Si")), Head("contamination", "region")),
    weights="graphene-1",
)
#: Half the least dose; pixels larger than were learned from.
TRUST = Trust(
    stills(GRAPHENE_IMAGES),
    POSITIONS,
    shifted=(
        ("half the dose", stills(replace(GRAPHENE_IMAGES, dose_e_per_A2=(4e3, 8e3)))),
        ("larger pixels", stills(replace(GRAPHENE_IMAGES, pixel_nm=(0.03, 0.04)))),
    ),
    frames=200,
    fresh=200,
    farther=40,
)
RECIPE = Recipe(
    name="graphene-dopants",
    title="Atoms, silicon and named defects in graphene",
    task=Task(
        question="Where is every atom, is it carbon or silicon, and which defects are there?",
        needs=("pixel_nm",),
        answers={**NAMED_ATOMS, "summary": SUMMARY},
        reference="doi:10.1021/acsnano.7b07504",
    ),
    data=GRAPHENE_IMAGES,
    model=MODEL,
    objects=Graphene(),
    summary=ArealDensity(always=("C", "Si", "V1")),
    checks=(
        atom_f1(DISPLACED.at(3e4, repeats=10), at_least=0.99),
        atom_f1(DISPLACED.at(1e5, repeats=4), at_least=0.998),
        atom_f1(DISPLACED.at(1e6, repeats=6), at_least=0.9995),
        position_over_limit(DISPLACED.at(1e5), at_most=1.15),
        position_over_limit(DISPLACED.at(1e6), at_most=1.3),
        slope_error(DISPLACED.at(1e5, repeats=10), within=0.03),
        slope_error(DISPLACED.at(1e6), within=0.03),
        coverage_1sigma(DISPLACED.at(1e5, repeats=4), within=0.05),
        coverage_1sigma(DISPLACED.at(1e6, repeats=4), within=0.05),
        species_error(SILICON),
        defect_recall(DEFECTS, ("5-7", "SW", "Si2C4"), at_least=0.95),
        defect_recall(DEFECTS, ("V1", "V2", "Si1C3", "Si1C4", "Si3C6"), at_least=0.95),
        score_calibration(DISPLACED.at(3e4, repeats=1)),
        domain_auroc(DISPLACED.at(1e5, repeats=1), foreign=("tmd_wse2_0", "tmd_mos2_0")),
        *intervals_cover(TRUST),
        *elsewhere(GRAPHENE_IMAGES),
    ),
    trust=TRUST,
)
