"""Class-averaged strain of single-atom defects in TMD monolayers (ADF-STEM).   doi:10.1021/acs.nanolett.0c00269"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from micrograph.core import Prediction, Task
from micrograph.features.layers.class_strain import (
    CLASS_COLUMNS,
    CLASS_IMAGES,
    CLASSES,
    STRAIN_RINGS,
    ClassStrain,
    Seen,
    SurroundingsSettings,
    surroundings,
)
from micrograph.features.layers.monolayer import MonolayerSettings, read_monolayer
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.summary import SUMMARY
from micrograph.nets import shipped
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import MONOLAYER_IMAGES, MONOLAYER_MICROSCOPE
from micrograph.structures import MATERIALS
from micrograph.validate.layers.average_checks import average_over_limit, ring_bias, ring_strain_error
from micrograph.validate.layers.class_checks import DefectFields, folded_classes
from micrograph.validate.trials import Trial

#: Vacancies whose three neighbours stand 1 pm farther away than in the perfect crystal.
RINGS = DefectFields("WSe2", kinds=("V",), ring_pm=1.0, size_nm=8.5, apart_nm=0.85)
#: Multislice images in focus, made by another simulator.
FOCUSED = Trial(("tmd_wse2_0", "tmd_wse2_2"), 1e6, of="WSe2 in focus")


@dataclass(frozen=True)
class Surroundings(SurroundingsSettings, MonolayerSettings):
    """Every site with what is on it, and the columns around each defect relative to the lattice there."""

    substitutes: tuple[str, ...] = ("Te",)

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables of `read_monolayer` and the sums over the frame's defects that the fold adds up."""
        layer = read_monolayer(prediction, self, brightness(prediction.frame.calibration, MONOLAYER_MICROSCOPE))
        pixel = prediction.frame.calibration.pixel_nm
        assert pixel is not None
        metal = (layer.table["class"] == MATERIALS[str(layer.frames["material"].iloc[0])].metal).to_numpy()
        seen = Seen(prediction.frame.data, pixel, layer.table, layer.crystal, layer.defects, metal)
        return {**layer.tables(), **surroundings(seen, self)}


RECIPE = Recipe(
    name="defect-strain",
    title="Class-averaged strain around single-atom defects",
    task=Task(
        question="How do the columns around each kind of defect of a TMD monolayer move, averaged over many of them?",
        needs=("pixel_nm",),
        answers={
            **NAMED_ATOMS,
            "classes": CLASSES,
            "class_columns": CLASS_COLUMNS,
            "strain_rings": STRAIN_RINGS,
            "class_images": CLASS_IMAGES,
            "summary": SUMMARY,
        },
        reference="doi:10.1021/acs.nanolett.0c00269",
    ),
    data=MONOLAYER_IMAGES,
    model=shipped("tmd-1"),
    objects=Surroundings(),
    summary=ClassStrain(),
    checks=(
        folded_classes(DefectFields("WS2", dose_e_per_A2=1e5), at_least=0.8),
        folded_classes(DefectFields("WS2", dose_e_per_A2=3e4), at_least=0.8),
        folded_classes(DefectFields("WS2", dose_e_per_A2=3e4), off_pm=10.0, at_least=0.8),
        average_over_limit(RINGS, ClassStrain(), members=50, frames=10),
        average_over_limit(replace(RINGS, size_nm=10.5), ClassStrain(), members=500, frames=36),
        ring_strain_error(RINGS, ClassStrain(), members=50, frames=16),
        ring_bias(FOCUSED, "vac_Se", within_pm=0.3),
        ring_bias(FOCUSED, "V_W", within_pm=0.3),
    ),
)
