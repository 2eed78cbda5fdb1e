"""Pictures of frames that were named by a user's own classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from micrograph.core import Prediction
from micrograph.draw.named import named_figure, windows_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe


def is_named(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are frames or windows that were named by a user's own classes."""
    return "objects" in tables and {"nearest", "away", "side_px"} <= set(tables["objects"])


def named_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the picture of a frame with its probabilities, or with its windows."""
    frame, objects = prediction.frame, tables["objects"]
    if frame.data.ndim != 2 or not len(objects):
        return {}
    pixel, title = frame.calibration.pixel_nm, f"{recipe.title}: frame {frame.index}"
    if len(objects) > 1:
        return {"windows": windows_figure(frame.data, pixel, objects, title)}
    import pandas as pd

    labels, shares = prediction.labels["class"], prediction.values["class"][0]
    chances = pd.DataFrame({"class": labels, "probability": shares})
    return {"named": named_figure(frame.data, pixel, chances, (title, str(objects["class"].iloc[0])))}
