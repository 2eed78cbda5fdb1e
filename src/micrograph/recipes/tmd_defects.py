"""Vacancies and dopants in TMD monolayers (ADF-STEM): what is on every site.   doi:10.1002/advs.202101099"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from micrograph.core import Prediction, Task
from micrograph.features.layers.monolayer import MonolayerSettings, read_monolayer
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import MONOLAYER_IMAGES, MONOLAYER_MICROSCOPE
from micrograph.validate import (
    TMD,
    TmdFields,
    Trial,
    atom_f1,
    density_coverage,
    domain_auroc,
    false_positive_rate,
    position_over_limit,
    score_calibration,
    site_accuracy,
    site_recall,
)
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.columns.site_claims import POSITIONS
from micrograph.validate.mending_checks import elsewhere

#: Multislice images, made by another simulator.
WSE2 = Trial(tuple(f"tmd_wse2_{i}" for i in range(4)), 5e3, of="WSe2")
SULPHIDES = Trial(("tmd_mos2_0", "tmd_mos2_1", "tmd_ws2_0"), 1e5, of="MoS2 and WS2")
MOSE2 = Trial(("tmd_mose2_0",), 5e3, of="MoSe2")


@dataclass(frozen=True)
class Sites(MonolayerSettings):
    """Every site with what is on it. `dopants` may sit on metal sites, `substitutes` in chalcogen columns.

    A defect is listed from the posterior `certainty` on; every site keeps its likeliest class.
    """

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        return read_monolayer(prediction, self, brightness(prediction.frame.calibration, MONOLAYER_MICROSCOPE)).tables()


MODEL = NetSpec(
    heads=(
        Head("bright", "spots", labels=("bright",)),
        Head("dim", "spots", labels=("dim",)),
        Head("contamination", "region"),
    ),
    weights="tmd-1",
)
#: Half the least dose; pixels larger than were learned from.
TRUST = Trust(
    stills(MONOLAYER_IMAGES),
    POSITIONS,
    shifted=(
        ("half the dose", stills(replace(MONOLAYER_IMAGES, dose_e_per_A2=(750.0, 1.5e3)))),
        ("larger pixels", stills(replace(MONOLAYER_IMAGES, pixel_nm=(0.03, 0.04)))),
    ),
    frames=200,
    fresh=200,
    farther=40,
)
RECIPE = Recipe(
    name="tmd-defects",
    title="Vacancies and dopants in TMD monolayers",
    task=Task(
        question="What is on every site of a MoS2, WS2, MoSe2 or WSe2 monolayer, and how dense are its defects?",
        needs=("pixel_nm",),
        answers={**NAMED_ATOMS, "summary": SUMMARY},
        reference="doi:10.1002/advs.202101099",
    ),
    data=MONOLAYER_IMAGES,
    model=MODEL,
    objects=Sites(),
    summary=ArealDensity(),
    checks=(
        atom_f1(WSE2, at_least=0.99),
        site_accuracy(WSE2.at(5e3, repeats=12), at_least=0.98),
        site_accuracy(WSE2.at(1e5, repeats=8), at_least=0.98),
        site_accuracy(MOSE2.at(5e3, repeats=24), at_least=0.98),
        site_accuracy(SULPHIDES.at(1e5, repeats=12), at_least=0.98),
        site_recall(WSE2.at(5e3, repeats=20), "V", at_least=0.99),
        false_positive_rate(WSE2.at(5e3, repeats=30), groups=TMD),
        false_positive_rate(WSE2.at(1e5, repeats=14), groups=TMD),
        density_coverage(TmdFields(), at_least=0.9),
        position_over_limit(WSE2.at(1e5), at_most=1.3),
        score_calibration(WSE2),
        domain_auroc(WSE2.at(1e5, repeats=1), foreign=("graphene_displaced_0",)),
        *intervals_cover(TRUST),
        *elsewhere(MONOLAYER_IMAGES),
    ),
    trust=TRUST,
)
