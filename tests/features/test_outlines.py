import importlib.util
from pathlib import Path

import numpy as np
import pytest

from micrograph.features.objects.closed_curves import enclosed, perimeter
from micrograph.features.objects.outlines import outlines_of

spec = importlib.util.spec_from_file_location("solid_shapes", Path(__file__).with_name("solid_shapes.py"))
shapes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shapes)
disc = shapes.disc


def outline_of_disc(radius, centre, side):
    coverage = disc(radius, centre, side)
    return outlines_of((coverage >= 0.5).astype(np.int32), coverage).points_px[0]


@pytest.mark.parametrize("radius", [5, 7, 10, 20, 60])
def test_discs_have_their_area_perimeter_and_place(radius):
    rng = np.random.default_rng(0)
    side = 2 * radius + 9
    centres = side / 2 + rng.uniform(-0.5, 0.5, (max(400 // radius, 12), 2))
    found = [outline_of_disc(radius, centre, side) for centre in centres]
    assert np.mean([enclosed(points) for points in found]) == pytest.approx(np.pi * radius**2, rel=2e-3)
    assert np.mean([perimeter(points) for points in found]) == pytest.approx(2 * np.pi * radius, rel=3e-3)
    off = [np.hypot(*(points.mean(axis=0) - centre)) for points, centre in zip(found, centres, strict=True)]
    assert np.max(off) < 0.06


def test_two_objects_that_touch_share_one_line_half_way_between_their_pixels():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 5:15], labels[5:15, 15:25] = 1, 2
    left, right = outlines_of(labels, (labels > 0).astype(float)).points_px
    assert left[:, 1].max() == pytest.approx(14.5, abs=0.1)
    assert right[:, 1].min() == pytest.approx(14.5, abs=0.1)
    assert outlines_of(labels, (labels > 0).astype(float)).shared == pytest.approx([0.25, 0.25], abs=0.04)


def test_an_object_at_the_edge_ends_at_the_edge_and_says_so():
    labels = np.zeros((20, 20), np.int32)
    labels[:8, 5:15] = 3
    found = outlines_of(labels, (labels > 0).astype(float))
    assert found.label.tolist() == [3]
    assert found.border.tolist() == [True]
    assert found.points_px[0][:, 0].min() == pytest.approx(-0.5, abs=0.1)


def test_holes_are_measured_and_not_outlined():
    ring = disc(15, (20, 20), 41) - disc(6, (20, 20), 41)
    found = outlines_of((ring >= 0.5).astype(np.int32), ring)
    assert enclosed(found.points_px[0]) == pytest.approx(np.pi * 15**2, rel=0.01)
    assert found.holes_px2[0] == pytest.approx(np.pi * 6**2, rel=0.03)


def test_outlines_run_counter_clockwise_on_the_screen():
    points = outline_of_disc(9, (14, 15), 30)
    assert enclosed(points) > 0
    first, later = points[0] - (14, 15), points[5] - (14, 15)
    assert np.arctan2(-later[0], later[1]) - np.arctan2(-first[0], first[1]) > -np.pi
    assert first[1] * -later[0] - -first[0] * later[1] > 0


def test_a_frame_without_objects_has_no_outlines():
    assert len(outlines_of(np.zeros((9, 9), np.int32), np.zeros((9, 9)))) == 0


def test_a_single_pixel_is_outlined():
    labels = np.zeros((5, 5), np.int32)
    labels[2, 2] = 1
    points = outlines_of(labels, labels.astype(float)).points_px[0]
    assert 0 < enclosed(points) < 2


def test_outlines_can_be_chosen_by_a_mask():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 5:12], labels[5:15, 18:25] = 1, 2
    chosen = outlines_of(labels, (labels > 0).astype(float))[np.array([False, True])]
    assert chosen.label.tolist() == [2]
    assert len(chosen.points_px) == len(chosen.shared) == len(chosen.holes_px2) == 1
