"""A movie coded into a container and decoded again: frames once each, resumed, damaged, refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from micrograph.apps import python as mg
from micrograph.apps.coding import compress
from micrograph.core import BadInput, Calibration, Flag, Recording
from micrograph.features.restoring.coding_plan import Coding
from micrograph.infer.coded import CodedMovies
from micrograph.io import open_recording
from micrograph.run import Result
from micrograph.simulate.coding_scenes import CodingScenes

FRAMES, SIDE = 15, 50
CLEAN = CodingScenes(SIDE, electrons=(20.0, 20.1)).draw(np.random.default_rng(3), np.arange(FRAMES) / 6)
RAW = np.random.default_rng(4).poisson(CLEAN).astype(np.uint16)
MOVIE = Recording(
    RAW.__getitem__, range(FRAMES), Calibration(pixel_nm=0.2, frame_time_s=0.5), (SIDE, SIDE), "uint16", "movie"
)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("coded") / "movie.coded.h5"
    mg.compress(MOVIE, path, frames=6)
    return path


@pytest.fixture(scope="module")
def result(container: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mg.analyze("compressed-movie", container, out=tmp_path_factory.mktemp("decoded"))


def decoded(result: Result) -> np.ndarray:
    images = open_recording(result.folder / "images.zarr", signal="image")
    return np.stack([frame.data for frame in images])


def test_every_frame_is_decoded_once_with_scale_and_sigma(result: Result) -> None:
    images = open_recording(result.folder / "images.zarr", signal="image")
    sigma = open_recording(result.folder / "images.zarr", signal="image_sigma")
    assert len(images) == len(sigma) == FRAMES and images.shape == (SIDE, SIDE)
    assert images.calibration.pixel_nm == 0.2 and images.calibration.frame_time_s == 0.5
    assert sigma.frame(3).data.min() > 0
    assert result.tables["objects"]["place"].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert result.summary["times_smaller"].iloc[0] > 1


def test_decoded_frames_are_nearer_to_the_truth_than_raw_ones_and_means(result: Result) -> None:
    frames = decoded(result)
    blocks = [CLEAN[first : first + 6] for first in (0, 6, 12)]
    error = np.mean((frames - CLEAN) ** 2)
    assert error < 0.2 * np.mean((RAW - CLEAN) ** 2)
    assert abs(frames.mean() / RAW.mean() - 1) < 0.02
    assert len(blocks[-1]) == 3


def test_errors_are_about_as_large_as_stated(result: Result) -> None:
    sigma = open_recording(result.folder / "images.zarr", signal="image_sigma")
    pull = (decoded(result) - CLEAN) / np.stack([frame.data for frame in sigma])
    assert 0.4 < np.sqrt(np.mean(pull**2)) < 2.0


def test_total_variation_decodes_without_a_network(container: Path, tmp_path: Path) -> None:
    classical = mg.analyze("compressed-movie", container, out=tmp_path, settings={"method": "gap-tv"})
    assert np.mean((decoded(classical) - CLEAN) ** 2) < 0.3 * np.mean((RAW - CLEAN) ** 2)


def test_a_damaged_block_costs_its_own_frames_only(container: Path, tmp_path: Path, result: Result) -> None:
    path = tmp_path / "movie.coded.h5"
    path.write_bytes(container.read_bytes())
    with h5py.File(path, "r+") as file:
        file["coded"][1, 0, 0] += 1
    left = mg.analyze("compressed-movie", path, out=tmp_path / "out")
    flags = left.tables["frames"]["flags"].to_numpy()
    assert flags[6:12].tolist() == [int(Flag.BAD_FRAME)] * 6 and not flags[:6].any() and not flags[12:].any()
    notes = [note for note in left.record["warnings"] if "is damaged" in note]
    assert len(notes) == 1 and "frames 6 to 11" in notes[0]
    images = open_recording(left.folder / "images.zarr", signal="image")
    assert np.isnan(images.frame(7).data).all() and np.isfinite(images.frame(2).data).all()


def test_a_stopped_decoding_goes_on_to_the_same_images(container: Path, tmp_path: Path, result: Result) -> None:
    class Pulled(Exception):
        pass

    from micrograph.apps.jobs import analyze_opened
    from micrograph.apps.requests import Request
    from micrograph.recipes import find_recipe

    def pull(done: int, total: int, note: str) -> None:
        if done == 9:
            raise Pulled

    recipe, opened = find_recipe("compressed-movie"), open_recording(container)
    request = Request("compressed-movie", resume=True)
    with pytest.raises(Pulled):
        analyze_opened(recipe, opened, request, into=tmp_path, progress=pull)
    again = analyze_opened(recipe, opened, request, into=tmp_path)
    np.testing.assert_allclose(decoded(again), decoded(result), rtol=1e-4, atol=1e-4)


def test_a_stopped_coding_goes_on_to_the_same_file(container: Path, tmp_path: Path) -> None:
    class Pulled(Exception):
        pass

    def pull(done: int, total: int, note: str) -> None:
        if done >= 12:
            raise Pulled

    path = tmp_path / "movie.coded.h5"
    with pytest.raises(Pulled):
        compress(MOVIE, path, Coding(6), progress=pull)
    assert not path.exists()
    with pytest.raises(BadInput, match="another movie or in another way"):
        compress(MOVIE, path, Coding(5), resume=True)
    again = compress(MOVIE, path, Coding(6), resume=True)
    first = compress(MOVIE, tmp_path / "again.coded.h5", Coding(6))
    for block in range(3):
        np.testing.assert_array_equal(again.levels(block), first.levels(block))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again.coded.h5", "movie.coded.h5"]


def test_coded_frames_that_are_chosen_are_decoded_alone(container: Path) -> None:
    opened = open_recording(container)[1:2]
    assert list(CodedMovies().presented(opened).indices) == list(range(6, 12))


def test_what_is_no_coded_movie_and_what_is_no_name_for_one_are_refused(container: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="takes coded frames of a movie"):
        mg.analyze("compressed-movie", MOVIE, out=tmp_path / "out")
    with pytest.raises(BadInput, match=r"ends in \.coded\.h5"):
        mg.compress(MOVIE, tmp_path / "movie.h5")
    with pytest.raises(BadInput, match="only such are coded"):
        mg.compress(container, tmp_path / "twice.coded.h5")
    with pytest.raises(BadInput, match="the masks are"):
        mg.compress(MOVIE, tmp_path / "movie.coded.h5", masks="striped")
