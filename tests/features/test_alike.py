"""Which images show the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from micrograph.features.naming.alike import Alike, conflicts
from micrograph.simulate.class_fields import random_field

Image = NDArray[np.float32]
SIDE = 96


def field(seed: int, side: int = SIDE) -> Image:
    rng = np.random.default_rng(seed)
    return (random_field(side, 0.05, 0.4, 0.0, rng) + 0.5 * rng.normal(size=(side, side))).astype(np.float32)


def groups(*images: Image) -> list[int]:
    alike = Alike()
    for number, image in enumerate(images):
        alike.add(image, f"{number}.tif")
    return [int(group) for group in alike.groups()[0]]


def test_different_images_stay_apart() -> None:
    assert groups(*[field(seed) for seed in range(8)]) == list(range(8))


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: image,
        lambda image: 3 * image + 7,
        lambda image: np.rot90(image),
        lambda image: image[:, ::-1],
        lambda image: image.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3)),
        lambda image: image + 0.2 * np.random.default_rng(9).normal(size=image.shape).astype(np.float32),
    ],
    ids=["copied", "brighter", "turned", "mirrored", "smaller", "noisier"],
)
def test_copies_belong_together(copy) -> None:  # type: ignore[no-untyped-def]
    image = field(0)
    assert groups(image, field(1), np.ascontiguousarray(copy(image))) == [0, 1, 0]


def test_crops_that_overlap_belong_together() -> None:
    large = field(0, 220)
    crop = large[20:120, 10:110]
    assert groups(crop, large[30:130, 45:145], large[118:218, 118:218]) == [0, 0, 1]


def test_frames_of_a_file_belong_together() -> None:
    alike = Alike()
    for number, name in enumerate(("a", "a", "b", "a")):
        alike.add(field(number), name)
    assert alike.groups()[0].tolist() == [0, 0, 1, 0]


def test_lattices_of_one_kind_are_not_the_same_image() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    rng = np.random.default_rng(0)
    made = [
        (np.cos(y / 1.6 + a) + np.cos(x / 1.6 + b) + rng.normal(size=(SIDE, SIDE))).astype(np.float32)
        for a, b in rng.uniform(0, 6, (6, 2))
    ]
    assert len(set(groups(*made))) == 6


def test_one_picture_under_two_labels_is_told() -> None:
    alike = Alike()
    for number, image in enumerate((field(0), field(1), field(0))):
        alike.add(image, str(number))
    assert conflicts(alike.groups()[1], np.array([0, 0, 1])) == [(0, 2)]
