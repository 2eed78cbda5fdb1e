"""Unmixing from a file to maps: spectrum images and 4D-STEM scans, what is left out, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput, Calibration, Recording
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Analyser, Result
from micrograph.simulate.signals.spectra import Mixture, random_mixture
from micrograph.validate.spectra.mixture_scenes import likeness

RNG = np.random.default_rng(11)
TRUTH = random_mixture("edx", RNG, number=3, side=20, snr=6)
SEEN = TRUTH.recorded(RNG)


def recording_of(seen: np.ndarray, truth: Mixture = TRUTH) -> Recording:
    scale = Calibration(content="spectra", step_nm=1.0, signal_axis=truth.axis)
    return Recording(seen.__getitem__, range(len(seen)), scale, seen.shape[1:], name="it", nav_shape=seen.shape[:2])


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("spectra")
    np.save(folder / "si.npy", SEEN)
    opened = mg.open(folder / "si.npy", energy_axis="20 eV, 0 eV", scan_step="2 nm")
    return mg.analyze("unmix", opened, out=folder / "out")


def test_endmembers_and_their_number_come_back(result: Result) -> None:
    spectra = result.tables["spectra"]
    assert result.summary["components"].iloc[0] == 3
    assert likeness(TRUTH.endmembers, spectra["value"].to_numpy().reshape(3, -1)).cosine > 0.99
    np.testing.assert_allclose(spectra["energy"].to_numpy()[:3], [0, 20, 40])
    assert result.summary["misfit"].iloc[0] == pytest.approx(1, abs=0.1)


def test_shares_are_those_planted_at_every_place_once(result: Result) -> None:
    maps, objects = result.tables["maps"], result.tables["objects"]
    assert list(maps["row"] * 20 + maps["column"]) == list(range(400))
    assert len(objects) == 3 * 400 and maps["x_nm"].max() == 38
    found = maps[["share_1", "share_2", "share_3"]].to_numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    like = np.corrcoef(found.T, TRUTH.shares.reshape(-1, 3).T)[:3, 3:]
    assert (like.max(axis=1) > 0.98).all()


def test_maps_are_files_with_scales_and_the_report_has_its_pictures(result: Result) -> None:
    again = open_recording(result.folder / "maps" / "share_1.tif")
    assert again.shape == (20, 20) and again.calibration.pixel_nm == pytest.approx(2)
    assert {"shares", "endmembers", "scree"} <= {path.stem for path in (result.folder / "figures").glob("*.png")}


def test_cosmic_rays_and_dead_places_make_no_endmembers() -> None:
    seen = SEEN.copy()
    seen[3, 4], seen[9, 9] = 0.0, np.nan
    for place in ((0, 0, 300), (5, 19, 40), (19, 7, 599)):
        seen[place] += 5e4
    tables = Analyser(find_recipe("unmix")).movie(recording_of(seen))
    assert tables["summary"]["components"].iloc[0] == 3
    assert tables["frames"]["spikes"].sum() == 3
    assert np.isnan(tables["maps"]["share_1"]).sum() == 2


def test_energies_that_are_cut_off_do_not_count_and_a_number_may_be_asked_for() -> None:
    recipe = find_recipe("unmix").with_settings({"lowest_eV": "1000", "components": "2"})
    tables = Analyser(recipe).movie(recording_of(SEEN))
    assert tables["spectra"]["energy"].min() == 1000
    assert tables["spectra"]["component"].max() == 2 and tables["summary"]["detected"].iloc[0] >= 2


def test_large_maps_are_gathered_and_answered_at_every_place_and_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    from micrograph.infer import unmixing

    monkeypatch.setattr(unmixing, "_PLACES", 100)
    monkeypatch.setattr(unmixing, "_CHANNELS", 300)
    tables = Analyser(find_recipe("unmix")).movie(recording_of(SEEN))
    assert tables["summary"]["places_together"].iloc[0] >= 2
    assert len(tables["maps"]) == 400 and len(tables["spectra"]) == 3 * 600
    assert likeness(TRUTH.endmembers, tables["spectra"]["value"].to_numpy().reshape(3, -1)).cosine > 0.98


def test_patterns_of_a_scan_are_unmixed_as_spectra_are() -> None:
    rng = np.random.default_rng(5)
    y, x = np.indices((16, 16))
    ends = np.stack([np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 8) + 0.05 for cy, cx in ((4, 4), (11, 8))])
    ends /= ends.sum(axis=(1, 2), keepdims=True)
    first = (np.arange(12) < 6).astype(float)[:, None] * np.ones(10)
    seen = rng.poisson(3000 * (first[..., None, None] * ends[0] + (1 - first)[..., None, None] * ends[1]))
    patterns = seen.reshape(120, 16, 16).astype(np.float32)
    scan = Recording(patterns.__getitem__, range(120), Calibration(content="scan"), (16, 16), nav_shape=(12, 10))
    tables = Analyser(find_recipe("unmix")).movie(replace(scan, block=lambda a, b: patterns[a:b]))
    assert tables["summary"]["components"].iloc[0] == 2
    found = tables["spectra"]["value"].to_numpy().reshape(2, -1)
    assert likeness(ends.reshape(2, -1), found).cosine > 0.99


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"lowest_eV": "1e6"}, "choose wider"), ({"components": "0"}, "1 to 20"), ({"purest": "0"}, "purest must")],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Analyser(find_recipe("unmix").with_settings(settings)).movie(recording_of(SEEN))


def test_too_few_spectra_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 16 spectra"):
        Analyser(find_recipe("unmix")).movie(recording_of(SEEN[:1, :5]))


def test_recipes_for_images_name_those_for_spectra() -> None:
    with pytest.raises(BadInput, match=r"takes images, but the recording holds spectra.*unmix"):
        mg.analyze("pores", recording_of(SEEN))


def test_spectra_are_not_binned_as_images_are() -> None:
    with pytest.raises(BadInput, match="not binned"):
        mg.analyze("unmix", recording_of(SEEN), bin=2)
