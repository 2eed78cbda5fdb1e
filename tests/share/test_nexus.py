"""Results as one NeXus or HyperSpy file: every table and image with its units, and nothing where a date is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from micrograph.apps.cli import app
from micrograph.core import BadInput, Column
from micrograph.io import MapWriter, write_table
from micrograph.run.record import write_json
from micrograph.share import About, Claim, Probe, Specimen, write_hyperspy, write_nexus
from micrograph.share.nexus_probe import MODES

KNOWN = Specimen("flake 3", ("Mo", "Se"), "2026-05-01T10:00+02:00", "2026-05-03T10:00+02:00")


def made(folder: Path, **calibration: Any) -> Path:
    """Return the folder of a run of two frames with one table, one image of every frame and one map."""
    columns = (Column("y_nm", "nm", "middle, from the top", sigma="y_sigma_nm"), Column("class", "", "what it is"))
    table = pd.DataFrame({"frame": [0, 1], "class": ["Se2", "vac"], "y_nm": [1.0, 2.5], "y_sigma_nm": [0.1, 0.2]})
    write_table(table, folder / "objects", columns)
    write_table(table[:0], folder / "defects", columns)
    images = MapWriter(folder / "images.zarr", ["denoised"], (3, 4), 0.02, "image", 0.5)
    scores = MapWriter(folder / "maps.zarr", ["atom"], (3, 4), 0.02)
    for frame in range(2):
        images.write(frame, {"denoised": np.full((3, 4), frame, np.float32)})
        scores.write(frame, {"atom": np.full((3, 4), 0.2 * frame)})
    scale = {"pixel_nm": 0.02, "voltage_kV": 80.0, "convergence_mrad": 30.0, "binning": 1, "value_unit": ""}
    scale |= calibration
    key = {"input": {"name": "a.dm4", "digest": "sha256:1", "shape": [3, 4], "calibration": scale},
           "settings": {"sigmas": 6.0, "dopants": ["V"]}, "weights": "sha256:2"}  # fmt: skip
    recipe = {"name": "denoise", "title": "Denoise", "reference": "doi:10.1/x"}
    write_json(folder / "run.json", {"recipe": recipe, "key": key, "frames": 2, "versions": {"micrograph": "0.1.0"}})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return made(tmp_path / "run")


def test_nexus_holds_tables_images_and_their_units(folder: Path, tmp_path: Path) -> None:
    assert write_nexus(folder, tmp_path / "a.nxs", About(author="A. Person"), KNOWN) == Claim("NXem")
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file[file.attrs["default"]]
        assert entry["definition"][()] == b"NXem" and entry.attrs["NX_class"] == "NXentry"
        table = entry["table_objects"]
        assert table.attrs["signal"] == "y_nm" and table["y_nm"].attrs["units"] == "nm"
        assert list(table["y_nm_errors"]) == [0.1, 0.2] and list(table["class"].asstr()) == ["Se2", "vac"]
        image, score = entry["image_denoised"], entry["image_score_atom"]
        assert list(image.attrs["axes"]) == ["frame", "y", "x"] and image["data"][1].min() == 1
        assert list(image["x"]) == pytest.approx([0, 0.02, 0.04, 0.06]) and image["frame"].attrs["units"] == "s"
        assert score["data"][1, 0, 0] * score["data_scaling_factor"][()] == pytest.approx(0.2)
        assert entry["table_defects"]["y_nm"].shape == (0,)
        assert entry["process/settings/sigmas"][()] == 6 and entry["process/weights/checksum"][()] == b"2"
        assert entry["process/run/data"][()] == (folder / "run.json").read_bytes().rstrip(b"\0")
        source = entry["measurement/event1/instrument/ebeam_column/electron_source"]
        assert source["voltage"][()] == 80 and source["voltage"].attrs["units"] == "kV"


def test_every_group_has_a_class_and_every_default_leads_to_a_signal(folder: Path, tmp_path: Path) -> None:
    write_nexus(folder, tmp_path / "a.nxs", None, KNOWN)
    with h5py.File(tmp_path / "a.nxs") as file:
        file.visititems(lambda name, node: None if isinstance(node, h5py.Dataset) else node.attrs["NX_class"] and None)
        shown = file[file.attrs["default"]]
        shown = shown[shown.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXdata" and shown.attrs["signal"] in shown


def test_without_what_nxem_asks_for_the_entry_does_not_claim_it(folder: Path, tmp_path: Path) -> None:
    claim = write_nexus(folder, tmp_path / "a.nxs", None, Specimen(elements=("Mo",)))
    assert claim == Claim("", "--prepared, --recorded would make it NXem")
    with h5py.File(tmp_path / "a.nxs") as file:
        assert "definition" not in file["entry"] and "measurement" not in file["entry"]
        assert file["entry/calibration/voltage_kV"].attrs["units"] == "kV"


@pytest.mark.parametrize(
    ("probe", "definition"),
    [
        (Probe("STM"), "NXspm"),
        (Probe("STM", "constant current"), "NXstm"),
        (Probe("AFM", "tapping mode"), "NXafm"),
        (Probe(), ""),
    ],
)
def test_a_scanning_probe_has_its_own_definition(tmp_path: Path, probe: Probe, definition: str) -> None:
    (tmp_path / "run").mkdir()
    folder = made(tmp_path / "run", value_unit="nm", binning=2)
    claim = write_nexus(folder, tmp_path / "a.nxs", None, KNOWN, probe)
    assert claim.definition == definition and ("--technique" in claim.why) == (not definition)
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file["entry"]
        assert ("definition" in entry) == bool(definition) and "measurement" not in entry
        if definition:
            control = entry["instrument/scan_environment/scan_control"]
            assert entry["definition"][()].decode() == definition and entry["experiment_technique"].asstr()[()] in MODES
            assert control["mesh_scan/scan_points_x"][()] == 8 and control["mesh_scan/step_size_x"][()] == 0.01
            assert control["scan_region/scan_range_y"][()] == pytest.approx(0.06)
            assert control["scan_region/scan_range_y"].attrs["units"] == "nm"


def test_techniques_and_modes_that_nexus_has_no_name_for_are_told() -> None:
    with pytest.raises(BadInput, match="STM or AFM"):
        Probe("SEM")
    with pytest.raises(BadInput, match="tapping mode"):
        Probe("AFM", "constant current")
    with pytest.raises(BadInput, match="--technique"):
        Probe(mode="constant current")


def test_wrong_dates_and_elements_are_told() -> None:
    with pytest.raises(BadInput, match="time zone"):
        Specimen(prepared="2026-05-01")
    with pytest.raises(BadInput, match="time zone"):
        Specimen(recorded="yesterday")
    with pytest.raises(BadInput, match="'Moo', which is no element"):
        Specimen(elements=("Se", "Moo"))


def test_a_hyperspy_file_holds_a_signal_for_every_image_and_table(folder: Path, tmp_path: Path) -> None:
    from rsciio.hspy import file_reader

    write_hyperspy(folder, tmp_path / "a.hspy")
    found = {signal["metadata"]["General"]["title"]: signal for signal in file_reader(str(tmp_path / "a.hspy"))}
    assert set(found) == {"denoised", "score_atom", "table_objects"}  # a table without rows is no signal
    image, table = found["denoised"], found["table_objects"]
    assert image["data"].shape == (2, 3, 4) and image["data"][1, 0, 0] == 1
    assert [axis["units"] for axis in image["axes"]] == ["s", "nm", "nm"] and image["axes"][1]["scale"] == 0.02
    assert image["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 80
    assert found["score_atom"]["data"][1].max() == pytest.approx(0.2)
    assert table["data"].tolist() == [[0, 1], [1, 2.5], [0.1, 0.2]]
    assert list(table["original_metadata"]["columns"].astype(str)) == ["frame", "y_nm", "y_sigma_nm"]
    assert [path.name for path in tmp_path.iterdir() if "hspy" in path.name] == ["a.hspy"]


def test_the_command_writes_by_the_ending_and_refuses_others(folder: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["export", str(folder), "-o", str(tmp_path / "a.nxs")])
    assert done.exit_code == 0 and "base classes alone: --elements" in " ".join(done.output.split())
    assert run(app, ["export", str(folder), "-o", str(tmp_path / "a.hspy")]).exit_code == 0
    assert isinstance(run(app, ["export", str(folder), "-o", str(tmp_path / "a.xyz")]).exception, BadInput)
    assert isinstance(run(app, ["export", str(tmp_path), "-o", str(tmp_path / "b.nxs")]).exception, BadInput)
    assert not (tmp_path / "b.nxs").exists()
