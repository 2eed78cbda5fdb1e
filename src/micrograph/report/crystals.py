"""Pictures of recipes that name a crystal: probabilities, and the spots of the first pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from micrograph.core import Prediction
from micrograph.draw.probabilities import probability_figure, spots_figure
from micrograph.features.diffraction.spots import find_spots

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

#: Tables over time that hold probabilities: the column of the name, and the title.
_TABLES = {
    "together": ("class", "Structure type, all frames together"),
    "families": ("family", "Crystal family"),
    "point_groups": ("point_group", "Point group; the coloured ones are in the set"),
    "space_groups": ("symbol", "Space group"),
}


def crystal_figures(prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return bars of the probabilities in `tables`, and the first frame with its spots where it is a pattern."""
    found: dict[str, Figure] = {}
    for name, (column, title) in _TABLES.items():
        if name in tables and {column, "probability"} <= set(tables[name]) and len(tables[name]):
            table = tables[name]
            inside = table["in_set"].astype(bool).tolist() if "in_set" in table else None
            names = [str(one) for one in table[column]]
            found[f"probability-{name}"] = probability_figure(names, table["probability"], title, inside)
    if found and prediction is not None and prediction.frame.calibration.content == "image":
        spots = find_spots(prediction.frame.data)
        title = f"Spots that were found: frame {prediction.frame.index}"
        found["pattern"] = spots_figure(prediction.frame.data, spots.place, spots.centre_px, title)
    return found
