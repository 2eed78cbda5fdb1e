"""States of molecules from a file to tables and pictures; images without molecules in rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.core import BadInput
from micrograph.io import read_columns
from micrograph.recipes import find_recipe
from micrograph.run import Result
from micrograph.simulate.scanning.molecules import MoleculeImages

SAMPLE = replace(MoleculeImages(), snr=(3.0, 3.01), cells=12)(np.random.default_rng(3))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder: Path = tmp_path_factory.mktemp("molecules")
    np.save(folder / "stm.npy", SAMPLE.image)
    opened = mg.open(folder / "stm.npy", pixel_size=f"{SAMPLE.pixel_nm} nm")
    return mg.analyze("molecule-states", opened, out=folder / "out")


def test_states_are_those_planted(result: Result) -> None:
    from scipy.spatial import cKDTree

    objects = result.tables["objects"]
    tree = cKDTree(np.column_stack([SAMPLE.sites.y_nm, SAMPLE.sites.x_nm]))
    labels = [
        str(SAMPLE.sites.label[k]).split() for k in np.asarray(tree.query(objects[["y_nm", "x_nm"]].to_numpy())[1])
    ]
    assert np.mean(objects["polarity"] == [one for one, _ in labels]) > 0.98
    zero = SAMPLE.params["turn_deg"] + SAMPLE.params["offset_deg"]
    off = (objects["rotation_deg"] - [zero + 30 * int(k) for _, k in labels] + 60) % 120 - 60
    assert np.mean(np.abs(off) < 15) > 0.95


def test_the_tables_hold_what_the_task_promises(result: Result) -> None:
    for name, promised in find_recipe("molecule-states").task.answers.items():
        stored = read_columns(result.folder / f"{name}.parquet")
        for column in promised:
            assert stored[column.name].unit == column.unit and stored[column.name].about == column.about
    row = result.tables["frames"].iloc[0]
    assert row["temperature"] == pytest.approx(1 / row["coupling"]) and row["p_moran_rotation"] < 0.05
    assert {"molecules", "domains", "correlations", "learned"} <= {
        path.stem for path in (result.folder / "figures").glob("*.png")
    }


def test_an_image_without_molecules_in_rows_is_refused_in_one_sentence(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    np.save(tmp_path / "one.npy", np.exp(-((y - 60) ** 2 + (x - 66) ** 2) / 200))
    opened = mg.open(tmp_path / "one.npy", pixel_size="0.02 nm")
    with pytest.raises(BadInput, match="no lattice"):
        mg.analyze("molecule-states", opened, out=tmp_path / "out")
