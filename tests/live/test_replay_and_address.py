"""Recordings that are played again, and the addresses of sources."""

import threading
import time

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Recording
from micrograph.io import open_recording
from micrograph.live.sources.address import Reception, source_of
from micrograph.live.sources.folder import FolderSource
from micrograph.live.sources.replay import ReplaySource
from micrograph.live.sources.zmq_stream import ZmqSource


def played(source, done=lambda number: False):
    stop, said = threading.Event(), []
    opened = source.open(stop, said.append)
    return opened, list(source.arrivals(done, stop, said.append)), said


@pytest.fixture
def movie(tmp_path):
    np.save(tmp_path / "movie.npy", np.random.default_rng(0).integers(0, 99, (12, 8, 9), np.uint8))
    return tmp_path / "movie.npy"


def test_a_replay_gives_every_frame_of_the_file(movie):
    opened, arrivals, said = played(source_of(f"replay:{movie}", reception=Reception("fastest")))
    recording = open_recording(movie)
    assert [arrival.number for arrival in arrivals] == list(range(12)) and not said
    assert all(np.array_equal(arrival.data, recording.read(arrival.number)) for arrival in arrivals)
    assert (opened.shape, opened.dtype, opened.name, opened.lossless) == ((8, 9), "uint8", "movie.npy", True)


@pytest.mark.parametrize(("speed", "pace"), [("own", 0.02), (4, 0.005)])
def test_a_replay_keeps_its_pace(movie, speed, pace):
    source = source_of(f"replay:{movie}", Calibration(frame_time_s=0.02), Reception(speed))
    began = time.monotonic()
    _, arrivals, _ = played(source)
    assert [arrival.number for arrival in arrivals] == list(range(12))
    assert all(each.received_s - began >= 0.99 * pace * each.number for each in arrivals)


def test_a_replay_leaves_out_what_is_done_and_does_not_wait_for_it(movie):
    source = source_of(f"replay:{movie}", Calibration(frame_time_s=1e6))
    _, arrivals, _ = played(source, done=lambda number: number != 11)
    assert [arrival.number for arrival in arrivals] == [11]


def test_a_replay_tells_of_frames_that_cannot_be_read():
    def read(index):
        if index == 1:
            raise BadInput("Frame 1 cannot be read.")
        return np.eye(4)

    source = ReplaySource(Recording(read, range(3), Calibration(), (4, 4), known=lambda k: {"t_s": k * 2.0}), "fastest")
    _, arrivals, said = played(source)
    assert [(arrival.number, arrival.known["t_s"]) for arrival in arrivals] == [(0, 0.0), (2, 4.0)]
    assert said == ["Frame 1 cannot be read. It is left out."]


def test_a_replay_stops_when_asked(movie):
    source, stop = source_of(f"replay:{movie}", Calibration(frame_time_s=1e6)), threading.Event()
    arrivals = source.arrivals(lambda number: False, stop, print)
    assert next(arrivals).number == 0
    threading.Timer(0.05, stop.set).start()
    assert list(arrivals) == []


def test_addresses_name_their_sources(tmp_path, movie):
    given = Calibration(pixel_nm=0.5, voltage_kV=80.0)
    folder = source_of(f"folder:{tmp_path}", given, Reception(patience_s=9.0, idle_s=4.0))
    assert isinstance(folder, FolderSource)
    assert (folder.folder, folder.given, folder.waits.patience_s, folder.idle_s) == (tmp_path, given, 9.0, 4.0)
    stream = source_of("zmq://127.0.0.1:5555", given)
    assert isinstance(stream, ZmqSource) and (stream.host, stream.port, stream.given) == ("127.0.0.1", 5555, given)
    assert source_of("zmq://[::1]:5555").host == "::1"
    replay = source_of(f"replay:{movie}", given, Reception("fastest"))
    assert isinstance(replay, ReplaySource) and replay.recording.calibration == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "was expected"),
        ("camera:1", "was expected"),
        ("folder:", "names nothing"),
        ("folder:no/such/folder", "does not exist"),
        ("replay:no/such/file.npy", "does not exist"),
        ("replay:", "names nothing"),
        ("zmq://127.0.0.1", "no port"),
        ("zmq://127.0.0.1:", "no port"),
        ("zmq://127.0.0.1:http", "no port"),
        ("zmq://127.0.0.1:0", "no port"),
        ("zmq://127.0.0.1:70000", "no port"),
        ("zmq://:5555", "no host"),
        ("zmq:5555", "no host"),
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(text, words):
    with pytest.raises(BadInput, match=words) as refused:
        source_of(text)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_path_without_its_kind_is_told_how_to_write_it(tmp_path, movie):
    with pytest.raises(BadInput, match="write folder:"):
        source_of(str(tmp_path))
    with pytest.raises(BadInput, match="write replay:"):
        source_of(str(movie))
    with pytest.raises(BadInput, match="is a file"):
        source_of(f"folder:{movie}")
    with pytest.raises(BadInput, match="frame time"):
        source_of(f"replay:{movie}")


@pytest.mark.parametrize("wrong", [{"speed": 0}, {"speed": "slow"}, {"patience_s": 0}, {"idle_s": float("nan")}])
def test_receptions_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadInput):
        Reception(**wrong)
