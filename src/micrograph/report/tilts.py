"""Pictures of tilted octahedra: the map of angles over the frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw.tilts import tilts_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe


def is_tilts(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are cells with the tilts of their octahedra."""
    return "objects" in tables and {"glazer", "a_deg", "c_deg"} <= set(tables["objects"])


def tilt_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the map of the tilts of one frame; none where no cell was seen."""
    objects, pixel_nm = tables["objects"], prediction.frame.calibration.pixel_nm
    rows = tables["frames"][tables["frames"]["frame"] == prediction.frame.index]
    if not len(objects) or not len(rows) or pixel_nm is None:
        return {}
    row = rows.iloc[0]
    turn = np.radians(float(row["direction_deg"]))
    along = 2 * float(row["along_nm"]) * np.array([-np.sin(turn), np.cos(turn)])
    across = np.sqrt(2) * float(row["across_nm"]) * np.array([np.cos(turn), np.sin(turn)])
    title = f"{recipe.title}: frame {prediction.frame.index}, {row['glazer']}"
    image = prediction.frame.data
    return {"tilts": tilts_figure(image, pixel_nm, objects, np.stack([along, across]), title)}
