"""Columns in phase contrast: bright or dark, as the lens has it; which of the two follows from the image itself.

The network says where columns are, whatever the contrast; `phase_spots` says where exactly, and which lens the image
speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.columns.locate import LocateSettings, locate, spotted
from micrograph.features.columns.phase_spots import Atoms, PhaseFit, ThinLens, fit_phase_spots
from micrograph.features.lattices.crystal import Crystal, crystal_of, defect_table, vacancies, with_strain
from micrograph.features.overview import FRAME_COLUMNS, frame_row

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: What the table 'frames' promises.
COLUMN_FRAMES = (
    *FRAME_COLUMNS[:-1],
    Column("contrast", "", "1 where columns are bright, -1 where they are dark, 0 without any"),
    Column("contrast_score", "", "how many sigma the columns stand out of their surroundings"),
    Column("defocus_nm", "nm", "defocus (under focus is positive) that the image speaks of, or as given"),
    Column("explained", "", "share of the image's variance that equal atoms through this lens explain"),
    FRAME_COLUMNS[-1],
)
#: What columns are called.
NAME = "column"
#: Frames in which columns stand out by fewer sigma may show them in the wrong contrast.
_SURE = 3.0
#: Where a larger share of sites is empty, columns were missed, or the crystal is rough: none is called a vacancy.
_MOST_EMPTY = 0.03
#: Columns without a lattice that explain less of the image are speckles of another kind of image.
_LEAST_EXPLAINED = 0.25
#: Where columns are alike (robust 1-sigma of their intensity over its median), one this many sigma fainter is none.
_ALIKE, _FAINTER = 0.2, 4.0
#: A column at the rim of a sheet or particle, which may be faint, has such a gap between its neighbours.
_OPEN_DEG = 130.0
#: So many columns make a crystal.
_FEWEST = 8


def contrast_of(image: Image, points_px: Array) -> float:
    """Return by how many sigma the image (H, W) is brighter at points (N, 2) than near them; below zero: darker."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    if len(points_px) < 4:
        return 0.0
    from scipy.spatial import cKDTree

    spacing = float(np.median(np.asarray(cKDTree(points_px).query(points_px, k=2)[0])[:, 1]))
    data = np.nan_to_num(np.asarray(image, float), nan=float(np.nanmedian(image)))
    smooth = gaussian_filter(data, 0.2 * spacing) - gaussian_filter(data, 1.0 * spacing)
    seen = map_coordinates(smooth, points_px.T, order=1, mode="nearest")
    return float(seen.mean() / (seen.std() / np.sqrt(len(seen)) + 1e-12))


def read_columns(
    prediction: Prediction, settings: LocateSettings, atoms: Atoms, lens: ThinLens | None = None
) -> Mapping[str, pd.DataFrame]:
    """Return the tables 'objects', 'defects' and 'frames' (`COLUMN_FRAMES`) of one frame.

    Intensities of dark columns are below zero. `lens` is what is known of it. A frame whose columns do not stand out,
    or stand out the other way than the lens would have them, is flagged OUT_OF_DOMAIN.
    """
    frame = prediction.frame
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    contrast = contrast_of(frame.data, spotted(prediction, settings) / pixel)
    sign = -1 if contrast < 0 else 1
    seen = prediction if sign > 0 else replace(prediction, frame=replace(frame, data=-frame.data))
    table = _without_hollows(locate(seen, settings).table)
    table["class"] = NAME
    table["intensity"] *= sign
    fit = fit_phase_spots(frame.data, *_places(table, pixel), pixel, atoms, lens)
    if fit is not None:
        table = _placed(table, fit, pixel)
    crystal = crystal_of(table)
    empty = defect_table(frame.index, vacancies(table, crystal, "vacancy"))
    if len(empty) > _MOST_EMPTY * len(table):
        empty = empty.iloc[:0]
    tables = {"objects": with_strain(table, crystal), "defects": empty}
    doubts = () if prediction.flags & Flag.BAD_FRAME else _doubts(len(table), contrast, fit, crystal)
    row = frame_row(prediction, table, crystal, doubts=doubts)
    told = {
        "contrast": sign if len(table) else 0,
        "contrast_score": abs(contrast),
        "defocus_nm": fit.lens.defocus_nm if fit else np.nan,
        "explained": fit.explained if fit else np.nan,
    }
    for name, value in told.items():
        row.insert(list(row.columns).index("flags"), name, value)
    return {**tables, "frames": row}


