"""Noise measured in an image, and the transform that makes it even."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.columns.noise import NoiseModel
from micrograph.features.restoring.stabilised import Stabiliser, estimate_noise, filled, noise_of_pair

COUNTS = np.array([0.5, 1.0, 3.0, 10.0, 100.0], np.float32)


def drawn(counts: np.ndarray, gain: float, readout: float, zero: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (gain * rng.poisson(counts) + rng.normal(0, max(readout, 1e-9), counts.shape) + zero).astype(np.float32)


def soft(side: int = 160) -> np.ndarray:
    y, x = np.indices((side, side))
    return (20 + 15 * np.sin(2 * np.pi * x / 40) * np.cos(2 * np.pi * y / 52)).astype(np.float32)


@pytest.mark.parametrize(("gain", "readout", "zero"), [(1.0, 0.0, 0.0), (2.0, 5.0, 0.0), (0.5, 1.0, 30.0)])
def test_stabilised_noise_has_variance_1_and_comes_back_without_bias(gain: float, readout: float, zero: float) -> None:
    counts = np.repeat(np.array([[4.0], [10.0], [100.0]], np.float32), 200_000, axis=1)
    stable = Stabiliser(gain, readout**2 - gain * zero)
    values = stable(drawn(counts, gain, readout, zero))
    np.testing.assert_allclose(values.var(axis=1), 1, atol=0.06)
    np.testing.assert_allclose(stable.back(values.mean(axis=1)), gain * counts[:, 0] + zero, rtol=0.01)


def test_the_inverse_is_unbiased_down_to_half_an_electron() -> None:
    stable = Stabiliser(1.0, 0.0)
    values = stable(drawn(np.repeat(COUNTS[:, None], 200_000, axis=1), 1.0, 0.0, 0.0))
    np.testing.assert_allclose(stable.back(values.mean(axis=1)), COUNTS, rtol=0.01)
    np.testing.assert_allclose(stable.back(stable.expected(COUNTS)), COUNTS, rtol=1e-3)


def test_the_variance_falls_where_hardly_an_electron_is_counted() -> None:
    stable = Stabiliser(1.0, 0.0)
    values = stable(drawn(np.repeat(COUNTS[:, None], 200_000, axis=1), 1.0, 0.0, 0.0))
    np.testing.assert_allclose(stable.variance(values.mean(axis=1)), values.var(axis=1), atol=0.02)
    assert (Stabiliser(1.0, 4.0).variance(values.mean(axis=1)) == 1).all()


def test_even_noise_is_only_scaled() -> None:
    stable = Stabiliser.of(NoiseModel(0.0, 4.0), soft())
    np.testing.assert_allclose(stable(soft()), soft() / 2)
    np.testing.assert_allclose(stable.back(stable(soft())), soft(), rtol=1e-6)
    np.testing.assert_allclose(stable.expected(COUNTS), COUNTS / 2)


@pytest.mark.parametrize(("gain", "readout", "zero"), [(1.0, 0.0, 0.0), (3.0, 4.0, 100.0)])
def test_the_noise_of_one_image_is_measured(gain: float, readout: float, zero: float) -> None:
    image = drawn(soft(), gain, readout, zero)
    noise = estimate_noise(image)
    level = noise.gain * image.mean() + noise.readout_variance
    assert level == pytest.approx(gain**2 * soft().mean() + readout**2, rel=0.1)
    assert noise.gain == pytest.approx(gain, rel=0.3)


def test_noise_that_does_not_grow_is_even() -> None:
    noise = estimate_noise(soft() + np.random.default_rng(0).normal(0, 2, soft().shape).astype(np.float32))
    assert noise.gain < 0.05 and noise.gain * 20 + noise.readout_variance == pytest.approx(4, rel=0.1)


def test_a_pair_of_frames_tells_their_noise() -> None:
    first, second = (drawn(soft(), 2.0, 3.0, 10.0, seed) for seed in (1, 2))
    noise = noise_of_pair(first, second)
    assert noise.gain == pytest.approx(2.0, rel=0.15)
    assert noise.gain * first.mean() + noise.readout_variance == pytest.approx(4 * soft().mean() + 9, rel=0.05)


def test_pixels_without_a_value_take_the_median() -> None:
    image = soft()
    image[3, 4] = np.nan
    assert filled(image)[3, 4] == np.nanmedian(image) and np.isfinite(filled(image)).all()
    assert not filled(np.full((4, 4), np.nan)).any()
