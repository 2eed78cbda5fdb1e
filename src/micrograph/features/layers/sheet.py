"""A sheet of graphene as it is seen in one frame: atoms with their element, bonds, named defects, lattice, strain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import Prediction
from micrograph.features.columns.locate import LocateSettings, locate
from micrograph.features.columns.occupancy import occupied
from micrograph.features.columns.species import Species
from micrograph.features.lattices.crystal import Crystal, crystal_of, defect_table, with_strain
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.graph import CUTOFFS_NM, Graph, neighbours, without_triangles
from micrograph.features.overview import frame_row, lattice_doubts, magnification_note, order_doubts

#: Lattice constant of graphene (nm).
A_NM = 0.246
#: Gives the cross-section (square angstrom) of a column that holds the given elements.
Brightness = Callable[[tuple[str, ...]], float]


@dataclass(frozen=True)
class SheetSettings:
    """How atoms are found and bonded; `cutoff_scale` stretches the bond cut-offs."""

    threshold: float = 0.4
    min_distance_nm: float = 0.09
    glare_nm: float = 0.13
    cutoff_scale: float = 1.0


@dataclass(frozen=True)
class Sheet:
    """What is seen: `table` of atoms (as table 'objects'), their crystal and bonds, tables 'defects' and 'frames'."""

    table: pd.DataFrame
    crystal: Crystal
    graph: Graph
    defects: pd.DataFrame
    frames: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames'."""
        return {"objects": self.table, "defects": self.defects, "frames": self.frames}


def read_sheet(prediction: Prediction, settings: SheetSettings, brightness: Brightness) -> Sheet:
    """Return the atoms, bonds and named defects of one frame of graphene (maps 'atom', 'contamination')."""
    found = LocateSettings(
        threshold=settings.threshold, min_distance_nm=settings.min_distance_nm, glare_nm=settings.glare_nm
    )
    table = locate(prediction, found).table
    ratio = brightness(("Si",)) / brightness(("C",))
    elements = (Species("C", 1.0), Species("Si", ratio, 0.2 * ratio))
    table = occupied(table, np.ones(len(table), dtype=bool), elements)
    crystal = crystal_of(table, "hexagonal")
    doubts = (*lattice_doubts(crystal.lattice, A_NM, "graphene"), *order_doubts(table, crystal.lattice))
    pixel = prediction.frame.calibration.pixel_nm or 1.0
    notes = magnification_note(crystal.lattice, A_NM, pixel)
    graph = sheet_bonds(table, crystal, settings.cutoff_scale)
    height, width = prediction.frame.data.shape
    defects = name_defects(
        table["y_nm"].to_numpy(),
        table["x_nm"].to_numpy(),
        table["class"].to_numpy(str),
        graph,
        extent=(0.0, 0.0, (height - 1) * pixel, (width - 1) * pixel),
        label_p=table["score"].to_numpy(),
    )
    return Sheet(
        table=with_strain(table, crystal),
        crystal=crystal,
        graph=graph,
        defects=defect_table(prediction.frame.index, defects),
        frames=frame_row(prediction, table, crystal, doubts=doubts, notes=notes),
    )


def sheet_bonds(table: pd.DataFrame, crystal: Crystal, cutoff_scale: float) -> Graph:
    """Return who is bonded; the cut-offs follow the measured lattice and so forgive a wrong magnification.

    Three carbons are never all bonded to one another.
    """
    measured = crystal.lattice.a_nm / A_NM if crystal.lattice is not None else 1.0
    scale = cutoff_scale * (measured if 0.92 < measured < 1.08 else 1.0)
    cutoffs = {pair: scale * length for pair, length in CUTOFFS_NM.items()}
    label = table["class"].to_numpy(str)
    graph = neighbours(crystal.y_nm, crystal.x_nm, cutoffs, label, sigma_nm=crystal.sigma_nm)
    return without_triangles(graph, label == "C")
