"""Simulated steels: what is planted is there."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.steels.carbides import CarbideRanges, drawn, random_carbides
from micrograph.simulate.steels.metallography import CONSTITUENTS, MetallographySampler, flipped, low_carbon
from micrograph.simulate.steels.steel_textures import cells, smooth_noise


def test_samples_follow_from_the_generator_alone() -> None:
    sampler = MetallographySampler(side_px=96)
    first, again, other = (sampler(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.params == again.params
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("high_carbon", [0.0, 1.0])
def test_every_pixel_has_one_constituent(high_carbon: float) -> None:
    sample = MetallographySampler(side_px=128, high_carbon=high_carbon)(np.random.default_rng(1))
    np.testing.assert_array_equal(sum(sample.masks[name] for name in CONSTITUENTS), 1)
    assert np.isfinite(sample.image).all() and sample.image.dtype == np.float32
    assert (sample.masks["particle"].max() > 0.9) == bool(high_carbon)


def test_an_ellipse_covers_its_area() -> None:
    axes = np.array([[6.3, 4.1], [2.2, 1.9]])
    covered, labels = drawn(np.array([[20.3, 25.7], [45.1, 8.6]]), axes, np.array([0.4, 2.0]), (60, 50))
    for number, (a, b) in enumerate(axes, start=1):
        rows = slice(0, 35) if number == 1 else slice(36, 60)
        assert covered[rows].sum() == pytest.approx(np.pi * a * b, rel=0.01)
    assert labels.max() == 2


def test_no_particle_lies_in_the_denuded_zone_and_diameters_spread_as_asked() -> None:
    ranges = CarbideRanges(
        diameter_px=(5, 5.01), spread=(0.3, 0.301), covered=(0.2, 0.201), denuded_px=(9, 9.01), plates=0, whole=0
    )
    made = random_carbides((256, 256), ranges, np.random.default_rng(5))
    assert made.denuded_px == pytest.approx(9, abs=0.02)
    assert not (made.particles > 0.5)[made.away_px < 8.0].any()
    logs = np.log(made.diameters_px)
    assert np.exp(np.median(logs)) == pytest.approx(5, rel=0.06) and logs.std() == pytest.approx(0.3, abs=0.05)
    inside = made.inside((256, 256))
    assert 0 < inside.sum() < len(inside)


def test_islands_are_apart_and_flips_rename_whole_ones() -> None:
    rng = np.random.default_rng(8)
    metal = low_carbon((200, 200), (50.0, 60.0), rng)
    assert metal.islands.max() >= 3
    for island in range(1, metal.islands.max() + 1):
        assert len(np.unique(metal.constituent[metal.islands == island])) == 1
    wrong = flipped(metal, 1.0, rng)
    island = metal.islands > 0
    assert (wrong[island] != metal.constituent[island]).all() and (wrong[~island] == 0).all()


def test_noise_has_unit_variance_and_cells_are_told_by_the_nearest_seed() -> None:
    rng = np.random.default_rng(2)
    stack = np.stack([smooth_noise((40, 30), 8.0, rng) for _ in range(300)])
    assert stack.std() == pytest.approx(1, abs=0.03)
    own, edge = cells((80, 80), 6, rng)
    assert edge.min() >= 0 and len(np.unique(own)) > 1
    assert (edge[:, 1:][own[:, 1:] != own[:, :-1]] < 1.5).all()
