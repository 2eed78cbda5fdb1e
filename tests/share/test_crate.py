"""A run described for repositories: every file with its digest, every column with its unit, all links within."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from micrograph.apps.cli import app
from micrograph.core import BadInput, Column
from micrograph.core.provenance import digest
from micrograph.io import write_table
from micrograph.run.record import write_json
from micrograph.share import About, write_crate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    columns = (Column("y_nm", "nm", "middle, from the top"),)
    write_table(pd.DataFrame({"frame": [0], "y_nm": [1.0]}), tmp_path / "objects", columns)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "sites.png").write_bytes(b"png")
    (tmp_path / "maps.zarr").mkdir()
    (tmp_path / "maps.zarr" / "0").write_bytes(b"chunk")
    given = {"name": "a.dm4", "digest": "sha256:1", "shape": [2, 3], "calibration": {"pixel_nm": 0.02, "channels": []}}
    key = {"input": given, "settings": {"sigmas": 6.0}, "weights": "w"}
    recipe = {"name": "atoms", "title": "Atoms", "reference": "doi:1"}
    record = {
        "recipe": recipe,
        "key": key,
        "frames": 1,
        "versions": {"micrograph": "0.1.0", "numpy": "2"},
        "warnings": [],
    }
    write_json(tmp_path / "run.json", record)
    return tmp_path


def graph(folder: Path, about: About | None = None) -> dict[str, dict[str, Any]]:
    content = json.loads(write_crate(folder, about).read_text(encoding="utf-8"))
    common, own = content["@context"]
    assert common == "https://w3id.org/ro/crate/1.1/context" and list(own) == ["sha256"]
    found = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(found) == len(content["@graph"])
    return found


def links(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {value["@id"]} if set(value) == {"@id"} else set().union(*map(links, value.values()))
    return set().union(*map(links, value)) if isinstance(value, list) else set()


def test_every_file_of_the_run_is_a_part_with_its_digest(folder: Path) -> None:
    found = graph(folder)
    parts = {"objects.csv", "objects.parquet", "figures/sites.png", "run.json"}
    assert links(found["./"]["hasPart"]) == parts
    for name in parts:
        assert found[name]["sha256"] == digest(folder / name).removeprefix("sha256:")
    assert graph(folder).keys() == found.keys(), "a crate does not describe itself"


def test_columns_have_units_and_settings_and_calibration_belong_to_the_run(folder: Path) -> None:
    found = graph(folder)
    column = found["#objects.y_nm"]
    assert (column["unitText"], column["unitCode"], column["description"]) == ("nm", "C45", "middle, from the top")
    assert links(found["objects.csv"]["variableMeasured"]) == {"#objects.y_nm"}
    assert found["#setting.sigmas"]["value"] == "6.0" and found["#calibration.pixel_nm"]["value"] == "0.02"
    assert "#calibration.channels" not in found
    assert found["#input"]["identifier"] == "sha256:1" and found["#micrograph"]["softwareVersion"] == "0.1.0"


def test_nothing_points_to_what_is_not_there(folder: Path) -> None:
    about = About("T", "A. Person", "https://orcid.org/0000-0001", "https://spdx.org/licenses/CC-BY-4.0")
    found = graph(folder, about)
    assert set().union(*map(links, found.values())) - set(found) == {"https://w3id.org/ro/crate/1.1"}
    assert found["./"]["name"] == "T" and found["https://orcid.org/0000-0001"]["name"] == "A. Person"


def test_a_folder_without_a_run_and_an_orcid_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no finished run"):
        write_crate(tmp_path)
    with pytest.raises(BadInput, match="give its address"):
        About(author="A", orcid="0000")
    with pytest.raises(BadInput, match="author's name"):
        About(orcid="https://orcid.org/0000-0001")


def test_the_command_says_what_it_wrote(folder: Path) -> None:
    done = CliRunner().invoke(app, ["crate", str(folder), "--author", "A. Person"])
    assert done.exit_code == 0 and (folder / "ro-crate-metadata.json").is_file()
