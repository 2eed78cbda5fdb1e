"""Columns of any crystal seen along an axis: positions, lattice, strain; no species.   doi:10.1021/acsnano.7b07504"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from ase import Atoms

from micrograph.core import Prediction, Task
from micrograph.features.columns.locate import LocateSettings, locate
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.crystal import (
    DEFECT_COLUMNS,
    STRAIN_COLUMNS,
    crystal_of,
    defect_table,
    vacancies,
    with_strain,
)
from micrograph.features.overview import FRAME_COLUMNS, frame_row, order_doubts
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import StemSampler
from micrograph.structures import columns, from_file, graphene, random_displacements, random_lattice_2d, with_holes
from micrograph.validate import Trial, atom_f1, coverage_1sigma, domain_auroc, position_over_limit, slope_error
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.columns.site_claims import POSITIONS
from micrograph.validate.mending_checks import elsewhere

#: Multislice images, made by another simulator: an oxide, graphene, two monolayers (their empty sites do not count).
OXIDE = Trial(("srtio3_001",), 1e5, repeats=4, of="SrTiO3 with its oxygen")
GRAPHENE = Trial(tuple(f"graphene_displaced_{i}" for i in range(4)), 1e5, of="graphene")
MONOLAYERS = Trial(("tmd_wse2_0", "tmd_mose2_0", "tmd_mos2_0"), 5e4, of="monolayers")


def any_crystal(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return a random two-dimensional crystal, a fifth of them graphene, with vacancies and sometimes a hole."""
    if rng.random() < 0.2:
        atoms = graphene(size_nm, rotation_deg=float(rng.uniform(0, 60)), shift_nm=tuple(rng.uniform(0, 0.3, 2)))
    else:
        atoms = random_lattice_2d(size_nm, rng)
    return _worn(atoms, size_nm, rng)


@dataclass(frozen=True)
class OwnStructure:
    """A user's crystal (CIF, XYZ) along `zone_axis`, anywhere in the field, turned at random, with missing columns."""

    path: Path
    zone_axis: str = "001"
    thickness_nm: float | None = None

    def __call__(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        """Return one random sample of the crystal."""
        atoms = from_file(
            self.path,
            self.zone_axis,
            size_nm=size_nm,
            thickness_nm=self.thickness_nm,
            rotation_deg=float(rng.uniform(0, 360)),
            margin_nm=1.2,
        )
        atoms.positions[:, :2] += rng.uniform(-5, 5, 2)
        return _worn(atoms, size_nm, rng)


def _worn(atoms: Atoms, size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return the crystal with vacancies, sometimes a hole, every column displaced; all labels 'atom'."""
    column = columns(atoms.positions[:, 1::-1] / 10.0)
    stays = rng.random(column.max(initial=-1) + 1) >= float(rng.choice([0.0, 0.01, 0.04]))
    atoms = atoms[stays[column]]
    if rng.random() < 0.15:
        atoms = with_holes(atoms, float(rng.uniform(0.3, 1.0)), rng)
    atoms = random_displacements(atoms, float(rng.uniform(0, 0.012)), rng)
    atoms.arrays["label"] = np.full(len(atoms), "atom", dtype="U8")
    return atoms


@dataclass(frozen=True)
class Columns:
    """Positions with errors, lattice, strain, missing columns. With a known `symmetry` scan distortion is removed."""

    threshold: float = 0.5
    min_distance_nm: float = 0.09
    symmetry: Literal["hexagonal", "square"] | None = None

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        settings = LocateSettings(threshold=self.threshold, min_distance_nm=self.min_distance_nm)
        table = locate(prediction, settings).table
        crystal = crystal_of(table, self.symmetry)
        return {
            "objects": with_strain(table, crystal),
            "defects": defect_table(prediction.frame.index, vacancies(table, crystal, "vacancy")),
            "frames": frame_row(prediction, table, crystal, doubts=order_doubts(table, crystal.lattice)),
        }


DATA = StemSampler(
    structure=any_crystal,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 300.0),
    electrons=(25.0, 4000.0),
    microscope={
        "defocus_nm": (-3.0, 3.0),
        "astigmatism_nm": (0.0, 1.5),
        "coma_nm": (0.0, 50.0),
        "convergence_mrad": (20.0, 35.0),
    },
    scan={"line_noise": (0.0, 0.02), "background": (0.0, 3e-4)},
)
MODEL = NetSpec(
    heads=(Head("atom", "spots", labels=("atom",)), Head("contamination", "region")),
    weights="atoms-1",
)
#: Half the least dose; pixels larger than were learned from.
TRUST = Trust(
    stills(DATA),
    POSITIONS,
    shifted=(
        ("half the dose", stills(replace(DATA, electrons=(12.5, 25.0)))),
        ("larger pixels", stills(replace(DATA, pixel_nm=(0.03, 0.04)))),
    ),
    frames=200,
    fresh=200,
    farther=40,
)
RECIPE = Recipe(
    name="atoms",
    title="Columns of any crystal seen along an axis",
    task=Task(
        question="Where are the columns, which lattice do they form, how is it strained, which columns are missing?",
        needs=("pixel_nm",),
        answers={
            "objects": (*POINTS, *STRAIN_COLUMNS),
            "defects": DEFECT_COLUMNS,
            "frames": FRAME_COLUMNS,
            "summary": SUMMARY,
        },
        reference="doi:10.1021/acsnano.7b07504",
    ),
    data=DATA,
    model=MODEL,
    objects=Columns(),
    summary=ArealDensity(always=("atom", "vacancy")),
    checks=(
        atom_f1(OXIDE, at_least=0.99),
        atom_f1(GRAPHENE, at_least=0.99),
        atom_f1(MONOLAYERS, at_least=0.98),
        position_over_limit(GRAPHENE, at_most=1.3),
        slope_error(GRAPHENE, within=0.03),
        coverage_1sigma(GRAPHENE, within=0.05),
        domain_auroc(GRAPHENE.at(1e5, repeats=1), foreign=(), kinds=("noise", "texture")),
        *intervals_cover(TRUST),
        *elsewhere(DATA),
    ),
    trust=TRUST,
)
