"""Pictures of spectra: every axis has its unit, bands enclose the line, nothing is drawn that is not there."""

from __future__ import annotations

import numpy as np

from micrograph.draw.spectra import (
    Spectrum,
    components_figure,
    energy_label,
    residual_figure,
    spectra_figure,
    told_figure,
)
from micrograph.draw.style import to_png

ENERGY = np.linspace(0.2, 1.4, 60)
LINE = np.exp(-((ENERGY - 0.8) ** 2) / 0.01)


def test_spectra_have_bands_and_an_axis_in_ev() -> None:
    one = Spectrum(LINE, np.full(60, 0.1), LINE + 0.05, "here")
    figure = spectra_figure(ENERGY, [one, Spectrum(LINE), one], "Spectra", "eV", "counts")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 3 and all(axes.get_xlabel() == "energy loss (eV)" for axes in shown)
    assert len(shown[0].collections) == 2 and len(shown[1].collections) == 0
    assert len(to_png(figure)) > 5000


def test_axes_that_are_no_energies_say_so() -> None:
    assert energy_label("V") == "signal axis (V)" and energy_label("channel") == "channel"
    figure = components_figure(ENERGY, {"component 1": LINE}, "Components", "V")
    assert figure.axes[0].get_xlabel() == "signal axis (V)"


def test_places_without_a_peak_are_left_out() -> None:
    recorded = np.array([0.7, np.nan, 0.8])
    figure = told_figure(recorded, recorded, np.full(3, 0.01), "Peaks", "eV")
    assert "eV" in figure.axes[0].get_ylabel() and len(to_png(figure)) > 5000
    assert len(to_png(told_figure(np.full(2, np.nan), np.zeros(2), np.zeros(2), "None", "eV"))) > 2000


def test_what_is_left_over_is_shown_even_about_zero() -> None:
    figure = residual_figure(ENERGY, np.random.default_rng(0).standard_normal((30, 60)), "Left", "eV")
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high
