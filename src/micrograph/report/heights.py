"""Pictures of atoms in columns: map, profile of confidence, comb of intensities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Flag, Prediction
from micrograph.draw.heights import comb_figure, confidence_figure, heights_figure
from micrograph.features.columns.column_heights import teeth

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

_CUT = int(Flag.EDGE | Flag.NO_FIT)
#: Teeth of the comb that are drawn at most.
_MOST = 60


def is_heights(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are columns with numbers of atoms."""
    return "objects" in tables and {"count", "count_p", "count_near_p", "height_nm"} <= set(tables["objects"])


def height_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures 'heights' and 'confidence', and 'comb' where numbers come from intensities."""
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    assert pixel_nm is not None
    objects, number = tables["objects"], f"frame {prediction.frame.index}"
    found = {"heights": heights_figure(image, pixel_nm, objects, f"{recipe.title}: {number}")}
    if not len(objects):
        return found
    found["confidence"] = confidence_figure(objects, f"How sure the numbers are: {number}")
    frames = tables["frames"]
    row = frames[frames["frame"] == prediction.frame.index]
    if "per_atom" in frames and len(row) and np.isfinite(row["per_atom"].iloc[0]):
        clean = objects[(objects["flags"].to_numpy(np.int64) & _CUT) == 0]
        found["comb"] = comb_figure(clean["intensity"], teeth(row, _MOST), f"Intensities and the comb: {number}")
    return found
