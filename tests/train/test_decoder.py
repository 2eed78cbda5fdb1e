"""Training of the decoder of coded movies: it learns, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.core import BrokenCheckpoint
from micrograph.nets.unrolled import Unrolled, load_unrolled
from micrograph.nets.unrolled_spec import UnrolledSpec
from micrograph.simulate.coding_scenes import CodingScenes
from micrograph.train.coded import CodedTraining, example, train_decoder

SCENES = CodingScenes(24)
SETTINGS = CodedTraining(steps=6, blocks=1, frames=(4, 6), begins=(0.0, 0.5), checkpoint_every=2)
SMALL = UnrolledSpec(stages=2, width=8, deep=8)


def test_scenes_follow_from_the_generator_and_hold_the_electrons_that_are_asked_for() -> None:
    first, again = (SCENES.draw(np.random.default_rng(3), np.arange(5) / 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (5, 24, 24) and first.min() > 0 and 2.4 < first.mean() < 40.1


def test_an_untrained_decoder_gives_what_total_variation_gives() -> None:
    seen = example(SCENES, SETTINGS, 0)
    net = Unrolled(SMALL).eval()
    assert net.net.leave.bias is not None
    torch.nn.init.zeros_(net.net.leave.bias)
    with torch.inference_mode():
        found, _ = net(seen.coded)
    np.testing.assert_allclose(found[-1], seen.coded.start, atol=1e-6)


def test_frames_that_go_through_the_network_together_or_apart_come_out_alike() -> None:
    seen, net = example(SCENES, SETTINGS, 1), Unrolled(SMALL)
    torch.nn.init.normal_(net.net.leave.weight, 0, 0.1)
    with torch.inference_mode():
        together, apart = net.train()(seen.coded)[0], net.eval()(seen.coded)[0]
    np.testing.assert_allclose(together[-1], apart[-1], atol=1e-4)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    class Pulled(Exception):
        pass

    def pull(done: int, total: int, loss: float) -> None:
        if done == 5:
            raise Pulled

    whole = train_decoder(tmp_path / "whole.safetensors", SCENES, SETTINGS, SMALL)
    with pytest.raises(Pulled):
        train_decoder(tmp_path / "parts.safetensors", SCENES, SETTINGS, SMALL, progress=pull)
    parts = train_decoder(tmp_path / "parts.safetensors", SCENES, SETTINGS, SMALL)
    for name, tensor in whole.state.items():
        torch.testing.assert_close(tensor, parts.state[name])
    assert load_unrolled(tmp_path / "parts.safetensors")[0].spec == SMALL


def test_learning_lowers_the_error(tmp_path: Path) -> None:
    losses: list[float] = []
    settings = replace(SETTINGS, steps=30, begins=(0.0,))
    train_decoder(
        tmp_path / "w.safetensors", SCENES, settings, SMALL, progress=lambda done, total, loss: losses.append(loss)
    )
    assert np.isfinite(losses).all()
    net, _ = load_unrolled(tmp_path / "w.safetensors")
    gains = []
    with torch.inference_mode():
        for step in range(100, 106):
            seen = example(SCENES, settings, step)
            error = ((net(seen.coded, 1)[0][-1] - seen.clean) ** 2).mean()
            gains.append(float(error / ((seen.coded.start - seen.clean) ** 2).mean()))
    assert np.mean(np.log(gains)) < 0.02


def test_weights_of_another_kind_are_refused() -> None:
    with pytest.raises(BrokenCheckpoint, match="no decoder of coded movies"):
        load_unrolled("pores-1")
