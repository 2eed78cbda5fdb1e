"""Checks of nanotubes: the classical way, multislice images, what counts as right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from micrograph.simulate import Lens, NanotubeSampler, phase_contrast
from micrograph.structures import Pose, Tube, nanotube
from micrograph.validate.tubes.nanotube_checks import Tubes, classical, exact_tube, top_three
from micrograph.validate.tubes.nanotube_multislice import multislice_image

CLEAR = NanotubeSampler(
    side_px=160, pixel_nm=(0.03, 0.03), dose_e_per_A2=(2e4, 2e4), contaminated=0.0, tilt_deg=(0.0, 0.1), pixel_error=0.0
)


class Naming:
    """An analyser that says the same of every image."""

    def __init__(self, *tubes: Tube) -> None:
        self.tubes, self.calls = tubes, 0

    def __call__(self, image: np.ndarray, pixel_nm: float) -> dict[str, pd.DataFrame]:
        self.calls += 1
        rows = [{"id": 0, "n": tube.n, "m": tube.m} for tube in self.tubes]
        objects = pd.DataFrame([{"diameter_nm": 1.0, "p": 1.0}])
        return {
            "objects": objects,
            "candidates": pd.DataFrame(rows),
            "frames": pd.DataFrame({"domain_distance": [0.1]}),
        }


def test_the_classical_way_reads_diameter_and_angle_of_a_clear_tube() -> None:
    sample = replace(CLEAR, diameter_nm=(1.18, 1.22), defocus_nm=(5.0, 5.1), under=1.0)(np.random.default_rng(2))
    diameter, angle = classical(sample)
    assert diameter == pytest.approx(sample.params["diameter_nm"], abs=0.15)
    assert angle == pytest.approx(sample.params["angle_deg"], abs=4)


def test_shares_count_the_likeliest_and_the_first_three_and_images_are_read_once() -> None:
    trial = Tubes("ten-ten", replace(CLEAR, diameter_nm=(1.356, 1.3563)), 3)
    right = Tube(10, 10)
    for order, exact, three in (((right,), 1, 1), ((Tube(9, 9), right), 0, 1), ((Tube(9, 9),), 0, 0)):
        analyser = Naming(*order)
        values = [
            check(trial, at_least=0.9).measure(analyser, np.random.default_rng(4)).value  # type: ignore[arg-type]
            for check in (exact_tube, top_three)
        ]
        assert values == [exact, three] and analyser.calls == 3


def test_multislice_and_single_scattering_show_the_same_tube() -> None:
    pytest.importorskip("abtem")
    shape, pixel = (96, 96), 0.035
    atoms = nanotube(Tube(9, 4), 10.0, Pose(1.7, 1.7, 25.0, 4.0, 50.0))
    lens = Lens(defocus_nm=6.0, vibration_nm=0.03)
    exact = multislice_image(atoms, lens, pixel_nm=pixel, shape=shape, thermal_nm=0.006)
    fast = phase_contrast(atoms, lens, pixel_nm=pixel, shape=shape, thermal_nm=0.006)
    assert np.corrcoef(exact.ravel(), fast.ravel())[0, 1] > 0.98
    assert exact.std() == pytest.approx(fast.std(), rel=0.1)
