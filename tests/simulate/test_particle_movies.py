"""Movies of particles: what is planted is what the truth and the images hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate.objects.bodies import Body
from micrograph.simulate.objects.particle_movies import (
    Chaining,
    Coalescing,
    Diffusing,
    Etching,
    ParticleMovie,
    View,
    brownian_movie,
    chaining_movie,
    coalescence_movie,
    etching_movie,
)
from micrograph.simulate.objects.particles import Particle, shadow
from micrograph.simulate.objects.shaping import rod_outline
from micrograph.simulate.objects.solids import Rod

VIEW = View(frames=6, size_px=(128, 128), frame_time_s=2.0, passing=0)


def some(kind: str, view: View = VIEW) -> ParticleMovie:
    rng = np.random.default_rng(2)
    if kind == "etching":
        return etching_movie(rng, Etching(count=1), view)
    if kind == "chaining":
        return chaining_movie(rng, Chaining(count=5, rate=0.1), view)
    if kind == "brownian":
        return brownian_movie(rng, Diffusing(count=3), view)
    return coalescence_movie(rng, Coalescing(pairs=1, fusing_s=8.0), view)


@pytest.mark.parametrize("kind", ["etching", "chaining", "brownian", "coalescing"])
def test_frames_repeat_and_masks_cover_the_area_of_the_truth(kind: str) -> None:
    movie = some(kind)
    assert np.array_equal(movie.recording.read(1), movie.recording.read(1))
    whole = movie.truth[(movie.truth["frame"] == 0) & ~movie.truth["border"]]
    assert len(whole) == (movie.truth["frame"] == 0).sum()
    particle, core = movie.masks(0)
    assert particle.sum() * VIEW.pixel_nm**2 == pytest.approx(whole["area_nm2"].sum(), rel=2e-3)
    assert core.max() == pytest.approx(1.0)
    assert movie.recording.calibration.pixel_nm == VIEW.pixel_nm


def test_area_of_an_etched_rod_falls_by_the_planted_law() -> None:
    """Curvature integrates to a full turn: dA/dt = v0 * perimeter + 2 pi k."""
    movie = some("etching")
    area, length = (movie.truth[name].to_numpy() for name in ("area_nm2", "perimeter_nm"))
    rates = movie.rates
    expected = rates["v0_nm_per_s"] * (length[1:] + length[:-1]) / 2 + 2 * np.pi * rates["k_nm2_per_s"]
    assert np.diff(area) / VIEW.frame_time_s == pytest.approx(expected, rel=3e-3)


def test_a_plate_with_an_edge_as_deep_as_it_is_narrow_is_a_rod() -> None:
    """Thickness of a body drawn by its outline against that of the solid."""
    outline = rod_outline(40.0, 8.0, 400) + np.array([30.0, 40.0])
    drawn = Body("rod", outline, 16.0, 8.0).shadow(0.5, (128, 160))
    solid = shadow(Particle("rod", Rod(40.0, 8.0), 30.0, 40.0), 0.5, (128, 160))
    thick, exact = np.zeros((2, 128, 160))
    thick[drawn.rows, drawn.columns] = drawn.thickness_nm
    exact[solid.rows, solid.columns] = solid.thickness_nm
    assert thick == pytest.approx(exact, abs=1.2)
    assert thick.sum() == pytest.approx(exact.sum(), rel=3e-3)


def test_particles_in_a_chain_touch_after_their_bond() -> None:
    movie = some("chaining", replace(VIEW, frames=20, size_px=(256, 256)))
    assert movie.events is not None and len(movie.events) > 0
    last = movie.truth[movie.truth["frame"] == 19]
    places = dict(zip(last["object"], last[["y_nm", "x_nm"]].to_numpy(), strict=True))
    pairs = [(a, b) for a, b in movie.events[["first", "second"]].to_numpy() if a in places and b in places]
    apart = [np.linalg.norm(places[a] - places[b]) for a, b in pairs]
    assert apart == pytest.approx([1.02 * 12.0] * len(pairs), abs=1.2)


def test_volume_of_fusing_spheres_stays() -> None:
    movie = some("coalescing")
    volume = [movie.thickness_nm(frame).sum() * VIEW.pixel_nm**2 for frame in range(6)]
    assert volume == pytest.approx([2 * 4 / 3 * np.pi * 1000] * 6, rel=3e-3)
    assert movie.truth["area_nm2"].is_monotonic_decreasing


def test_diffusing_plates_keep_their_area_and_move() -> None:
    movie = some("brownian")
    whole = movie.truth[~movie.truth["border"]]
    assert np.ptp(whole["area_nm2"].to_numpy()) < 1e-6
    assert whole.groupby("object")["y_nm"].std().min() > 0


def test_image_of_a_particle_takes_the_share_of_beers_law() -> None:
    movie = some("etching", replace(VIEW, signal_to_noise=60.0, mtf=1.0))
    image, thick = movie.recording.read(0), movie.thickness_nm(0)
    deep = thick > 0.9 * thick.max()
    share = image[deep].mean() / image[thick == 0].mean()
    assert share == pytest.approx(np.exp(-thick[deep] / VIEW.mean_free_path_nm).mean(), rel=0.01)


def test_passing_particles_are_not_in_the_truth() -> None:
    assert len(some("etching", replace(VIEW, passing=4)).truth) == len(some("etching").truth)


def test_shapes_that_cannot_be_etched_are_refused() -> None:
    with pytest.raises(BadInput, match="star"):
        etching_movie(np.random.default_rng(0), Etching(shape="star"), VIEW)
