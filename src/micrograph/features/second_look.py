"""A second look at the defects of a sheet: what a cautious first reading leaves out or takes for something else.

Three mistakes make most wrong names. An atom of a turned bond scores just below the threshold, and a Stone-Wales defect
reads as a vacancy; a carbon in the light of a silicon is taken for silicon; an atom that could not be measured, or a
second neighbour, counts as a further bond of silicon. Intensities and lengths decide each case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Flag, Prediction
from micrograph.features.crystal import defect_table
from micrograph.features.defects import name_defects
from micrograph.features.graph import CUTOFFS_NM, Graph, neighbours
from micrograph.features.peaks import Peaks, find_peaks
from micrograph.features.sheet import A_NM, Brightness, Sheet, SheetSettings, read_sheet

Array = NDArray[np.float64]
Index = NDArray[np.intp]

HOST = "C"


@dataclass(frozen=True)
class SecondLook:
    """What counts in doubt.

    faint: least score of an atom in a void; void_nm: how far from the middle of a void it may lie; least_light: its
    least intensity, in those of a carbon. bond_scatter_nm: scatter of the bonds of one silicon; a fourth bond longer
    than the others by more than `most_sigmas` of it is none, by `blind_sigmas` if a lone silicon has it and its
    other end is an atom that could not be measured.
    """

    faint: float = 0.08
    void_nm: float = 0.2
    least_light: float = 0.6
    bond_scatter_nm: float = 0.012
    most_sigmas: float = 4.0
    blind_sigmas: float = 1.0


def read_twice(
    prediction: Prediction, settings: SheetSettings, brightness: Brightness, look: SecondLook | None = None
) -> Sheet:
    """Return the sheet as `read_sheet`, with the mistakes of the first reading mended where the image says so."""
    look = look or SecondLook()
    sheet = read_sheet(prediction, settings, brightness)
    faint = _faint_atoms(prediction, sheet, settings, look)
    if len(faint.y):
        again = read_sheet(_raised(prediction, faint, settings.threshold), settings, brightness)
        lit = _own_light(prediction, again, faint, look)
        if lit.any() and not lit.all():
            some = Peaks(faint.y[lit], faint.x[lit], faint.score[lit])
            again = read_sheet(_raised(prediction, some, settings.threshold), settings, brightness)
        sheet = again if lit.any() else sheet
    ratio = brightness(("Si",)) / brightness((HOST,))
    return _renamed(prediction, _relabelled(sheet, ratio), settings, look)


def _faint_atoms(prediction: Prediction, sheet: Sheet, settings: SheetSettings, look: SecondLook) -> Peaks:
    """Return the peaks below the threshold that lie in the voids of the carbon network."""
    found = find_peaks(prediction.maps["atom"], look.faint, settings.min_distance_nm / prediction.pixel_nm)
    names = sheet.defects["name"].to_numpy(str)
    voids = sheet.defects[np.char.startswith(names, "V") | (names == "hole")][["y_nm", "x_nm"]].to_numpy(float)
    y, x = _place(prediction, found)
    near = np.hypot(y[:, None] - voids[:, 0], x[:, None] - voids[:, 1]) < look.void_nm
    keep = (found.score < settings.threshold) & near.any(axis=1)
    return Peaks(found.y[keep], found.x[keep], found.score[keep])


def _place(prediction: Prediction, found: Peaks) -> tuple[Array, Array]:
    """Return where peaks of a map lie in the frame, nm."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    step_y, step_x = prediction.steps
    return ((found.y + 0.5) * step_y - 0.5) * pixel, ((found.x + 0.5) * step_x - 0.5) * pixel


def _raised(prediction: Prediction, faint: Peaks, threshold: float) -> Prediction:
    """Return the prediction with the map around the given peaks raised to just above the threshold."""
    atom = prediction.maps["atom"].copy()
    rows, columns = np.indices(atom.shape)
    for y, x, score in zip(faint.y.tolist(), faint.x.tolist(), faint.score.tolist(), strict=True):
        near = (rows - y) ** 2 + (columns - x) ** 2 <= 2.0**2
        atom[near] = np.minimum(atom[near] * 1.1 * threshold / max(score, 1e-6), 1.0)
    return replace(prediction, maps={**prediction.maps, "atom": atom})


def _own_light(prediction: Prediction, sheet: Sheet, faint: Peaks, look: SecondLook) -> NDArray[np.bool_]:
    """Return which peaks are columns as bright as a carbon, measured and significant."""
    from scipy.spatial import cKDTree

    table = sheet.table
    usual = float(np.nanmedian(table["intensity"][table["class"] == HOST]))
    off, row = cKDTree(table[["y_nm", "x_nm"]].to_numpy(float)).query(np.column_stack(_place(prediction, faint)))
    light, sigma = (table[name].to_numpy(float)[row] for name in ("intensity", "intensity_sigma"))
    fitted = (table["flags"].to_numpy(np.int64)[row] & int(Flag.NO_FIT)) == 0
    return np.asarray((off < 0.07) & fitted & (light > look.least_light * usual) & (light > 4 * sigma))


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
    measured = crystal.lattice.a_nm / A_NM if crystal.lattice is not None else 1.0
    scale = settings.cutoff_scale * (measured if 0.92 < measured < 1.08 else 1.0)
    cutoffs = {pair: scale * length for pair, length in CUTOFFS_NM.items()}
    graph = neighbours(crystal.y_nm, crystal.x_nm, cutoffs, label, sigma_nm=crystal.sigma_nm)
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
