"""Columns in phase contrast: places and lens from images of equal atoms, bright or dark."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from micrograph.core import Calibration, Flag, Frame, Prediction
from micrograph.features.columns.locate import LocateSettings
from micrograph.features.columns.phase_columns import COLUMN_FRAMES, contrast_of, read_columns
from micrograph.features.columns.phase_spots import Atoms, PhaseFit, ThinLens, fit_phase_spots

PIXEL_NM, SIDE = 0.025, 110
CARBON = Atoms(0.00418, lambda k: 1.2e-3 * np.exp(-((k / 6.0) ** 2)))


@functools.cache
def sheet() -> np.ndarray:
    """Return the places (N, 2) nm of a displaced honeycomb lattice over the image."""
    rng, a = np.random.default_rng(1), 0.246
    cells = np.stack(np.meshgrid(np.arange(-20, 20), np.arange(-20, 20), indexing="ij"), -1).reshape(-1, 2)
    corner = cells @ np.array([[0.0, a], [np.sqrt(3) / 2 * a, a / 2]])
    points = np.concatenate([corner, corner + np.array([a / np.sqrt(3), 0.0])]) + 1.0
    points = points + rng.normal(0, 0.01, points.shape)
    field = SIDE * PIXEL_NM
    return points[((points > 0) & (points < field - PIXEL_NM)).all(axis=1)]


def image(lens: ThinLens, noise: float = 0.0, missing: int | None = None) -> np.ndarray:
    """Return the image of `sheet`, but for one `missing` atom, by the formula of phase contrast, counts of mean 100."""
    there = np.delete(sheet(), [] if missing is None else [missing], axis=0)
    k = np.fft.fftfreq(2 * SIDE, PIXEL_NM)
    ky, kx = k[:, None], k[None]
    square = ky**2 + kx**2
    turn = np.pi * CARBON.wavelength_nm * square
    chi = -lens.defocus_nm * turn + lens.astigmatism_nm[0] * np.pi * CARBON.wavelength_nm * (kx**2 - ky**2)
    spot = 2 * CARBON.amplitude_nm2(np.sqrt(square)) * np.sin(chi) * np.exp(-0.5 * (lens.focal_spread_nm * turn) ** 2)
    points = np.exp(-2j * np.pi * np.outer(k, there[:, 0])) @ np.exp(-2j * np.pi * np.outer(there[:, 1], k))
    seen = 1 + np.fft.ifft2(spot * points).real[:SIDE, :SIDE] / PIXEL_NM**2
    return (100 * seen + noise * np.random.default_rng(2).normal(size=(SIDE, SIDE))).astype(np.float32)


def fitted(lens: ThinLens, noise: float, known: ThinLens | None = None) -> tuple[PhaseFit, np.ndarray]:
    """Return the fit from places 15 pm off, and its errors (M, 2) in nm inside the image."""
    start = (sheet() + np.random.default_rng(3).normal(0, 0.015, sheet().shape)) / PIXEL_NM
    fit = fit_phase_spots(image(lens, noise), start[:, 0], start[:, 1], PIXEL_NM, CARBON, known)
    assert fit is not None
    inner = ((sheet() > 0.4) & (sheet() < SIDE * PIXEL_NM - 0.4)).all(axis=1)
    return fit, (np.column_stack([fit.y_px, fit.x_px]) * PIXEL_NM - sheet())[inner]


@pytest.mark.parametrize("defocus", [-6.0, 7.0])
def test_places_and_defocus_follow_from_the_image(defocus: float) -> None:
    fit, errors = fitted(ThinLens(defocus, (1.5, 0.0), 2.5), noise=0.3)
    assert np.sqrt((errors**2).mean()) < 0.005
    assert fit.lens.defocus_nm == pytest.approx(defocus, abs=1.2) and fit.explained > 0.9
    assert fit.lens.astigmatism_nm == pytest.approx((1.5, 0.0), abs=0.5)


def test_errors_are_as_large_as_promised() -> None:
    fit, errors = fitted(ThinLens(-6.0, focal_spread_nm=2.5), noise=1.5)
    sigma = np.sqrt(np.median(np.einsum("kii->ki", fit.covariance_px2))) * PIXEL_NM
    assert 0.7 < np.sqrt((errors**2).mean()) / sigma < 1.4


def test_a_given_defocus_is_kept() -> None:
    fit, errors = fitted(ThinLens(6.0), 0.3, ThinLens(6.0, focal_spread_nm=4.0))
    assert fit.lens.defocus_nm == 6.0 and 2 < fit.lens.focal_spread_nm < 3.5
    assert np.sqrt((errors**2).mean()) < 0.005


def test_a_lens_of_the_wrong_side_fits_nothing() -> None:
    fit, _ = fitted(ThinLens(6.0), 0.3, ThinLens(-6.0))
    assert fit.scale == 0 and not fit.ok.any()


def test_too_few_atoms_are_not_fitted() -> None:
    assert fit_phase_spots(image(ThinLens(6.0)), np.ones(7), np.ones(7), PIXEL_NM, CARBON) is None


def prediction(lens: ThinLens, missing: int | None = None) -> Prediction:
    """Return a prediction whose network sees an atom in every place, also in that of a missing one."""
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL_NM
    away = np.hypot(y[..., None] - sheet()[:, 0], x[..., None] - sheet()[:, 1]).min(axis=2)
    maps = {"atom": np.exp(-0.5 * (away / 0.035) ** 2).astype(np.float32)}
    frame = Frame(image(lens, 0.5, missing), 0, Calibration(pixel_nm=PIXEL_NM))
    return Prediction(frame, maps, {"atom": np.zeros_like(maps["atom"])}, PIXEL_NM)


@pytest.mark.parametrize(("defocus", "sign"), [(-6.0, 1), (6.0, -1)])
def test_bright_and_dark_columns_are_found_alike(defocus: float, sign: int) -> None:
    tables = read_columns(prediction(ThinLens(defocus)), LocateSettings(region=None), CARBON)
    row, objects = tables["frames"].iloc[0], tables["objects"]
    assert row["contrast"] == sign and row["contrast_score"] > 10 and row["flags"] == 0
    assert {column.name for column in COLUMN_FRAMES} <= set(tables["frames"])
    assert len(objects) == pytest.approx(len(sheet()), abs=12) and set(objects["class"]) == {"column"}
    assert (np.sign(objects["intensity"]) == sign).mean() > 0.95
    assert row["a_nm"] == pytest.approx(0.246, abs=0.002)


@pytest.mark.parametrize("defocus", [-6.0, 6.0])
def test_a_missing_atom_that_the_network_fills_in_is_a_vacancy(defocus: float) -> None:
    middle = int(np.argmin(np.linalg.norm(sheet() - SIDE * PIXEL_NM / 2, axis=1)))
    tables = read_columns(prediction(ThinLens(defocus), middle), LocateSettings(region=None), CARBON)
    places = tables["objects"][["y_nm", "x_nm"]].to_numpy(float)
    assert np.linalg.norm(places - sheet()[middle], axis=1).min() > 0.08
    named = tables["defects"]
    assert len(named) == 1 and named["name"].iloc[0] == "vacancy"
    assert np.linalg.norm(named[["y_nm", "x_nm"]].to_numpy(float)[0] - sheet()[middle]) < 0.05


def test_a_defocus_that_the_columns_contradict_is_told() -> None:
    tables = read_columns(prediction(ThinLens(6.0)), LocateSettings(region=None), CARBON, ThinLens(-6.0))
    row = tables["frames"].iloc[0]
    assert row["flags"] & int(Flag.OUT_OF_DOMAIN) and "check defocus" in row["notes"]


def test_points_on_noise_have_no_contrast() -> None:
    rng = np.random.default_rng(0)
    assert abs(contrast_of(rng.poisson(50, (80, 80)).astype(np.float32), rng.uniform(5, 75, (60, 2)))) < 4
    assert contrast_of(np.ones((20, 20), np.float32), np.zeros((2, 2))) == 0
