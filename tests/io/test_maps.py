"""Maps in a Zarr store: exact to one part in 255, resumable, self-describing."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from micrograph.core import BadInput
from micrograph.io import MapWriter, open_recording, write_tiffs

RNG = np.random.default_rng(4)


def test_probabilities_come_back_to_half_a_step(tmp_path: Path) -> None:
    maps = {"atom": RNG.random((40, 50)), "contamination": np.zeros((40, 50))}
    MapWriter(tmp_path / "maps.zarr", list(maps), (40, 50), 0.02).write(0, maps)
    group = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    array = group["atom"]
    assert array.attrs["pixel_nm"] == 0.02
    assert array.attrs["axes"] == ["frame", "y", "x"]
    np.testing.assert_allclose(
        array[0] * array.attrs["scale"] + array.attrs["offset"], maps["atom"], atol=0.5 / 255 + 1e-9
    )


def test_a_store_is_continued_where_it_ended(tmp_path: Path) -> None:
    first = MapWriter(tmp_path / "maps.zarr", ["atom"], (8, 9), 0.02)
    for index in (0, 1):
        first.write(index, {"atom": np.full((8, 9), index + 0.0)})
    again = MapWriter(tmp_path / "maps.zarr", ["atom"], (8, 9), 0.02)
    assert [again.done(index) for index in range(4)] == [True, True, False, False]
    again.write(3, {"atom": np.ones((8, 9))})
    array = zarr.open_group(tmp_path / "maps.zarr", mode="r")["atom"]
    assert [array[index].max() for index in range(4)] == [0, 255, 0, 255]
    assert not again.done(2)


def test_numbers_are_kept_as_half_floats_with_gaps(tmp_path: Path) -> None:
    values = np.array([[1.5, np.nan], [-300.25, 0.0]])
    MapWriter(tmp_path / "m.zarr", ["strain"], (2, 2), 0.1, kind="number").write(0, {"strain": values})
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "m.zarr", mode="r")["strain"][0], values)


def test_volumes_are_kept_in_full_and_open_as_recordings_with_their_scale(tmp_path: Path) -> None:
    volume = RNG.normal(size=(20, 6, 7)).astype(np.float32)
    MapWriter(tmp_path / "images.zarr", ["In"], volume.shape, 0.2, "image").write(0, {"In": volume})
    slices = open_recording(tmp_path / "images.zarr", signal="In")
    assert slices.calibration.pixel_nm == 0.2
    np.testing.assert_array_equal([frame.data for frame in slices], volume)
    (path,) = write_tiffs(tmp_path / "images.zarr", tmp_path / "images")
    np.testing.assert_array_equal(tifffile.imread(path), volume)
    assert open_recording(path).calibration.pixel_nm == pytest.approx(0.2)


def test_images_of_frames_that_showed_nothing_are_gaps(tmp_path: Path) -> None:
    MapWriter(tmp_path / "images.zarr", ["clean"], (5, 6), None, "image", 0.5).write(1, {"clean": np.ones((5, 6))})
    movie = open_recording(tmp_path / "images.zarr", signal="clean")
    assert movie.calibration.pixel_nm is None and movie.calibration.frame_time_s == 0.5
    assert np.isnan(movie.frame(0).data).all() and movie.frame(1).data.min() == 1


def test_a_store_of_another_layout_is_refused(tmp_path: Path) -> None:
    MapWriter(tmp_path / "m.zarr", ["atom"], (8, 9), 0.02)
    with pytest.raises(BadInput, match="another layout"):
        MapWriter(tmp_path / "m.zarr", ["atom"], (8, 9), 0.03)


def test_a_place_taken_by_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.zarr").write_text("taken")
    with pytest.raises(BadInput, match="no Zarr store"):
        MapWriter(tmp_path / "m.zarr", ["atom"], (8, 9), 0.02)
