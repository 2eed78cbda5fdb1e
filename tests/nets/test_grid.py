"""What a network sees: the same for any gain and offset of the detector, and in the right place."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.nets import normalise, to_model_grid

IMAGE = np.random.default_rng(3).normal(10, 2, (64, 48)).astype(np.float32)


def gaussian(shape: tuple[int, int], y: float, x: float, sigma: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / sigma**2).astype(np.float32)


@given(gain=st.floats(1e-4, 1e4), offset=st.floats(-1e3, 1e3))
@settings(max_examples=30, deadline=None)
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    # What is left of the image after an offset is added in float32 is all that can agree.
    rounding = 1e-4 + 4e-6 * abs(offset) / gain
    seen = normalise(torch.from_numpy(np.float32(gain) * IMAGE + np.float32(offset)), 0.03)
    assert torch.allclose(seen, normalise(torch.from_numpy(IMAGE), 0.03), atol=rounding)


def test_a_sloping_background_is_removed() -> None:
    slope = np.linspace(-3, 3, 256, dtype=np.float32)[:, None]
    spots = np.random.default_rng(0).normal(0, 1, (256, 256)).astype(np.float32)
    flat, sloping = (normalise(torch.from_numpy(image), 0.03) for image in (spots, spots + slope))
    inner = slice(64, -64)
    assert float((flat - sloping)[inner, inner].abs().max()) < 0.01


def test_a_constant_image_is_all_zeros() -> None:
    assert not normalise(torch.full((40, 40), 7.0), 0.03).any()


def test_contrast_is_clipped() -> None:
    image = np.zeros((64, 64), np.float32)
    image[32, 32] = 1e6
    assert float(normalise(torch.from_numpy(image), 0.03).abs().max()) <= 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 7)])
def test_tiny_images_stay_finite(shape: tuple[int, int]) -> None:
    image = torch.arange(shape[0] * shape[1], dtype=torch.float32).reshape(shape)
    assert bool(torch.isfinite(normalise(image, 0.03)).all())


def test_pixels_that_are_not_finite_take_the_median() -> None:
    image = IMAGE.copy()
    image[5, 6], image[7, 8] = np.nan, np.inf
    filled = to_model_grid(image, 0.03, 0.03)
    rest = image[np.isfinite(image)]
    assert bool(torch.isfinite(filled).all())
    assert float(filled[5, 6]) == float(filled[7, 8]) == pytest.approx(float(np.median(rest)), abs=0.02)
    assert not to_model_grid(np.full((8, 8), np.nan, np.float32), 0.01, 0.03).any()


@given(
    y=st.floats(30, 90),
    x=st.floats(30, 90),
    pixel=st.floats(0.008, 0.05),
)
@settings(max_examples=25, deadline=None)
def test_a_spot_keeps_its_place_on_the_models_grid(y: float, x: float, pixel: float) -> None:
    shape, model = (120, 116), 0.03
    sigma = 0.06 / min(pixel, model)
    grid = to_model_grid(gaussian(shape, y, x, min(sigma, 7.0)), pixel, model).numpy().astype(float)
    grid -= grid.min()
    steps = np.array(shape) / grid.shape
    centre = [(grid.sum(1 - axis) * np.arange(n)).sum() / grid.sum() for axis, n in enumerate(grid.shape)]
    found = (np.array(centre) + 0.5) * steps - 0.5
    assert np.abs((found - [y, x]) / steps).max() < 0.05
