"""Weights from a user's own classes: what is learned, how it is judged, what cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from micrograph.apps import python
from micrograph.apps.classing import ClassReport, train_on_classes
from micrograph.core import BadInput, Calibration, Recording
from micrograph.features.naming.own_classes import NONE
from micrograph.io.classed import read_classes
from micrograph.nets import load
from micrograph.nets.prototype_spec import PrototypeSpec
from micrograph.simulate.class_fields import random_field

SIDE = 64
NAMES = ("dots", "stripes", "waves 2")


def texture(name: str, seed: int, side: int = SIDE) -> NDArray[np.float32]:
    """Return a picture of one of three textures, or of another one."""
    rng = np.random.default_rng([seed, *name.encode()])
    y, x = np.mgrid[:side, :side]
    if name == "dots":
        clean = (random_field(side, 0.14, 0.1, 0.0, rng) > 1.2).astype(float)
    elif name == "stripes":
        clean = np.sin((y * np.cos(seed) + x * np.sin(seed)) * 0.9 + rng.uniform(0, 6))
    elif name == "waves 2":
        clean = random_field(side, 0.04, 0.3, 0.0, rng)
    else:
        clean = (np.hypot(y % 22 - 11, x % 22 - 11) < 7).astype(float)
    return (clean + 0.3 * rng.normal(size=clean.shape)).astype(np.float32)


def write(folder: Path, number: int, names: tuple[str, ...] = NAMES) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for seed in range(number):
            tifffile.imwrite(folder / name / f"{seed}.tif", texture(name, seed))
    return folder


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassReport]:
    """Return weights of three classes, whose folder also holds a copy, a wrong label and a file that is no image."""
    place = tmp_path_factory.mktemp("classes")
    own = write(place / "own", 6)
    shutil.copy(own / "dots" / "1.tif", own / "dots" / "copy.tif")
    tifffile.imwrite(own / "waves 2" / "wrong.tif", texture("dots", 90))
    (own / "dots" / "broken.png").write_bytes(b"nothing")
    out = place / "mine.safetensors"
    return out, train_on_classes("few-shot", own, out)


def test_three_textures_are_told_apart(learned: tuple[Path, ClassReport]) -> None:
    report = learned[1]
    assert report.labels == NAMES and report.images == (7, 6, 7) and report.groups == (6, 6, 7)
    assert report.accuracy.value > 0.8 and report.accuracy.low < report.accuracy.value
    assert np.trace(report.confusion) == round(report.accuracy.value * 20)
    assert report.unseen > 0.9
    assert report.curve[-1][1] >= report.curve[0][1]


def test_doubtful_files_are_named(learned: tuple[Path, ClassReport]) -> None:
    report = learned[1]
    assert [name for name, _ in report.skipped] == ["dots/broken.png"]
    assert [one[0] for one in report.mislabelled] == ["waves 2/wrong.tif"]
    assert report.mislabelled[0][1:3] == ("waves 2", "dots")


def test_the_weights_name_new_images_and_abstain(learned: tuple[Path, ClassReport]) -> None:
    movie = [texture(name, 50) for name in (*NAMES, "rings")]
    recording = Recording(movie.__getitem__, range(4), Calibration(), (SIDE, SIDE), name="new")
    result = python.analyze("few-shot", recording, weights=[learned[0]])
    objects = result.tables["objects"]
    assert objects["nearest"].tolist()[:3] == list(NAMES)
    assert objects["away"].argmax() == 3
    strict = python.analyze("few-shot", recording, weights=[learned[0]], settings={"border": objects["away"][3] - 1e-3})
    assert strict.tables["objects"]["class"].tolist() == [*NAMES, NONE]
    assert strict.summary.set_index("class")["count"].to_dict() == {**dict.fromkeys(NAMES, 1), NONE: 1}


def test_windows_of_a_large_image_have_classes_of_their_own(learned: tuple[Path, ClassReport], tmp_path: Path) -> None:
    image = np.concatenate([texture("stripes", 60, 128), texture("waves 2", 61, 128)], axis=1)
    path = tmp_path / "wide.npy"
    np.save(path, image)
    result = python.analyze("few-shot", path, weights=[learned[0]], settings={"window_px": 64}, out=tmp_path / "out")
    objects = result.tables["objects"]
    left = objects[objects["x_px"] < 100]["nearest"]
    right = objects[objects["x_px"] > 156]["nearest"]
    assert np.mean(left == "stripes") > 0.7 and np.mean(right == "waves 2") > 0.7
    assert (tmp_path / "out" / "figures" / "windows.png").exists()


def test_the_card_keeps_what_was_found(learned: tuple[Path, ClassReport]) -> None:
    checkpoint = load(learned[0])
    assert isinstance(checkpoint.spec, PrototypeSpec) and checkpoint.spec.labels == NAMES
    about = checkpoint.card["classes"]
    assert about["accuracy"]["value"] == learned[1].accuracy.value
    assert all(digest.startswith("sha256:") for digest in about["digests"].values())


def test_a_class_of_one_movie_is_learned_and_said_to_be(tmp_path: Path) -> None:
    own = write(tmp_path / "own", 4, ("dots", "stripes"))
    (own / "waves 2").mkdir()
    np.save(own / "waves 2" / "movie.npy", np.array([texture("waves 2", seed) for seed in range(12)]))
    report = python.train("few-shot", tmp_path / "m.safetensors", labels=own, curve=False).card["classes"]
    assert report["from_one_file"] == ["waves 2"] and report["groups"] == [4, 4, 4] and report["images"][2] == 12


def test_without_examples_it_says_how_to_give_some(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", texture("dots", 0))
    with pytest.raises(BadInput, match="train few-shot --labels"):
        python.analyze("few-shot", tmp_path / "image.npy")


def _empty(folder: Path) -> None:
    folder.mkdir()


def _loose(folder: Path) -> None:
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", texture("dots", 0))


def _one_class(folder: Path) -> None:
    write(folder, 2, ("dots",))


def _one_image(folder: Path) -> None:
    write(folder, 2)
    (folder / "dots" / "1.tif").unlink()


def _no_image(folder: Path) -> None:
    write(folder, 2)
    (folder / "stripes" / "0.tif").unlink()
    (folder / "stripes" / "1.tif").write_bytes(b"no image")


def _copies(folder: Path) -> None:
    write(folder, 2)
    shutil.copy(folder / "dots" / "0.tif", folder / "dots" / "1.tif")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_empty, "no sub-folder"),
        (_loose, "holds 1 file and no sub-folder"),
        (_one_class, "one class alone, 'dots'"),
        (_one_image, "Class 'dots' holds one image alone"),
        (_no_image, r"'stripes' holds no image .*1.tif"),
        (_copies, "All 2 images of class 'dots' show the same"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_a_sentence(make, sentence: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "own")
    with pytest.raises(BadInput, match=sentence):
        python.train("few-shot", tmp_path / "m.safetensors", labels=tmp_path / "own")


def test_a_recipe_that_sorts_nothing_refuses_classes(tmp_path: Path) -> None:
    own = write(tmp_path / "own", 2)
    with pytest.raises(BadInput, match="does not sort whole images into classes"):
        python.train("tmd-defects", tmp_path / "m.safetensors", labels=own)


def test_weights_of_another_recipe_are_refused(learned: tuple[Path, ClassReport]) -> None:
    with pytest.raises(BadInput, match="were made for recipe 'few-shot'"):
        python.analyze("tmd-defects", np_file(learned[0].parent), weights=[learned[0]])


def np_file(folder: Path) -> Path:
    np.save(folder / "one.npy", texture("dots", 0))
    return folder / "one.npy"


def test_classes_are_in_natural_order_and_hidden_folders_left_out(tmp_path: Path) -> None:
    own = write(tmp_path / "own", 2, ("a10", "a9", ".cache"))
    assert read_classes(own).labels == ("a9", "a10")
