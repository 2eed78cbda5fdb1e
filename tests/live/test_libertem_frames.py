"""Frames of LiberTEM and LiberTEM-live in the engine: the tables of an analysis of the same frames."""

import threading

import numpy as np
import pytest
from pandas import DataFrame
from pandas.testing import assert_frame_equal

from micrograph.core import BadInput, Calibration, Column, Prediction, Recording, Task
from micrograph.live.engine import Engine, LiveSettings
from micrograph.live.sources.libertem_frames import LibertemSource
from micrograph.run import LazyTables, Recipe, analyze

api = pytest.importorskip("libertem.api")
SCALE = Calibration(pixel_nm=0.5, frame_time_s=0.1)


def bright(prediction):
    """Find pixels brighter than one half."""
    y, x = np.nonzero(prediction.maps["spot"] > 0.5)
    step = prediction.pixel_nm
    return {"objects": DataFrame({"y_nm": y * step, "x_nm": x * step})}


def predict(frame):
    spot = {"spot": frame.data}
    return Prediction(frame, spot, {"spot": np.zeros_like(frame.data)}, frame.calibration.pixel_nm)


predict.bytes_per_frame = lambda shape, pixel_nm: 1


class Total:
    """The number of objects of all frames."""

    def start(self):
        return 0

    def step(self, state, tables):
        return state + len(tables["objects"])

    def result(self, state):
        return {"summary": DataFrame({"total": [state]})}


@pytest.fixture
def recipe():
    columns = (Column("y_nm", "nm", "place"), Column("x_nm", "nm", "place"))
    task = Task("How many bright pixels?", ("pixel_nm",), {"objects": columns, "summary": ()}, "")
    return Recipe("bright", "Bright pixels", task, None, None, bright, Total())


@pytest.fixture
def scan():
    return (np.random.default_rng(1).random((5, 8, 6, 7)) > 0.7).astype(np.float32)


def acquisition(scan, context, partitions=4):
    cut = {"sig_dims": 2, "num_partitions": partitions}
    connection = context.make_connection("memory").open(data=scan, extra_kwargs=cut)
    return context.make_acquisition(conn=connection, nav_shape=scan.shape[:2])


def same_as_analyze(recipe, scan, folder, tmp_path):
    frames = scan.reshape(-1, *scan.shape[2:])
    recording = Recording(lambda index: frames[index], range(len(frames)), SCALE, frames.shape[1:], name="LiberTEM")
    theirs, ours = analyze(recipe, recording, predict, tmp_path / "file").tables, LazyTables(folder)
    assert set(theirs) == set(ours)
    for name in theirs:
        assert_frame_equal(ours[name], theirs[name])


def test_a_live_acquisition_gives_the_tables_of_the_same_frames(recipe, scan, tmp_path):
    live = pytest.importorskip("libertem_live.api")
    with live.LiveContext.make_with("inline") as context:
        source = LibertemSource(context, acquisition(scan, context), SCALE)
        opened = source.open(threading.Event(), print)
        assert not opened.lossless and opened.shape == (6, 7) and opened.dtype == "float32"
        engine = Engine(recipe, source, predict, tmp_path / "live", LiveSettings(policy="all"))
        record = engine.run()
        engine.close()
    assert record["frames"] == 40 and record["live"]["dropped"] == record["live"]["lost"] == 0
    same_as_analyze(recipe, scan, tmp_path / "live", tmp_path)


def test_frames_that_other_processes_read_come_in_order(recipe, scan, tmp_path):
    pipelined = pytest.importorskip("libertem.executor.pipelined")
    executor = pipelined.PipelinedExecutor(spec=pipelined.PipelinedExecutor.make_spec(cpus=range(2), cudas=[]))
    with api.Context(executor=executor) as context:
        data = context.load("memory", data=scan, sig_dims=2, num_partitions=7)
        engine = Engine(recipe, LibertemSource(context, data, SCALE), predict, tmp_path / "live")
        record = engine.run()
        engine.close()
    assert record["frames"] == 40 and record["live"]["lost"] == 0
    same_as_analyze(recipe, scan, tmp_path / "live", tmp_path)


def test_reading_stops_when_told_to_and_a_failure_is_one_sentence(scan):
    with api.Context.make_with("inline") as context:
        data = context.load("memory", data=np.concatenate([scan] * 5), sig_dims=2, num_partitions=20)
        stop = threading.Event()
        arrivals = LibertemSource(context, data, SCALE).arrivals(lambda number: number == 0, stop, print)
        assert next(arrivals).number == 1
        stop.set()
        assert len(list(arrivals)) <= 1
        spectra = context.load("memory", data=scan, sig_dims=1)
        with pytest.raises(BadInput, match="1 axes"):
            LibertemSource(context, spectra).open(threading.Event(), print)

    class Broken:
        """A context that cannot read."""

        def run_udf(self, dataset, udf):
            raise OSError("the detector is gone")

    with pytest.raises(BadInput, match="the detector is gone"):
        list(LibertemSource(Broken(), data).arrivals(lambda number: False, threading.Event(), print))


def test_watch_takes_an_acquisition_and_leaves_tables_and_report(tmp_path):
    import micrograph

    live = pytest.importorskip("libertem_live.api")
    frames = np.random.default_rng(2).normal(100, 5, (1, 3, 96, 96)).astype(np.float32)
    with live.LiveContext.make_with("inline") as context:
        source = LibertemSource(context, acquisition(frames, context, 2), SCALE, "camera")
        with pytest.raises(BadInput, match="made already"):
            micrograph.watch("particle-shapes", source, tmp_path, pixel_size="0.5 nm")
        record = micrograph.watch("particle-shapes", source, tmp_path, policy="all")
    assert record["frames"] == 3 and record["key"]["input"]["name"] == "camera"
    assert (tmp_path / "frames.parquet").exists() and (tmp_path / "report.html").exists()
