"""Pictures of endmembers: their spectra or patterns, maps of their shares, and what stood out of noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw.mixtures import endmembers_figure, scree_figure
from micrograph.draw.scans import ScanMap, scan_maps_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


def mixture_figures(prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of an unmixed recording; {} for any other."""
    if not {"maps", "spectra", "singular", "summary"} <= set(tables) or not len(tables["spectra"]):
        return {}
    maps, spectra, singular = tables["maps"], tables["spectra"], tables["singular"]
    number = int(spectra["component"].max())
    shape = (maps["row"].nunique(), maps["column"].nunique())
    if min(shape) < 1:
        return {}
    step = None if prediction is None else prediction.frame.calibration.step_nm
    values, sigma = (spectra[name].to_numpy(float).reshape(number, -1) for name in ("value", "value_sigma"))
    found = {"scree": scree_figure(singular["over_edge"].to_numpy(float), number, "How many components there are")}
    shown = {f"endmember {k + 1}": f"share_{k + 1}" for k in range(number)}
    if min(shape) > 1:
        drawn = {
            name: ScanMap(maps[column].to_numpy(float).reshape(shape), "share of the counts", limits=(0.0, 1.0))
            for name, column in shown.items()
        }
        total = ScanMap(maps["total"].to_numpy(float).reshape(shape), "counts", "gray")
        left = ScanMap(maps["misfit"].to_numpy(float).reshape(shape), "chi-square a channel", "magma")
        extra = {"all counts": total, "what they leave": left}
        found["shares"] = scan_maps_figure(drawn | extra, step, "Where the endmembers are")
    facts = np.zeros(6) if prediction is None else prediction.values["facts"]
    if facts[4] > 0:
        sides = (int(facts[4]), int(facts[5]))
        patterns = {
            f"endmember {k + 1}": ScanMap(
                np.log1p(values[k].reshape(sides) / max(float(np.median(values[k])), 1e-12)), "log"
            )
            for k in range(number)
        }
        found["endmembers"] = scan_maps_figure(patterns, None, "Endmembers: the patterns that all are made of")
    else:
        axis = None if prediction is None else prediction.frame.calibration.signal_axis
        energy = spectra["energy"].to_numpy(float)[: values.shape[1]]
        title = "Endmembers: the spectra that all others are made of (bands: 2 sigma)"
        found["endmembers"] = endmembers_figure(energy, values, sigma, title, "channel" if axis is None else axis.unit)
    return found
