"""The trainer learns, goes on after an interruption as if there had been none, and leaves a checkpoint that works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from micrograph.core import Calibration, Flag, Frame, Sample
from micrograph.features.columns.peaks import find_peaks
from micrograph.infer import load_predictor
from micrograph.nets import Head, NetSpec, load
from micrograph.train import TrainSettings, train
from micrograph.train.trainer import loss_of

Maker = Callable[[np.random.Generator], Sample]


def frame(image: np.ndarray, pixel_nm: float = 0.03) -> Frame:
    return Frame(image.astype(np.float32), 0, Calibration(pixel_nm=pixel_nm))


def test_training_lowers_the_loss(trained: Any) -> None:
    assert trained.losses[-1] < 0.7 * trained.losses[0]


def test_the_trained_network_finds_the_blobs(trained: Any, toy: Maker) -> None:
    predict = load_predictor(trained.path, backend_name="torch", device="cpu")
    for seed in (100, 101):
        sample = toy(np.random.default_rng(seed))
        peaks = find_peaks(predict(frame(sample.image)).maps["blob"], 0.5, 3.0)
        true = np.column_stack([sample.sites.y_nm, sample.sites.x_nm]) / sample.pixel_nm
        distance = np.hypot(*(np.column_stack([peaks.y, peaks.x])[:, None] - true).transpose(2, 0, 1))
        assert (distance.min(axis=0) < 1.5).mean() > 0.9
        assert (distance.min(axis=1) < 1.5).mean() > 0.9


def test_noise_lies_outside_the_domain_and_new_samples_inside(trained: Any, toy: Maker) -> None:
    predict = load_predictor(trained.path, backend_name="torch", device="cpu")
    noise = predict(frame(np.random.default_rng(0).normal(0, 1, (64, 64))))
    known = [predict(frame(toy(np.random.default_rng(seed)).image)) for seed in range(200, 210)]
    assert noise.domain_distance > 1
    assert Flag.OUT_OF_DOMAIN in noise.flags
    assert np.median([prediction.domain_distance for prediction in known]) < 1


def test_the_checkpoint_on_disk_is_the_one_returned(trained: Any, spec: NetSpec) -> None:
    again = load(trained.path)
    assert again.spec == spec
    assert again.card["recipe"] == "toy"
    assert set(again.card["confidence"]) == {"blob"}
    assert all(torch.equal(tensor, trained.checkpoint.state[key]) for key, tensor in again.state.items())
    assert not trained.path.with_suffix(".ckpt").exists()


class Stopped(Exception):
    """The user pressed a key."""


def test_a_stopped_training_that_goes_on_ends_at_the_same_weights(
    toy: Maker, spec: NetSpec, settings: TrainSettings, tmp_path: Path
) -> None:
    short = replace(settings, steps=8, checkpoint_every=3, calibration_samples=4)
    straight = train(toy, spec, short, tmp_path / "straight.safetensors")

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 5:
            raise Stopped

    out = tmp_path / "stopped.safetensors"
    with pytest.raises(Stopped):
        train(toy, spec, short, out, progress=stop)
    steps: list[int] = []
    resumed = train(toy, spec, short, out, progress=lambda step, _, __: steps.append(step))
    assert steps == [4, 5, 6, 7, 8]
    for key, tensor in straight.state.items():
        torch.testing.assert_close(resumed.state[key], tensor, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_other_settings_is_not_taken_up(
    toy: Maker, spec: NetSpec, settings: TrainSettings, tmp_path: Path
) -> None:
    short = replace(settings, steps=2, checkpoint_every=1, calibration_samples=2)
    out = tmp_path / "toy.safetensors"

    def stop(step: int, steps: int, loss: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(toy, spec, short, out, progress=stop)
    steps: list[int] = []
    train(toy, spec, replace(short, seed=1), out, progress=lambda step, _, __: steps.append(step))
    assert steps == [1, 2]


def test_bright_pixels_of_spots_weigh_more_than_regions() -> None:
    spots, region = (NetSpec(heads=(Head("a", kind, ("a",)),)) for kind in ("spots", "region"))  # type: ignore[arg-type]
    logits, ones = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    assert float(loss_of(logits, ones, spots)) == pytest.approx(5 * np.log(2))
    assert float(loss_of(logits, ones, region)) == pytest.approx(0.3 * np.log(2))
