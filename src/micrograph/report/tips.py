"""Pictures of the state of a tip: of the frame that is shown, and over a series of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw.tips import tip_figure, tip_history_figure
from micrograph.features.surface.bright import STEP_NM
from micrograph.features.surface.tip_tables import OTHER, bright_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe


def is_tips(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are features that tell of a tip."""
    return "objects" in tables and {"p_sharp", "p_dangling"} <= set(tables["objects"])


def tip_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the picture of the tip in one frame."""
    frame, objects = prediction.frame, tables["objects"]
    rows = tables["frames"][tables["frames"]["frame"] == frame.index]
    if not len(rows):
        return {}
    bright = bright_in(frame)
    voting = objects["class"].to_numpy(str) != OTHER
    together = np.median(bright.crops[voting], axis=0) if len(bright) == len(voting) and voting.any() else None
    told = {**{str(name): value for name, value in rows.iloc[0].items()}, "together": together, "step_nm": STEP_NM}
    words = f"{recipe.title}, frame {frame.index}: {told['class']}"
    return {"tip": tip_figure(bright.level, bright.pixel_nm, objects, told, words)}


def tip_history_figures(tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the tip over a series of frames; nothing for fewer than three."""
    frames = tables.get("frames")
    if frames is None or len(frames) < 3 or not {"p_bad", "p_naive", "class"} <= set(frames):
        return {}
    return {"tip-history": tip_history_figure(frames, "The tip over time")}
