"""Several devices share a training: here processes of a machine without GPUs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from micrograph.core import BadInput, Sample
from micrograph.infer import load_predictor
from micrograph.nets import NetSpec
from micrograph.train import TrainSettings, train
from micrograph.train.devices import fabric_for, most_devices, relayed
from micrograph.train.trainer import _Run

Maker = Callable[[np.random.Generator], Sample]

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the devices here are processes")


@pytest.fixture
def short(settings: TrainSettings) -> TrainSettings:
    return replace(settings, steps=8, checkpoint_every=3, calibration_samples=4)


def learn_on_own_images(spec: NetSpec, settings: TrainSettings, folder: Path, fabric: Any) -> None:
    """Take three steps on images that only this process has, and keep the weights; what each process does."""
    run = _Run.begin(fabric, spec, settings, None)
    with torch.random.fork_rng():
        torch.manual_seed(fabric.global_rank)
        batches = [(torch.randn(2, 1, 32, 32), torch.rand(2, 2, 32, 32)) for _ in range(3)]
    told = [run.learn(batch) for batch in batches]
    torch.save({"told": told, **dict(run.net.module.named_parameters())}, folder / f"{fabric.global_rank}.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="forked, as that is faster")
def test_two_devices_that_see_other_images_have_the_same_weights_and_tell_the_same_loss(
    spec: NetSpec, short: TrainSettings, tmp_path: Path
) -> None:
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork", precision="32-true")
    fabric.launch(functools.partial(learn_on_own_images, spec, short, tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first.pop("told") == pytest.approx(second.pop("told"))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


class Stopped(Exception):
    """The user pressed a key."""


def test_a_training_that_one_device_began_goes_on_with_two(
    toy: Maker, spec: NetSpec, short: TrainSettings, tmp_path: Path
) -> None:
    def stop(step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise Stopped

    out = tmp_path / "shared.safetensors"
    with pytest.raises(Stopped):
        train(toy, spec, short, out, progress=stop)
    told: list[tuple[int, int]] = []
    found = train(toy, spec, replace(short, devices=2), out, progress=lambda step, steps, _: told.append((step, steps)))
    assert told == [(step, 8) for step in (4, 5, 6, 7, 8)]
    assert found.card["training"]["devices"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in found.state.values())
    assert not out.with_suffix(".ckpt").exists()
    assert load_predictor(out, backend_name="torch", device="cpu").spec == spec


def test_devices_that_cannot_share_a_batch_or_are_not_there_are_refused(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="3 devices cannot share batches of 4"):
        fabric_for(replace(settings, devices=3))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    with pytest.raises(BadInput, match="4 GPUs are to train, 3 are there"):
        fabric_for(replace(settings, devices=4))
    assert (most_devices(4), most_devices(9), most_devices(5)) == (2, 3, 1)


def test_a_progress_that_fails_does_not_stop_the_training(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def progress(step: int, steps: int, loss: float) -> None:
        seen.append(step)
        raise ValueError

    with relayed(progress) as tell:
        assert tell is not None
        tell(1, 2, 0.5)
        tell(2, 2, 0.4)
    assert seen == [1, 2] and "the training goes on" in caplog.text
