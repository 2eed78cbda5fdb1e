"""Pictures and numbers of a foil: its defects over the image, sizes of precipitates and voids, densities, swelling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import Prediction
from micrograph.draw import Distribution, sizes_figure
from micrograph.draw.foils import foil_figure
from micrograph.report.headline import Headline, interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

#: Tables of all frames that these pictures take beside the usual ones.
OF_ALL = ("line_density", "swelling", "size_bins")


def is_foil(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether a frame has lines and bodies."""
    return "lines" in tables and "line_points" in tables and "outlines" in tables


def foil_figures(recipe: Recipe, prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures 'defects', of one frame, and 'sizes', of all."""
    found: dict[str, Figure] = {}
    pixel_nm = None if prediction is None else prediction.frame.calibration.pixel_nm
    if prediction is not None and pixel_nm is not None:
        title = f"{recipe.title}, frame {prediction.frame.index}"
        bodies, lines = (tables["objects"], tables["outlines"]), (tables["lines"], tables["line_points"])
        found["defects"] = foil_figure(prediction.frame.data, pixel_nm, bodies, lines, title)
    parts = dict(_distributions(tables))
    if parts:
        title, label = "Sizes of whole precipitates and voids", "diameter of the circle of equal area (nm)"
        found["sizes"] = sizes_figure(parts, title, label)
    return found


def _distributions(tables: Mapping[str, DataFrame]) -> Iterator[tuple[str, Distribution]]:
    """Yield the distribution of diameters of each kind of which there are enough; all over the same range."""
    if "size_bins" not in tables or not len(tables["size_bins"]):
        return
    summary = {str(row["name"]): row for row in tables["summary"].to_dict("records")}
    for name, bins in tables["size_bins"].groupby("name", sort=True):
        edges = np.append(bins["low_nm"].to_numpy(float), bins["high_nm"].iloc[-1])
        row = summary[str(name)]
        mean = (row["mean_diameter_nm"], row["mean_diameter_low_nm"], row["mean_diameter_high_nm"])
        words = f"mean {mean[0]:.4g} nm (95 %: {mean[1]:.4g} to {mean[2]:.4g}), n = {int(bins['number'].sum())}"
        share, low, high = (bins[key].to_numpy(float) for key in ("share", "share_low", "share_high"))
        yield str(name), Distribution(edges, share, low, high, mean, words)


def foil_headlines(tables: Mapping[str, DataFrame]) -> list[Headline]:
    """Return the density of dislocations, mean diameters and swelling, each with its 95 % interval."""
    if "line_density" not in tables or not len(tables["line_density"]):
        return []
    found = list(_density(tables["line_density"].to_dict("records")[0]))
    for row in tables["summary"].to_dict("records"):
        if math.isfinite(row["mean_diameter_nm"]):
            remark = interval_text(row, "mean_diameter_low_nm", "mean_diameter_high_nm", "nm")
            found.append(Headline(f"mean diameter, {row['name']}", f"{row['mean_diameter_nm']:.4g} nm", remark))
    for row in tables["swelling"].to_dict("records"):
        if row["name"] == "void" and math.isfinite(row["swelling_percent"]):
            remark = interval_text(row, "swelling_low_percent", "swelling_high_percent", "%")
            found.append(Headline("swelling", f"{row['swelling_percent']:.3g} %", remark))
    return found


def _density(row: Mapping[Any, Any]) -> Iterator[Headline]:
    """Yield the density of lines in projection, and in space where the thickness is known."""
    remark = interval_text(row, "length_per_nm_low", "length_per_nm_high", "nm⁻¹")
    yield Headline("dislocations, projected length per area", f"{row['length_per_nm']:.3g} nm⁻¹", remark)
    if math.isfinite(row["density_per_m2"]):
        remark = interval_text(row, "density_low_per_m2", "density_high_per_m2", "m⁻²")
        name = f"dislocation density, foil of {row['thickness_nm']:.4g} nm"
        yield Headline(name, f"{row['density_per_m2']:.3g} m⁻²", remark)
