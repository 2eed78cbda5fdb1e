"""Selection: what borders cut and what crowding hides is weighed back, on discs thrown at random."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects.distributions import compare, effective_number
from micrograph.features.objects.selection import (
    box_of_ellipse,
    candidate_acceptance,
    crowding_acceptance,
    edge_weights,
)

Array = NDArray[np.float64]
FIELD = 512.0


class Seen(NamedTuple):
    radius: Array
    planted: Array
    covered: float


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _throw(rng: np.random.Generator, share: float) -> Seen:
    """Throw discs of lognormal radius; keep those that lie inside the field and touch no other."""
    margin = 80.0
    side = FIELD + 2 * margin
    mean_area = np.pi * 14**2 * np.exp(2 * 0.35**2)
    count = rng.poisson(-np.log1p(-share) / mean_area * side**2)
    place, radius = rng.uniform(-margin, FIELD + margin, (count, 2)), 14 * rng.lognormal(0, 0.35, count)
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) - radius[:, None] - radius[None]
    np.fill_diagonal(apart, np.inf)
    alone = (apart > 0).all(axis=1)
    inside = ((place > radius[:, None]) & (place < FIELD - radius[:, None])).all(axis=1)
    grid = np.stack(np.meshgrid(*[np.arange(4, FIELD, 8)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    square = np.zeros(len(grid), bool)
    for centre, r in zip(place, radius, strict=True):
        square |= ((grid - centre) ** 2).sum(axis=1) < r**2
    planted = ((place > 0) & (place < FIELD)).all(axis=1)
    return Seen(radius[alone & inside], radius[planted], float(square.mean()))


def _corrected(sets: list[Seen]) -> tuple[Array, Array]:
    radius = np.concatenate([one.radius for one in sets])
    edge = edge_weights(2 * radius, 2 * radius, (FIELD, FIELD))
    covered = sum(one.covered for one in sets) * FIELD**2
    p = crowding_acceptance(np.pi * radius**2, 2 * np.pi * radius, covered, len(sets) * FIELD**2, edge)
    return radius, edge / p


def test_sizes_agree_with_the_truth_after_correction_and_not_before(rng: np.random.Generator) -> None:
    before, after = [], []
    truth = 14 * rng.lognormal(0, 0.35, 50000)
    for _ in range(25):
        radius, weights = _corrected([_throw(rng, 0.3) for _ in range(8)])
        before.append(compare(radius, truth).p > 0.05)
        after.append(compare(radius, truth, weights).p > 0.05)
    assert np.mean(after) >= 0.9
    assert np.mean(before) <= 0.5


def test_weights_count_the_particles_that_were_planted(rng: np.random.Generator) -> None:
    sets = [_throw(rng, 0.2) for _ in range(20)]
    _, weights = _corrected(sets)
    planted = sum(len(one.planted) for one in sets)
    assert weights.sum() == pytest.approx(planted, rel=0.12)
    assert effective_number(weights) < len(weights)


def test_edge_weight_is_the_inverse_of_the_chance_to_lie_inside() -> None:
    assert edge_weights(np.array([50.0]), np.array([20.0]), (100.0, 200.0))[0] == pytest.approx(1 / (0.5 * 0.9))
    with pytest.raises(BadInput, match="as large as the field"):
        edge_weights(np.array([100.0]), np.array([20.0]), (100.0, 200.0))


def test_box_of_an_ellipse_turns_with_it() -> None:
    high, wide = box_of_ellipse(np.full(3, 10.0), np.full(3, 4.0), np.array([0.0, 90.0, 45.0]))
    assert high == pytest.approx([4, 10, np.sqrt(58)])
    assert wide == pytest.approx([10, 4, np.sqrt(58)])


def test_nothing_is_corrected_where_all_that_is_covered_was_accepted() -> None:
    area, perimeter = np.full(5, 100.0), np.full(5, 36.0)
    assert crowding_acceptance(area, perimeter, 480.0, 1e4) == pytest.approx(np.ones(5))
    assert len(crowding_acceptance(np.zeros(0), np.zeros(0), 0.0, 1e4)) == 0
    with pytest.raises(BadInput, match="covered share"):
        crowding_acceptance(area, perimeter, 2e4, 1e4)


def test_acceptance_of_candidates_follows_their_size(rng: np.random.Generator) -> None:
    size = rng.lognormal(3, 0.5, 4000)
    p = 1 / (1 + np.exp((np.log(size) - 3) * 2))
    found = candidate_acceptance(size, rng.random(4000) < p)
    assert np.abs(found - p).mean() < 0.03
    assert candidate_acceptance(size, np.ones(4000, bool)) == pytest.approx(np.ones(4000))
