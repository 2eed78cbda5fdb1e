"""Folding: groups are groups, operations are exact, and orientations are found."""

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.layers.crops import Disc
from micrograph.features.layers.folding import GROUPS, aligned, fold, operations, permutations, symmetric, turned

DISC = Disc(0.3, 0.04)


def spot(y, x, height=1.0):
    return height * np.exp(-((DISC.points - [y, x]) ** 2).sum(axis=1) / (2 * 0.06**2)).astype(np.float32)


@pytest.mark.parametrize(
    ("group", "order"), [("C1", 1), ("C2", 2), ("C3", 3), ("C6", 6), ("C2v", 4), ("D3", 6), ("D6", 12)]
)
def test_operations_form_a_group(group, order):
    found = operations(group, mirror_deg=30.0)
    assert len(found) == order == GROUPS[group][0] * (1 + GROUPS[group][1])
    np.testing.assert_allclose(found[0], np.eye(2), atol=1e-12)
    for first in found:
        for second in found:
            assert np.isclose(found, first @ second, atol=1e-9).all(axis=(1, 2)).sum() == 1


def test_rotations_are_counter_clockwise_on_the_screen():
    right = np.array([0.0, 1.0])
    up = right @ operations("C6")[1]
    assert up[0] < 0 < up[1]


def test_a_mirror_keeps_its_own_line():
    line = np.array([-np.sin(np.radians(30)), np.cos(np.radians(30))])
    np.testing.assert_allclose(line @ operations("C2v", mirror_deg=30.0)[2], line, atol=1e-12)


@pytest.mark.parametrize("group", GROUPS)
def test_permutations_move_features_as_their_operations_say(group):
    place = DISC.points[40]
    for operation, order in zip(operations(group), permutations(DISC, group), strict=True):
        np.testing.assert_allclose(spot(*place)[order], spot(*(place @ operation)), atol=1e-6)


def test_operations_that_do_not_fit_the_grid_or_are_unknown_are_refused():
    with pytest.raises(BadInput, match="D6"):
        DISC.permutation(operations("C2v", mirror_deg=20.0)[2])
    with pytest.raises(BadInput, match="not known: take one of C1"):
        operations("C5")


@pytest.mark.parametrize("group", ["C2", "C3", "C6", "D3", "D6"])
def test_turned_copies_of_one_crop_become_equal(group):
    order = permutations(DISC, group)
    rng = np.random.default_rng(0)
    crop = rng.normal(size=len(DISC.points)).astype(np.float32)
    made = turned(np.tile(crop, (60, 1)), order, rng.integers(len(order), size=60))
    folded = fold(made, order)
    np.testing.assert_array_equal(folded.values, np.tile(folded.values[0], (60, 1)))
    assert (folded.margin > 0).all()


def test_the_operation_tells_which_neighbour_is_missing():
    order = permutations(DISC, "C3")
    rng = np.random.default_rng(1)
    side = rng.integers(3, size=200)
    neighbours = np.stack([spot(*([0.0, 0.18] @ operation)) for operation in operations("C3")])
    crops = neighbours.sum(axis=0) - 0.5 * neighbours[side] + rng.normal(0, 0.2, (200, len(DISC.points)))
    folded = fold(crops.astype(np.float32), order)
    assert len(np.unique((folded.operation + side) % 3)) == 1


def test_folding_keeps_what_is_symmetric():
    order = permutations(DISC, "D3")
    crops = np.random.default_rng(2).normal(size=(50, len(DISC.points))).astype(np.float32)
    np.testing.assert_allclose(symmetric(fold(crops, order).values, order), symmetric(crops, order), atol=1e-5)


def test_without_symmetry_nothing_turns():
    crops = np.random.default_rng(3).normal(size=(9, len(DISC.points))).astype(np.float32)
    folded = fold(crops, permutations(DISC, "C1"))
    np.testing.assert_array_equal(folded.values, crops)
    assert (folded.operation == 0).all()


def test_the_best_orientation_is_the_nearest_to_the_template():
    order = permutations(DISC, "D6")
    rng = np.random.default_rng(4)
    crops, template = rng.normal(size=(30, len(DISC.points))).astype(np.float32), spot(0.1, 0.05)
    found = aligned(crops, order, template)
    distance = ((crops[:, order] - template) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found.operation, distance.argmin(axis=1))
    two = np.sort(distance, axis=1)
    np.testing.assert_allclose(found.margin, two[:, 1] - two[:, 0], atol=2e-3)
