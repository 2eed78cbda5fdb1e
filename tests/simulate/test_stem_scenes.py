"""Scenes of every kind lie between 0 and 1; what is recorded along a path is the scene but for counting noise."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.stem_scenes import StemScenes

KINDS = tuple(StemScenes().shares)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_fills_the_range_and_follows_from_its_seed(kind: str) -> None:
    scenes = StemScenes(side=64, shares={kind: 1.0})
    image, name = scenes(np.random.default_rng(3))
    again, _ = scenes(np.random.default_rng(3))
    assert name == kind and image.shape == (64, 64) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_array_equal(image, again)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_many_electrons_record_the_scene_itself(spread: float) -> None:
    scans = PartialScans(
        StemScenes(side=96, shares={"texture": 1.0}), ("spiral",), (0.1, 0.1001), (1e8, 1.01e8), spread=spread
    )
    scan = scans(np.random.default_rng(5))
    visited = np.isfinite(scan.image)
    np.testing.assert_array_equal(visited, scan.dwells > 0)
    assert np.abs(scan.image - scan.truth)[visited].max() < 0.1
    assert np.abs(scan.image - scan.truth)[visited].mean() < 0.01


def test_counting_noise_falls_with_the_square_root_of_the_electrons() -> None:
    errors = []
    for electrons in (100.0, 10000.0):
        scans = PartialScans(
            StemScenes(side=128, shares={"film": 1.0}), ("random",), (0.3, 0.301), (electrons, electrons)
        )
        scan = scans(np.random.default_rng(6))
        errors.append(float(np.nanstd(scan.image - scan.truth)))
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_the_paths_to_learn_from_are_parts_of_a_larger_field() -> None:
    scans = PartialScans(StemScenes(side=64), ("spiral",), (0.05, 0.0501), spread=0.0, cut_from=512)
    shares = [float((scans(np.random.default_rng(seed)).dwells > 0).mean()) for seed in range(12)]
    assert 0.02 < np.mean(shares) < 0.09
