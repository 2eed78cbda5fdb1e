"""Endmembers with bands of their errors, and how far components stand out of noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLUE, GREY, RED, line_colors, new_figure

Array = NDArray[np.float64]

#: Endmembers whose values span more than this are drawn with a logarithmic axis.
_WIDE = 200.0


def endmembers_figure(energy: Array, spectra: Array, sigma: Array, title: str, unit: str) -> Figure:
    """Return endmembers (K, E), one below the other, with bands of 2 sigma (K, E); `energy` (E,) in `unit`.

    Beside each is what sets it apart: its difference from the mean of all, over the root of the mean (as noise has it).
    """
    number = len(spectra)
    figure = new_figure(0.14 + 0.2 * number)
    panels = figure.subplots(number, 2 if number > 1 else 1, squeeze=False, sharex=True)
    names = [f"endmember {k + 1}" for k in range(number)]
    mean = np.maximum(spectra.mean(axis=0), 1e-3 * float(spectra.mean(axis=0).max()))
    for row, name, values, error in zip(panels, names, spectra, sigma, strict=True):
        color = line_colors(names)[name]
        shown = [(values, error), ((values - spectra.mean(axis=0)) / np.sqrt(mean), error / np.sqrt(mean))]
        for axes, (line, band) in zip(row, shown, strict=False):
            axes.fill_between(energy, line - 2 * band, line + 2 * band, color=color, alpha=0.3, linewidth=0)
            axes.plot(energy, line, color=color, linewidth=1.2)
            label_axes(axes, "", "", "")
            axes.tick_params(labelleft=False)
        for axes in row[1:]:
            axes.axhline(0, color=GREY, linewidth=0.8)
        positive = values[values > 3 * error]
        if len(positive) and positive.max() > _WIDE * np.median(positive):
            row[0].set_yscale("log")
            row[0].set_ylim(0.3 * float(positive.min()), 2 * float(positive.max()))
        row[0].set_ylabel(name, fontsize=11)
    for axes, words in zip(panels[0], ("share of its counts", "what sets it apart"), strict=False):
        axes.set_title(words, fontsize=12)
    for axes in panels[-1]:
        axes.set_xlabel(f"energy ({unit})" if unit != "channel" else "channel", fontsize=12)
    figure.suptitle(title, fontsize=13)
    return figure


def scree_figure(over_edge: Array, used: int, title: str) -> Figure:
    """Return singular values over the edge of noise, of which the first `used` became endmembers."""
    figure = new_figure(0.5)
    axes = figure.subplots()
    shown = over_edge[: max(12, used + 4)]
    axes.axhline(1, color=GREY, linewidth=1.2)
    axes.text(len(shown) + 0.4, 1.02, "largest that noise makes", ha="right", va="bottom", color=GREY, fontsize=11)
    numbers = np.arange(1, len(shown) + 1)
    for chosen, color, label in ((numbers <= used, BLUE, "endmembers"), (numbers > used, RED, "left out as noise")):
        axes.plot(numbers[chosen], shown[chosen], "o", color=color, markersize=7, label=label)
    axes.set_yscale("log")
    label_axes(axes, title, "component", "singular value over the edge of noise")
    axes.legend(fontsize=11, frameon=False)
    return figure
