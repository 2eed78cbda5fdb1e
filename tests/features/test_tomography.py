import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.volumes.projector import Projector
from micrograph.features.volumes.tomography import (
    TotalVariation,
    filtered_back_projection,
    misfit,
    sirt,
    total_variation,
)

Volume = NDArray[np.float32]
SIDE, ROWS = 32, 6


def radius() -> NDArray[np.float64]:
    z, _, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (SIDE, ROWS, SIDE)], indexing="ij")
    return np.asarray(np.hypot(z, x))


def error(found: Volume, true: Volume) -> float:
    return float(np.sqrt(((found - true) ** 2).mean()) / true.max())


def test_back_projection_is_the_adjoint_of_projection() -> None:
    rng = np.random.default_rng(0)
    projector = Projector((-50.0, 10.0, 33.0), SIDE, 20, (0.3, -1.2, 0.0))
    volume, series = (rng.random(shape).astype(np.float32) for shape in ((20, ROWS, SIDE), (3, ROWS, SIDE)))
    assert (projector.forward(volume) * series).sum() == pytest.approx(
        (projector.back(series) * volume).sum(), rel=1e-5
    )


def test_projections_hold_all_of_the_volume_and_its_chords() -> None:
    disc = (radius() < 10).astype(np.float32)
    series = Projector((-60.0, -20.0, 0.0, 45.0), SIDE, SIDE).forward(disc)
    np.testing.assert_allclose(series.sum(axis=(1, 2)), disc.sum(), rtol=1e-4)
    assert series[:, :, 15:17].mean() == pytest.approx(20, rel=0.05)


def test_many_views_give_the_volume_back() -> None:
    disc = (radius() < 10).astype(np.float32)
    projector = Projector(tuple(np.linspace(-88, 88, 45)), SIDE, SIDE)
    series = projector.forward(disc)
    assert error(sirt(series, projector, 60), disc) < 0.1
    assert error(filtered_back_projection(series, projector), disc) < 0.25


def test_few_counts_are_better_told_by_total_variation_than_by_sirt() -> None:
    rng = np.random.default_rng(1)
    core, shell = (radius() < 7).astype(np.float32), ((radius() >= 7) & (radius() < 11)).astype(np.float32)
    true = np.stack([core, shell]) * np.float32(0.05)
    projector = Projector(tuple(np.linspace(-60, 60, 13)), SIDE, SIDE)
    counts = np.stack([rng.poisson(projector.forward(one)) for one in true]).astype(np.float32)
    found = total_variation(counts, projector, TotalVariation(weight=0.1, iterations=80))
    best = [
        min(error(sirt(one, projector, steps), own) for steps in (3, 10, 30))
        for one, own in zip(counts, true, strict=True)
    ]
    assert all(error(one, own) < 0.7 * other for one, own, other in zip(found, true, best, strict=True))


def test_the_truth_misses_its_counts_by_noise_alone() -> None:
    rng = np.random.default_rng(2)
    disc = (radius() < 10).astype(np.float32)
    projector = Projector((-60.0, 0.0, 60.0), SIDE, SIDE)
    counts = rng.poisson(projector.forward(disc)).astype(np.float32)
    assert misfit(counts, disc, projector) == pytest.approx(1, abs=0.15)


def test_series_of_another_width_are_refused_in_one_sentence() -> None:
    with pytest.raises(BadInput, match="3 views of 32 pixels"):
        sirt(np.zeros((3, ROWS, 30), np.float32), Projector((-60.0, 0.0, 60.0), SIDE, SIDE))


def test_a_view_of_double_dose_counts_double() -> None:
    projector = Projector((-30.0, 0.0, 30.0), SIDE, SIDE, dose=(1.0, 2.0, 1.0))
    disc = (radius() < 10).astype(np.float32)
    sums = projector.forward(disc).sum(axis=(1, 2))
    np.testing.assert_allclose(sums / sums[0], [1, 2, 1], rtol=1e-4)
    assert projector.only(np.array([1])).dose == (2.0,)
    assert misfit(projector.forward(disc), disc, projector, 0.1) < 0.2
