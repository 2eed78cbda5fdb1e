"""A user's own labels are found by what is there, and what cannot be used is named in one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from micrograph.core import BadInput
from micrograph.io.drawn import decoded
from micrograph.io.masks import read_labels

SHAPE = (40, 60)
IMAGE = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


def two_squares() -> np.ndarray:
    """Return the labels of two squares, which every format below holds."""
    labels = np.zeros(SHAPE, np.int32)
    labels[5:15, 10:20], labels[20:30, 40:55] = 1, 2
    return labels


CORNERS = [[[10, 5], [20, 5], [20, 15], [10, 15]], [[40, 20], [55, 20], [55, 30], [40, 30]]]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        Image.fromarray(array).save(path)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def labelme(**changes: object) -> dict:
    shapes = [{"label": "cube", "points": points, "shape_type": "polygon"} for points in CORNERS]
    return {"imagePath": "a.png", "imageHeight": SHAPE[0], "imageWidth": SHAPE[1], "shapes": shapes, **changes}


def coco(segmentations: list) -> dict:
    return {
        "images": [{"id": 7, "file_name": "images/a.png", "height": SHAPE[0], "width": SHAPE[1]}],
        "categories": [{"id": 3, "name": "rod"}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 3, "segmentation": one} for n, one in enumerate(segmentations)
        ],
    }


def runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    at = np.flatnonzero(np.diff(flat.astype(int)))
    return np.diff(np.concatenate([[0], at, [mask.size]])).tolist()


def encoded(counts: list[int]) -> str:
    """Return run lengths as COCO's text, written from its definition."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 * more) + 48)
    return text


@pytest.mark.parametrize("name", ["a_mask.png", "a-mask.tif", "a_label.tif", "masks/a.png", "labels/label_a.png"])
@pytest.mark.parametrize("inside", [1, 255])
def test_binary_masks_are_found_beside_and_in_folders(tmp_path: Path, name: str, inside: int) -> None:
    save(tmp_path / ("images/a.png" if "/" in name else "a.png"), IMAGE)
    save(tmp_path / name, (inside * (two_squares() > 0)).astype(np.uint8))
    (one,) = read_labels(tmp_path)
    assert (one.kind, one.path.name) == ("mask", "a.png")
    np.testing.assert_array_equal(one.labels(), two_squares())
    np.testing.assert_array_equal(one.frame().data, IMAGE)


def test_integers_are_objects_even_where_they_touch_or_fall_apart(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:15, 10:20], labels[5:15, 20:30], labels[20:25, 5:9], labels[30:35, 5:9] = 300, 7, 9, 9
    save(tmp_path / "images" / "a.png", IMAGE)
    save(tmp_path / "masks" / "a.tif", labels)
    found, names = read_labels(tmp_path)[0].objects()
    assert len(names) == 3
    assert found[10, 15] != found[10, 25]
    assert found[22, 6] == found[32, 6]


def test_integers_in_many_pieces_are_kinds(tmp_path: Path) -> None:
    kinds = np.zeros(SHAPE, np.uint8)
    kinds[2:6, 2::8], kinds[10:14, 2::8] = 1, 2
    save(tmp_path / "a.png", IMAGE)
    save(tmp_path / "a_mask.png", kinds)
    _, names = read_labels(tmp_path)[0].objects()
    assert sorted(set(names)) == ["1", "2"]
    assert len(names) == 16


def test_colours_are_kinds_and_grey_is_background(tmp_path: Path) -> None:
    painted = np.repeat(IMAGE[..., None], 3, axis=2)
    painted[two_squares() == 1], painted[two_squares() == 2] = (0, 0, 255), (255, 0, 0)
    save(tmp_path / "a.png", IMAGE)
    save(tmp_path / "a_mask.png", painted)
    labels, names = read_labels(tmp_path)[0].objects()
    np.testing.assert_array_equal(labels, two_squares())
    assert names == ("#0000ff", "#ff0000")


