"""Segregation from a table of sites and from an image to energies, predictions and a report; refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput
from micrograph.features.surface import predicted
from micrograph.io import open_recording
from micrograph.run import Result
from micrograph.simulate.scanning.lattice_gas import SurfaceImages, Surfaces


def table(size: int = 18) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    surface = Surfaces(size=size, sweeps=40)(rng)
    place = np.concatenate([0.39 * surface.nodes, 0.39 * surface.nodes + 0.195])
    names = np.array(["Ca", "La", "no O", "O"])[surface.seen + 2 * (np.arange(2 * size**2) >= size**2)]
    return pd.DataFrame({"x_nm": place[:, 1], "y_nm": place[:, 0], "species": names})


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("sites")
    table().to_csv(folder / "sites.csv", index=False)
    few = predicted.GridSettings(size=10, replicas=6, sweeps=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicted, "GridSettings", lambda: few)
        return mg.analyze(
            "segregation", folder / "sites.csv", out=folder / "out", settings={"label_error": 0.05, "effort": 0.4}
        )


def test_energies_have_their_pairs_errors_and_intervals(result: Result) -> None:
    energies = result.tables["energies"]
    assert list(energies["name"]) == ["Ca-La 1st", "La-La 2nd", "La-O"]
    planted = np.array([0.194, 0.739, -0.890])
    assert (np.abs(energies["w_kT"] - planted) < 3.5 * energies["w_sigma_kT"]).all()
    assert energies["w_kT"].between(energies["w_low_kT"], energies["w_high_kT"]).all()
    assert list(result.summary["name"]) == list(energies["name"])


def test_other_temperatures_are_foretold_and_shown(result: Result) -> None:
    predictions, patches = result.tables["predictions"], result.tables["patches"]
    own = predictions[(predictions["share_1"] == predictions["share_1"].iloc[0]) & (predictions["name"] == "La-O")]
    order = own.sort_values("temperature")["order"].to_numpy()
    assert order[0] > order[-1] > 0
    assert patches["kind"].iloc[0] == "measured" and patches["kind"].nunique() == 4
    drawn = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert {"energies", "configurations", "foretold", "species"} <= drawn
    assert "energy of a pair La-O" in (result.folder / "report.html").read_text(encoding="utf-8")


def test_an_image_gives_sites_and_species(tmp_path: Path) -> None:
    images = SurfaceImages(
        Surfaces(size=26, label_error=0.0, sweeps=40), cells=18.0, spacing_px=(8.0, 8.01), snr=(6.0, 6.01)
    )
    sample = images(np.random.default_rng(4))
    np.save(tmp_path / "stm.npy", sample.image)
    opened = mg.open(tmp_path / "stm.npy", pixel_size=f"{sample.pixel_nm} nm")
    settings = {"effort": 0.3, "foretell": False}
    result = mg.analyze("segregation", opened, out=tmp_path / "out", settings=settings)
    objects = result.tables["objects"]
    assert set(objects["class"]) == {"high", "low", "adatom", "empty"} and objects["lattice"].nunique() == 2
    assert result.tables["frames"]["a_nm"].iloc[0] == pytest.approx(0.39, rel=0.02)
    assert len(result.tables["predictions"]) == 0


def test_tables_without_classes_and_images_without_scale_are_refused_in_one_sentence(tmp_path: Path) -> None:
    table().drop(columns="species").to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(BadInput):
        open_recording(tmp_path / "bare.csv")
    np.save(tmp_path / "noise.npy", np.random.default_rng(5).normal(size=(96, 96)))
    with pytest.raises(BadInput, match=r"pixel size.*--pixel-size"):
        mg.analyze("segregation", tmp_path / "noise.npy", out=tmp_path / "a")
    with pytest.raises(BadInput, match="no lattice"):
        mg.analyze("segregation", mg.open(tmp_path / "noise.npy", pixel_size="0.1 nm"), out=tmp_path / "b")


def test_tables_of_other_recipes_open_as_sites(tmp_path: Path) -> None:
    other = table().rename(columns={"species": "class"}).assign(frame=0, score=0.9, flags=0)
    other.to_parquet(tmp_path / "objects.parquet")
    recording = open_recording(tmp_path / "objects.parquet")
    assert recording.calibration.content == "sites"
    assert recording.calibration.channels == ("Ca", "La", "O", "no O")
    assert recording.frame(0).data.shape == (648, 4) and recording.frame(0).data[:, 3] == pytest.approx(0.9)
