"""What the viewer's plugin does without a window: arrays by frames, layers of tables, fields of settings, labels."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from micrograph.apps.napari import fields, work
from micrograph.apps.napari.frames import Movie, Painted
from micrograph.apps.napari.grid import CALIBRATION, Grid, calibrate, grid_of, image_layer, recording_of
from micrograph.apps.scales import in_words
from micrograph.core import BadInput, Calibration, Recording
from micrograph.io.masks import read_labels
from micrograph.io.opening import HDF5, READERS
from micrograph.recipes import RECIPES, find_recipe

MANIFEST = Path(importlib.import_module("micrograph.apps.napari").__file__ or "").with_name("napari.yaml")
KEYS: list[Any] = [
    1,
    -1,
    slice(None),
    slice(1, 3),
    slice(0, 0),
    ...,
    (2, slice(1, 4)),
    (slice(None), 2),
    (..., 3),
    (np.int64(1), ..., slice(None)),
    (slice(None), slice(None), slice(2, None)),
    (np.array([0, 2, 2]), np.array([1, 3, 0]), np.array([4, 0, 2])),
]


def movie(count: int = 4, **known: float) -> tuple[Recording, np.ndarray, list[int]]:
    frames = np.arange(count * 30, dtype=np.uint16).reshape(count, 5, 6)
    read: list[int] = []

    def frame(index: int) -> np.ndarray:
        read.append(index)
        return frames[index]

    return Recording(frame, range(count), Calibration(**known), (5, 6), "uint16", "run 1.tif"), frames, read


def still(pixel_nm: float | None = 0.5, size: int = 40) -> Recording:
    image = np.random.default_rng(0).random((size, size)).astype(np.float32)
    return Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel_nm), image.shape, name="still.tif")


def circle(y_nm: float, x_nm: float, radius_nm: float, frame: int = 0, one: int = 1) -> pd.DataFrame:
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    return pd.DataFrame(
        {
            "frame": frame,
            "id": one,
            "point": np.arange(90),
            "y_nm": y_nm + radius_nm * np.sin(turn),
            "x_nm": x_nm + radius_nm * np.cos(turn),
        }
    )


def two_circles(frames: tuple[int, int] = (0, 0)) -> dict[str, pd.DataFrame]:
    objects = pd.DataFrame(
        {
            "frame": frames,
            "id": [4, 7],
            "y_nm": [5.0, 14.0],
            "x_nm": [6.0, 12.0],
            "class": "particle",
            "flags": [0, 1],
        }
    )
    outlines = pd.concat([circle(5, 6, 3, frames[0], 4), circle(14, 12, 4, frames[1], 7)])
    return {"objects": objects, "outlines": outlines}


def grid(frames: int | None = None) -> Grid:
    time = () if frames is None else (0.2,)
    return Grid(
        (40, 40),
        frames,
        0.5,
        (*time, 0.5, 0.5),
        (*(["s"] if time else []), "nm", "nm"),
        (0.0,) * (2 + len(time)),
        (*(["t"] if time else []), "y", "x"),
    )


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_movie_is_indexed_as_numpy_indexes(key: Any) -> None:
    recording, frames, _ = movie()
    np.testing.assert_array_equal(Movie(recording)[key], frames[key])


def test_only_the_frames_that_are_looked_at_are_read() -> None:
    recording, _, read = movie()
    shown = Movie(recording)
    assert (shown.shape, shown.size, shown.dtype, read) == ((4, 5, 6), 120, np.uint16, [])
    shown[2, 1:3]
    shown[np.array([3, 3]), np.array([0, 1]), np.array([0, 1])]
    assert read == [2, 3]


def test_a_frame_beyond_the_end_is_refused() -> None:
    with pytest.raises(IndexError):
        Movie(movie()[0])[4]


def test_what_is_written_into_painted_masks_stays_and_nothing_else_is_kept() -> None:
    painted: list[int] = []

    def paint(index: int) -> np.ndarray:
        painted.append(index)
        return np.full((5, 6), index, np.int32)

    masks = Painted(20, (5, 6), paint)
    expected = np.repeat(np.arange(20, dtype=np.int32), 30).reshape(20, 5, 6)
    brush = (np.array([3, 3]), np.array([0, 1]), np.array([2, 2]))
    for array in (masks, expected):
        array[brush] = 50
        array[7, 1:3, 4] = 51
        array[brush] = np.array([52, 53])
    np.testing.assert_array_equal(np.asarray(masks), expected)
    assert sorted(masks.changed) == [3, 7]
    assert painted.count(3) == 1


def test_a_calibrated_movie_has_axes_in_s_and_nm() -> None:
    data, options, kind = image_layer(movie(pixel_nm=0.25, frame_time_s=0.1)[0])
    assert (kind, options["scale"], options["units"]) == ("image", [0.1, 0.25, 0.25], ["s", "nm", "nm"])
    assert options["metadata"]["scale_known"]
    assert (options["name"], isinstance(data, Movie)) == ("run 1", True)


def test_an_unknown_scale_counts_pixels_and_says_so() -> None:
    _, options, _ = image_layer(movie()[0])
    assert (options["scale"], options["units"]) == ([1.0, 1.0, 1.0], ["pixel"] * 3)
    assert not options["metadata"]["scale_known"]


def layer_of(recording: Recording) -> Any:
    layers = pytest.importorskip("napari.layers")
    return layers.Layer.create(*image_layer(recording))


def test_a_layer_gives_back_its_recording_with_the_scale_that_was_stated_in_the_viewer() -> None:
    layer = layer_of(movie(voltage_kV=80.0)[0])
    assert recording_of(layer).calibration == Calibration(voltage_kV=80.0)
    with pytest.raises(BadInput, match="no pixel size"):
        grid_of(layer)
    calibrate(layer, {"pixel_nm": 0.2, "frame_time_s": 2.0, "inner_mrad": 50.0})
    known = Calibration(pixel_nm=0.2, frame_time_s=2.0, voltage_kV=80.0, inner_mrad=50.0)
    assert recording_of(layer).calibration == known == layer.metadata[CALIBRATION]
    assert grid_of(layer).units == ("second", "nanometer", "nanometer")


def test_units_of_layers_from_elsewhere_are_converted() -> None:
    layers = pytest.importorskip("napari.layers")
    layer = layers.Image(np.zeros((9, 9)), scale=(2e-3, 2e-3), units=("um", "um"))
    assert recording_of(layer).calibration.pixel_nm == 2.0
    oblong = layers.Image(np.zeros((9, 9)), scale=(1, 2), units=("nm", "nm"))
    with pytest.raises(BadInput, match="square"):
        recording_of(oblong)


def test_masks_cover_the_outlines_on_the_pixels_of_the_image() -> None:
    layers = pytest.importorskip("micrograph.apps.napari.layers", reason="napari")
    pytest.importorskip("napari")
    tables = two_circles()
    mask, options, kind = layers.masks(tables["objects"], tables["outlines"], grid(), "masks")
    assert (kind, options["scale"], options["units"]) == ("labels", (0.5, 0.5), ("nm", "nm"))
    assert np.unique(mask).tolist() == [0, 1, 2]
    areas = np.bincount(mask.ravel())[1:] * 0.25
    np.testing.assert_allclose(areas, np.pi * np.array([9, 16]), rtol=0.05)
    rows, columns = np.nonzero(mask == 2)
    np.testing.assert_allclose([rows.mean() * 0.5, columns.mean() * 0.5], [14, 12], atol=0.05)
    assert options["features"]["index"].tolist() == [1, 2]
    assert options["features"]["flags"].tolist() == ["ok", "edge"]


def test_points_lie_on_the_objects_with_a_colour_for_each_class() -> None:
    from micrograph.apps.napari.layers import result_layers

    pytest.importorskip("napari")
    tables = two_circles()
    tables["classified"] = pd.DataFrame({"frame": [0, 0], "id": [7, 4], "shape": ["rod", "round"]})
    shown = result_layers(find_recipe("particle-shapes"), tables, grid(), polygons=True)
    found = {options["name"]: (data, options) for data, options, _ in shown.layers}
    data, options = found["objects (particle-shapes)"]
    np.testing.assert_allclose(data, [[10, 12], [28, 24]])
    assert options["features"]["shape"].tolist() == ["round", "rod"]
    assert options["symbol"].tolist() == ["disc", "cross"]
    assert not np.allclose(*options["face_color"])
    polygons, options = found["outlines (particle-shapes)"]
    assert [len(each) for each in polygons] == [90, 90]
    assert not shown.notes


def test_results_of_a_movie_lie_in_their_frames_and_tracks_join_them() -> None:
    from micrograph.apps.napari.layers import result_layers

    pytest.importorskip("napari")
    tables = two_circles(frames=(1, 3))
    places = {"y_nm": [5.0, 14.0, 6.0], "x_nm": [6.0, 12.0, 7.0]}
    tables["tracks"] = pd.DataFrame({"track": [2, 1, 1], "frame": [1, 3, 1], **places, "class": "particle"})
    shown = result_layers(find_recipe("particle-shapes"), tables, grid(frames=5))
    found = {kind: (data, options) for data, options, kind in shown.layers}
    mask, _ = found["labels"]
    assert [np.unique(mask[frame]).tolist() for frame in range(5)] == [[0], [0, 1], [0], [0, 2], [0]]
    np.testing.assert_allclose(found["points"][0], [[1, 10, 12], [3, 28, 24]])
    np.testing.assert_allclose(found["tracks"][0], [[1, 1, 12, 14], [1, 3, 28, 24], [2, 1, 10, 12]])
    assert all(options["scale"] == (0.2, 0.5, 0.5) for _, options in found.values())


def test_a_long_table_is_shown_in_part_and_the_viewer_says_so() -> None:
    from micrograph.apps.napari.layers import first_rows

    table = pd.DataFrame({"frame": np.repeat(np.arange(10), 3)})
    some, notes = first_rows(table, 7, "objects")
    assert (some["frame"].max(), len(some)) == (2, 9)
    assert "30 rows" in notes[0]
    assert first_rows(table, 30, "objects")[1] == []


@pytest.mark.parametrize("name", RECIPES)
def test_the_fields_of_a_recipe_give_back_its_settings(name: str) -> None:
    recipe = find_recipe(name)
    settings = fields.settings_of(recipe)
    assert recipe.with_settings({one.name: one.text for one in settings}).settings() == recipe.settings()
    assert all(one.text in one.choices for one in settings if one.kind == "choice")


def test_fields_carry_units_and_meanings() -> None:
    found = {one.name: one for one in fields.settings_of(find_recipe("particle-shapes"))}
    assert (found["correct"].kind, found["correct"].text) == ("tick", "yes")
    assert found["least_diameter_px"].label == "least diameter (px)"
    assert found["mean_free_path_nm"].label == "mean free path (nm)"
    assert "saddle" in found["rise"].about
    sites = {one.name: one for one in fields.settings_of(find_recipe("atoms"))}
    assert (sites["min_distance_nm"].text, sites["min_distance_nm"].label) == ("0.09 nm", "min distance")


def test_only_changed_settings_are_asked_for() -> None:
    before = fields.settings_of(find_recipe("atoms"))
    now = {one.name: one.text for one in before} | {"min_distance_nm": "110 pm"}
    assert fields.changes(before, now) == {"min_distance_nm": "110 pm"}


def test_recipes_that_cannot_suit_a_recording_are_told_from_those_that_may() -> None:
    coarse, fine = still(0.5), still(0.02)
    assert "too coarse" in fields.misfit(find_recipe("atoms"), coarse)
    assert "movie" in fields.misfit(find_recipe("dopant-motion"), fine)
    assert not fields.misfit(find_recipe("atoms"), fine)
    assert not fields.misfit(find_recipe("atoms"), still(None))
    assert not fields.misfit(find_recipe("particle-shapes"), coarse)


def test_sentences_name_the_fields_of_the_widget() -> None:
    said = in_words("--pixel-size is 'x', choose another folder with -o, not --pixel-sizes.")
    assert said == "'pixel size' is 'x', choose another folder with 'results', not --pixel-sizes."


def test_frames_are_chosen_by_numbers_and_ranges() -> None:
    assert work.chosen_frames("", 9, 4) == [4]
    assert work.chosen_frames("7, 0:3, 1", 9, 4) == [0, 1, 2, 7]
    with pytest.raises(BadInput, match="no frame"):
        work.chosen_frames("9", 9, 0)


def test_corrected_masks_are_read_back_as_the_objects_that_were_painted(tmp_path: Path) -> None:
    recording = still(0.25)
    mask = np.zeros((40, 40), np.int32)
    for number, (first, last) in {9: (2, 8), 255: (8, 14), 300: (20, 30)}.items():
        mask[first:last, 2:20] = number
    (path,) = work.write_labels(recording, mask, [0], tmp_path / "mine")
    (one,) = read_labels(tmp_path / "mine")
    labels, names = one.objects()
    assert (path.name, one.frame().calibration.pixel_nm, len(names)) == ("still.tif", pytest.approx(0.25), 3)
    np.testing.assert_array_equal(one.frame().data, recording.frame(0).data)
    np.testing.assert_array_equal(labels, np.searchsorted([0, 9, 255, 300], mask))


def test_frames_of_a_movie_are_labelled_one_by_one(tmp_path: Path) -> None:
    recording, frames, _ = movie(pixel_nm=0.5)
    masks = np.zeros((4, 5, 6), np.int32)
    masks[1:3, 1:3, 1:3] = 1
    work.write_labels(recording, masks, [1, 2], tmp_path / "mine")
    found = read_labels(tmp_path / "mine")
    assert [one.path.name for one in found] == ["run-1-frame-0001.tif", "run-1-frame-0002.tif"]
    np.testing.assert_array_equal(found[1].frame().data, frames[2])


def test_masks_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path) -> None:
    full = np.ones((40, 40), np.int32)
    with pytest.raises(BadInput, match="9 x 9"):
        work.write_labels(still(), np.ones((9, 9), np.int32), [0], tmp_path / "mine")
    with pytest.raises(BadInput, match="No object"):
        work.write_labels(still(), full * 0, [0], tmp_path / "mine")
    with pytest.raises(BadInput, match="another name"):
        work.write_labels(still(), full, [0], tmp_path / "masks")
    assert not list(tmp_path.iterdir())


def test_every_format_is_offered_to_the_viewer_and_every_command_exists() -> None:
    npe2 = pytest.importorskip("npe2")
    pytest.importorskip("napari")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    patterns = set(manifest.contributions.readers[0].filename_patterns)
    vendors = {".dm3", ".dm4", ".emd", ".ser", ".mrc", ".hspy"}
    assert {f"*{suffix}" for suffix in {*READERS, *HDF5} | vendors} <= patterns
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(importlib.import_module(module), name))


@dataclass
class Heard:
    """What the viewer was asked to tell."""

    errors: list[str]
    infos: list[str]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    notifications = pytest.importorskip("napari.utils.notifications")
    heard = Heard([], [])
    monkeypatch.setattr(notifications, "show_error", heard.errors.append)
    monkeypatch.setattr(notifications, "show_info", heard.infos.append)
    return heard


def test_a_broken_file_is_one_sentence_and_no_layer(tmp_path: Path, heard: Heard) -> None:
    from micrograph.apps.napari.readers import NOTHING, reader_for

    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0" + b"\0" * 40)
    read = reader_for(str(path))
    assert read is not None
    assert read(str(path)) == NOTHING
    assert len(heard.errors) == 1
    assert "broken.tif" in heard.errors[0]


def test_a_file_without_scale_is_shown_in_pixels_and_the_user_is_told(tmp_path: Path, heard: Heard) -> None:
    from micrograph.apps.napari.readers import read_layers

    tifffile.imwrite(tmp_path / "plain.tif", np.arange(600, dtype=np.uint16).reshape(20, 30))
    ((data, options, _),) = read_layers(str(tmp_path / "plain.tif"))
    assert (data.shape, options["units"]) == ((20, 30), ["pixel", "pixel"])
    assert "how large its pixels are" in heard.infos[0]


def test_a_file_with_several_images_gives_a_layer_for_each(tmp_path: Path) -> None:
    from micrograph.apps.napari.readers import recordings_in

    path = tmp_path / "both.npz"
    np.savez(path, sum=np.ones((70, 70)), inner=np.zeros((80, 80)))
    assert [(one.name, one.shape) for one in recordings_in(path)] == [("both sum", (70, 70)), ("both inner", (80, 80))]
