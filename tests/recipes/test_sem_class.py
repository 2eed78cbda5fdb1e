"""Kinds of SEM images from end to end, with a model that knows the truth, and its simulators."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import Calibration, Flag, Frame, Prediction, Recording, Sample
from micrograph.features.naming.sem_kinds import NONE, PICTURE_PX, UNSURE, as_picture, squares
from micrograph.features.naming.texture_vector import NAMES, texture_vector
from micrograph.io import read_columns
from micrograph.recipes.sem_class import RECIPE, look
from micrograph.report import write_report
from micrograph.run import Result, analyze
from micrograph.simulate.secondary.sem_sampler import KINDS, SemTextures
from micrograph.validate.naming.sem_rays import SCENES, Rays

TEXTURES = SemTextures(side_px=(128, 128))
LABELS = {"category": KINDS, "several": ("one", "more than one"), "foreign": ("one of these", "none of these")}


@functools.cache
def samples() -> tuple[Sample, ...]:
    """One image of each of the first three kinds, one of two kinds, one of none."""
    kinds = [TEXTURES.of_kind(kind, np.random.default_rng(kind)) for kind in range(3)]
    two = replace(TEXTURES, mixed=1.0, none=0.0)(np.random.default_rng(5))
    none = replace(TEXTURES, none=1.0)(np.random.default_rng(6))
    return (*kinds, two, none)


def knowing(frame: Frame) -> Prediction:
    """Return what a model says that knows which kinds an image shows."""
    params = samples()[frame.index].params
    first, second = int(params["first"]), int(params["second"])
    chances = np.full((2, len(KINDS)), 0.02)
    for kind in (first, second):
        if kind >= 0:
            chances[:, kind] += 0.4
    values = {
        "category": chances / chances.sum(axis=1, keepdims=True),
        "several": np.tile([1.0 - (second >= 0), float(second >= 0)], (2, 1)),
        "foreign": np.tile([1.0 - (first < 0), float(first < 0)], (2, 1)),
    }
    return Prediction(frame, {}, {}, 1.0, values=values, labels=LABELS)


def movie() -> Recording:
    images = [sample.image for sample in samples()]
    return Recording(images.__getitem__, range(len(images)), Calibration(), images[0].shape, name="surfaces")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analyze(RECIPE, movie(), knowing, Path(tmp_path_factory.mktemp("surfaces")))


def test_the_tables_hold_what_the_task_promises(result: Result) -> None:
    for table, promised in RECIPE.task.answers.items():
        stored = read_columns(result.folder / f"{table}.parquet")
        for column in promised:
            assert stored[column.name].about == column.about


def test_kinds_two_kinds_and_none_are_called_so(result: Result) -> None:
    objects = result.tables["objects"]
    assert objects["class"].tolist()[:3] == list(KINDS[:3])
    assert objects["more_than_one"].tolist() == [0, 0, 0, 1, 0]
    pair = {KINDS[int(samples()[3].params[name])] for name in ("first", "second")}
    assert {objects["nearest"][3], objects["second"][3]} == pair
    assert objects["class"][4] == NONE and objects["flags"][4] & int(Flag.OUT_OF_DOMAIN)
    assert result.tables["frames"]["count"].tolist() == [1, 1, 1, 2, 0]


def test_the_summary_counts_every_image_once(result: Result) -> None:
    summary = result.tables["summary"]
    assert summary["count"].sum() == len(samples()) and summary["more_than_one"].sum() == 1
    assert set(summary["class"]) == {*KINDS, NONE}
    assert ((summary["share_low"] <= summary["share"]) & (summary["share"] <= summary["share_high"])).all()


def test_the_gallery_keeps_small_pictures_and_the_report_shows_them(result: Result) -> None:
    examples = result.tables["examples"]
    assert len(examples) == len(samples())
    assert as_picture(examples["picture"][0]).shape == (PICTURE_PX, PICTURE_PX)
    assert RECIPE.title in write_report(result).read_text(encoding="utf-8")
    for figure in ("kind", "examples"):
        assert (result.folder / "figures" / f"{figure}.png").stat().st_size > 5000


def test_the_state_of_the_summary_stays_small() -> None:
    state = RECIPE.summary.start()
    tables = {**RECIPE.objects(knowing(movie().frame(0)))}
    for _ in range(50):
        state = RECIPE.summary.step(state, tables)
    assert sum(len(one.examples) for one in state.values()) == 8


def test_weights_with_other_classes_and_fewer_answers_are_taken() -> None:
    labels, chances = {"kind": ("grass", "stones")}, {"kind": np.array([[0.3, 0.7]])}
    seen = Prediction(movie().frame(0), {}, {}, 1.0, values=chances, labels=labels)
    row = RECIPE.objects(seen)["objects"].iloc[0]
    assert row["class"] == "stones" and row["second"] == "grass" and row["none_probability"] == 0
    unsure = replace(seen, values={"kind": np.array([[0.45, 0.55]])})
    assert RECIPE.with_settings({"certainty": "0.6"}).objects(unsure)["objects"]["class"][0] == UNSURE


@pytest.mark.parametrize("shape", [(64, 64), (48, 64), (30, 200), (90, 31)])
def test_the_squares_cover_a_frame_of_any_shape(shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    seen = squares(image)
    assert seen.shape[1] == seen.shape[2] == min(shape)
    assert np.array_equal(np.unique(seen), np.unique(image))
    assert len(look(Frame(image, 0, Calibration())).images) == len(seen)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_every_kind_is_drawn_alike_from_the_same_seed_and_not_from_another(kind: int) -> None:
    first, again, other = (TEXTURES.of_kind(kind, np.random.default_rng(seed)).image for seed in (1, 1, 2))
    assert np.array_equal(first, again) and first.std() > 0.02 and np.isfinite(first).all()
    assert not np.array_equal(first, other)


def test_two_kinds_each_take_their_share() -> None:
    both = replace(TEXTURES, mixed=1.0, none=0.0)
    params = [both(np.random.default_rng([8, number])).params for number in range(6)]
    assert all(one["first"] != one["second"] and 0 < one["share"] < 1 for one in params)


@pytest.mark.parametrize("kind", list(SCENES))
def test_another_simulator_shows_every_kind(kind: str) -> None:
    image = Rays(side_px=64)(kind, np.random.default_rng(3))
    assert image.shape == (64, 64) and np.isfinite(image).all() and image.std() > 0.05


def test_samples_are_seen_and_described_as_frames_are() -> None:
    sample = RECIPE.data(np.random.default_rng(4))  # type: ignore[operator]
    views = look(Frame(sample.image, 0, Calibration()))
    np.testing.assert_allclose(views.images[0], sample.image, atol=1e-4)
    assert set(views.known) == set(NAMES) <= set(sample.params)


def test_the_vector_of_a_texture_knows_no_brightness_and_no_contrast() -> None:
    image = samples()[1].image
    np.testing.assert_allclose(texture_vector(image), texture_vector(4 * image), atol=1e-3)


def test_the_shipped_network_names_most_of_new_images_and_tells_what_shows_nothing(tmp_path: Path) -> None:
    import micrograph as mg

    images = [TEXTURES.of_kind(kind, np.random.default_rng([77, kind]), side=128).image for kind in range(len(KINDS))]
    np.save(tmp_path / "folder.npy", np.array([*images, np.full((128, 128), 3.0)], np.float32))
    found = mg.analyze("sem-class", tmp_path / "folder.npy")
    called = found.tables["objects"]["nearest"].tolist()
    assert sum(name == true for name, true in zip(called, KINDS, strict=False)) >= 7
    assert found.tables["frames"]["flags"].iloc[-1] & int(Flag.BAD_FRAME)