def test_a_mask_with_smoothed_borders_is_black_and_white(tmp_path: Path) -> None:
    mask = np.where(two_squares() > 0, 255, 0).astype(np.uint8)
    mask[5:15, 9], mask[20:30, 39] = 100, 200
    save(tmp_path / "a.png", IMAGE)
    save(tmp_path / "a_mask.png", mask)
    assert read_labels(tmp_path)[0].labels().max() == 2


def test_a_stack_of_masks_labels_every_frame(tmp_path: Path) -> None:
    save(tmp_path / "movie.tif", np.stack([IMAGE, 255 - IMAGE, IMAGE]))
    masks = np.stack([two_squares() == 1, two_squares() == 2, two_squares() > 0]).astype(np.uint8)
    save(tmp_path / "movie_mask.tif", masks)
    found = read_labels(tmp_path)
    assert [one.position for one in found] == [0, 1, 2]
    assert [one.labels().max() for one in found] == [1, 1, 2]
    np.testing.assert_array_equal(found[1].frame().data, 255 - IMAGE)


def test_labelme_polygons_cover_the_pixels_they_enclose(tmp_path: Path) -> None:
    save(tmp_path / "a.png", IMAGE)
    write_json(tmp_path / "a.json", labelme())
    (one,) = read_labels(tmp_path)
    labels, names = one.objects()
    np.testing.assert_array_equal(labels, two_squares())
    assert (one.kind, names) == ("labelme", ("cube", "cube"))


def test_labelme_circles_and_rectangles_have_their_areas(tmp_path: Path) -> None:
    shapes = [
        {"label": "ball", "points": [[20, 20], [20, 30]], "shape_type": "circle"},
        {"label": "box", "points": [[55, 30], [40, 20]], "shape_type": "rectangle"},
    ]
    save(tmp_path / "a.png", IMAGE)
    write_json(tmp_path / "a.json", labelme(shapes=shapes))
    labels, names = read_labels(tmp_path)[0].objects()
    assert names == ("ball", "box")
    assert np.sum(labels == 1) == pytest.approx(np.pi * 100, rel=0.03)
    assert np.sum(labels == 2) == 150


def test_coco_polygons_and_run_lengths_say_the_same(tmp_path: Path) -> None:
    masks = [two_squares() == 1, two_squares() == 2]
    size = list(SHAPE)
    forms = {
        "polygon": [[np.ravel(points).tolist()] for points in CORNERS],
        "counts": [{"size": size, "counts": runs(mask)} for mask in masks],
        "text": [{"size": size, "counts": encoded(runs(mask))} for mask in masks],
    }
    for form, segmentations in forms.items():
        save(tmp_path / form / "images" / "a.png", IMAGE)
        write_json(tmp_path / form / "annotations" / "instances.json", coco(segmentations))
        (one,) = read_labels(tmp_path / form)
        labels, names = one.objects()
        np.testing.assert_array_equal(labels, two_squares())
        assert (one.kind, names) == ("coco", ("rod", "rod"))


def test_run_lengths_survive_being_written_as_text() -> None:
    counts = np.random.default_rng(1).integers(0, 70_000, 200).tolist()
    assert decoded(encoded(counts)) == counts


def test_yolo_outlines_are_shares_of_the_image(tmp_path: Path) -> None:
    shares = [np.ravel(np.array(points) / (SHAPE[1], SHAPE[0])) for points in CORNERS]
    save(tmp_path / "frames" / "a.jpg", IMAGE)
    lines = [f"{kind} " + " ".join(map(str, outline)) for kind, outline in enumerate(shares)]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "labels" / "classes.txt").write_text("loop\nvoid\n")
    (one,) = read_labels(tmp_path)
    labels, names = one.objects()
    np.testing.assert_array_equal(labels, two_squares())
    assert (one.kind, names) == ("yolo", ("loop", "void"))


