"""Pictures of images on finer pixels: gaps, and what of the power was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.core.frame import binned
from micrograph.draw.finer import gaps_figure, power_figure
from micrograph.features.restoring.super_resolution import FINER, MOST, agreement, spectrum_of, told_up_to

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe


def is_finer(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are gaps of a finer image."""
    return "objects" in tables and {"across_deg", "support", "width_px"} <= set(tables["objects"])


def finer_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures 'gaps' and 'power'; none for other results."""
    if not is_finer(tables) or "image" not in prediction.maps:
        return {}
    answer, recorded = prediction.maps["image"], np.nan_to_num(prediction.frame.data)
    pixel = prediction.pixel_nm if prediction.frame.calibration.pixel_nm is not None else None
    number = f"frame {prediction.frame.index}"
    objects = tables["objects"]
    own = objects[objects["frame"] == prediction.frame.index] if "frame" in objects else objects
    agreed = agreement(recorded, answer)
    title = f"Gaps of the finer image: {number}"
    found = {"gaps": gaps_figure(answer, pixel, own, title, agreed.misfit > MOST)}
    noise = float(agreed.noise.variance(binned(answer, FINER)).mean(dtype=np.float64))
    was, now = spectrum_of(recorded), spectrum_of(answer, 64)
    curves = {
        "as recorded": (was.per_px / FINER, was.power),
        "finer image": (now.per_px, now.power / FINER**2),
    }
    told = told_up_to(recorded, noise) / FINER
    marks = {"half a cycle a recorded pixel": 0.5 / FINER}
    if told < 0.5 / FINER:
        marks["noise outweighs what was recorded"] = told
    found["power"] = power_figure(curves, noise, marks, f"Power by spatial frequency: {number}")
    return found
