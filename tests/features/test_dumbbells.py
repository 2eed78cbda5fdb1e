from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.columns.dumbbells import located_in_pairs, read_dumbbells
from micrograph.features.columns.locate import LocateSettings
from micrograph.features.columns.pairing import dumbbell_sites, find_pairs
from micrograph.features.columns.refine import refine
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.simulate import Microscope, adf
from micrograph.structures import graphene, sites_of
from micrograph.structures.dumbbell import CRYSTALS, dumbbells

PIXEL = 0.016
MICROSCOPE = Microscope(voltage_kV=200.0, convergence_mrad=24.0, inner_mrad=70.0, outer_mrad=180.0, source_fwhm_nm=0.06)


def seen(name: str, forget: int = 0, merge: bool = False) -> tuple[dict, np.ndarray]:
    """Return the tables of a simulated crystal whose columns a perfect network finds, all but some."""
    rng = np.random.default_rng(5)
    atoms = dumbbells(name, 3.2, rng, thickness_nm=3.0, rotation_deg=25, displaced_nm=0.01)
    share = adf(atoms, MICROSCOPE, pixel_nm=PIXEL, shape=(200, 200))
    image = rng.poisson(share * 1e5 * (10 * PIXEL) ** 2).astype(np.float32)
    sites = sites_of(atoms)
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    place = place[((place > 0.04) & (place < 199 * PIXEL - 0.04)).all(axis=1)]
    shown = np.rint(place / PIXEL).astype(int)
    if forget:
        middle = np.argsort(np.hypot(*(place - 1.6).T))[:forget]
        shown = np.delete(shown, middle, axis=0)
    score = np.zeros(image.shape, np.float32)
    score[shown[:, 0], shown[:, 1]] = 0.99
    frame = Frame(image, 0, Calibration(pixel_nm=PIXEL))
    prediction = Prediction(frame, {"atom": score}, {"atom": 0 * score}, PIXEL)
    return read_dumbbells(prediction, located_in_pairs(prediction, LocateSettings(min_distance_nm=0.07))), place


def test_silicon_has_dumbbells_of_a_quarter_of_its_lattice_constant() -> None:
    tables, place = seen("Si")
    frame = tables["frames"].iloc[0]
    assert abs(frame["separation_nm"] - CRYSTALS["Si"][2] / 4) < 4 * frame["separation_sigma_nm"]
    assert frame["direction_deg"] == pytest.approx(25, abs=3)
    assert (tables["objects"]["class"] == "dumbbell").sum() > 0.4 * len(place)
    assert frame["polar"] < 4


def test_a_polar_crystal_points_to_its_heavier_element() -> None:
    frame = seen("InP")[0]["frames"].iloc[0]
    assert frame["ratio"] > 1.5 and frame["direction_deg"] == pytest.approx(205, abs=3)


def test_a_column_that_the_network_missed_is_found_by_the_fit() -> None:
    whole, forgotten = (seen("Ge", forget=number)[0]["objects"] for number in (0, 1))
    assert (forgotten["class"] == "dumbbell").sum() == (whole["class"] == "dumbbell").sum()


def test_a_missing_column_leaves_its_partner_single() -> None:
    rng = np.random.default_rng(2)
    atoms = dumbbells("GaAs", 4.0, rng, thickness_nm=0.4)
    sites = sites_of(atoms)
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    gone = int(np.hypot(*(place - 2.0).T).argmin())
    left = np.delete(place, gone, axis=0)
    pairs = find_pairs(left, fit_lattice(*left.T), np.ones(len(left), dtype=bool))
    partner = int(np.hypot(*(left - place[gone]).T).argmin())
    assert partner not in pairs.rows and len(pairs) > 0.4 * len(left)


def test_graphene_has_no_dumbbells() -> None:
    sites = sites_of(graphene(3.0))
    lattice = fit_lattice(sites.y_nm, sites.x_nm)
    assert lattice is not None and dumbbell_sites(lattice) == []


def test_joint_covariance_of_a_pair_holds_the_columns_own_and_a_correlation() -> None:
    y, x = np.mgrid[0:64, 0:64]
    spots = [(30.0, 27.0), (30.0, 36.0), (12.0, 12.0), (50.0, 15.0), (14.0, 50.0), (50.0, 50.0)]
    mean = 2 + sum(80 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 3.0**2)) for a, b in spots)
    image = np.random.default_rng(0).poisson(mean).astype(np.float32)
    fit = refine(image, *np.array(spots).T)
    joint = fit.pair_covariance(np.array([[0, 1]]))[0]
    assert np.allclose(joint[1:3, 1:3], fit.covariance_px2[0], rtol=0.05)
    assert np.allclose(joint[4:6, 4:6], fit.covariance_px2[1], rtol=0.05)
    assert abs(joint[2, 5]) > 0.02 * joint[2, 2]
