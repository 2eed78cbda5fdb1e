"""Pictures and headlines of microstructures: constituents, particles, their sizes, the denuded zone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw import Distribution, sizes_figure, with_error
from micrograph.draw.constituents import Constituents, constituents_figure, particles_figure
from micrograph.features.objects.distributions import describe, effective_number, histogram, wilson
from micrograph.report.headline import Headline, interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe, Result

#: Columns of the tables of all frames that pictures are made of.
_COLUMNS = {"particles": ("frame", "diameter_nm", "weight"), "widths": ("frame", "width_nm")}
#: Fewer values make no histogram; places on an edge count as so many independent ones.
_FEWEST, _ALIKE = 8, 20
_SEED = 17


def is_micro(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the tables are those of a microstructure."""
    return "phases" in tables and {"class", "fraction"} <= set(tables["phases"])


def micro_tables(result: Result) -> dict[str, DataFrame]:
    """Return the tables that pictures of a microstructure are made of; none for other results."""
    if not {"phases", "particles", "widths"} <= set(result.tables):
        return {}
    found = {name: result.tables.columns(name, columns) for name, columns in _COLUMNS.items()}
    return found | {"phases": result.tables.columns("phases", ("frame", "class", "fraction"))}


def micro_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of one frame, and of the sizes of all frames."""
    from micrograph.features.metallography.microstructure import Microstructure

    stage, pixel_nm = recipe.objects, prediction.frame.calibration.pixel_nm
    if not isinstance(stage, Microstructure) or pixel_nm is None:
        return {}
    image, number = prediction.frame.data, f"frame {prediction.frame.index}"
    phases, _, ground = stage.told(prediction)
    share = [float((phases.winner == place).mean()) for place in range(len(phases.names))]
    words = {name: f"{100 * part:.3g} %" for name, part in zip(phases.names, share, strict=True)}
    words |= {
        name: f"{text} (in grey)" for name, text in words.items() if ground is not None and name == phases.names[ground]
    }
    told = Constituents(phases.winner, phases.names, words, "" if ground is None else phases.names[ground])
    found = {"constituents": constituents_figure(image, pixel_nm, told, f"Constituents: {number}")}
    particles = stage.particles(prediction)
    if len(particles.area_px):
        title = f"Particles: {number}"
        found["particles"] = particles_figure(image, pixel_nm, particles.labels, particles.cut, title)
    return found | _distributions(tables)


def _distributions(tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    found = {}
    if "particles" in tables:
        rows = tables["particles"]
        weight = rows["weight"].to_numpy(float)
        values = rows["diameter_nm"].to_numpy(float)[weight > 0]
        if len(values) >= _FEWEST:
            part = _distribution(values, weight[weight > 0], 1, "particles")
            label = "diameter of the circle of equal area (nm)"
            found["particle-sizes"] = sizes_figure({"all": part}, "Sizes of the particles", label)
    if "widths" in tables and len(tables["widths"]) >= _FEWEST:
        values = tables["widths"]["width_nm"].to_numpy(float)
        part = _distribution(values, np.ones(len(values)), _ALIKE, "places")
        title, label = "From the network to the nearest particle", "distance from the network's edge (nm)"
        found["denuded-zone"] = sizes_figure({"all": part}, title, label)
    return found


def _distribution(values: np.ndarray, weights: np.ndarray, alike: int, unit: str) -> Distribution:
    """Return a distribution; of values that are `alike` in groups of so many, each group counts once."""
    bins = histogram(values, None, weights)
    edges = np.append(bins["low"].to_numpy(float), bins["high"].iloc[-1])
    share = bins["share"].to_numpy(float)
    number = effective_number(weights) / alike
    low, high = np.array([wilson(float(one), number) for one in share]).T
    told = describe(values, np.random.default_rng(_SEED), weights, np.arange(len(values)) // alike)
    mean = (told.mean, told.mean_low, told.mean_high)
    words = f"mean {told.mean:.4g} nm, median {told.median:.4g} nm, n = {len(values)} {unit}"
    return Distribution(edges, share, low, high, mean, words)


def micro_headlines(tables: Mapping[str, DataFrame]) -> list[Headline]:
    """Return shares of the constituents, size and number of the particles, and the width of the denuded zone."""
    if "phases" not in tables or "fraction" not in tables["summary"]:
        return []
    return [*_fractions(tables["summary"]), *(_sizes(tables["sizes"]) if "sizes" in tables else ())]


def _fractions(summary: DataFrame) -> Iterator[Headline]:
    rows = summary[summary["fraction"] > 0].sort_values("fraction", ascending=False, kind="stable")
    for row in rows.to_dict("records"):
        percent = {name: 100 * row[name] for name in ("fraction_low", "fraction_high")}
        remark = interval_text(percent, "fraction_low", "fraction_high", "%")
        if row["objects"]:
            remark += f"; {row['objects']:.0f} objects"
        yield Headline(
            f"share of {row['class']}", with_error(100 * row["fraction"], 100 * row["fraction_sigma"], "%"), remark
        )


def _sizes(sizes: DataFrame) -> Iterator[Headline]:
    for row in sizes.to_dict("records"):
        if not row["number"] or not math.isfinite(row["median_nm"]):
            continue
        particles = "particles" in str(row["quantity"])
        kind = "mean" if particles else "median"
        remark = interval_text(row, f"{kind}_low_nm", f"{kind}_high_nm", "nm")
        remark += f"; {row['number']:.0f} {'particles' if particles else 'frames'}" if remark else ""
        name = f"{kind} {row['quantity']}"
        yield Headline(name, f"{row[f'{kind}_nm']:.4g} nm", remark)
        if particles and math.isfinite(row["density_per_nm2"]):
            text = with_error(1e6 * row["density_per_nm2"], 1e6 * row["density_sigma_per_nm2"], "µm⁻²")
            yield Headline("particles per area", text, "those that the border cuts corrected for")
