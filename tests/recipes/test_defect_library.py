"""Defects of graphene in a library: named, bonded as drawn, and the same again in every turned image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Calibration, Frame, Recording
from micrograph.features.layers.fragments import fragment_of
from micrograph.infer import load_predictor
from micrograph.io import Library
from micrograph.recipes.defect_library import RECIPE, build_library
from micrograph.run import analyze
from micrograph.simulate import Microscope, Scan, adf, expose
from micrograph.structures import named_defect

PIXEL_NM, SIDE = 0.02, 120
MICROSCOPE = Microscope(source_fwhm_nm=0.05)


def image(name: str, seed: int) -> np.ndarray:
    """Return graphene with one defect near the middle, turned at random, at 1e6 electrons per square angstrom."""
    rng = np.random.default_rng(seed)
    atoms, _ = named_defect(name, SIDE * PIXEL_NM, rng)
    fraction = adf(atoms, MICROSCOPE, pixel_nm=PIXEL_NM, shape=(SIDE, SIDE), thermal_nm=0.005)
    return expose(fraction, Scan(1e6), PIXEL_NM, rng)


def recording(*images: np.ndarray) -> Recording:
    calibration = Calibration(pixel_nm=PIXEL_NM, voltage_kV=60.0)
    return Recording(lambda i: images[i], range(len(images)), calibration, (SIDE, SIDE), name="sheet")


def middle(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Return the defect nearest to the middle."""
    rows = tables["library"]
    off = np.hypot(rows["y_nm"] - SIDE * PIXEL_NM / 2, rows["x_nm"] - SIDE * PIXEL_NM / 2)
    return rows.loc[off.idxmin()]


@pytest.mark.parametrize("name", ["Si1C3", "Si1C4"])
def test_a_defect_has_one_name_and_one_graph_however_it_is_turned(name: str) -> None:
    predict = load_predictor("graphene-1")
    seen = [middle(RECIPE.objects(predict(recording(image(name, seed)).frame(0)))) for seed in (1, 2)]
    assert [row["name"] for row in seen] == [name, name]
    assert seen[0]["graph"] == seen[1]["graph"]
    assert all(row["bonds"] == int(name[-1]) for row in seen)


def test_a_run_becomes_a_library_in_which_its_defects_are_found(tmp_path: Path) -> None:
    predict = load_predictor("graphene-1")
    movie = recording(image("Si1C3", 3), image("Si1C4", 4), image("Si1C3", 5))
    result = analyze(RECIPE, movie, predict, tmp_path)
    library = Library.open(build_library(result, tmp_path / "mine.h5"))
    names = [entry.name for entry in library.entries()]
    assert names.count("Si1C3") == 2 and names.count("Si1C4") == 1
    tables = RECIPE.objects(predict(recording(image("Si1C4", 6)).frame(0)))
    row = middle(tables)
    mine = (tables[key][tables[key]["id"] == row["id"]] for key in ("fragments", "fragment_bonds"))
    nearest = library.search(fragment_of(*mine))[0]
    assert nearest.name == "Si1C4" and nearest.same_graph
    entry = library[nearest.number]
    assert entry.frame == 1 and entry.source == "sheet" and entry.digest.startswith("sha256")
    assert entry.image.shape[0] <= 82 and entry.pixel_nm == PIXEL_NM


def test_an_empty_frame_gives_empty_tables_with_the_promised_columns() -> None:
    frame = Frame(np.random.default_rng(0).normal(10, 1, (64, 64)).astype(np.float32), 0, Calibration(PIXEL_NM))
    tables = RECIPE.objects(load_predictor("graphene-1")(frame))
    for name in ("library", "fragments", "fragment_bonds"):
        assert list(tables[name].columns) == [column.name for column in RECIPE.task.answers[name]]
