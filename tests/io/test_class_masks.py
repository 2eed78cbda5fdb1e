"""Masks of several classes: colours painted over the image, numbers, names of the user's own, and what is no mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micrograph.core import BadInput
from micrograph.io.class_masks import ClassNames, class_mask, read_names
from micrograph.io.classed import has_classes
from micrograph.io.masks import read_labels

BLUE, RED = (0, 0, 255), (255, 0, 0)


def painted(path: Path, alpha: bool = True) -> Path:
    """Write a grey image with two colours painted over it."""
    grey = np.random.default_rng(1).integers(60, 200, (20, 24, 1)).repeat(3, axis=2).astype(np.uint8)
    grey[2:10, 3:12] = BLUE
    grey[12:15, 20:23] = RED
    if alpha:
        grey = np.concatenate([grey, np.full((20, 24, 1), 255, np.uint8)], axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_painted_over_an_image_are_classes_and_grey_is_the_rest(tmp_path: Path, name: str) -> None:
    labels, names = class_mask(painted(tmp_path / name), 0, ClassNames())
    assert set(names) == {"matrix", "blue", "red"}
    assert (labels == names.index("blue")).sum() == 72
    assert (labels == names.index("red")).sum() == 9


def test_names_that_are_given_name_colours(tmp_path: Path) -> None:
    known = read_names("secondary = 0,0,255; tertiary: #ff0000; rest = gamma")
    labels, names = class_mask(painted(tmp_path / "a.png"), 0, known)
    assert names == ("gamma", "secondary", "tertiary")
    assert np.bincount(labels.ravel()).tolist() == [20 * 24 - 81, 72, 9]


def test_a_class_called_unlabelled_is_not_learned(tmp_path: Path) -> None:
    labels, names = class_mask(painted(tmp_path / "a.png"), 0, read_names("secondary=blue; unlabelled=red"))
    assert names == ("matrix", "secondary")
    assert (labels == -1).sum() == 9


def test_numbers_are_classes_with_names_from_a_file(tmp_path: Path) -> None:
    numbers = np.array([[0, 0, 1], [2, 1, 2]], np.uint8)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    labels, names = class_mask(tmp_path / "a.png", 0, ClassNames())
    assert names == ("matrix", "class 1", "class 2")
    assert np.array_equal(labels, numbers)
    (tmp_path / "classes.txt").write_text("ferrite\nmartensite\npearlite\n")
    labels, names = class_mask(tmp_path / "a.png", 0, read_names("", tmp_path))
    assert names == ("ferrite", "martensite", "pearlite")
    assert np.array_equal(labels, numbers)


def test_a_table_of_colours_is_what_it_means_and_a_grey_one_is_numbers(tmp_path: Path) -> None:
    numbers = np.array([[0, 1], [2, 2]], np.uint8)
    for name, table in (("c", [9, 9, 9, 0, 0, 255, 255, 0, 0]), ("g", [0, 0, 0, 90, 90, 90, 200, 200, 200])):
        image = Image.fromarray(numbers, mode="P")
        image.putpalette(table)
        image.save(tmp_path / f"{name}.png")
    assert set(class_mask(tmp_path / "c.png", 0, ClassNames())[1]) == {"matrix", "blue", "red"}
    labels, names = class_mask(tmp_path / "g.png", 0, ClassNames())
    assert names == ("matrix", "class 1", "class 2")
    assert np.array_equal(labels, numbers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=0,0", "a colour or a number was expected"),
        ("a=sky", "a colour or a number was expected"),
        ("a=1; b=1", "give each its own"),
    ],
)
def test_names_that_name_nothing_are_one_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_names(text)


def test_what_is_no_mask_of_classes_is_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    Image.fromarray(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(BadInput, match="colours: a mask of at most"):
        class_mask(tmp_path / "photo.png", 0, ClassNames())
    Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save(tmp_path / "many.png")
    with pytest.raises(BadInput, match="100 different numbers"):
        class_mask(tmp_path / "many.png", 0, ClassNames())
    with pytest.raises(BadInput, match="painted #ff0000 where no class"):
        class_mask(painted(tmp_path / "a.png"), 0, read_names("secondary=blue"))


def test_a_data_set_in_train_and_test_folders_is_read_with_its_split(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for name in ("x", "y"):
            Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / part / f"{part}{name}.tif")
            painted(tmp_path / f"{part}_annot" / f"{part}{name}_mask.tif")
    found = read_labels(tmp_path)
    assert [(one.name, one.split) for one in found] == [
        ("testx.tif", "test"),
        ("testy.tif", "test"),
        ("trainx.tif", "train"),
        ("trainy.tif", "train"),
    ]
    assert set(found[0].classes(ClassNames())[1]) == {"matrix", "blue", "red"}
    assert not has_classes(tmp_path)
