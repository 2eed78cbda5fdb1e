"""A catalogue over many runs: listed, found, compared, asked, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from micrograph.apps.cli import app
from micrograph.core import BadInput, Column
from micrograph.io import write_table
from micrograph.run.record import write_json
from micrograph.share import open_catalog


def write_run(folder: Path, recipe: str, pixel_nm: float, a_nm: float) -> None:
    """Write what a run leaves: a record, a summary with an error, objects."""
    folder.mkdir(parents=True)
    columns = (Column("a_nm", "nm", "side", sigma="a_sigma_nm"), Column("a_sigma_nm", "nm", "1-sigma"))
    write_table(pd.DataFrame({"name": ["C"], "a_nm": [a_nm], "a_sigma_nm": [0.01]}), folder / "summary", columns)
    write_table(pd.DataFrame({"frame": [0, 0], "class": ["C", "Si"]}), folder / "objects", ())
    given = {"name": f"{folder.name}.dm4", "digest": "sha256:0", "calibration": {"pixel_nm": pixel_nm, "binning": 1}}
    key = {"input": given, "settings": {"sigmas": 6.0}, "weights": "w"}
    write_json(folder / "run.json", {"recipe": {"name": recipe}, "key": key, "frames": 3, "flags": {"BAD_FRAME": 1}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "monday" / "one", "surface-lattice", 0.02, 0.25)
    write_run(tmp_path / "tuesday" / "it's two", "surface-lattice", 0.01, 0.26)
    write_run(tmp_path / "tuesday" / "three", "atoms", 0.05, 0.27)
    return tmp_path


def test_every_run_below_the_folder_is_a_row(folder: Path) -> None:
    runs = open_catalog(folder).runs
    assert runs["run"].tolist() == ["monday/one", "tuesday/it's two", "tuesday/three"]
    assert runs["pixel_nm"].tolist() == [0.02, 0.01, 0.05]
    assert runs["bad_frames"].tolist() == [1, 1, 1]


def test_runs_are_found_by_name_recipe_input_and_setting(folder: Path) -> None:
    catalog = open_catalog(folder)
    assert len(catalog.found("TUESDAY")) == 2
    assert len(catalog.found("surface-")) == 2
    assert len(catalog.found("sigmas=6")) == 3
    assert len(catalog.found("nowhere")) == 0


def test_a_quantity_is_compared_with_its_error_and_unit_in_the_order_of_another(folder: Path) -> None:
    table = open_catalog(folder).compared("a_nm", by="pixel_nm")
    assert table["value"].tolist() == [0.26, 0.25, 0.27]
    assert table["sigma"].tolist() == [0.01] * 3
    assert set(table["unit"]) == {"nm"} and set(table["name"]) == {"C"}
    with pytest.raises(BadInput, match="they have a_nm, a_sigma_nm"):
        open_catalog(folder).compared("nothing")


def test_tables_of_a_recipe_are_asked_together(folder: Path) -> None:
    table = open_catalog(folder).asked(
        "SELECT run, count(*) AS n FROM surface_lattice.objects GROUP BY run ORDER BY run"
    )
    assert table["run"].tolist() == ["monday/one", "tuesday/it's two"]
    assert table["n"].tolist() == [2, 2]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE runs",
        "COPY runs TO 'x.csv'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT nothing FROM runs",
        "SELECT FROM WHERE",
    ],
)
def test_what_is_no_question_is_refused_and_changes_nothing(sql: str, folder: Path) -> None:
    catalog = open_catalog(folder)
    with pytest.raises(BadInput, match="The catalogue"):
        catalog.asked(sql)
    assert len(catalog.asked("SELECT * FROM runs")) == 3


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no finished run"):
        open_catalog(tmp_path)
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="no finished run"):
        open_catalog(tmp_path)


def test_the_command_lists_compares_and_writes(folder: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    assert "monday/one" in runner.invoke(app, ["catalog", str(folder)]).output
    for name in ("a.csv", "a.parquet", "a.png"):
        path = tmp_path / "out" / name
        assert runner.invoke(app, ["catalog", str(folder), "--compare", "a_nm", "-o", str(path)]).exit_code == 0
        assert path.stat().st_size > 50
    assert np.allclose(pd.read_csv(tmp_path / "out" / "a.csv")["value"], [0.25, 0.26, 0.27])
    for wrong in (["--find", "a", "--sql", "SELECT 1"], ["--by", "frames"], ["-o", str(tmp_path / "a.png")]):
        assert isinstance(runner.invoke(app, ["catalog", str(folder), *wrong]).exception, BadInput)
