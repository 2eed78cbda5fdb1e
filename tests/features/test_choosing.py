"""What is suggested for labelling: doubted, unlike each other, unlike what has a label."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.naming.choosing import chosen, class_doubt, doubt_in_maps, map_doubt, pieces_of


def test_every_kind_of_piece_is_chosen_once_before_any_is_chosen_twice() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(5), [400, 30, 8, 4, 2])
    looks = 50 * np.eye(5)[kinds] + rng.normal(size=(len(kinds), 5))
    first = chosen(np.ones(len(kinds)), looks, 5)
    assert sorted(kinds[first]) == [0, 1, 2, 3, 4]
    assert kinds[first[0]] == 0, "the first is of the most usual kind"


def test_what_is_like_a_labelled_piece_waits() -> None:
    looks = np.array([[0.0], [10.0], [20.0]])
    assert chosen(np.ones(3), looks, 2, known=np.array([[0.1], [19.0]])).tolist()[0] == 1


def test_every_other_piece_is_the_doubted_one_of_those_alike_far_the_others_are_the_farthest() -> None:
    looks = np.array([[0.0, 0.0], [9.0, 0.0], [5.0, 5.0], [-5.0, -5.0]])
    assert chosen(np.array([0.1, 0.1, 0.1, 0.9]), looks, 2, known=looks[:1]).tolist() == [1, 3]


def test_the_order_does_not_depend_on_the_unit_of_the_doubt() -> None:
    rng = np.random.default_rng(1)
    doubt, looks = rng.random(40), rng.normal(size=(40, 3))
    assert chosen(doubt, looks, 10).tolist() == chosen(1000 * doubt, looks, 10).tolist()


def test_more_than_there_are_gives_all_once() -> None:
    assert sorted(chosen(np.ones(3), np.arange(3.0)[:, None], 9)) == [0, 1, 2]


def test_doubt_is_greatest_between_two_classes_and_beyond_the_border() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert class_doubt(shares, np.array([0.2, 0.2, 3.0])).tolist() == pytest.approx([0, 1, 2])
    assert map_doubt(np.array([[0.0, 0.5, 1.0]])).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(("shape", "side"), [((300, 500), 128), ((128, 128), 128), ((100, 90), 512), ((64, 200), None)])
def test_pieces_cover_a_frame(shape: tuple[int, int], side: int | None) -> None:
    corners = pieces_of(shape, side)
    seen = np.zeros(shape, int)
    for top, left in zip(corners.top, corners.left, strict=True):
        seen[top : top + corners.height, left : left + corners.width] += 1
    assert (seen > 0).all()
    assert len(list(corners.cut(np.zeros(shape)))) == len(corners.top)


def test_doubt_lies_in_the_piece_whose_map_is_unsure_whatever_the_maps_pixels_are() -> None:
    score = np.zeros((32, 32), np.float32)
    score[:16, 16:] = 0.5
    frame = Frame(np.zeros((64, 64), np.float32), 0, Calibration(pixel_nm=1.0))
    found = doubt_in_maps(Prediction(frame, {"atom": score}, {}, 2.0), pieces_of((64, 64), 32))
    assert found.tolist() == pytest.approx([0, 1, 0, 0])
    strange = doubt_in_maps(Prediction(frame, {"atom": score}, {}, 2.0, domain_distance=3.0), pieces_of((64, 64), 32))
    assert strange.tolist() == pytest.approx([0, 3, 0, 0])
