"""Lattices of surfaces: the cell, the motif, what differs, the scanner against a known cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Flag, Frame
from micrograph.features.surface.lattice_means import SurfaceMeans
from micrograph.features.surface.lattice_reading import SurfaceSettings
from micrograph.features.surface.lattice_tables import surface_tables
from micrograph.features.surface.motif import follow
from micrograph.features.surface.repeats import find_repeat
from micrograph.simulate.scanning.surfaces import ADATOMS, SurfaceImages
from micrograph.validate.surfaces.surface_checks import is_right

PIXEL_NM = 0.05
CLEAN = SurfaceImages(side_px=160, snr=(12.0, 12.1), tilt=(1.0, 2.0), jumps=(0.0, 0.01), islands=0.0, bend=(0.0, 0.08))


def frame(image: np.ndarray, unit: str = "nm") -> Frame:
    return Frame(np.asarray(image, np.float32), 0, Calibration(pixel_nm=PIXEL_NM, value_unit=unit))


def hexagonal(side: int = 160, spacing: float = 14.0, turn: float = 0.3) -> np.ndarray:
    """Return an image of three waves, whose cell is a hexagon of `spacing` px."""
    y, x = np.indices((side, side))
    angles = turn + np.radians([0, 60, 120])
    g = 2 / np.sqrt(3) / spacing
    return np.asarray(sum(np.cos(2 * np.pi * g * (np.cos(a) * x + np.sin(a) * y)) for a in angles))


def test_the_cell_of_three_waves_is_a_hexagon() -> None:
    found = find_repeat(hexagonal(), np.ones((160, 160), bool))
    assert found is not None
    followed = follow(hexagonal(), np.ones((160, 160), bool), found.cell)
    sides = np.linalg.norm(followed.cell, axis=1)
    np.testing.assert_allclose(sides, 14.0, rtol=2e-3)
    assert np.degrees(np.arccos(followed.cell[0] @ followed.cell[1] / sides.prod())) == pytest.approx(120, abs=0.3)


def test_seven_by_seven_is_one_cell_of_twelve_atoms_and_not_its_small_lattice() -> None:
    sample = replace(CLEAN, reconstructed=1.0, side_px=192, defects=(0.0, 0.0))(np.random.default_rng(3))
    tables = surface_tables(frame(sample.image), SurfaceSettings())
    cell = np.array([sample.params[name] for name in ("a_y_px", "a_x_px", "b_y_px", "b_x_px")]).reshape(2, 2)
    row = tables["frames"].iloc[0]
    assert is_right(row[["a_y_nm", "a_x_nm", "b_y_nm", "b_x_nm"]].to_numpy(float).reshape(2, 2) / PIXEL_NM, cell)
    assert len(tables["sites"]) == len(ADATOMS) == 12
    assert len(tables["objects"]) == 0


def test_missing_and_added_atoms_are_found_where_they_are() -> None:
    plain = replace(CLEAN, reconstructed=0.0, kinds=("hexagonal",), atoms=(1, 1))
    sampler = replace(plain, defects=(0.04, 0.05), spacing_px=(11.0, 12.0))
    sample = sampler(np.random.default_rng(8))
    tables = surface_tables(frame(sample.image), SurfaceSettings())
    objects = tables["objects"]
    assert len(objects) == len(sample.sites) > 1
    away = np.hypot(
        sample.sites.y_nm[:, None] - objects["y_nm"].to_numpy(), sample.sites.x_nm[:, None] - objects["x_nm"].to_numpy()
    )
    assert away.min(axis=1).max() < 4 * PIXEL_NM
    assert list(objects["class"].to_numpy()[away.argmin(axis=1)]) == list(sample.sites.label)
    assert tables["sites"]["missing"].sum() == (sample.sites.label == "missing").sum()


def test_noise_has_no_cell() -> None:
    tables = surface_tables(frame(np.random.default_rng(0).normal(size=(96, 96))), SurfaceSettings())
    assert len(tables["objects"]) == 0
    assert int(tables["frames"]["flags"].iloc[0]) == int(Flag.NO_FIT)
    fold = SurfaceMeans()
    assert np.isnan(fold.result(fold.step(fold.start(), tables))["summary"]["a_nm"].iloc[0])


def test_a_plain_image_and_one_of_holes_have_no_cell() -> None:
    for image in (np.zeros((64, 64)), np.full((64, 64), np.nan)):
        assert np.isnan(surface_tables(frame(image), SurfaceSettings())["frames"]["a_nm"].iloc[0])


def test_a_known_cell_tells_how_the_scanner_stretches() -> None:
    image = hexagonal(240)
    y = np.arange(240)
    stretched = np.stack([np.interp(y[:200] / 1.05, y, column) for column in image.T], axis=1)
    settings = SurfaceSettings(known=(0.7, 0.7, 120.0), lines="none")
    row = surface_tables(frame(stretched), settings)["frames"].iloc[0]
    assert row["scale_y"] == pytest.approx(1.05, abs=0.004)
    assert row["scale_x"] == pytest.approx(1.0, abs=0.004)
    assert abs(row["scan_shear"]) < 0.004
    assert row["lattice"] == "hexagonal"


def test_bad_settings_and_small_images_are_told() -> None:
    with pytest.raises(BadInput, match="two sides in nm"):
        SurfaceSettings(known=(1.0, 2.0))
    with pytest.raises(BadInput, match="32 a side"):
        surface_tables(frame(np.zeros((8, 200))), SurfaceSettings())


def test_densities_of_all_frames_have_poisson_intervals() -> None:
    fold = SurfaceMeans()
    state = fold.start()
    for seed in (1, 2):
        sample = replace(CLEAN, reconstructed=0.0, defects=(0.02, 0.04))(np.random.default_rng(seed))
        state = fold.step(state, surface_tables(frame(sample.image), SurfaceSettings()))
    row = fold.result(state)["summary"].iloc[0]
    assert row["frames"] == 2
    assert row["missing_low"] <= row["missing_per_nm2"] <= row["missing_high"]


def test_one_bump_on_a_slope_has_no_cell() -> None:
    y, x = np.indices((120, 120)) / 120
    image = (
        np.exp(-((y - 0.4) ** 2 + (x - 0.6) ** 2) / 0.01) + 3 * y + 0.01 * np.random.default_rng(1).normal(size=y.shape)
    )
    assert np.isnan(surface_tables(frame(image), SurfaceSettings())["frames"]["a_nm"].iloc[0])


def test_steps_are_no_lattice() -> None:
    y, x = np.indices((160, 160)) / 160
    steps = np.floor((0.2 * y + x) * 4) * 0.3 + np.random.default_rng(2).normal(0, 0.03, (160, 160))
    assert np.isnan(surface_tables(frame(steps), SurfaceSettings())["frames"]["a_nm"].iloc[0])


def test_a_lattice_that_is_bent_by_more_than_a_cell_is_followed() -> None:
    plain = replace(CLEAN, reconstructed=0.0, kinds=("square",), atoms=(1, 1), defects=(0.0, 0.0), side_px=224)
    sample = replace(plain, bend=(0.4, 0.41), spacing_px=(13.0, 13.1))(np.random.default_rng(4))
    row = surface_tables(frame(sample.image), SurfaceSettings())["frames"].iloc[0]
    cell = np.array([sample.params[name] for name in ("a_y_px", "a_x_px", "b_y_px", "b_x_px")]).reshape(2, 2)
    assert is_right(row[["a_y_nm", "a_x_nm", "b_y_nm", "b_x_nm"]].to_numpy(float).reshape(2, 2) / PIXEL_NM, cell)
    assert row["explained"] > 0.8


def test_two_atoms_that_are_missing_side_by_side_are_two_places() -> None:
    image = hexagonal(160, 16.0)
    y, x = np.indices(image.shape)
    top = np.argwhere(image > 0.995 * image.max())
    first = top[np.hypot(*(top - 80).T).argmin()]
    away = np.hypot(*(top - first).T)
    second = top[(away > 12) & (away < 20)][0]
    for place in (first, second):
        image = image - 4.5 * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 3.0**2))
    noisy = image + np.random.default_rng(0).normal(0, 0.05, image.shape)
    objects = surface_tables(frame(noisy), SurfaceSettings(lines="none"))["objects"]
    assert list(objects["class"]) == ["missing", "missing"]