def _without_hollows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns without those that were put where one is missing in the midst of equal ones.

    In a particle, whose columns differ, nothing is left out; nor at a rim.
    """
    intensity = table["intensity"].to_numpy(float)
    middle = float(np.median(intensity)) if len(intensity) else 0.0
    spread = 1.4826 * float(np.median(np.abs(intensity - middle))) if len(intensity) else 0.0
    if len(table) < _FEWEST or middle <= 0 or spread > _ALIKE * middle:
        return table
    faint = np.flatnonzero(intensity < middle - _FAINTER * spread)
    place = table[["y_nm", "x_nm"]].to_numpy(float)
    kept = np.ones(len(table), bool)
    kept[faint[_surrounded(place, faint)]] = False
    return table[kept].reset_index(drop=True)


def _surrounded(place: Array, which: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which of the columns `which` have others on all sides: gaps between neighbours below `_OPEN_DEG`."""
    from scipy.spatial import cKDTree

    tree = cKDTree(place)
    reach = 2.2 * float(np.median(np.asarray(tree.query(place, k=2)[0])[:, 1]))
    found = np.zeros(len(which), bool)
    for row, one in enumerate(which):
        near = np.array([other for other in tree.query_ball_point(place[one], reach) if other != one], np.intp)
        angle = np.sort(np.arctan2(*(place[near] - place[one]).T))
        found[row] = len(near) > 2 and np.rad2deg(np.diff(np.append(angle, angle[0] + 2 * np.pi)).max()) < _OPEN_DEG
    return found


def _places(table: pd.DataFrame, pixel_nm: float) -> tuple[Array, Array]:
    return table["y_nm"].to_numpy(float) / pixel_nm, table["x_nm"].to_numpy(float) / pixel_nm


def _placed(table: pd.DataFrame, fit: PhaseFit, pixel_nm: float) -> pd.DataFrame:
    """Return the table with the places and errors of a fit where it has any; others are flagged NO_FIT."""
    sigma = np.sqrt(np.einsum("kii->ki", fit.covariance_px2)) * pixel_nm
    found = {"y_nm": fit.y_px * pixel_nm, "x_nm": fit.x_px * pixel_nm, "y_sigma_nm": sigma[:, 0]}
    found["x_sigma_nm"] = sigma[:, 1]
    placed = table.assign(**{name: np.where(fit.ok, values, table[name]) for name, values in found.items()})
    flags = table["flags"].to_numpy(np.int64)
    lost = int(Flag.NO_FIT)
    return placed.assign(flags=np.where(fit.ok, flags & ~lost, flags | lost))


def _doubts(count: int, contrast: float, fit: PhaseFit | None, crystal: Crystal) -> tuple[str, ...]:
    """Return sentences that say why the columns may be in the wrong places."""
    if count < _FEWEST:
        return (f"{count} columns were found: the image shows no crystal of the kind that the model knows.",)
    if abs(contrast) < _SURE:
        return (f"The {count} columns hardly stand out of the image ({abs(contrast):.1f} sigma).",)
    if fit is not None and fit.scale <= 0:
        return ("The columns do not look as this lens would show them: check defocus and voltage.",)
    if fit is not None and fit.explained < _LEAST_EXPLAINED and crystal.lattice is None:
        return (f"The {count} columns form no lattice and explain {100 * fit.explained:.0f} % of the image.",)
    return ()
