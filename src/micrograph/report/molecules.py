"""Pictures of the states of molecules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from micrograph.draw import with_error
from micrograph.draw.molecules import correlations_figure, domains_figure, molecules_figure, shapes_figure
from micrograph.report.headline import Headline, interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.core import Prediction
    from micrograph.run import Recipe


def is_molecules(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are molecules with their states."""
    return "objects" in tables and {"polarity", "rotation", "domain"} <= set(tables["objects"])


def molecule_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the map of states, the domains, correlations and learned shapes of one frame."""
    if not len(tables["objects"]):
        return {}
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    if pixel_nm is None:
        return {}
    objects, number = tables["objects"], f"frame {prediction.frame.index}"
    found = {
        "molecules": molecules_figure(image, pixel_nm, objects, f"States of molecules: {number}"),
        "domains": domains_figure(image, pixel_nm, objects, f"Domains turned alike: {number}"),
    }
    correlations, shapes = tables.get("correlations"), tables.get("templates")
    if correlations is not None and len(correlations):
        found["correlations"] = correlations_figure(correlations, f"Order over distance: {number}")
    if shapes is not None and len(shapes):
        found["learned"] = shapes_figure(shapes, "Learned shapes")
    return found


def valued_headlines(summary: DataFrame) -> list[Headline]:
    """Return one line for every row ``name, value, value_sigma, value_low, value_high`` of a summary."""
    return [
        Headline(
            str(row["name"]),
            with_error(float(row["value"]), float(row["value_sigma"])),
            interval_text(row, "value_low", "value_high", ""),
        )
        for row in summary.to_dict("records")
    ]
