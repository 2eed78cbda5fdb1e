"""Spectra with bands of their uncertainty, recorded beside told ones, and the components they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLACK, BLUE, GREY, ORANGE, line_colors, new_figure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """One spectrum (E,): `values`, 1-sigma where known, and what was `recorded` there; `name` is its title."""

    values: Array
    sigma: Array | None = None
    recorded: Array | None = None
    name: str = ""


def spectra_figure(energy: Array, spectra: Sequence[Spectrum], title: str, unit: str, height: str) -> Figure:
    """Return spectra, two in a row, as lines with bands of 1 and 2 sigma, what was recorded as dots behind them."""
    rows = -(-len(spectra) // 2)
    figure = new_figure(0.06 + 0.3 * rows)
    panels = figure.subplots(rows, 2, squeeze=False, sharex=True).ravel()
    for axes, one in zip(panels, spectra, strict=False):
        _spectrum(axes, energy, one)
        label_axes(axes, one.name, energy_label(unit), height)
        axes.title.set_fontsize(11)
    for axes in panels[len(spectra) :]:
        axes.set_visible(False)
    panels[len(spectra) - 1].legend(fontsize=10, frameon=False, loc="upper right")
    figure.suptitle(title, fontsize=13)
    return figure


def _spectrum(axes: Axes, energy: Array, one: Spectrum) -> None:
    if one.recorded is not None:
        axes.plot(energy, one.recorded, ".", color=BLACK, markersize=3, alpha=0.55, label="recorded")
    if one.sigma is not None:
        for times, alpha in ((2, 0.18), (1, 0.3)):
            band = (one.values - times * one.sigma, one.values + times * one.sigma)
            axes.fill_between(energy, *band, color=BLUE, alpha=alpha, linewidth=0, label=f"{times} sigma")
    axes.plot(energy, one.values, color=BLUE, linewidth=1.6, label="told by the image")


def energy_label(unit: str) -> str:
    """Return what the axis of energies is called."""
    return {"eV": "energy loss (eV)", "channel": "channel"}.get(unit, f"signal axis ({unit})")


def components_figure(energy: Array, parts: Mapping[str, Array], title: str, unit: str) -> Figure:
    """Return components (E,) by name as lines."""
    figure = new_figure(0.5)
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=0.8)
    for name, color in line_colors(parts).items():
        axes.plot(energy, parts[name], color=color, linewidth=1.6, label=name)
    label_axes(axes, title, energy_label(unit), "recorded units")
    axes.legend(fontsize=11, frameon=False)
    return figure


def told_figure(recorded: Array, told: Array, sigma: Array, title: str, unit: str) -> Figure:
    """Return numbers (N,) that were told with their 1-sigma over those that were recorded, about the line of equals."""
    figure = new_figure(0.62)
    axes = figure.subplots()
    known = np.isfinite(recorded) & np.isfinite(told)
    recorded, told, sigma = recorded[known], told[known], np.nan_to_num(sigma[known])
    if len(recorded):
        ends = [float(np.min([recorded, told])), float(np.max([recorded, told]))]
        axes.plot(ends, ends, color=BLACK, linewidth=1.0)
        few = np.linspace(0, len(recorded) - 1, min(len(recorded), 600)).astype(int)
        axes.errorbar(recorded[few], told[few], sigma[few], fmt=".", color=BLUE, ecolor=ORANGE, elinewidth=0.6,
                      markersize=4, alpha=0.5)  # fmt: skip
        axes.set_aspect("equal", adjustable="datalim")
    label_axes(axes, title, f"recorded ({unit})", f"told by the image ({unit})")
    return figure


def residual_figure(energy: Array, residual: Array, title: str, unit: str) -> Figure:
    """Return what is left over (N, E) of all places, row by row, in units of the noise."""
    figure = new_figure(0.6)
    axes = figure.subplots()
    most = 4.0
    step = float(np.median(np.diff(energy)))
    extent = (float(energy[0] - step / 2), float(energy[-1] + step / 2), float(len(residual)), 0.0)
    shown = axes.imshow(
        residual, cmap="PuOr", vmin=-most, vmax=most, extent=extent, aspect="auto", interpolation="nearest"
    )
    figure.colorbar(shown, ax=axes, label="recorded - told (1-sigma of the noise)", extend="both")
    label_axes(axes, title, energy_label(unit), "place, line by line")
    return figure
