"""Pictures and headlines of interaction energies of a surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from micrograph.draw import with_error
from micrograph.draw.energies import energies_figure, foretold_figure, map_figure, patches_figure
from micrograph.report.headline import Headline, interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.core import Prediction


def is_energies(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the tables hold energies between species."""
    return "objects" in tables and {"lattice", "counts", "seen"} <= set(tables["objects"])


def energy_figures(prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of energies: numbers, measured and drawn configurations, other temperatures, the map."""
    if not is_energies(tables) or prediction is None or not len(tables["objects"]):
        return {}
    number = f"frame {prediction.frame.index}"
    objects = tables["objects"]
    found = {"species": map_figure(objects, f"Species: {number}")}
    energies = tables.get("energies")
    if energies is not None and len(energies):
        one = energies[energies["frame"] == prediction.frame.index]
        if len(one):
            found["energies"] = energies_figure(one, f"Energies between species: {number}")
    patches, predictions = tables.get("patches"), tables.get("predictions")
    if patches is not None and len(patches):
        first = objects[objects["lattice"] == 1]
        counts = str(first["counts"].iloc[0])
        other = next((str(name) for name in first["class"] if name != counts), "other")
        second = objects[objects["lattice"] == 2]
        adatom = str(second["counts"].iloc[0]) if len(second) else ""
        found["configurations"] = patches_figure(patches, (counts, other), adatom, "Measured and drawn configurations")
    if predictions is not None and len(predictions):
        found["foretold"] = foretold_figure(predictions, "What the energies foretell")
    return found


def energy_headlines(summary: DataFrame) -> list[Headline]:
    """Return one line for every kind of pairs."""
    return [
        Headline(
            f"energy of a pair {row['name']}",
            with_error(float(row["w_kT"]), float(row["w_sigma_kT"]), "kT"),
            interval_text(row, "w_low_kT", "w_high_kT", "kT"),
        )
        for row in summary.to_dict("records")
    ]
