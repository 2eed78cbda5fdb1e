"""Nanotubes read from images: model against atoms, fits, posterior, what is refused or doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import Calibration, Flag, Frame
from micrograph.features.tubes.nanotubes import TubeSettings, most_likely, read_tubes
from micrograph.features.tubes.tube_census import Census
from micrograph.features.tubes.tube_fit import Priors
from micrograph.features.tubes.tube_model import FREE, MEASURED, Place, TubeModel
from micrograph.features.tubes.tube_search import view_of
from micrograph.features.tubes.tube_strip import Line, Noise, sampled, strip_of
from micrograph.recipes.nanotube_chirality import beam_of
from micrograph.simulate import Lens, NanotubeSampler, phase_contrast
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.structures import Pose, Tube, nanotube

BEAM, PIXEL_NM = beam_of(80.0), 0.03
SAMPLES = NanotubeSampler(side_px=192, dose_e_per_A2=(3e3, 3e3), contaminated=0.0, tilt_deg=(0.0, 3.0))


def read(image: np.ndarray, pixel_nm: float = PIXEL_NM, **settings: float) -> dict[str, object]:
    frame = Frame(np.asarray(image, np.float32), 0, Calibration(pixel_nm=pixel_nm))
    return read_tubes(frame, BEAM, replace(TubeSettings(), **settings))  # type: ignore[arg-type]


def test_the_model_is_the_fourier_transform_of_the_image_of_the_atoms() -> None:
    tube, shape = Tube(9, 4), (128, 320)
    lens = Lens(defocus_nm=6.0, focal_spread_nm=2.0, illumination_mrad=0.0)
    atoms = nanotube(tube, 12.0, Pose(64 * PIXEL_NM, 160 * PIXEL_NM, 0.0, 3.0, 40.0))
    image = phase_contrast(atoms, lens, pixel_nm=PIXEL_NM, shape=shape) - 1
    line = Line(64 * PIXEL_NM, 160 * PIXEL_NM, 0.0)
    view = view_of(image + 1, PIXEL_NM)
    values, middle = sampled(view.spline, PIXEL_NM, line, (-4.0, 4.0), 3.0)
    strip = strip_of(values, middle, PIXEL_NM, Noise(np.array([0.0, 9.0]), np.full(2, 1e-6)))
    spread = (np.pi * lens.wavelength_nm * 2.0) ** 2 / 2
    place = Place(tilt=np.deg2rad(3.0), defocus_nm=6.0, blur_nm2=0.0, spread_nm4=spread)
    best = 0.0
    for mirrored in (False, True):
        model = TubeModel(strip, tube, BEAM, mirrored)
        for slide in np.stack(np.meshgrid(*[np.arange(20) / 20] * 2), axis=-1).reshape(-1, 2):
            waves = model(replace(place, slide1=float(slide[0]), slide2=float(slide[1])))
            data = model.data
            match = np.real(np.vdot(waves, data)) / np.sqrt(np.vdot(waves, waves).real * np.vdot(data, data).real)
            best = max(best, float(match))
    assert best > 0.98


@pytest.mark.parametrize("name", MEASURED)
def test_the_slopes_are_those_of_the_model(name: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 80)) * 0.01
    strip = strip_of(values, Line(0, 0, 0), PIXEL_NM, Noise(np.array([0.0, 9.0]), np.full(2, 1e-4)))
    model = TubeModel(strip, Tube(8, 3), BEAM)
    place = Place(0.03, 0.2, 0.6, 0.002, 1.004, 0.03, 5.0, 3.0, 0.5, -0.4, 0.1, 0.01, 0.001, 0.0, 0.0)
    step = {"gain": 1e-5, "slide1": 1e-5, "slide2": 1e-5, "across_nm": 1e-5}.get(name, 1e-4)
    _, slopes = model.slopes(place, (name,))
    ahead, behind = (model(place.moved((name,), np.array([sign * step]))) for sign in (1, -1))
    expected = (ahead - behind) / (2 * step)
    assert np.abs(slopes[0] - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("seed", range(4))
def test_the_tube_of_a_simulated_image_is_found(seed: int) -> None:
    sample = SAMPLES(np.random.default_rng([5, seed]))
    tables = read(sample.image, sample.pixel_nm)
    row = tables["objects"].iloc[0]  # type: ignore[attr-defined]
    true = Tube(int(sample.params["n"]), int(sample.params["m"]))
    assert most_likely(tables["objects"])[0] == true  # type: ignore[arg-type]
    assert row["diameter_nm"] == pytest.approx(true.diameter_nm, abs=0.02)
    assert abs((row["axis_deg"] - sample.params["axis_deg"] + 90) % 180 - 90) < 0.5
    away = abs(row["pixel_scale"] - sample.params["true_pixel_nm"] / sample.pixel_nm)
    assert away < 5 * row["pixel_scale_sigma"] + 0.002


def test_turning_the_image_turns_the_axis_and_nothing_else() -> None:
    sample = SAMPLES(np.random.default_rng([6, 0]))
    one, other = (read(image, sample.pixel_nm)["objects"].iloc[0] for image in (sample.image, np.rot90(sample.image)))  # type: ignore[attr-defined]
    assert (one["n"], one["m"]) == (other["n"], other["m"])
    assert (other["axis_deg"] - one["axis_deg"]) % 180 == pytest.approx(90, abs=0.1)
    assert other["diameter_nm"] == pytest.approx(one["diameter_nm"], abs=0.004)


def test_probabilities_add_up_and_candidates_are_ranked() -> None:
    sample = replace(SAMPLES, dose_e_per_A2=(600.0, 600.0))(np.random.default_rng([7, 2]))
    table = read(sample.image, sample.pixel_nm, top=50)["candidates"]
    assert table["p"].sum() == pytest.approx(1) and (np.diff(table["p"]) <= 0).all()  # type: ignore[index]
    assert table["rank"].tolist() == list(range(1, len(table) + 1))  # type: ignore[arg-type,index]


def test_tubes_that_cross_are_each_found() -> None:
    atoms = nanotube(Tube(12, 7), 20.0, Pose(3.0, 4.0, 20.0)) + nanotube(Tube(9, 2), 20.0, Pose(5.5, 4.0, -50.0))
    image = phase_contrast(atoms, Lens(defocus_nm=6.0, vibration_nm=0.03), pixel_nm=PIXEL_NM, shape=(288, 288))
    found = read(record(image, Camera(200.0), np.random.default_rng(0)))["objects"]
    assert set(most_likely(found)) == {Tube(12, 7), Tube(9, 2)}  # type: ignore[arg-type]


def test_noise_shows_no_tube_and_is_out_of_domain() -> None:
    tables = read(np.random.default_rng(0).poisson(50, (192, 192)))
    assert len(tables["objects"]) == 0 and tables["frames"]["count"].tolist() == [0]  # type: ignore[arg-type,index]
    assert tables["frames"]["flags"].iloc[0] & int(Flag.OUT_OF_DOMAIN)  # type: ignore[index]


def test_an_uncertain_pixel_size_widens_the_diameter_of_a_ring_but_the_lattice_gives_it_back() -> None:
    sample = SAMPLES(np.random.default_rng([5, 1]))
    loose, tight = (read(sample.image, sample.pixel_nm, pixel_sigma=s)["objects"].iloc[0] for s in (0.02, 0.001))  # type: ignore[attr-defined]
    assert loose["pixel_scale_sigma"] >= tight["pixel_scale_sigma"]
    assert loose["diameter_sigma_nm"] < 0.02 * loose["diameter_nm"]


def test_the_census_counts_by_probability() -> None:
    fold = Census()
    state = fold.start()
    for seed in range(2):
        sample = SAMPLES(np.random.default_rng([5, seed]))
        state = fold.step(state, read(sample.image, sample.pixel_nm))  # type: ignore[arg-type]
    summary = fold.result(state)["summary"].set_index("name")
    assert summary.loc["tubes", "count"] == 2
    assert summary.loc[["metallic", "semiconducting"], "count"].sum() == pytest.approx(2)


def test_every_fitted_value_has_a_prior() -> None:
    assert set(Priors().sigma) == set(MEASURED) and set(FREE) < set(MEASURED)
