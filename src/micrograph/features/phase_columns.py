"""Columns in phase contrast: bright or dark, as the lens has it; which of the two follows from the image itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Prediction
from micrograph.features.crystal import crystal_of, defect_table, vacancies, with_strain
from micrograph.features.locate import LocateSettings, locate, spotted
from micrograph.features.overview import FRAME_COLUMNS, frame_row

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: What the table 'frames' promises.
COLUMN_FRAMES = (
    *FRAME_COLUMNS[:-1],
    Column("contrast", "", "1 where columns are bright, -1 where they are dark, 0 without any"),
    Column("contrast_score", "", "how many sigma the columns stand out of the image's mean"),
    FRAME_COLUMNS[-1],
)
#: What columns are called.
NAME = "column"
#: Frames in which columns stand out by fewer sigma may show them in the wrong contrast.
_SURE = 3.0


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


def read_columns(prediction: Prediction, settings: LocateSettings, expected: int = 0) -> Mapping[str, pd.DataFrame]:
    """Return the tables 'objects', 'defects' and 'frames' (`COLUMN_FRAMES`) of one frame.

    Intensities of dark columns are below zero. `expected` is the contrast that the lens gives thin crystals, where it
    is known: 1, -1, or 0 for unknown. A frame that shows the other one is flagged OUT_OF_DOMAIN.
    """
    frame = prediction.frame
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    contrast = contrast_of(frame.data, spotted(prediction, settings) / pixel)
    sign = -1 if contrast < 0 else 1
    seen = prediction if sign > 0 else replace(prediction, frame=replace(frame, data=-frame.data))
    table = locate(seen, settings).table
    table["class"] = NAME
    table["intensity"] *= sign
    crystal = crystal_of(table)
    tables = {
        "objects": with_strain(table, crystal),
        "defects": defect_table(frame.index, vacancies(table, crystal, "vacancy")),
    }
    row = frame_row(prediction, table, crystal, doubts=_doubts(len(table), contrast, expected))
    row.insert(row.columns.get_loc("flags"), "contrast", sign if len(table) else 0)
    row.insert(row.columns.get_loc("flags"), "contrast_score", abs(contrast))
    return {**tables, "frames": row}


def _doubts(count: int, contrast: float, expected: int) -> tuple[str, ...]:
    """Return sentences that say why the columns may be in the wrong places."""
    if count == 0:
        return ()
    if abs(contrast) < _SURE:
        return (f"The {count} columns hardly stand out of the image ({abs(contrast):.1f} sigma).",)
    if expected * contrast < 0:
        words = ("bright", "dark") if expected > 0 else ("dark", "bright")
        return (f"The lens shows thin crystals {words[0]}, but the columns are {words[1]}: check the defocus.",)
    return ()
