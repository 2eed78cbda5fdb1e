"""Pictures of recipes whose answer is an image."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import numpy as np

from micrograph.core import Calibration, Frame, Prediction
from micrograph.report.restored import restored_figures

RNG = np.random.default_rng(2)


def prediction(data: np.ndarray, calibration: Calibration, **maps: np.ndarray) -> Prediction:
    frame = Frame(data.astype(np.float32), 3, calibration)
    return Prediction(frame, maps, {name: np.full_like(one, 0.5) for name, one in maps.items()}, 0.1)


def panels(toy: ModuleType, seen: Prediction, *names: str) -> dict[str, list[str]]:
    recipe = dataclasses.replace(toy.recipe(), images=names)
    figures = restored_figures(recipe, seen)
    return {name: [axes.get_title() for axes in figure.axes if axes.get_title()] for name, figure in figures.items()}


def test_recorded_result_residual_and_sigma_are_shown_beside_each_other(toy: ModuleType) -> None:
    image = RNG.poisson(5, (30, 40)).astype(float)
    seen = panels(toy, prediction(image, Calibration(pixel_nm=0.1), clean=image / 2), "clean")
    assert seen == {"restored-clean": ["as recorded", "result", "residual: recorded - result", "1-sigma"]}


def test_each_element_is_compared_with_its_own_map(toy: ModuleType) -> None:
    maps = RNG.poisson(2, (2, 20, 20)).astype(float)
    scale = Calibration(content="elements", channels=("In", "Zn"))
    seen = panels(toy, prediction(maps, scale, In=maps[0], Zn=maps[1], Se=maps[1]), "In", "Zn", "Se")
    assert len(seen["restored-Zn"]) == 4 and seen["restored-Se"] == ["result", "1-sigma"]


def test_an_image_out_of_spectra_stands_alone_and_volumes_are_left_out(toy: ModuleType) -> None:
    scale = Calibration(content="spectra", step_nm=1.0)
    seen = panels(toy, prediction(np.ones((8, 9)), scale, latent=np.ones((8, 9)), volume=np.ones((3, 8, 9))), "latent")
    assert seen == {"restored-latent": ["result", "1-sigma"]}
