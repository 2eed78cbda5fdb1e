"""Binning: means of blocks, positions in the file's pixels, and as coarse as the objects allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from micrograph.core import BadInput, Calibration, Frame, Prediction, Recording
from micrograph.recipes import find_recipe
from micrograph.run import suitably_binned
from micrograph.run.binning import alike_px, small_diameter

RECIPE = find_recipe("particle-shapes")


def recording(image: np.ndarray) -> Recording:
    return Recording(lambda index: image, range(1), Calibration(pixel_nm=0.5), image.shape)


def disc(radius: float, side: int = 512) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.clip(radius - np.hypot(y - side / 2, x - side / 2) + 0.5, 0, 1).astype(np.float32)


@dataclass
class Sees:
    """A model that takes brightness for coverage."""

    def __call__(self, frame: Frame) -> Prediction:
        maps = {"particle": frame.data, "core": frame.data}
        pixel = frame.calibration.pixel_nm
        assert pixel is not None
        return Prediction(frame, maps, maps, pixel)


def test_binned_pixels_are_means_and_keep_the_scale() -> None:
    image = np.arange(7 * 9, dtype=np.float32).reshape(7, 9)
    binned = recording(image).binned(2)
    assert binned.shape == (3, 4) and binned.calibration.pixel_nm == 1.0
    np.testing.assert_allclose(binned.frame(0).data[0, 0], image[:2, :2].mean())
    assert binned.calibration.first_pixel_nm == pytest.approx(0.25)
    assert binned.binned(2).calibration.binning == 4


def test_large_objects_are_binned_and_small_ones_are_not() -> None:
    assert suitably_binned(RECIPE, recording(disc(60)), Sees()).calibration.binning == 4
    assert suitably_binned(RECIPE, recording(disc(9)), Sees()).calibration.binning == 1
    assert suitably_binned(RECIPE, recording(disc(0) * 0), Sees()).calibration.binning == 1


def test_specks_do_not_decide() -> None:
    image = disc(60)
    image[20:25, 20:25] = 1
    assert suitably_binned(RECIPE, recording(image), Sees()).calibration.binning == 4


def test_a_wish_is_followed_and_noted_and_a_foolish_one_refused() -> None:
    wished = suitably_binned(RECIPE, recording(disc(60)), Sees(), 2)
    assert wished.shape == (256, 256) and "2 x 2" in wished.metadata["notes"][0]
    with pytest.raises(BadInput, match="--bin is 100"):
        suitably_binned(RECIPE, recording(disc(60)), Sees(), 100)


def test_outlines_of_a_binned_image_lie_where_they_do_in_the_file() -> None:
    found = {}
    for number in (1, 4):
        binned = recording(disc(60)).binned(number)
        prediction = Sees()(binned.frame(0))
        found[number] = RECIPE.objects(prediction)["objects"].iloc[0]
    assert found[4]["y_nm"] == pytest.approx(found[1]["y_nm"], abs=0.05)
    assert found[4]["area_nm2"] == pytest.approx(found[1]["area_nm2"], rel=0.01)


def test_white_noise_is_alike_over_one_pixel_and_smoothed_noise_over_its_width() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (240, 240))
    assert alike_px(noise) == pytest.approx(1.0, abs=0.1)
    smooth = gaussian_filter(noise, 1.1)
    assert alike_px(smooth) == pytest.approx(np.sqrt(4 * np.pi) * 1.1, rel=0.2)
    assert alike_px(smooth + np.arange(240)) == pytest.approx(alike_px(smooth), rel=0.05)
    assert alike_px(np.zeros((64, 64))) == 1.0


def test_smaller_objects_are_binned_where_the_noise_is_alike_over_several_pixels() -> None:
    grains = gaussian_filter(np.random.default_rng(1).normal(0, 0.2, (512, 512)), 1.2)
    image = (disc(25) + grains).astype(np.float32)
    assert suitably_binned(RECIPE, recording(disc(25)), Sees()).calibration.binning == 2
    assert suitably_binned(RECIPE, recording(image), Sees()).calibration.binning == 4


def test_objects_below_a_tenth_of_the_area_do_not_count() -> None:
    labels = np.zeros((64, 64), int)
    labels[:20, :20], labels[40:43, 40:43] = 1, 2
    assert small_diameter(labels) == pytest.approx(2 * np.sqrt(400 / np.pi))
    assert small_diameter(labels * 0) == 0.0
