"""A recipe as a UDF: the same numbers as the analysis of each frame alone."""

import sys

import numpy as np
import pytest
from pandas import DataFrame

from micrograph.core import BadInput, Calibration, Column, MissingCalibration, Prediction, Task
from micrograph.live.sources.libertem import measure, quantities, recipe_udf
from micrograph.run import Recipe


def bright(prediction):
    """Find pixels brighter than one half."""
    y, x = np.nonzero(prediction.maps["spot"] > 0.5)
    step = prediction.pixel_nm
    area = np.full(len(y), step**2)
    return {"objects": DataFrame({"y_nm": y * step, "x_nm": x * step, "area_nm2": area})}


def predict(frame):
    spot = {"spot": frame.data}
    return Prediction(frame, spot, {"spot": np.zeros_like(frame.data)}, frame.calibration.pixel_nm)


class Nothing:
    def start(self):
        return None

    def step(self, state, tables):
        return None

    def result(self, state):
        return {"summary": DataFrame()}


@pytest.fixture
def recipe():
    columns = (Column("y_nm", "nm", "place"), Column("x_nm", "nm", "place"), Column("area_nm2", "nm^2", "area"))
    task = Task("How many bright pixels?", ("pixel_nm",), {"objects": columns}, "")
    return Recipe("bright", "Bright pixels", task, None, None, bright, Nothing())


@pytest.fixture
def scan():
    rng = np.random.default_rng(1)
    frames = (rng.random((3, 4, 6, 7)) > 0.7).astype(np.float32)
    frames[1, 2] = 0
    return frames


def test_the_numbers_of_a_frame_are_those_of_its_tables(recipe, scan):
    assert quantities(recipe) == ("count", "mean_area_nm2")
    found = measure(recipe, predict, Calibration(pixel_nm=0.5), scan[0, 0], 0)
    assert found["count"] == scan[0, 0].sum() and found["mean_area_nm2"] == pytest.approx(0.25)
    empty = measure(recipe, predict, Calibration(pixel_nm=0.5), scan[1, 2], 6)
    assert np.isnan(empty["count"]) and empty["flags"] > 0


def test_without_libertem_or_a_scale_it_is_said_what_is_missing(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "libertem.udf", None)
    with pytest.raises(BadInput, match="pip install libertem"):
        recipe_udf(recipe, predict, Calibration(pixel_nm=0.5))
    with pytest.raises(MissingCalibration):
        recipe_udf(recipe, predict, Calibration())


def test_the_udf_gives_a_map_over_the_scan(recipe, scan):
    api = pytest.importorskip("libertem.api")
    with api.Context.make_with("inline") as context:
        data = context.load("memory", data=scan, sig_dims=2)
        found = context.run_udf(dataset=data, udf=recipe_udf(recipe, predict, Calibration(pixel_nm=0.5)))
    expected = scan.sum(axis=(2, 3))
    expected[1, 2] = np.nan
    np.testing.assert_array_equal(found["count"].data, expected)
    assert (found["flags"].data[1, 2] > 0) and found["mean_area_nm2"].data[0, 0] == pytest.approx(0.25)
