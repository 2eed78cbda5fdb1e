"""Numbers as curves and bars: distances, intensities, counts, changes over time. Every axis has its unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.style import BLACK, BLUE, line_colors, looks, new_figure, with_error

Array = NDArray[np.float64]
#: Where the smallest of several numbers is less than this share of the largest, the axis is logarithmic.
UNEVEN = 0.05


@dataclass(frozen=True)
class Curve:
    """Values (T,) at times (T,) and, where known, the borders (T,) of their 95 % interval."""

    time: ArrayLike
    value: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True)
class Normal:
    """One component of a mixture: its share of all, mean and standard deviation."""

    weight: float
    mean: float
    deviation: float


def distance_figure(
    distances_nm: ArrayLike,
    title: str,
    value_nm: float | None = None,
    sigma_nm: float | None = None,
    value_name: str = "fitted",
) -> Figure:
    """Return the histogram of distances (N,) in nm, with a value (fitted, or named otherwise) and its 1-sigma."""
    distances = _finite(distances_nm)
    figure = new_figure()
    axes = figure.subplots()
    axes.hist(distances, bins=list(_bins(distances)), color=BLUE, alpha=0.75, label=f"measured ({len(distances)})")
    if value_nm is not None:
        label = f"{value_name} {with_error(value_nm, sigma_nm, 'nm')}"
        axes.axvline(value_nm, color=BLACK, linewidth=1.5, label=label)
        if sigma_nm is not None:
            axes.axvspan(value_nm - sigma_nm, value_nm + sigma_nm, color=BLACK, alpha=0.2, linewidth=0)
    label_axes(axes, title, "distance (nm)", "number")
    axes.legend(fontsize=11)
    return figure


def intensity_figure(
    intensity: ArrayLike, classes: Sequence[str], title: str, mixture: Mapping[str, Normal] | None = None
) -> Figure:
    """Return the histogram of site intensities (N,) by class (N,), with the fitted normal curves where given."""
    values, names = np.asarray(intensity, dtype=float), np.asarray(classes, dtype=str)
    keep = np.isfinite(values)
    values, names = values[keep], names[keep]
    figure = new_figure()
    axes = figure.subplots()
    edges = _bins(values)
    for name, look in looks([*names, *(mixture or {})]).items():
        mine = values[names == name]
        if len(mine):
            axes.hist(
                mine, bins=list(edges), color=look.color, alpha=0.6, edgecolor=look.color, label=f"{name} ({len(mine)})"
            )
        if mixture and name in mixture:
            curve = np.linspace(edges[0], edges[-1], 400)
            height = len(values) * (edges[1] - edges[0]) * _density(curve, mixture[name])
            axes.plot(curve, height, color=BLACK, lw=1.3, label=f"{name}: fitted normal curve")
    shown = [int(np.sum(names == name)) for name in np.unique(names)]
    if shown and min(shown) < UNEVEN * max(shown):
        axes.set_yscale("log")
        axes.set_ylim(0.5, 2 * max(shown))
    label_axes(axes, title, "integrated intensity of a site (detector units)", "number of sites")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=11)
    return figure


def time_figure(curves: Mapping[str, Curve], title: str, time_label: str, value_label: str) -> Figure:
    """Return curves over time, each with its 95 % band where known; labels carry the units."""
    figure = new_figure()
    axes = figure.subplots()
    for name, color in line_colors(curves).items():
        curve = curves[name]
        time = np.asarray(curve.time, dtype=float)
        style = looks([name])[name].marker if len(time) <= 40 else ""
        axes.plot(time, np.asarray(curve.value, dtype=float), color=color, marker=style, markersize=4, label=name)
        if curve.low is not None and curve.high is not None:
            low, high = np.asarray(curve.low, dtype=float), np.asarray(curve.high, dtype=float)
            axes.fill_between(time, low, high, color=color, alpha=0.25, linewidth=0, label=f"{name}: 95 % interval")
    label_axes(axes, title, time_label, value_label)
    if curves:
        axes.legend(fontsize=11)
    return figure


def counts_figure(names: Sequence[str], counts: ArrayLike, low: ArrayLike, high: ArrayLike, title: str) -> Figure:
    """Return horizontal bars (N,) with their 95 % intervals, the numbers written at the end of each."""
    number, bottom, top = (np.asarray(values, dtype=float) for values in (counts, low, high))
    figure = new_figure(max(0.25, 0.12 + 0.055 * len(names)))
    axes = figure.subplots()
    rows = np.arange(len(names))
    colors = [look.color for look in map(looks(names).get, names) if look is not None]
    errors = np.clip([number - bottom, top - number], 0, None)
    axes.barh(rows, number, color=colors, height=0.65, xerr=errors, error_kw={"capsize": 4, "elinewidth": 1.4})
    reach = float(np.nanmax(top, initial=1.0))
    uneven = len(names) > 1 and float(np.nanmin(top, initial=reach)) < UNEVEN * reach
    for row in range(len(names)):
        written = f"{number[row]:.4g}  ({bottom[row]:.4g} to {top[row]:.4g})"
        end = (float(np.nanmax([top[row], number[row], 0.0])), row)
        axes.annotate(written, end, (8, 0), textcoords="offset points", va="center", fontsize=11)
    axes.set_yticks(rows, list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    if uneven:
        axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(0, reach**1.5 + 1 if uneven else 1.4 * reach)
    label_axes(axes, title, "number, with 95 % interval", "")
    return figure


def label_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Write the title and what the axes are, in the sizes that all charts share."""
    axes.set_title(title, fontsize=13)
    axes.set_xlabel(x, fontsize=12)
    axes.set_ylabel(y, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _finite(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64).ravel()
    finite: Array = array[np.isfinite(array)]
    return finite


def _bins(values: Array) -> Array:
    """Return the edges of 10 to 60 bins by Freedman and Diaconis' rule (doi:10.1007/BF01025868)."""
    if len(values) == 0:
        return np.linspace(0, 1, 11)
    low, high = float(values.min()), float(values.max())
    if high <= low:
        half = abs(low) * 0.05 or 0.5
        return np.linspace(low - half, high + half, 11)
    quarter, three_quarters = np.percentile(values, (25, 75))
    width = 2 * (three_quarters - quarter) / len(values) ** (1 / 3)
    number = int(np.clip((high - low) / width, 10, 60)) if width > 0 else 10
    return np.linspace(low, high, number + 1)


def _density(x: Array, normal: Normal) -> Array:
    z = (x - normal.mean) / normal.deviation
    density: Array = np.exp(-0.5 * z**2) * (normal.weight / (normal.deviation * math.sqrt(2 * math.pi)))
    return density
