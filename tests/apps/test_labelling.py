"""Weights from a user's own labels: what they learn from, how they are judged, and what cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from micrograph import analyze
from micrograph.apps.label_splits import curve_numbers, part, split_images, taken
from micrograph.apps.labelling import OwnLabels, learn_labels
from micrograph.apps.outlining import read_all
from micrograph.apps.painting import read_painted
from micrograph.core import BadInput, Sample
from micrograph.io.class_masks import read_names
from micrograph.io.masks import read_labels
from micrograph.io.opening import open_recording
from micrograph.nets import NetSpec, load
from micrograph.recipes import find_recipe
from micrograph.run import Recipe
from micrograph.simulate import ParticleSampler
from micrograph.train import TrainSettings
from micrograph.train.labelled_masks import Labelled
from micrograph.validate.class_scores import ClassScores

#: A training of seconds.
QUICK: dict[str, Any] = {"workers": 0, "reuse": 16, "calibration_samples": 6, "batch": 6}


def write_discs(folder: Path, number: int, side: int = 96) -> None:
    """Write images of dark discs with their masks."""
    rng = np.random.default_rng(5)
    y, x = np.indices((side, side))
    for index in range(number):
        mask = np.zeros((side, side), bool)
        for row in range(16, side, 32):
            for column in range(16, side, 32):
                at = np.array([row, column]) + rng.uniform(-3, 3, 2)
                mask |= np.hypot(y - at[0], x - at[1]) < rng.uniform(7, 10)
        image = np.where(mask, 60, 160) + rng.normal(0, 8, mask.shape)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"a{index}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / f"a{index}_mask.png")


@cache
def few_samples() -> list[Sample]:
    """Return a few simulated images of particles."""
    data = ParticleSampler(side_px=64, diameter_px=(12.0, 24.0), contrast_to_noise=(3.0, 8.0), bright=0.0)
    return [data(np.random.default_rng(seed)) for seed in range(4)]


def one_of_few(rng: np.random.Generator) -> Sample:
    """Return one of a few simulated images: a sampler that takes no time."""
    return few_samples()[int(rng.integers(4))]


def small_recipe() -> Recipe:
    """Return the recipe of particles with a network that learns in seconds."""
    recipe = find_recipe("particle-shapes")
    spec = NetSpec(recipe.model.heads, base=6, levels=3, fold=2, pixel_nm=None, patch=48)
    return replace(recipe, model=spec, data=one_of_few, training=TrainSettings(**QUICK), begins_from=None)


def test_a_network_that_begins_anew_learns_discs_and_says_so_on_its_card(tmp_path: Path) -> None:
    write_discs(tmp_path / "own", 4)
    recipe, out, seen = small_recipe(), tmp_path / "own.safetensors", []
    report = learn_labels(
        recipe,
        read_labels(tmp_path / "own"),
        OwnLabels(tmp_path / "own", curve=False),
        out,
        steps=140,
        progress=lambda done, total, note: seen.append((done, total)),
    )
    assert report.before is None and report.curve is None
    assert report.after.iou.value > 0.8
    assert report.after.iou.low <= report.after.iou.value <= report.after.iou.high
    assert set(report.learned_from).isdisjoint(report.held_out)
    assert seen[-1] == (140, 140)
    about = load(out).card["labels"]
    assert about["after"]["iou"][0] == report.after.iou.value
    assert about["objects"] == report.objects == 27
    assert all(digests["labels"].startswith("sha256:") for digests in about["digests"].values())
    again = learn_labels(recipe, read_labels(tmp_path / "own"), OwnLabels(tmp_path, curve=False), out, steps=140)
    assert again == report
    assert not list(tmp_path.glob("*.ckpt"))


def test_labels_go_on_from_older_weights_and_the_curve_says_what_one_more_brings(tmp_path: Path) -> None:
    write_discs(tmp_path / "own", 1)
    recipe, images = small_recipe(), read_labels(tmp_path / "own")
    older = tmp_path / "older.safetensors"
    learn_labels(recipe, images, OwnLabels(tmp_path, curve=False), older, steps=3)
    on = replace(recipe, model=replace(recipe.model, weights=str(older)))
    report = learn_labels(on, images, OwnLabels(tmp_path), tmp_path / "newer.safetensors", steps=3)
    assert report.before is not None and report.curve is not None
    assert report.curve.numbers == (0.25, 0.5, 1.0)
    assert report.held_out == ("a0.png (held-out part)",)
    assert report.curve.gain.low <= report.curve.gain.value <= report.curve.gain.high
    assert not (tmp_path / "newer-curve").exists()
    json.dumps(load(tmp_path / "newer.safetensors").card)


def write_phases(folder: Path, parts: Sequence[str]) -> None:
    """Write images of two kinds of discs with masks painted over them: large dark ones blue, small dark ones red."""
    rng = np.random.default_rng(8)
    y, x = np.indices((96, 96))
    for number, part_ in enumerate(parts):
        large, small = np.zeros((96, 96), bool), np.zeros((96, 96), bool)
        for row, column in np.ndindex(3, 3):
            at = 16 + 32 * np.array([row, column]) + rng.uniform(-3, 3, 2)
            kind = large if (row + column + number) % 2 else small
            kind |= np.hypot(y - at[0], x - at[1]) < (10 if kind is large else 3.5)
        image = (np.where(large | small, 70, 150) + rng.normal(0, 6, large.shape)).clip(0, 255).astype(np.uint8)
        colours = image[..., None].repeat(3, axis=2)
        colours[large], colours[small] = (0, 0, 255), (255, 0, 0)
        for where, array in ((part_, image), (f"{part_}_annot", colours)):
            (folder / where).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / where / f"s{number}{'_mask' * (where != part_)}.png")


def painting_recipe() -> Recipe:
    """Return the recipe of microstructures with a network that learns in seconds."""
    recipe = find_recipe("microstructure")
    spec = NetSpec(recipe.model.heads, base=6, levels=3, fold=2, pixel_nm=None, patch=64)
    return replace(recipe, model=spec, training=TrainSettings(learning_rate=6e-3, **QUICK), begins_from=None)


def test_several_classes_are_learned_from_painted_masks_and_judged_by_the_own_split(tmp_path: Path) -> None:
    write_phases(tmp_path, ("train", "train", "test"))
    names = "large=0,0,255; small=255,0,0"
    images, out = read_labels(tmp_path, several=True), tmp_path / "own.safetensors"
    report = learn_labels(painting_recipe(), images, OwnLabels(tmp_path, curve=False, classes=names), out, steps=80)
    assert (report.learned_from, report.held_out) == (("s0.png", "s1.png"), ("s2.png",))
    assert isinstance(report.after, ClassScores) and report.before is None
    assert report.after.classes == ("matrix", "large", "small")
    assert report.after.iou.value > 0.75
    assert sum(report.after.true) == pytest.approx(1) == sum(report.after.found)
    about = load(out).card
    assert about["labels"]["classes"] == ["matrix", "large", "small"]
    assert [head["name"] for head in about["net"]["heads"]] == ["matrix", "large", "small"]
    assert about["labels"]["least_object_px"] < 45
    recording = open_recording(tmp_path / "test" / "s2.png").calibrated(pixel_nm=20.0)
    found = analyze("microstructure", recording, weights=[out])
    assert set(found.tables["phases"]["class"]) == {"matrix", "large", "small"}


def test_one_painted_image_is_cut_in_two_and_the_curve_says_what_one_more_brings(tmp_path: Path) -> None:
    write_phases(tmp_path, ("images",))
    images = read_labels(tmp_path, several=True)
    report = learn_labels(painting_recipe(), images, OwnLabels(tmp_path), tmp_path / "own.safetensors", steps=2)
    assert report.held_out == ("s0.png (held-out part)",)
    assert report.curve is not None and report.curve.numbers == (0.25, 0.5, 1.0)
    assert isinstance(report.after, ClassScores)
    assert report.after.classes == ("matrix", "blue", "red")


def test_one_file_a_class_makes_classes_of_the_names_of_their_folders(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:9, 2:9] = 255
    for where, array in (("images", mask), ("masks/secondary", mask), ("masks/tertiary", mask[::-1])):
        (tmp_path / where).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / where / "a.png")
    subject, read = read_painted(find_recipe("microstructure"), read_labels(tmp_path, several=True), read_names(""))
    assert subject.classes == ("matrix", "secondary", "tertiary")
    assert np.bincount(read["a.png"].labels.ravel()).tolist() == [400 - 98, 49, 49]


def test_one_class_alone_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a_mask.png")
    with pytest.raises(BadInput, match="show 'matrix' alone"):
        read_painted(find_recipe("microstructure"), read_labels(tmp_path), read_names(""))


def blank(labelled: slice = slice(None)) -> Labelled:
    labels = np.zeros((20, 40), np.int32)
    labels[5:9, 2:38:4] = 1
    kept = np.zeros_like(labels)
    kept[:, labelled] = labels[:, labelled]
    return Labelled(np.zeros((20, 40), np.float32), kept)


def test_a_quarter_is_held_out_and_the_rest_spreads_over_the_recording() -> None:
    images = {f"{i}": blank() for i in range(10)}
    split = split_images(images, None)
    assert (len(split.learn), len(split.held_out)) == (8, 2)
    six = split_images(images, 6)
    assert (len(six.learn), len(six.held_out)) == (6, 4)
    assert {"0", "9"} <= set(six.learn)
    assert set(six.learn) | set(six.held_out) == set(images)
    assert len(split_images({"a": blank(), "b": blank()}, None).held_out) == 1


def test_a_single_image_is_cut_in_two_along_its_longer_side() -> None:
    split = split_images({"a": blank()}, None)
    assert [one.image.shape for one in (*split.learn.values(), *split.held_out.values())] == [(20, 24), (20, 16)]
    with pytest.raises(BadInput, match="all over the image"):
        split_images({"a": blank(slice(0, 20))}, None)


def test_more_images_than_there_are_cannot_be_learned_from() -> None:
    with pytest.raises(BadInput, match="there are 2 labelled images"):
        split_images({"a": blank(), "b": blank()}, 3)


@pytest.mark.parametrize("images", [1, 2, 3, 7])
def test_the_curve_has_three_numbers_up_to_all(images: int) -> None:
    numbers = curve_numbers(images)
    assert len(numbers) == 3
    assert sorted(set(numbers)) == list(numbers)
    assert numbers[-1] == images
    assert [len(taken([blank()] * images, number)) for number in numbers] == [max(1, int(n)) for n in numbers]
    assert part(blank(), 0, 0.5).labels.shape == (20, 20)


def test_large_objects_are_binned(tmp_path: Path) -> None:
    labels = np.zeros((300, 300), np.uint8)
    labels[20:120, 20:120] = labels[150:250, 150:250] = 255
    Image.fromarray(labels).save(tmp_path / "a.png")
    Image.fromarray(labels).save(tmp_path / "a_mask.png")
    images, number = read_all(find_recipe("particle-shapes"), read_labels(tmp_path))
    assert number == 2
    assert next(iter(images.values())).labels.shape == (150, 150)


@pytest.mark.parametrize(
    ("recipe", "more", "said"),
    [
        ("atoms", [], "learns no masks"),
        ("disorder", [], "learns no masks"),
        ("particle-shapes", ["--images", "9"], "there are 2 labelled images"),
        ("particle-shapes", ["--voltage", "200 kV"], "leave these out"),
        ("particle-shapes", ["-o", "own.pt"], "ends in .safetensors"),
        ("particle-shapes", ["--labels", "nowhere"], "does not exist"),
    ],
)
def test_what_cannot_be_learned_from_is_one_sentence(
    command: Callable[..., Any], tmp_path: Path, recipe: str, more: list[str], said: str
) -> None:
    write_discs(tmp_path / "own", 2)
    answer = command("train", recipe, "--labels", tmp_path / "own", "-o", tmp_path / "new" / "w.safetensors", *more)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not (tmp_path / "new").exists()
