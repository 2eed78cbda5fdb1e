"""A second look at the defects of a sheet: what a cautious first reading leaves out or takes for something else.

Three mistakes make most wrong names. Two atoms of a turned bond are read as one, and a Stone-Wales defect as a vacancy
(`evidence`); a carbon in the light of a silicon is taken for silicon; an atom that could not be measured, or a second
neighbour, counts as a further bond of silicon. Intensities and lengths decide each case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Flag, Prediction
from micrograph.features.columns.evidence import weighed_sheet
from micrograph.features.lattices.crystal import defect_table
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.graph import Graph
from micrograph.features.layers.sheet import Brightness, Sheet, SheetSettings, sheet_bonds

Array = NDArray[np.float64]
Index = NDArray[np.intp]

HOST = "C"


@dataclass(frozen=True)
class SecondLook:
    """What counts in doubt.

    bond_scatter_nm: scatter of the bonds of one silicon; a fourth bond longer than the others by more than
    `most_sigmas` of it is none, by `blind_sigmas` if a lone silicon has it and its other end is an atom that could not
    be measured.
    """

    bond_scatter_nm: float = 0.012
    most_sigmas: float = 4.0
    blind_sigmas: float = 1.0


def read_twice(
    prediction: Prediction, settings: SheetSettings, brightness: Brightness, look: SecondLook | None = None
) -> Sheet:
    """Return the sheet as `read_sheet`, with the mistakes of the first reading mended where the image says so."""
    look = look or SecondLook()
    sheet = weighed_sheet(prediction, settings, brightness)
    ratio = brightness(("Si",)) / brightness((HOST,))
    return _renamed(prediction, _relabelled(sheet, ratio), settings, look)


def _relabelled(sheet: Sheet, ratio: float) -> Sheet:
    """Return the sheet with foreign atoms whose intensity is nearer to that of carbon called carbon."""
    table = sheet.table
    label, light = table["class"].to_numpy(str).astype(object), table["intensity"].to_numpy(float)
    usual = float(np.nanmedian(light[label == HOST])) if (label == HOST).any() else np.nan
    wrong = (label != HOST) & (light < np.sqrt(ratio) * usual)
    if not wrong.any():
        return sheet
    label[wrong] = HOST
    return replace(sheet, table=table.assign(**{"class": pd.Series(label, table.index, dtype=str)}))


def _renamed(prediction: Prediction, sheet: Sheet, settings: SheetSettings, look: SecondLook) -> Sheet:
    """Return the sheet with its bonds and defects found anew, without the further bonds of silicon that are none."""
    table, crystal = sheet.table, sheet.crystal
    label = table["class"].to_numpy(str)
    graph = sheet_bonds(table, crystal, settings.cutoff_scale)
    graph = graph.keep(_plausible(graph, table, look))
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    height, width = prediction.frame.data.shape
    defects = name_defects(
        table["y_nm"].to_numpy(),
        table["x_nm"].to_numpy(),
        label,
        graph,
        extent=(0.0, 0.0, (height - 1) * pixel, (width - 1) * pixel),
        label_p=table["score"].to_numpy(),
    )
    return replace(sheet, graph=graph, defects=defect_table(prediction.frame.index, defects))


def _plausible(graph: Graph, table: pd.DataFrame, look: SecondLook) -> NDArray[np.bool_]:
    """Return which bonds stay: a fourth bond of a foreign atom must not be far longer than the others."""
    keep = np.ones(len(graph.edges), dtype=bool)
    foreign = table["class"].to_numpy(str) != HOST
    blind = (table["flags"].to_numpy(np.int64) & int(Flag.NO_FIT)) != 0
    for row in np.flatnonzero(foreign).tolist():
        mine = np.flatnonzero((graph.edges == row).any(axis=1))
        other = graph.edges[mine].sum(axis=1) - row
        while keep[mine].sum() > 3:
            carbon = np.flatnonzero(keep[mine] & ~foreign[other])
            if len(carbon) < 3:
                break
            length = graph.length_nm[mine[carbon]]
            worst = int(np.argmax(length))
            alone = blind[other[carbon[worst]]] and len(carbon) == keep[mine].sum()
            most = look.blind_sigmas if alone else look.most_sigmas
            rest = np.delete(length, worst)
            spread = np.hypot(look.bond_scatter_nm, float(graph.length_sigma_nm[mine[carbon[worst]]]))
            if length[worst] - rest.mean() < most * spread:
                break
            keep[mine[carbon[worst]]] = False
    return keep