def test_smaller_objects_lie_over_larger_ones(tmp_path: Path) -> None:
    shapes = [
        {"label": name, "points": points, "shape_type": "rectangle"}
        for name, points in (("core", [[20, 10], [30, 20]]), ("shell", [[10, 5], [50, 35]]))
    ]
    save(tmp_path / "a.png", IMAGE)
    write_json(tmp_path / "a.json", labelme(shapes=shapes))
    labels, _ = read_labels(tmp_path)[0].objects()
    assert np.sum(labels == 1) == 100


def test_images_without_labels_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / f"{name}.png", IMAGE)
    save(tmp_path / "b_mask.png", (two_squares() > 0).astype(np.uint8))
    (tmp_path / "notes.txt").write_text("taken on a Monday")
    write_json(tmp_path / "settings.json", {"pixel_nm": 1})
    assert [one.path.name for one in read_labels(tmp_path)] == ["b.png"]


def refusal(folder: Path) -> str:
    """Return the sentence of the refusal, wherever on the way to the last label it comes."""
    with pytest.raises(BadInput) as refused:
        for one in read_labels(folder):
            one.objects()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{broken", "no readable JSON"),
        ("a.json", labelme(shapes=[{"label": "x"}]), "no complete labelme"),
        ("a.json", labelme(shapes=[{"points": [[1, 2], [3, 4]], "shape_type": "line"}]), "encloses nothing"),
        ("a.json", labelme(imageHeight=99), "99 x 60"),
        ("a.json", labelme(shapes=[]), "no object"),
        ("b.json", labelme(imagePath="b.png"), "not in the folder"),
        ("c.json", coco([[]]), "boxes without outlines"),
        ("c.json", coco([[[1, 2, 3]]]), "pairs"),
        ("c.json", coco([{"size": [40, 60], "counts": [5, 6]}]), "run lengths"),
        ("c.json", {"images": [{}], "annotations": []}, "no complete COCO"),
        ("a.txt", "0 0.5 0.5 0.1 0.1", "box"),
        ("a.txt", "0 100 100 120 100 120 130", "shares"),
        ("a.txt", "0 0.1 0.1 0.2 x 0.3 0.3", "Line 1 of a.txt"),
        ("labels/z.txt", "0 0.1 0.1 0.2 0.2 0.3 0.1", "no image"),
        ("a_mask.png", np.zeros(SHAPE, np.uint8), "no object"),
        ("a_mask.png", np.ones((10, 10), np.uint8), "10 x 10"),
        ("z_mask.png", np.ones(SHAPE, np.uint8), "no image"),
        ("a_mask.tif", np.full(SHAPE, 0.3, np.float32), "whole"),
        ("a_mask.tif", np.ones((3, *SHAPE), np.uint8), "3 masks"),
        ("a_mask.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8), "colours"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_labels_that_cannot_be_used_are_named(tmp_path: Path, name: str, content: object, said: str) -> None:
    save(tmp_path / "a.png", IMAGE)
    if isinstance(content, np.ndarray):
        save(tmp_path / name, content)
    else:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert said in refusal(tmp_path)


def test_folders_without_labels_are_refused(tmp_path: Path) -> None:
    assert "no labels among its 0 files" in refusal(tmp_path)
    save(tmp_path / "a.png", IMAGE)
    assert "no labels among its 1 files" in refusal(tmp_path)
    assert "is a file" in refusal(tmp_path / "a.png")
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_two_labels_of_one_image_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", IMAGE)
    save(tmp_path / "a_mask.png", (two_squares() > 0).astype(np.uint8))
    write_json(tmp_path / "a.json", labelme())
    assert "two labels" in refusal(tmp_path)


def test_a_mask_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        save(tmp_path / folder / "a.png", IMAGE)
    save(tmp_path / "masks" / "a.png", (two_squares() > 0).astype(np.uint8))
    assert "could belong to" in refusal(tmp_path)
