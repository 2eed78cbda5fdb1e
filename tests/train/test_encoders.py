"""An encoder learns classes and values with honest sigmas, is told numbers beside the image, and knows its domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.core import BadInput, BrokenCheckpoint, Calibration, Flag, Frame, Sample, Sites
from micrograph.infer import EncoderPredictor, Views, load_encoder, load_predictor
from micrograph.nets import EncoderSpec, classes, load, values
from micrograph.nets.encoder_spec import covariance_of
from micrograph.train import TrainSettings, train
from micrograph.train.encoders import temperature

SPEC = EncoderSpec(
    heads=(classes("shape", ("round", "long")), values("place", (4.0, 12.0), (4.0, 12.0))),
    side=16,
    base=6,
    levels=2,
    hidden=32,
    pool="grid",
    known=(("voltage_kV", 60.0, 300.0),),
)
SETTINGS = TrainSettings(
    steps=300, batch=32, workers=0, reuse=4, checkpoint_every=100, calibration_samples=256, precision="32-true"
)
NOWHERE = Sites(np.empty(0), np.empty(0), np.empty(0, str))


def blob(rng: np.random.Generator) -> Sample:
    """Return a round or long blob at a random place; the shape of every tenth sample is not known."""
    y, x = rng.uniform(4, 12, 2)
    long = int(rng.random() < 0.5)
    rows, columns = np.ogrid[:16, :16]
    image = np.exp(-0.5 * (((rows - y) / 1.5) ** 2 + ((columns - x) / (1.5 + 2.5 * long)) ** 2))
    image = image + rng.normal(0, rng.uniform(0.02, 0.15), image.shape)
    truth = {"place": np.array([y, x])} | ({} if rng.random() < 0.1 else {"shape": float(long)})
    return Sample(image.astype(np.float32), 1.0, NOWHERE, params={"voltage_kV": 80.0}, truth=truth)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("train") / "blob.safetensors"
    train(blob, SPEC, SETTINGS, path, card={"recipe": "toy"})
    return path


@pytest.fixture(scope="module")
def predict(trained: Path) -> EncoderPredictor:
    return load_encoder(trained, backend_name="torch", device="cpu")


def frame(image: np.ndarray) -> Frame:
    return Frame(image.astype(np.float32), 0, Calibration(voltage_kV=80.0))


def test_values_come_with_a_covariance_that_their_errors_keep_to(predict: EncoderPredictor) -> None:
    samples = [blob(np.random.default_rng([5, number])) for number in range(200)]
    found = predict.answers(np.stack([one.image for one in samples]), {"voltage_kV": 80.0})
    error = found["place"] - np.stack([one.truth["place"] for one in samples])
    distance = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found["place_covariance"]), error)
    assert np.sqrt((error**2).mean()) < 0.6
    assert 0.9 <= (distance < 5.99).mean() <= 0.99
    right = found["shape"].argmax(axis=1) == [one.truth.get("shape", np.nan) for one in samples]
    assert right[["shape" in one.truth for one in samples]].mean() > 0.9
    np.testing.assert_allclose(found["shape"].sum(axis=1), 1.0)


def test_a_frame_gives_one_row_and_views_give_many(predict: EncoderPredictor, trained: Path) -> None:
    image = blob(np.random.default_rng(3)).image
    one = predict(frame(image))
    views = load_encoder(
        trained, backend_name="torch", device="cpu", view=lambda seen: Views(np.stack([seen.data, seen.data.T]))
    )
    two = views(frame(image))
    assert one.values["place"].shape == (1, 2)
    assert two.values["place"].shape == (2, 2)
    np.testing.assert_allclose(two.values["shape"][0], one.values["shape"][0], atol=0.05)
    assert two.maps == {}


def test_no_views_give_no_rows(predict: EncoderPredictor) -> None:
    assert predict.answers(np.zeros((0, 16, 16), np.float32))["shape"].shape == (0, 2)


def test_noise_lies_outside_the_domain(predict: EncoderPredictor) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (20, 16, 16)).astype(np.float32)
    known = np.stack([blob(np.random.default_rng([9, number])).image for number in range(50)])
    inside, outside = (predict.answers(images)["domain_distance"] for images in (known, noise))
    assert np.median(inside) < np.median(outside)
    assert (inside <= 1).mean() > 0.9


def test_openvino_and_torch_say_the_same(trained: Path, predict: EncoderPredictor) -> None:
    images = np.stack([blob(np.random.default_rng(number)).image for number in range(3)])
    fast = load_encoder(trained, backend_name="openvino", device="cpu").answers(images, {"voltage_kV": 80.0})
    slow = predict.answers(images, {"voltage_kV": 80.0})
    for name, array in slow.items():
        np.testing.assert_allclose(fast[name], array, atol=2e-2)


def test_an_ensemble_of_equals_adds_nothing_to_the_covariance(trained: Path, predict: EncoderPredictor) -> None:
    image = blob(np.random.default_rng(1)).image[None]
    both = load_encoder([trained, trained], backend_name="torch", device="cpu").answers(image)
    for name, array in predict.answers(image).items():
        np.testing.assert_allclose(both[name], array, atol=1e-6)


def test_the_checkpoint_keeps_the_specification_and_is_no_unet(trained: Path) -> None:
    assert load(trained).spec == SPEC
    with pytest.raises(BrokenCheckpoint, match="answer on whole frames"):
        load_predictor(trained)


def test_a_stopped_training_ends_at_the_same_weights(tmp_path: Path) -> None:
    from dataclasses import replace

    short = replace(SETTINGS, steps=6, batch=4, checkpoint_every=2, calibration_samples=8)
    straight = train(blob, SPEC, short, tmp_path / "straight.safetensors")

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(blob, SPEC, short, tmp_path / "stopped.safetensors", progress=stop)
    resumed = train(blob, SPEC, short, tmp_path / "stopped.safetensors")
    for key, tensor in straight.state.items():
        torch.testing.assert_close(resumed.state[key], tensor, rtol=1e-4, atol=1e-5)


def test_the_wrong_number_of_channels_is_refused(predict: EncoderPredictor) -> None:
    with pytest.raises(BadInput, match="2 channels"):
        predict.answers(np.zeros((1, 2, 16, 16), np.float32))
    assert Flag.OUT_OF_DOMAIN not in Flag.OK


def test_the_precision_factor_is_inverted() -> None:
    factor = np.array([[2.0, 0.0], [0.5, 1.5]])
    entries = np.array([np.log(2.0), np.log(1.5), 0.5])
    np.testing.assert_allclose(covariance_of(entries, 2), np.linalg.inv(factor.T @ factor))


def test_the_temperature_of_overconfident_scores_is_found() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (20000, 3))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    assert temperature(2.5 * scores, labels) == pytest.approx(2.5, rel=0.05)
