"""Spectra from images and images from spectra, on a map of simulated particles, from array to report."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput, Calibration, Recording
from micrograph.infer.plasmon_model import PlasmonModel
from micrograph.infer.spectra_from_images import SpectraFromImage, halves_of
from micrograph.run import Result
from micrograph.simulate.signals.plasmon_assemblies import AssemblyRanges, SpectrumMap, random_assembly, spectrum_map


@pytest.fixture(scope="module")
def made() -> SpectrumMap:
    ranges = replace(AssemblyRanges(), kinds=(("pair", 1.0),))
    return spectrum_map(random_assembly(ranges, np.random.default_rng(3)), np.random.default_rng(4), step_nm=3.0)


@pytest.fixture(scope="module")
def result(made: SpectrumMap, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mg.analyze("plasmon-spectra", made.recording(), out=tmp_path_factory.mktemp("spectra"))


def test_spectra_are_told_better_than_by_the_mean_or_the_nearest(result: Result) -> None:
    facts = result.summary.iloc[0]
    assert facts["r2"] > 0.7 and facts["r2"] > facts["r2_nearest"] and facts["r2"] < facts["r2_ceiling"] + 0.02
    assert facts["peak_error_eV"] < facts["peak_error_mean_eV"] < 0.1
    assert 0.55 < facts["coverage_68"] < 0.85 and facts["coverage_95"] > 0.88


def test_every_place_has_a_row_and_alike_places_are_others(result: Result, made: SpectrumMap) -> None:
    objects, alike = result.tables["objects"], result.tables["alike"]
    assert len(objects) == made.image.size and len(alike) == 3 * made.image.size
    assert ((alike["row"] != alike["alike_row"]) | (alike["column"] != alike["alike_column"])).all()
    assert objects["told_peak_sigma_eV"].dropna().ge(0).all()


def test_spectra_are_written_with_their_energies(result: Result, made: SpectrumMap) -> None:
    with h5py.File(result.folder / "spectra.h5") as file:
        assert file["predicted"].shape == made.counts.shape and file["energy"].attrs["unit"] == "eV"
        assert np.all(np.asarray(file["sigma"]) > 0)
    assert result.image("latent_1").frame(0).data.shape == made.image.shape


def test_the_report_shows_spectra_maps_and_what_is_left(result: Result) -> None:
    found = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert {"told-spectra", "told-map", "told-latent", "told-components", "told-residual"} <= found


def test_each_place_belongs_to_one_half_of_squares() -> None:
    half = halves_of((8, 8), 4).reshape(8, 8)
    assert half[:4, :4].max() == 0 and half[:4, 4:].min() == 1 and half.mean() == 0.5


def test_without_an_image_the_zero_loss_peak_stands_in_for_it() -> None:
    rng = np.random.default_rng(0)
    energy = np.linspace(-0.5, 2, 126)
    strength = 1 + rng.uniform(size=(10, 10, 1))
    lines = (1000 * strength * np.exp(-(energy**2) / 0.005)).astype(np.float32) + rng.poisson(
        20 * strength * np.ones(126)
    ).astype(np.float32)
    from micrograph.core import SignalAxis

    scale = Calibration(content="spectra", signal_axis=SignalAxis("eV", 0.02, -0.5))
    recording = Recording(lines.__getitem__, range(10), scale, (10, 126), nav_shape=(10, 10))
    learner = SpectraFromImage()
    model = learner.prepared(learner.presented(recording))
    assert not model.channels[energy < 0.05].any() and model.channels[energy > 0.5].all()
    assert np.corrcoef(model.image.ravel(), strength.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image": "0:900"}, "channels are 0 to"),
        ({"image": "nowhere.tif"}, "no image"),
        ({"image": "0:120"}, "left to tell"),
    ],
)
def test_images_that_make_no_sense_are_refused(made: SpectrumMap, settings: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        mg.analyze("plasmon-spectra", made.recording(), settings=settings)


def test_a_single_line_is_no_map(made: SpectrumMap) -> None:
    with pytest.raises(BadInput, match="at least 64 places"):
        mg.analyze("plasmon-spectra", made.recording()[0:1])


def test_an_image_of_particles_alone_tells_their_spectra(made: SpectrumMap) -> None:
    places = made.assembly.near(np.random.default_rng(1), 30)
    told = PlasmonModel(draws=4)(made.image, made.step_nm, places)
    truth = PlasmonModel(draws=0).recorded(made.assembly.particles, made.assembly.metal, places)
    left = np.sum((told.mean - truth) ** 2) / np.sum((truth - truth.mean(axis=0)) ** 2)
    assert left < 0.1 and np.all(told.sigma >= 0)
    with pytest.raises(BadInput, match="bright particles"):
        PlasmonModel()(np.zeros((20, 20)), 2.0, places)
