"""Atoms, silicon and named defects in graphene (ADF-STEM).   doi:10.1021/acsnano.7b07504, doi:10.1126/sciadv.aaw8989"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ase import Atoms

from micrograph.core import Prediction, Task
from micrograph.features.crystal import DEFECT_COLUMNS, STRAIN_COLUMNS, Crystal, crystal_of, defect_table, with_strain
from micrograph.features.defects import Defects, name_defects
from micrograph.features.graph import CUTOFFS_NM, neighbours
from micrograph.features.locate import LocateSettings, locate
from micrograph.features.occupancy import CLASS_P, occupied
from micrograph.features.overview import FRAME_COLUMNS, frame_row, lattice_doubts, magnification_note, order_doubts
from micrograph.features.points import POINTS
from micrograph.features.species import Species
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import Microscope, StemSampler, cross_section_A2
from micrograph.structures import graphene, random_displacements, with_holes, with_silicon, with_vacancies
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

#: Multislice images, made by another simulator: displaced atoms, displaced atoms with silicon, named defects.
DISPLACED = Trial(tuple(f"graphene_displaced_{i}" for i in range(4)), 1e5)
SILICON = Trial(("graphene_displaced_1", "graphene_displaced_3"), 1e5, repeats=4)
DEFECTS = Trial(tuple(f"graphene_defects_{i}" for i in range(6)), 1e5, repeats=3)

#: Lattice constant of graphene (nm).
A_NM = 0.246


def sheet(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return graphene with vacancies, 3-fold silicon and holes; by design no 5-7 pair, SW or silicon cluster."""
    atoms = graphene(
        size_nm,
        rotation_deg=float(rng.uniform(0, 60)),
        strain=tuple(rng.normal(0, 0.01, 3)),
        shift_nm=tuple(rng.uniform(0, 0.3, 2)),
    )
    atoms = with_vacancies(atoms, rng, rate=float(rng.choice([0.0, 0.004, 0.015])))
    atoms = with_silicon(atoms, rng, rate=float(rng.choice([0.0, 0.005, 0.02])))
    if rng.random() < 0.25:
        atoms = with_holes(atoms, float(rng.uniform(0.3, 1.0)), rng)
    return random_displacements(atoms, float(rng.uniform(0, 0.015)), rng)


@dataclass(frozen=True)
class Graphene:
    """Atoms with element, named defects, lattice, strain. `cutoff_scale` stretches the bond cut-offs."""

    threshold: float = 0.4
    min_distance_nm: float = 0.09
    glare_nm: float = 0.13
    cutoff_scale: float = 1.0

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        settings = LocateSettings(
            threshold=self.threshold,
            min_distance_nm=self.min_distance_nm,
            glare_nm=self.glare_nm,
        )
        table = locate(prediction, settings).table
        table = occupied(table, np.ones(len(table), dtype=bool), _elements(prediction))
        crystal = crystal_of(table, "hexagonal")
        doubts = (
            *lattice_doubts(crystal.lattice, A_NM, "graphene"),
            *order_doubts(table, crystal.lattice),
        )
        return {
            "objects": with_strain(table, crystal),
            "defects": defect_table(prediction.frame.index, self._defects(prediction, table, crystal)),
            "frames": frame_row(prediction, table, crystal, doubts=doubts, notes=_magnification(prediction, crystal)),
        }

    def _defects(self, prediction: Prediction, table: pd.DataFrame, crystal: Crystal) -> Defects:
        """Return the named defects; bond cut-offs follow the measured lattice and so forgive a wrong magnification."""
        measured = crystal.lattice.a_nm / A_NM if crystal.lattice is not None else 1.0
        scale = self.cutoff_scale * (measured if 0.92 < measured < 1.08 else 1.0)
        label = table["class"].to_numpy(str)
        cutoffs = {pair: scale * length for pair, length in CUTOFFS_NM.items()}
        graph = neighbours(crystal.y_nm, crystal.x_nm, cutoffs, label, sigma_nm=crystal.sigma_nm)
        pixel = prediction.frame.calibration.pixel_nm or 1.0
        height, width = prediction.frame.data.shape
        field = (0.0, 0.0, (height - 1) * pixel, (width - 1) * pixel)
        y, x = table["y_nm"].to_numpy(), table["x_nm"].to_numpy()
        return name_defects(y, x, label, graph, extent=field, label_p=table["score"].to_numpy())


def _magnification(prediction: Prediction, crystal: Crystal) -> tuple[str, ...]:
    return magnification_note(crystal.lattice, A_NM, prediction.frame.calibration.pixel_nm or 1.0)


def _elements(prediction: Prediction) -> tuple[Species, ...]:
    """Return carbon and silicon with the ratio of their cross-sections for the frame's microscope, as far as known."""
    known = prediction.frame.calibration
    default = Microscope()
    microscope = Microscope(
        voltage_kV=known.voltage_kV or default.voltage_kV,
        convergence_mrad=known.convergence_mrad or default.convergence_mrad,
        inner_mrad=known.inner_mrad or default.inner_mrad,
        outer_mrad=known.outer_mrad or default.outer_mrad,
    )
    carbon, silicon = cross_section_A2([6, 14], microscope)
    ratio = float(silicon / carbon)
    return Species("C", 1.0), Species("Si", ratio, 0.2 * ratio)


DATA = StemSampler(
    structure=sheet,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 80.0),
    dose_e_per_A2=(8e3, 2e6),
    microscope={"defocus_nm": (-4.0, 4.0), "astigmatism_nm": (0.0, 2.0), "coma_nm": (0.0, 60.0)},
    scan={"line_noise": (0.0, 0.01), "background": (0.0, 3e-4)},
)
MODEL = NetSpec(
    heads=(Head("atom", "spots", labels=("C", "Si")), Head("contamination", "region")),
    weights="graphene-1",
)
RECIPE = Recipe(
    name="graphene-dopants",
    title="Atoms, silicon and named defects in graphene",
    task=Task(
        question="Where is every atom, is it carbon or silicon, and which defects are there?",
        needs=("pixel_nm",),
        answers={
            "objects": (*POINTS, CLASS_P, *STRAIN_COLUMNS),
            "defects": DEFECT_COLUMNS,
            "frames": FRAME_COLUMNS,
            "summary": SUMMARY,
        },
        reference="doi:10.1021/acsnano.7b07504",
    ),
    data=DATA,
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
    ),
)
