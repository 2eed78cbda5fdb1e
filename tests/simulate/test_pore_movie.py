"""Movies of closing pores: the planted rates are those of the outlines, and the frames show the outlines."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate.objects.pore_movie import PoreMovie, PoreMovieSettings, pore_movie


def small(law: str, seed: int = 3) -> PoreMovie:
    settings = PoreMovieSettings(frames=9, size_px=(128, 128), pores=1, radius_px=(28, 30), laws=(law,))
    return pore_movie(np.random.default_rng(seed), settings)


def test_area_of_a_closing_edge_falls_by_velocity_times_perimeter() -> None:
    movie = small("edge")
    truth = movie.truth.sort_values("t_s")
    velocity = float(movie.rates["velocity_nm_per_s"].iloc[0])
    lost = np.diff(truth["area_nm2"])
    length = truth["perimeter_nm"].to_numpy()
    assert velocity < 0
    assert lost == pytest.approx(velocity * (length[1:] + length[:-1]) / 2, rel=5e-3)


def test_area_of_an_exponential_pore_decays_at_its_rate() -> None:
    movie = small("exponential")
    rate = -np.diff(np.log(movie.truth["area_nm2"]))
    assert rate == pytest.approx(float(movie.rates["decay_per_s"].iloc[0]), rel=1e-6)


def test_a_static_pore_keeps_its_area_while_it_drifts() -> None:
    movie = small("static")
    assert movie.truth["area_nm2"].to_numpy() == pytest.approx(movie.truth["area_nm2"].iloc[0])
    moved = movie.truth[["y_nm", "x_nm"]].to_numpy() - movie.truth[["y_nm", "x_nm"]].to_numpy()[0]
    assert moved == pytest.approx(movie.drift_nm, abs=1e-9)


def test_masks_cover_the_areas_of_the_truth() -> None:
    movie = small("edge")
    for frame in (0, 8):
        pore, core = movie.masks(frame)
        row = movie.truth[movie.truth["frame"] == frame].iloc[0]
        assert pore.sum() * 0.05**2 == pytest.approx(row["area_nm2"], rel=2e-3)
        assert core.max() == pytest.approx(1)


def test_a_frame_is_the_same_each_time_it_is_read_and_no_other() -> None:
    recording = small("edge").recording
    assert np.array_equal(recording.read(2), recording.read(2))
    assert not np.array_equal(recording.read(2), recording.read(3))
    assert recording.calibration.pixel_nm == 0.05


def test_unknown_laws_are_refused() -> None:
    with pytest.raises(BadInput, match="laws"):
        PoreMovieSettings(laws=("sudden",))
