"""Class averages of a movie: a planted displacement is found, whatever way the layer lies."""

from __future__ import annotations

import numpy as np

from micrograph.core import Calibration, Recording
from micrograph.infer import load_predictor
from micrograph.recipes.defect_strain import RECIPE
from micrograph.run import Analyser
from micrograph.validate.layers.class_checks import DefectFields


def test_neighbours_of_vacancies_that_stand_two_picometres_away_are_found_there() -> None:
    fields = DefectFields("WSe2", kinds=("V",), ring_pm=2.0, dose_e_per_A2=1e6, size_nm=6.0)
    images = [fields(np.random.default_rng(seed)).image for seed in range(2)]
    recording = Recording(images.__getitem__, range(2), Calibration(pixel_nm=fields.pixel_nm), images[0].shape)
    tables = Analyser(RECIPE, load_predictor("tmd-1")).movie(recording)
    (row,) = tables["classes"].to_dict("records")
    assert row["name"] == "vac_Se" and row["n"] >= 8
    assert abs(row["radial_pm"] - 2.0) < max(4 * row["radial_sigma_pm"], 0.15)
    rings = tables["strain_rings"]
    assert (rings["radius_nm"].diff().iloc[1:] > 0).all()
    assert (abs(rings["radial_pm"].iloc[1:]) < 4 * rings["radial_sigma_pm"].iloc[1:] + 0.1).all()
    nearest = tables["class_columns"].query("0.1 < radius_nm < 0.25")
    assert len(nearest) == 3 and (nearest["x_nm"] ** 2 + nearest["y_nm"] ** 2 > 0.189**2).all()
    assert len(tables["class_images"]) > 1000
