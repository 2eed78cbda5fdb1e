"""Scan paths visit what they promise, and an image along one comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from micrograph.core import BadInput
from micrograph.simulate.scan_paths import KINDS, scan_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("coverage", [1 / 10, 1 / 20, 1 / 40])
def test_a_path_has_the_coverage_that_was_asked(kind: str, coverage: float) -> None:
    path = scan_path(kind, (200, 240), coverage, seed=3)
    assert path.coverage == pytest.approx(coverage, rel=0.05)
    assert path.dwells.sum() == len(path.y_px)


def test_a_spiral_never_jumps_while_it_is_inside_and_its_turns_are_evenly_apart() -> None:
    path = scan_path("spiral", (256, 256), 1 / 20)
    radius = np.hypot(path.y_px - 127.5, path.x_px - 127.5)
    steps = np.hypot(np.diff(path.y_px), np.diff(path.x_px))[(radius < 120)[1:]]
    assert steps[20:].max() < 1.05 and steps[20:].min() > 0.9
    gap = distance_transform_edt(path.dwells == 0)
    assert 8 < np.quantile(gap[40:-40, 40:-40], 0.99) < 12


def test_a_jittered_grid_leaves_smaller_gaps_than_random_pixels() -> None:
    gaps = [distance_transform_edt(scan_path(kind, (200, 200), 0.05).dwells == 0).max() for kind in KINDS[1:]]
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plane_recorded_along_a_path_comes_back_where_the_beam_was(kind: str) -> None:
    path = scan_path(kind, (64, 80), 0.1, seed=1)
    rows, columns = np.mgrid[:64, :80]
    plane = 3.0 + 0.2 * rows - 0.1 * columns
    image = path.image(path.recorded(plane))
    visited = path.dwells > 0
    assert np.isnan(image[~visited]).all()
    assert np.abs(image - plane)[visited].max() <= 0.151 * (kind == "spiral") + 1e-5


def test_the_same_seed_gives_the_same_path() -> None:
    one, other = (scan_path("random", (50, 50), 0.05, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.x_px, other.x_px)


@pytest.mark.parametrize(
    ("kind", "shape", "coverage"), [("zigzag", (64, 64), 0.1), ("spiral", (64, 64), 2.0), ("random", (2, 9), 0.1)]
)
def test_a_path_that_cannot_be_is_refused_in_one_sentence(kind: str, shape: tuple[int, int], coverage: float) -> None:
    with pytest.raises(BadInput, match=r"^[A-Z].*\.$"):
        scan_path(kind, shape, coverage)
