"""Pictures of surfaces that repeat: levelled with what differs, and the motif of their cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from micrograph.core import Prediction
from micrograph.draw.surfaces import cell_of, motif_figure, surface_figure
from micrograph.features.levelling import Levelling

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe


def is_surface(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the tables are those of a surface's lattice."""
    return "motif" in tables and "sites" in tables


def surface_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures 'surface' and, where it repeats, 'motif'."""
    frame, settings = prediction.frame, cast("Any", recipe.objects)
    assert frame.calibration.pixel_nm is not None
    level = Levelling(settings.order, settings.lines, settings.scars)(frame.data)
    frames = tables["frames"]
    row = frames[frames["frame"] == frame.index]
    unit = frame.calibration.value_unit
    height = "value" if not unit else f"height ({unit})" if unit == "nm" else f"value ({unit})"
    repeats = len(row) > 0 and np.isfinite(row["a_nm"].iloc[0])
    cell = cell_of(row.iloc[0]) if repeats else None
    words = (f"{recipe.title}, levelled: frame {frame.index}", height)
    motif = tables["motif"][tables["motif"]["frame"] == frame.index]
    low, high = (float(end) for end in (motif["value"].min(), motif["value"].max()))
    limits = (low - 0.3 * (high - low), high + 0.6 * (high - low)) if repeats else None
    surface = surface_figure(level, frame.calibration.pixel_nm, tables["objects"], words, cell, limits)
    found = {"surface": surface}
    if cell is not None:
        sides = (motif["cell_a"].nunique(), motif["cell_b"].nunique())
        sites = tables["sites"][tables["sites"]["frame"] == frame.index]
        title = f"Motif of {float(row['cells'].iloc[0]):.0f} cells with its sites: frame {frame.index}"
        values = motif["value"].to_numpy(float).reshape(sides)
        found["motif"] = motif_figure(values, cell, sites, (title, height))
    return found
