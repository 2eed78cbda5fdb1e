"""Atoms per column of a small gold particle in HRTEM, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Flag, Frame
from micrograph.infer.predictor import unaided
from micrograph.recipes.column_heights import ColumnHeights
from micrograph.validate.columns.height_scenes import HeightScene, HrtemScenes, hrtem_particles


@pytest.fixture(scope="module")
def scene() -> HeightScene:
    small = hrtem_particles(tilt_deg=0.1, diameter_nm=(1.3, 1.4), away_nm=0.5, dose_e_per_A2=1e5)
    return HrtemScenes(replace(small, field_nm=2.4))(np.random.default_rng(2))


def frame_of(scene: HeightScene) -> Frame:
    return Frame(scene.image, 0, scene.calibration, scene.known)


def test_atoms_of_a_small_particle_are_counted(scene: HeightScene) -> None:
    objects = ColumnHeights()(unaided(frame_of(scene)))["objects"]
    place = objects[["y_nm", "x_nm"]].to_numpy(float)
    away = np.hypot(*(scene.place_nm[:, None] - place[None]).transpose(2, 0, 1))
    assert len(objects) == len(scene.atoms) and (away.min(axis=1) < 0.03).all()
    error = objects["count"].to_numpy(int)[away.argmin(axis=1)] - scene.atoms
    assert (error == 0).mean() >= 0.8 and (np.abs(error) <= 1).all()


def test_noise_holds_no_columns() -> None:
    noise = np.random.default_rng(0).poisson(400.0, (80, 80)).astype(np.float32)
    frame = Frame(noise, 0, Calibration(pixel_nm=0.028), {"defocus_nm": -7.0})
    tables = ColumnHeights()(unaided(frame))
    assert len(tables["objects"]) == 0 and tables["frames"]["flags"].iloc[0] != 0
    assert "No columns of Au" in tables["frames"]["notes"].iloc[0]


def test_an_unknown_focus_is_refused(scene: HeightScene) -> None:
    frame = Frame(scene.image, 0, scene.calibration)
    with pytest.raises(BadInput, match="known focus"):
        ColumnHeights(signal="hrtem")(unaided(frame))


def test_coarse_pixels_are_refused(scene: HeightScene) -> None:
    frame = Frame(scene.image, 0, Calibration(pixel_nm=0.1), {"defocus_nm": -7.0})
    with pytest.raises(BadInput, match="too coarse"):
        ColumnHeights()(unaided(frame))


def test_the_signal_follows_from_what_is_known() -> None:
    counted = ColumnHeights()
    assert counted.kind(Calibration(), -7.0) == "hrtem"
    assert counted.kind(Calibration(convergence_mrad=25.0), -7.0) == counted.kind(Calibration(), None) == "haadf"


def test_noise_in_which_all_columns_vanish_in_the_course_is_told_to_hold_none() -> None:
    image = np.random.default_rng(0).poisson(20, (256, 256)).astype(np.float32)
    tables = ColumnHeights()(unaided(Frame(image, 0, Calibration(pixel_nm=0.02), {"defocus_nm": -7.0})))
    row = tables["frames"].iloc[0]
    assert row["flags"] & int(Flag.OUT_OF_DOMAIN)
    assert "No columns" in row["notes"] and "one atom off" not in row["notes"]
