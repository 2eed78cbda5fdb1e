"""OpenVINO computes what PyTorch computes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame
from micrograph.infer import load_predictor
from micrograph.infer.at_once import as_fits, in_pieces
from micrograph.infer.backends import (
    TOLERANCE,
    backend,
    half_backend,
    openvino_backend,
    sparing,
    spread,
    torch_backend,
    torch_device,
)
from micrograph.nets import load

pytest.importorskip("openvino")


def test_openvino_gives_the_logits_and_the_embedding_of_pytorch(weights: Callable[..., Path]) -> None:
    checkpoint = load(weights())
    fast, slow = openvino_backend(checkpoint, threads=1), torch_backend(checkpoint, "cpu")
    for shape in ((64, 64), (96, 80)):
        batch = np.random.default_rng(0).normal(0, 1, (1, 1, *shape)).astype(np.float32)
        for one, other in zip(fast(batch), slow(batch), strict=True):
            np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_both_back_ends_give_the_same_prediction(weights: Callable[..., Path], frame: Callable[..., Frame]) -> None:
    maps = [
        load_predictor(weights(), backend_name=name, device="cpu")(frame()).maps["atom"]
        for name in ("openvino", "torch")
    ]
    np.testing.assert_allclose(maps[0], maps[1], atol=0.01)


def test_a_gpu_that_is_not_there_is_refused(weights: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(BadInput, match="no GPU is there"):
        backend(load(weights()), "auto", "cuda", None)


def test_a_gpu_is_named_by_its_number_and_refused_beyond_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    named = [torch_device("auto", device) for device in ("auto", "cuda", "cuda:1", "cpu")]
    assert named == ["cuda", "cuda", "cuda:1", None]
    for wrong, said in (("cuda:2", "only 2 are there"), ("cuda:x", "known are"), ("gpu", "known are")):
        with pytest.raises(BadInput, match=said):
            torch_device("auto", wrong)


def test_workers_that_may_take_any_gpu_take_the_next_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread("auto", 1) == "auto" or torch.cuda.device_count()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [spread("auto", worker) for worker in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [spread(device, 1) for device in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]


@pytest.mark.parametrize("name", ["atoms-1", "pores-1"])
def test_half_precision_gives_the_logits_of_full_precision(name: str) -> None:
    checkpoint = load(name)
    batch = np.random.default_rng(1).normal(0, 1, (2, 1, 64, 64)).astype(np.float32)
    exact, half = torch_backend(checkpoint, "cpu"), half_backend(checkpoint, "cpu")
    away = np.abs(half(batch)[0] - exact(batch)[0])
    assert 0 < away.max() < TOLERANCE


def test_where_half_precision_does_not_agree_full_precision_is_taken(
    weights: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micrograph.infer.backends.TOLERANCE", 1e-7)
    checkpoint, batch = load(weights()), np.ones((1, 1, 32, 32), np.float32)
    assert np.array_equal(half_backend(checkpoint, "cpu")(batch)[0], torch_backend(checkpoint, "cpu")(batch)[0])


def test_an_image_beyond_the_range_of_half_precision_is_computed_in_full(weights: Callable[..., Path]) -> None:
    checkpoint, batch = load(weights()), np.full((1, 1, 32, 32), 1e7, np.float32)
    exact = torch_backend(checkpoint, "cpu")(batch)[0]
    assert np.array_equal(torch_backend(checkpoint, "cpu", half=True)(batch)[0], exact) and np.isfinite(exact).all()


class Gpu:
    """A GPU whose memory takes so many images at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.asked.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("full")
        return 2 * batch, batch.sum(axis=(1, 2, 3))[:, None]


def test_where_the_memory_of_a_gpu_runs_out_smaller_batches_give_the_same() -> None:
    batch = np.random.default_rng(0).normal(size=(7, 1, 4, 4)).astype(np.float32)
    gpu = Gpu(most=2)
    logits, embedding = sparing(gpu, otherwise=lambda: Gpu(most=100))(batch)
    assert np.array_equal(logits, 2 * batch) and np.array_equal(embedding, Gpu(most=100)(batch)[1])
    assert max(gpu.asked) == 7 and min(gpu.asked) <= 2


def test_where_one_image_is_too_much_for_a_gpu_the_processor_goes_on_for_good() -> None:
    batch, gpu, processor = np.ones((3, 1, 4, 4), np.float32), Gpu(most=0), Gpu(most=100)
    compute = sparing(gpu, otherwise=lambda: processor)
    with pytest.warns(UserWarning, match="processor goes on"):
        assert np.array_equal(compute(batch)[0], 2 * batch)
    asked = len(gpu.asked)
    assert np.array_equal(compute(batch)[0], 2 * batch)
    assert len(gpu.asked) == asked and sum(processor.asked) == 6


class Bytes:
    """A GPU's memory: so much is free, and an image of 4 x 4 takes 100."""

    def __init__(self, free: int) -> None:
        self.now, self.measured = free, 0

    def free(self) -> int:
        return self.now

    def taken(self, work: Callable[[], object]) -> int:
        self.measured += 1
        work()
        return 100


def test_batches_are_as_large_as_half_of_the_free_memory_holds() -> None:
    batch = np.random.default_rng(0).normal(size=(7, 1, 4, 4)).astype(np.float32)
    gpu, memory = Gpu(most=100), Bytes(free=620)
    compute = as_fits(gpu, memory)
    assert np.array_equal(compute(batch)[0], 2 * batch)
    assert gpu.asked == [1, 3, 3, 1]  # the first is the measurement
    memory.now = 10**6
    assert np.array_equal(compute(batch)[0], 2 * batch) and gpu.asked[4:] == [7]
    large = np.ones((7, 1, 8, 8), np.float32)
    memory.now = 1700
    assert np.array_equal(compute(large)[0], 2 * large) and gpu.asked[5:] == [2, 2, 2, 1]
    assert memory.measured == 1


def test_a_gpu_whose_memory_was_measured_wrongly_still_answers() -> None:
    batch, gpu = np.ones((8, 1, 4, 4), np.float32), Gpu(most=2)
    compute = sparing(as_fits(gpu, Bytes(free=1000)), otherwise=lambda: Gpu(most=100))
    assert np.array_equal(compute(batch)[0], 2 * batch) and max(gpu.asked) == 5


def test_a_processor_computes_one_image_at_a_time() -> None:
    batch, processor = np.ones((3, 1, 4, 4), np.float32), Gpu(most=100)
    assert np.array_equal(in_pieces(processor, lambda batch: 1)(batch)[0], 2 * batch) and processor.asked == [1, 1, 1]


#: A network is loaded here, dropped by another thread, and a signal is answered.
DROPPED = """
import gc, os, signal, threading
from micrograph.infer import load_predictor
kept = [load_predictor("particles-1", backend_name="openvino")]
thread = threading.Thread(target=lambda: (kept.clear(), gc.collect()))
thread.start(), thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("answered", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_signal_is_answered_after_another_thread_dropped_a_network() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr
