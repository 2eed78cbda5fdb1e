"""Simulated superalloys: shares of the area, where spheres may lie, and that gamma-prime is dark behind bright rims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt

from micrograph.simulate.steels.superalloy import PHASES, SuperalloySampler


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_pixel_is_one_phase_and_shares_are_as_asked(seed: int) -> None:
    made = SuperalloySampler(side_px=192, secondary=(0.45, 0.45), tertiary=(0.01, 0.01), channel_px=(3.0, 4.0))
    sample = made(np.random.default_rng(seed))
    assert tuple(sample.masks) == PHASES
    assert np.array_equal(sum(sample.masks.values()), np.ones((192, 192)))
    assert sample.masks["secondary"].mean() == pytest.approx(0.45, abs=0.01)
    assert 0.004 < sample.masks["tertiary"].mean() < 0.016


def test_spheres_keep_away_from_cuboids() -> None:
    made = SuperalloySampler(side_px=192, secondary=(0.3, 0.3), depleted_px=(6.0, 6.0), sphere_px=(5.0, 5.0))
    sample = made(np.random.default_rng(4))
    free = distance_transform_edt(sample.masks["secondary"] == 0)
    assert free[sample.masks["tertiary"] > 0].min() > 1
    assert np.median(free[sample.masks["tertiary"] > 0]) > 6


def test_gamma_prime_is_darker_than_the_matrix_and_its_rim_brighter() -> None:
    made = SuperalloySampler(
        side_px=192,
        electrons_per_px=(1e5, 1e5),
        shade=0.0,
        contrast=(0.2, 0.2),
        deep_px=(2.0, 2.0),
        tertiary=(0.0, 0.0),
    )
    sample = made(np.random.default_rng(5))
    inside = sample.masks["secondary"] > 0
    rim = binary_dilation(inside, iterations=2) & ~binary_dilation(inside)
    far = distance_transform_edt(~inside) > 12
    assert sample.image[inside].mean() < 0.95 * sample.image[far].mean()
    assert sample.image[rim].mean() > sample.image[far].mean()
