"""Training without clean data: it learns, it goes on where it was stopped, and everything follows from the seed."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.nets.blind import BlindNet
from micrograph.nets.blind_spec import BlindSpec
from micrograph.simulate.clean_scenes import CleanScenes
from micrograph.train.blind_spot import (
    BlindSettings,
    Draw,
    Views,
    from_clean,
    from_recording,
    learn,
    negative_log_likelihood,
    scaled,
)

SPEC = BlindSpec(frames=3, widths=(6, 8))
SETTINGS = BlindSettings(steps=12, batch=2, patch=48, learning_rate=5e-3)


def views() -> Views:
    x = np.arange(64)
    clean = 8 + 4 * np.sin(2 * np.pi * x / 16)[:, None] * np.ones(64)
    stack = np.zeros((3, 64, 64), np.float32)
    stack[1] = clean + np.random.default_rng(0).normal(0, 1, (64, 64))
    return Views((stack,))


def fresh() -> BlindNet:
    torch.manual_seed(1)
    return BlindNet(SPEC)


def draw() -> Draw:
    return from_recording(views(), SETTINGS)


def test_noisy_pixels_are_foretold_better_after_training() -> None:
    net = fresh()
    before = float(negative_log_likelihood(net, draw()(99)).detach())
    learn(net, draw(), BlindSettings(steps=40, batch=2, patch=48, learning_rate=5e-3))
    assert float(negative_log_likelihood(net, draw()(99)).detach()) < before - 0.3


def exposed(clean: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return (5 * clean + rng.normal(0, 1, clean.shape)).astype(np.float32), 5 * clean


def test_batches_follow_from_the_seed_and_the_step() -> None:
    scene = CleanScenes(64)(np.random.default_rng(0))
    for made in (draw(), from_clean(scene, 3, SETTINGS, exposed)):
        first, again, other = made(4), made(4), made(5)
        torch.testing.assert_close(first.frames, again.frames)
        torch.testing.assert_close(first.target, again.target, equal_nan=True)
        assert not torch.equal(first.frames, other.frames)
        assert bool(torch.isfinite(first.frames).all())


def test_a_stopped_training_goes_on_to_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("micrograph.train.blind_spot"), "_KEEP_S", -1.0)
    whole, parts = fresh(), fresh()
    learn(whole, draw(), SETTINGS)

    class Pulled(Exception):
        pass

    def pull(step: int, steps: int, loss: float) -> None:
        if step == 7:
            raise Pulled

    kept = tmp_path / "model.ckpt"
    with pytest.raises(Pulled):
        learn(parts, draw(), SETTINGS, kept, pull)
    seen: list[int] = []
    learn(fresh_of(parts), draw(), SETTINGS, kept, lambda step, steps, loss: seen.append(step))
    assert seen[0] == 8
    resumed = fresh()
    learn(resumed, draw(), SETTINGS, kept)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def fresh_of(net: BlindNet) -> BlindNet:
    return BlindNet(net.spec)


def test_what_is_hidden_is_zero() -> None:
    stack = np.random.default_rng(0).normal(5, 2, (3, 16, 16)).astype(np.float32)
    seen, facts, level, spread = scaled(stack, own=False, others=True)
    assert not seen[1].any() and seen[0].any() and facts.tolist()[1:] == [0.0, 1.0]
    assert level == pytest.approx(stack[1].mean()) and spread == pytest.approx(stack[1].std(), rel=1e-5)


def test_scenes_are_counts_of_mean_1() -> None:
    for seed in range(8):
        scene = CleanScenes(64)(np.random.default_rng(seed))
        assert scene.shape == (64, 64) and scene.min() >= 0 and scene.mean() == pytest.approx(1, rel=0.01)
        np.testing.assert_array_equal(scene, CleanScenes(64)(np.random.default_rng(seed)))
