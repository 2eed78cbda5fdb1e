"""Drift from block to block, and what it is worth to total variation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from micrograph.features.restoring.block_drift import displacement
from micrograph.io.coding import coded_sum, make_masks
from micrograph.nets.gap_tv import Sides, gap_tv

SPECIMEN = 10 + 30 * gaussian_filter(np.random.default_rng(0).normal(0, 1, (96, 96)), 2.0)


def at(y: float, x: float) -> np.ndarray:
    return np.asarray(shift(SPECIMEN, (y, x), mode="nearest"), np.float32)


@pytest.mark.parametrize("move", [(2.4, -1.3), (-0.8, 3.1), (5.0, 4.0)])
def test_a_drift_is_found_to_a_fraction_of_a_pixel(move: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.normal(at(*one), 1.0) for one in ((0.0, 0.0), move))
    assert displacement(first, second) == pytest.approx(move, abs=0.15)


def test_what_rests_and_noise_alone_do_not_drift() -> None:
    rng = np.random.default_rng(2)
    assert displacement(rng.normal(at(0, 0), 1.0), rng.normal(at(0, 0), 1.0)) == (0.0, 0.0)
    assert displacement(rng.normal(0, 1, (96, 96)), rng.normal(0, 1, (96, 96))) == (0.0, 0.0)


def test_decoding_follows_the_specimen() -> None:
    rng, frames = np.random.default_rng(3), 12
    movie = np.stack([at(0.3 * (b - 5.5), 0.0) for b in range(frames)])
    masks = make_masks("shifting", 0, frames, (96, 96))
    total = coded_sum(np.asarray(rng.normal(movie, 3.0), np.float32), masks)
    drift = (0.3 * frames, 0.0)
    errors = [
        float(np.mean((gap_tv(total, masks, 3.0, sides=one) - movie) ** 2))
        for one in (Sides(), Sides(first=drift, second=drift))
    ]
    assert errors[1] < 0.6 * errors[0]
