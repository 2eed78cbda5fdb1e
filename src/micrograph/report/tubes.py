"""Pictures of nanotubes: each over the image, and the layer lines of the clearest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw import layer_lines_figure, tubes_figure
from micrograph.structures import Tube, layer_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

_SHELL_PER_NM = 5.0


def is_tubes(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are nanotubes: they have n and m."""
    return "objects" in tables and {"n", "m", "axis_deg", "pixel_scale"} <= set(tables["objects"])


def tube_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures 'sites' (every tube over the frame) and 'layer-lines' (of the clearest)."""
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    assert pixel_nm is not None
    number, objects = f"frame {prediction.frame.index}", tables["objects"]
    found = {"sites": tubes_figure(image, pixel_nm, objects, f"{recipe.title}: {number}")}
    if len(objects):
        row = objects.iloc[0]
        lines = layer_lines(Tube(int(row["n"]), int(row["m"])), _SHELL_PER_NM).along_per_nm
        scale = float(row["pixel_scale"]) / np.cos(np.deg2rad(float(row["tilt_deg"])))
        shown = sorted({round(float(line), 4) for line in lines[lines >= 0] * scale})
        title = f"Fourier transform and layer lines of ({row['n']},{row['m']}): {number}"
        found["layer-lines"] = layer_lines_figure(image, pixel_nm, float(row["axis_deg"]), shown, title)
    return found
