"""OpenVINO computes what PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame
from micrograph.infer import load_predictor
from micrograph.infer.backends import TOLERANCE, backend, openvino_backend, sparing, torch_backend
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
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match="no GPU is there"):
        backend(load(weights()), "auto", "cuda", None)


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
