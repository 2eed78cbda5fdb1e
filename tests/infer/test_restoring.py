"""Networks that answer with images: what they add to, and the way back to the frame's units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.core import Calibration, Frame, Prediction, Sample, Sites
from micrograph.infer import Views, load_predictor
from micrograph.nets import Checkpoint, Head, NetSpec, build, save, whitened
from micrograph.train import TrainSettings, train
from micrograph.train.calibrate_images import image_loss, sigma_factor
from micrograph.train.targets import example

SPEC = NetSpec(heads=(Head("clean", "image"),), base=4, levels=2, pixel_nm=None, patch=32)
NOWHERE = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))


def untrained(folder: Path, spec: NetSpec) -> Path:
    torch.manual_seed(0)
    net = build(spec)
    torch.nn.init.zeros_(net.head.weight)
    assert net.head.bias is not None
    torch.nn.init.zeros_(net.head.bias)
    path = folder / "zero.safetensors"
    save(path, Checkpoint(spec, {f"net.{key}": part for key, part in net.state_dict().items()}, {}))
    return path


def test_whitening_leads_back_to_the_image() -> None:
    image = np.random.default_rng(0).normal(300, 20, (40, 50)).astype(np.float32)
    seen, offset, scale = whitened(image)
    assert seen.mean() == pytest.approx(0, abs=1e-4) and seen.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(offset + scale * seen, image, rtol=1e-5)


def test_pixels_that_are_missing_are_whitened_to_the_mean_of_the_others() -> None:
    image = np.ones((8, 8), np.float32)
    image[:, 4:] = 3
    image[0, 0] = np.nan
    seen, offset, _ = whitened(image)
    assert seen[0, 0] == 0 and offset == pytest.approx(np.nanmean(image))


def test_a_network_that_has_learned_nothing_gives_the_image_back_in_its_units(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(1000, 50, (37, 45)).astype(np.float32)
    found = load_predictor(untrained(tmp_path, SPEC), backend_name="torch")(Frame(image, 0, Calibration()))
    np.testing.assert_allclose(found.maps["clean"], image, rtol=1e-4)
    np.testing.assert_allclose(found.sigma["clean"], image.std(), rtol=1e-3)


def test_image_heads_begin_from_their_own_channel_and_a_view_has_the_last_word(tmp_path: Path) -> None:
    spec = replace(SPEC, heads=(Head("a", "image"), Head("b", "image")), channels=2)
    assert spec.outputs == 4 and spec.added == ((0, 0), (2, 1))

    class Look:
        def __call__(self, frame: Frame) -> Views:
            return Views(np.stack([frame.data, 2 * frame.data])[None], {"offset": 1.0, "scale": 10.0})

        def finished(self, prediction: Prediction) -> Prediction:
            return replace(prediction, notes=("seen",))

    image = np.random.default_rng(2).normal(size=(16, 16)).astype(np.float32)
    found = load_predictor(untrained(tmp_path, spec), view=Look(), backend_name="torch")(Frame(image, 0, Calibration()))
    np.testing.assert_allclose(found.maps["a"], 1 + 10 * image, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.maps["b"], 1 + 20 * image, rtol=1e-4, atol=1e-4)
    assert found.notes == ("seen",)


def test_the_true_image_is_normalised_as_what_is_seen() -> None:
    clean = np.random.default_rng(3).normal(5, 2, (40, 40)).astype(np.float32)
    noisy = clean + np.random.default_rng(4).normal(0, 1, clean.shape).astype(np.float32)
    seen, targets = example(Sample(noisy, 0.1, NOWHERE, {"clean": clean}), SPEC)
    offset, scale = noisy.mean(), noisy.std()
    np.testing.assert_allclose(targets[0].numpy() * scale + offset, clean, rtol=1e-4)
    np.testing.assert_allclose(seen[0].numpy() * scale + offset, noisy, rtol=1e-4)


def test_the_likelihood_is_best_at_the_true_sigma() -> None:
    errors = torch.from_numpy(np.random.default_rng(5).normal(0, 0.3, 20000))
    value = torch.zeros(20000, dtype=torch.float64, requires_grad=True)
    log_variance = torch.full((20000,), 2 * np.log(0.3), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(image_loss(value, log_variance, errors), [log_variance])
    assert abs(float(slope.sum())) < 0.01
    assert sigma_factor(errors.numpy() / 0.3)[0] == pytest.approx(1, abs=0.03)


def test_training_learns_to_smooth_noise_and_how_sure_it_is(tmp_path: Path) -> None:
    def sampler(rng: np.random.Generator) -> Sample:
        slope = rng.normal(size=2)
        clean = (slope[0] * np.arange(48)[:, None] + slope[1] * np.arange(48)).astype(np.float32) / 24
        return Sample(clean + rng.normal(0, 0.5, clean.shape).astype(np.float32), 0.1, NOWHERE, {"clean": clean})

    settings = TrainSettings(steps=100, batch=4, workers=0, calibration_samples=20)
    train(sampler, SPEC, settings, tmp_path / "net.safetensors")
    predict = load_predictor(tmp_path / "net.safetensors", backend_name="torch")
    errors, sigmas = [], []
    for seed in range(8):
        sample = sampler(np.random.default_rng([9, seed]))
        found = predict(Frame(sample.image, 0, Calibration()))
        errors.append(found.maps["clean"] - sample.masks["clean"])
        sigmas.append(found.sigma["clean"])
    assert np.std(errors) < 0.45
    assert 0.5 < np.mean(np.abs(errors) < np.array(sigmas)) < 0.85
