"""The predictor: maps on the model's grid, and every reason to doubt them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput, BrokenCheckpoint, Flag, Frame, MissingCalibration
from micrograph.infer import Predictor, load_predictor
from micrograph.nets import Head, NetSpec

Weights = Callable[..., Path]
Frames = Callable[..., Frame]


@pytest.fixture(scope="module")
def predict(weights: Weights) -> Predictor:
    return load_predictor(weights(), backend_name="torch", device="cpu")


def test_maps_lie_on_the_models_grid_and_hold_probabilities(predict: Predictor, frame: Frames) -> None:
    prediction = predict(frame(90, 70, 0.02))
    assert set(prediction.maps) == {"atom", "dirt"}
    assert all(part.shape == (60, 47) and part.dtype == np.float32 for part in prediction.maps.values())
    assert all(0 <= part.min() <= part.max() <= 1 for part in prediction.maps.values())
    assert prediction.flags == Flag.OK
    assert prediction.steps == pytest.approx((1.5, 70 / 47))


def test_confidence_of_the_card_stretches_the_logits(weights: Weights, frame: Frames) -> None:
    predict = load_predictor(weights(), backend_name="torch", device="cpu")
    member = predict.members[0]
    plain = replace(member, checkpoint=replace(member.checkpoint, card={}))
    raw = replace(predict, members=(plain,))(frame()).maps["atom"].astype(float)
    logit = np.log(raw / (1 - raw))
    np.testing.assert_allclose(predict(frame()).maps["atom"], 1 / (1 + np.exp(-(1.5 * logit - 0.5))), atol=1e-4)


def test_detector_gain_and_offset_do_not_matter(predict: Predictor, frame: Frames) -> None:
    one = frame()
    other = replace(one, data=np.float32(300) * one.data + np.float32(2000))
    np.testing.assert_allclose(predict(one).maps["atom"], predict(other).maps["atom"], atol=1e-3)


def test_without_a_pixel_size_it_says_how_to_give_one(predict: Predictor, frame: Frames) -> None:
    with pytest.raises(MissingCalibration, match="--pixel-size"):
        predict(frame(pixel_nm=None))


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan, np.inf])
def test_a_frame_that_shows_nothing_is_a_bad_frame(predict: Predictor, frame: Frames, value: float) -> None:
    one = frame()
    prediction = predict(replace(one, data=np.full_like(one.data, value)))
    assert Flag.BAD_FRAME in prediction.flags
    assert not any(part.any() for part in prediction.maps.values())


def test_some_missing_pixels_are_no_reason_to_give_up(predict: Predictor, frame: Frames) -> None:
    one = frame()
    holed = one.data.copy()
    holed[10:14, 20:30] = np.nan
    prediction = predict(replace(one, data=holed))
    assert prediction.flags == Flag.OK
    assert all(np.isfinite(part).all() for part in prediction.maps.values())


@pytest.mark.parametrize("pixel_nm", [0.005, 0.06])
def test_a_pixel_outside_the_trained_range_is_out_of_domain(predict: Predictor, frame: Frames, pixel_nm: float) -> None:
    prediction = predict(frame(pixel_nm=pixel_nm))
    assert Flag.OUT_OF_DOMAIN in prediction.flags
    assert "outside the model's range of 0.01 to 0.03 nm" in prediction.notes[0]


def test_an_image_far_from_the_domain_is_out_of_domain(weights: Weights, frame: Frames) -> None:
    narrow = load_predictor(weights(width=1e-3), backend_name="torch", device="cpu")
    prediction = narrow(frame())
    assert prediction.domain_distance > 1
    assert Flag.OUT_OF_DOMAIN in prediction.flags
    assert "unlike the model's training images" in prediction.notes[0]


def test_one_network_knows_no_spread_and_an_ensemble_gives_its_members_spread(weights: Weights, frame: Frames) -> None:
    paths = [weights(seed) for seed in (0, 1, 2)]
    singles = [load_predictor(path, backend_name="torch", device="cpu")(frame()) for path in paths]
    together = load_predictor(paths, backend_name="torch", device="cpu")(frame())
    each = np.stack([single.maps["atom"] for single in singles])
    assert not singles[0].sigma["atom"].any()
    np.testing.assert_allclose(together.maps["atom"], each.mean(0), atol=1e-6)
    np.testing.assert_allclose(together.sigma["atom"], each.std(0), atol=1e-6)


def test_networks_with_other_questions_are_no_ensemble(weights: Weights) -> None:
    other = NetSpec(heads=(Head("bright", "spots", ("W",)),), base=4)
    with pytest.raises(BrokenCheckpoint, match="no ensemble"):
        load_predictor([weights(), weights(0, other)], backend_name="torch", device="cpu")


def test_many_frames_give_what_each_gives_alone(predict: Predictor, frame: Frames) -> None:
    frames = [frame(seed=seed) for seed in range(3)]
    for one, prediction in zip(frames, predict.many(frames), strict=True):
        np.testing.assert_array_equal(prediction.maps["atom"], predict(one).maps["atom"])
        assert prediction.frame is one


def test_frames_of_a_few_pixels_are_answered(predict: Predictor, frame: Frames) -> None:
    for shape in ((1, 2), (3, 5), (2, 200)):
        assert all(np.isfinite(part).all() for part in predict(frame(*shape)).maps.values())


@pytest.mark.parametrize(("backend", "device"), [("onnx", "cpu"), ("auto", "abacus")])
def test_unknown_back_ends_and_devices_are_refused(weights: Weights, backend: str, device: str) -> None:
    with pytest.raises(BadInput, match="known are cpu, cuda; openvino, torch"):
        load_predictor(weights(), backend_name=backend, device=device)
