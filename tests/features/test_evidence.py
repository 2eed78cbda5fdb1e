"""Atoms weighed by score and light, on maps whose mistakes are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.columns.evidence import _drawn, weighed_sheet
from micrograph.features.columns.peaks import find_peaks
from micrograph.features.layers.sheet import SheetSettings
from micrograph.simulate import Microscope, Scan, adf, brightness, expose
from micrograph.structures import named_defect

SIDE, PIXEL, DOSE = 120, 0.02, 3e5


def scene(name: str) -> tuple[Prediction, np.ndarray, np.ndarray]:
    """Return an image with one defect and a map of nothing yet; places of the atoms (N, 2); place of the defect."""
    rng = np.random.default_rng(3)
    atoms, defects = named_defect(name, SIDE * PIXEL, rng)
    fraction = adf(
        atoms,
        Microscope(60.0, 30.0, 80.0, 200.0, source_fwhm_nm=0.06),
        pixel_nm=PIXEL,
        shape=(SIDE, SIDE),
        thermal_nm=0.005,
    )
    image = expose(fraction, Scan(dose_e_per_A2=DOSE), PIXEL, rng)
    frame = Frame(image, 0, Calibration(pixel_nm=PIXEL, voltage_kV=60.0, convergence_mrad=30.0))
    nothing = {"atom": np.zeros((80, 80), np.float32), "contamination": np.zeros((80, 80), np.float32)}
    place = atoms.positions[:, 1::-1] / 10
    place = place[((place > 0.02) & (place < SIDE * PIXEL - 0.04)).all(axis=1)]
    return Prediction(frame, nothing, nothing, 0.03), place, np.array(defects[0][1:])


def believed(prediction: Prediction, place: np.ndarray, score: np.ndarray) -> list[str]:
    """Return the names that are read where a network gives these points."""
    points = pd.DataFrame({"y_nm": place[:, 0], "x_nm": place[:, 1], "score": score})
    sheet = weighed_sheet(_drawn(prediction, points), SheetSettings(), brightness(prediction.frame.calibration))
    return [name for name in sheet.defects["name"] if name != "edge"]


def test_peaks_drawn_are_found_where_they_were_put() -> None:
    prediction, _, _ = scene("V1")
    points = pd.DataFrame({"y_nm": [0.512, 1.207], "x_nm": [0.803, 0.998], "score": [0.9, 0.3]})
    drawn = _drawn(prediction, points)
    peaks = find_peaks(drawn.maps["atom"], 0.1, 1.0)
    y = ((peaks.y + 0.5) * drawn.steps[0] - 0.5) * PIXEL
    np.testing.assert_allclose(y, points["y_nm"], atol=1e-3)
    np.testing.assert_allclose(peaks.score, points["score"], atol=1e-6)


def test_an_atom_without_light_in_a_vacancy_goes() -> None:
    prediction, place, gone = scene("V1")
    assert believed(prediction, np.vstack([place, gone]), np.append(np.full(len(place), 0.97), 0.8)) == ["V1"]


def test_two_atoms_under_one_peak_are_told_apart() -> None:
    prediction, place, middle = scene("SW")
    pair = np.argsort(np.hypot(*(place - middle).T))[:2]
    merged = np.vstack([np.delete(place, pair, axis=0), place[pair].mean(axis=0)])
    assert believed(prediction, merged, np.full(len(merged), 0.9)) == ["SW"]
