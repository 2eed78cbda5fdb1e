"""The Wiener estimate: exact where nothing is noisy and all is visited, and better the more is known."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.restoring.partial import Partial, noise_of
from micrograph.features.restoring.spectral_fill import measured_power, spectral_fill, wiener
from micrograph.simulate.contaminate import smooth_field

SIDE = 96
FIELD = smooth_field((SIDE, SIDE), 4.0, np.random.default_rng(2))
VISITED = (np.random.default_rng(3).random((SIDE, SIDE)) < 0.1).astype(np.float32)


def test_white_noise_has_the_same_power_at_all_waves() -> None:
    noise = np.random.default_rng(0).normal(0, 2, (128, 128)).astype(np.float32)
    power = measured_power(noise)
    assert np.median(power) == pytest.approx(1.3 * 4 * 128**2, rel=0.1)
    assert power.std() < 0.5 * power.mean()


def test_a_full_image_without_noise_comes_back() -> None:
    power = np.abs(np.fft.rfft2(FIELD)) ** 2 + 1
    found = wiener(FIELD, np.ones_like(FIELD), power, 0.1, rounds=200)
    assert np.std(found - FIELD) < 0.03


def test_white_noise_of_known_strength_is_shrunk_as_the_bayes_rule_says() -> None:
    rng = np.random.default_rng(4)
    seen = (rng.normal(0, 1, (64, 64)) + rng.normal(0, 1, (64, 64))).astype(np.float32)
    found = wiener(seen, np.ones_like(seen), np.full((64, 33), 64.0**2), 1.0)
    np.testing.assert_allclose(found - seen.mean(), 0.5 * (seen - seen.mean()), atol=1e-3)


def test_a_smooth_field_is_filled_in_better_the_less_noise_there_is() -> None:
    errors = []
    for noise in (0.1, 2.0):
        values = VISITED * (FIELD + np.random.default_rng(5).normal(0, noise, FIELD.shape).astype(np.float32))
        errors.append(
            float(np.std(spectral_fill(values, VISITED, np.zeros_like(values) + 0.01 * FIELD, noise) - FIELD))
        )
    assert errors[0] < 0.4 and errors[0] < 0.8 * errors[1] < 0.8


def test_the_noise_is_measured_between_visited_neighbours() -> None:
    rng = np.random.default_rng(6)
    visited = (rng.random((200, 200)) < 0.1).astype(np.float32)
    ramp = np.linspace(0, 5, 200, dtype=np.float32)
    weights = visited * np.where(ramp > 2.5, 4, 1).astype(np.float32)
    noise = 0.3 * rng.normal(size=visited.shape) / np.sqrt(np.maximum(weights, 1e-9))
    assert noise_of(Partial(np.where(visited > 0, ramp + noise, 0).astype(np.float32), weights)) == pytest.approx(
        0.3, rel=0.1
    )
    assert noise_of(Partial(np.zeros((9, 9), np.float32), np.zeros((9, 9), np.float32))) == 0
