"""Frames over ZeroMQ: every good frame once and in order; nothing that is sent can break the analysis."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import receiving

from micrograph.core import BadInput, Calibration
from micrograph.live.sources.message import End, parsed
from micrograph.live.sources.zmq_stream import ZmqSource

zmq = pytest.importorskip("zmq")
Receiving, until = receiving.Receiving, receiving.until

SENDER = Path(__file__).parents[2] / "docs" / "senders" / "numpy_movie.py"
HEADER = {"micrograph": 1, "frame": 0, "shape": [4, 6], "dtype": "<u2"}


def image(number, shape=(4, 6)):
    return np.full(shape, number, np.uint16)


class Sender:
    """A camera's program; leaving the block is its death."""

    def __init__(self, port, run="a"):
        self.port, self.run = port, run

    def __enter__(self):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUSH)
        self.socket.connect(f"tcp://127.0.0.1:{self.port}")
        return self

    def __exit__(self, *problem):
        self.context.destroy(linger=30_000)

    def frame(self, number, data=None, **more):
        data = image(number) if data is None else data
        header = HEADER | {"frame": number, "shape": data.shape, "dtype": data.dtype.str, "run": self.run} | more
        self.parts(json.dumps(header).encode(), data.tobytes())

    def parts(self, *parts):
        self.socket.send_multipart(list(parts))

    def end(self):
        self.parts(json.dumps({"micrograph": 1, "end": True, "run": self.run}).encode())


@pytest.fixture
def port():
    with zmq.Context() as context, context.socket(zmq.PULL) as probe:
        return probe.bind_to_random_port("tcp://127.0.0.1")


def test_frames_come_once_in_order_with_what_was_recorded(port):
    with Receiving(ZmqSource("127.0.0.1", port)) as got, Sender(port) as sender:
        for number in range(50):
            sender.frame(number, pixel_nm=0.02, time=1000.0 + number / 10, known={"temperature_C": 20.0 + number})
        sender.end()
        got.ended()
    assert got.numbers == list(range(50)) and not got.said
    assert got.opened.calibration.pixel_nm == 0.02 and got.opened.shape == (4, 6) and not got.opened.lossless
    assert all((arrival.data == arrival.number).all() for arrival in got.arrivals)
    assert got.arrivals[7].known == {"t_s": pytest.approx(0.7), "temperature_C": 27.0}


def test_the_sender_of_the_documentation_sends_a_movie(port, tmp_path):
    movie = np.arange(20 * 5 * 7, dtype=">i4").reshape(20, 5, 7)
    np.save(tmp_path / "movie.npy", movie)
    command = [sys.executable, str(SENDER), str(tmp_path / "movie.npy"), "--to", f"127.0.0.1:{port}"]
    with Receiving(ZmqSource("127.0.0.1", port, Calibration(frame_time_s=0.5))) as got:
        subprocess.run([*command, "--pixel-nm", "0.1"], check=True)
        got.ended()
    assert got.numbers == list(range(20))
    assert np.array_equal([arrival.data for arrival in got.arrivals], movie)
    assert got.opened.dtype == "int32"
    assert got.opened.calibration == Calibration(pixel_nm=0.1, frame_time_s=0.5)


def test_a_sender_that_is_killed_and_begins_anew_is_numbered_on(port):
    with Receiving(ZmqSource("127.0.0.1", port)) as got:
        with Sender(port, "first") as sender:
            for number in range(3):
                sender.frame(number)
            until(lambda: len(got.arrivals) == 3)
        until(lambda: got.heard("A sender was lost"))
        with Sender(port, "second") as sender:
            sender.frame(0), sender.frame(1)
            until(lambda: len(got.arrivals) == 5)
        with Sender(port, "third") as sender:
            sender.frame(7)
            sender.end()
            got.ended()
    assert got.numbers == [0, 1, 2, 3, 4, 7]
    assert got.heard("its frame 0 counts as 3")


def test_a_sender_without_a_run_that_counts_from_0_again_is_numbered_on(port):
    with Receiving(ZmqSource("127.0.0.1", port)) as got, Sender(port, "") as sender:
        for number in (0, 1, 0, 1):
            sender.frame(number)
        sender.end()
        got.ended()
    assert got.numbers == [0, 1, 2, 3]


def test_two_senders_at_once_are_not_mixed(port):
    source = ZmqSource("127.0.0.1", port)
    with Receiving(source) as got, Sender(port, "a") as first, Sender(port, "b") as second:
        first.frame(0)
        until(lambda: got.numbers == [0])
        second.frame(0)
        until(lambda: got.numbers == [0, 1])
        first.frame(1)
        until(lambda: source.counts["foreign"] == 1)
        second.frame(1)
        until(lambda: got.numbers == [0, 1, 2])
    assert got.heard("Two senders")


