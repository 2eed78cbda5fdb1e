"""OpenVINO computes what PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput, Frame
from micrograph.infer import load_predictor
from micrograph.infer.backends import TOLERANCE, backend, openvino_backend, torch_backend
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
