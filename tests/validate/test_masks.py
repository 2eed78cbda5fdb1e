import numpy as np
import pytest

from micrograph.validate.masks import contour_error, dice, hausdorff95, iou, match_objects


def disc(radius, centre=(50, 50), shape=(101, 101)):
    """A map that crosses 0.5 at `radius`, linearly."""
    y, x = np.indices(shape)
    return np.clip((radius - np.hypot(y - centre[0], x - centre[1])) / 20 + 0.5, 0, 1)


def test_iou_and_dice_of_two_squares():
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[:, :6], b[:, 3:9] = True, True
    assert iou(a, b) == 3 / 9
    assert dice(a, b) == 6 / 12
    assert dice(a, b) == pytest.approx(2 * iou(a, b) / (1 + iou(a, b)))


def test_empty_masks_agree():
    nothing = np.zeros((8, 8))
    assert iou(nothing, nothing) == dice(nothing, nothing) == 1
    assert contour_error(nothing, nothing) == hausdorff95(nothing, nothing) == 0
    assert np.isinf(contour_error(nothing, disc(3, (4, 4), (8, 8))))


@pytest.mark.parametrize("larger", [0.3, 1.0, 2.5])
def test_contour_error_of_concentric_discs_is_the_difference_of_radii(larger):
    assert contour_error(disc(30), disc(30 + larger)) == pytest.approx(larger, abs=0.03)
    assert hausdorff95(disc(30), disc(30 + larger)) == pytest.approx(larger, abs=0.06)


def test_contour_error_of_a_small_shift_is_its_mean_over_directions():
    shifted = contour_error(disc(30), disc(30, (50.8, 50)))
    assert shifted == pytest.approx(0.8 * 2 / np.pi, rel=0.05)


def test_objects_are_matched_one_to_one():
    truth, found = np.zeros((20, 60), np.int32), np.zeros((20, 60), np.int32)
    truth[2:12, 2:12], truth[2:12, 20:30], truth[2:12, 40:50] = 3, 4, 9
    found[3:13, 2:12], found[2:12, 20:24], found[2:12, 25:30] = 1, 2, 5
    matched = match_objects(truth, found, 0.5)
    assert (matched.tp, matched.fp, matched.fn) == (2, 1, 1)
    assert matched.pairs.tolist() == [[3, 1], [4, 5]]
    np.testing.assert_allclose(matched.iou, [90 / 110, 0.5])
    assert matched.detection == (2, 1, 1)


def test_a_split_object_is_one_right_and_one_false():
    truth, found = np.ones((10, 10), np.int32), np.ones((10, 10), np.int32)
    found[:, 7:] = 2
    matched = match_objects(truth, found)
    assert (matched.tp, matched.fp, matched.fn) == (1, 1, 0)


def test_nothing_found_is_all_missed():
    truth, nothing = np.eye(3, dtype=np.int32) * [1, 2, 3], np.zeros((3, 3), np.int32)
    assert match_objects(truth, nothing)[:3] == (0, 0, 3)
    assert match_objects(nothing, truth)[:3] == (0, 3, 0)