def test_lost_and_repeated_frames_are_told(port):
    source = ZmqSource("127.0.0.1", port)
    with Receiving(source) as got, Sender(port) as sender:
        for number in (5, 6, 9, 8, 9, 10):
            sender.frame(number)
        sender.end()
        got.ended()
    assert got.numbers == [5, 6, 9, 10]
    assert source.counts["lost"] == 2 and source.counts["repeated"] == 2
    assert got.heard("Frames 7 to 8 were lost")


def test_frames_in_the_results_are_not_given_again(port):
    with Receiving(ZmqSource("127.0.0.1", port), done=lambda number: number < 2) as got, Sender(port) as sender:
        for number in range(4):
            sender.frame(number)
        sender.end()
        got.ended()
    assert got.numbers == [2, 3] and got.heard("in the results already")


WRONG = [
    (b"", b""),
    (b"\xff\xfe", b""),
    (b"[" * 60_000, b""),
    (b"{" + b" " * 70_000 + b"}", b""),
    (b'{"micrograph": 1}', bytes(48)),
    (b'{"micrograph": 2, "frame": 0}', bytes(48)),
    (json.dumps(HEADER).encode(), bytes(47)),
    (json.dumps(HEADER).encode(), bytes(4800)),
    (json.dumps(HEADER).encode(),),
    (json.dumps(HEADER).encode(), bytes(48), b"more"),
    *(
        (json.dumps(HEADER | {name: value}).encode(), bytes(48))
        for name, value in [
            ("dtype", "|O"), ("dtype", "<c8"), ("dtype", ["<u2"]), ("shape", [4, 6, 1]), ("shape", [48, 1]),
            ("shape", [-4, -6]), ("shape", [2.0, 12]), ("shape", [100_000, 100_000]), ("shape", "4x6"), ("frame", -1),
            ("frame", 1.5), ("frame", True), ("frame", 10**30), ("pixel_nm", float("nan")), ("pixel_nm", 0),
            ("pixel_nm", "0.1"), ("pixel_nm", 10**400), ("frame_time_s", -1.0), ("voltage_kV", float("inf")),
            ("time", "now"), ("time", float("nan")), ("run", {}), ("run", "x" * 65), ("known", [1]),
            ("known", {"": 1}), ("known", {"frame": 1}), ("known", {"a b": 1}), ("known", {"a": "1"}),
            ("known", {"a": float("inf")}), ("known", {f"c{k}": 1 for k in range(65)}), ("micrograph", True),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize("parts", WRONG, ids=range(len(WRONG)))
def test_a_malformed_message_is_refused_in_one_sentence(parts):
    with pytest.raises(BadInput, match=r"\.$"):
        parsed(parts)


def test_malformed_messages_are_counted_told_sparingly_and_survived(port):
    source = ZmqSource("127.0.0.1", port)
    with Receiving(source) as got, Sender(port) as sender:
        sender.frame(0)
        for parts in WRONG:
            sender.parts(*parts)
        sender.frame(1, image(1, (4, 7)))
        sender.frame(1, image(1).astype(np.float32))
        sender.frame(1)
        sender.end()
        got.ended()
    assert got.numbers == [0, 1]
    assert source.counts["malformed"] == len(WRONG) and source.counts["unlike"] == 2
    assert len(got.said) <= 4


def test_a_message_beyond_the_limit_does_not_reach_the_memory_and_the_next_sender_is_heard(port):
    source = ZmqSource("127.0.0.1", port, largest_bytes=100_000)
    with Receiving(source) as got:
        with Sender(port, "huge") as sender:
            sender.frame(0, image(0, (300, 300)))
            until(lambda: got.heard("A sender was lost"))
            sender.socket.close(linger=0)
        with Sender(port, "good") as sender:
            sender.frame(0)
            sender.end()
            got.ended()
    assert got.numbers == [0] and got.opened.shape == (4, 6)


def test_pixels_of_the_other_byte_order_become_native():
    data = np.arange(24, dtype=">u2").reshape(4, 6)
    sent = parsed((json.dumps(HEADER | {"dtype": ">u2"}).encode(), data.tobytes()))
    assert sent.data.dtype == np.uint16 and sent.data.dtype.isnative and np.array_equal(sent.data, data)
    assert parsed((b'{"micrograph": 1, "end": true}',)) == End()


def test_an_address_that_cannot_be_had_is_refused(port):
    with zmq.Context() as context, context.socket(zmq.PULL) as taken:
        taken.bind(f"tcp://127.0.0.1:{port}")
        with Receiving(ZmqSource("127.0.0.1", port)) as got:
            until(lambda: got.error is not None)
    assert isinstance(got.error, BadInput) and "this computer listens" in str(got.error)


def test_without_pyzmq_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zmq", None)
    with Receiving(ZmqSource("127.0.0.1", 5555)) as got:
        until(lambda: got.error is not None)
    assert "pip install pyzmq" in str(got.error)
