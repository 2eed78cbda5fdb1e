"""Pictures of dumbbells and of types of lattice over the frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Flag, Prediction
from micrograph.draw.tiles import dumbbells_figure, tiles_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

#: What is shown of dumbbells: the column, and the label of its colours.
_SHOWN = {
    "separation_nm": ("separation", "separation (nm)"),
    "turn_deg": ("direction", "direction against the mean (degrees)"),
    "ratio": ("ratio", "ratio of intensities"),
}
_UNSURE = int(Flag.EDGE | Flag.NO_FIT)


def is_structural(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are dumbbells or windows with types of lattice."""
    columns = set(tables["objects"]) if "objects" in tables else set()
    return {"separation_nm", "direction_deg"} <= columns or {"p_hexagonal", "p_noise"} <= columns


def structural_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the map of types, or three maps of dumbbells: separation, direction, ratio."""
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    assert pixel_nm is not None
    objects, number = tables["objects"], f"frame {prediction.frame.index}"
    if "p_noise" in objects:
        return {"types": tiles_figure(image, pixel_nm, objects, f"{recipe.title}: {number}")}
    found = {}
    good = (objects["flags"].to_numpy(np.int64) & _UNSURE) == 0
    for column, (name, label) in _SHOWN.items():
        words = (f"{recipe.title}, {name}: {number}", label)
        found[f"dumbbells-{name}"] = dumbbells_figure(image, pixel_nm, objects[good], objects[column][good], words)
    return found
