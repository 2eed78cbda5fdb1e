"""What to label next: pieces of recordings, written so that they can be labelled and learned from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import micrograph as mg
from micrograph.apps.desk import Desk
from micrograph.core import BadInput
from micrograph.recipes import find_recipe


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames: four times the same particles with other noise, then other ones."""
    rng = np.random.default_rng(0)
    data = find_recipe("particle-shapes").data
    usual, rare = (data(np.random.default_rng(seed)).image[:128, :128] for seed in (100, 103))
    frames = [usual + rng.normal(0, 0.03 * usual.std(), usual.shape) for _ in range(4)] + [rare]
    path = tmp_path_factory.mktemp("suggest") / "run 1.tif"
    meta = {"unit": "nm", "axes": "TYX"}
    tifffile.imwrite(path, np.array(frames, np.float32), imagej=True, resolution=(2, 2), metadata=meta)
    return path


def test_the_frame_that_differs_is_among_the_first_two_and_keeps_its_pixels_and_scale(
    movie: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    answer = command("suggest", "particle-shapes", movie, "-n", 2, "-o", tmp_path / "next", "-q")
    assert answer.status == 0 and "train particle-shapes --labels" in answer.out
    table = pd.read_csv(tmp_path / "next" / "suggestions.csv")
    assert 4 in table["frame"].tolist() and table["rank"].tolist() == [1, 2]
    found = mg.open(tmp_path / "next" / table.set_index("frame")["image"][4])
    assert found.calibration.pixel_nm == pytest.approx(0.5)
    assert np.array_equal(found.frame(0).data, mg.open(movie).frame(4).data)
    assert (tmp_path / "next" / "suggestions.png").stat().st_size > 10_000


def test_classes_of_ones_own_need_no_weights_to_begin(movie: Path, tmp_path: Path) -> None:
    table = mg.suggest("few-shot", [movie], tmp_path / "next", number=3, crop_px=64)
    assert len(table) == 3 and (table["height_px"] == 64).all() and (table["doubt"] == 1).all()
    assert len(list((tmp_path / "next").glob("run-1-frame-*-y*-x*.tif"))) == 3


def test_what_has_a_label_is_not_suggested_again(movie: Path, tmp_path: Path) -> None:
    labels = tmp_path / "mine"
    labels.mkdir()
    rare = mg.open(movie).frame(4).data
    tifffile.imwrite(labels / "rare.tif", rare)
    tifffile.imwrite(labels / "rare_mask.tif", np.pad(np.full((20, 20), 1000, np.uint16), 54))
    table = mg.suggest("particle-shapes", [movie], tmp_path / "next", number=1, labelled=labels)
    assert table["frame"].tolist() != [4]


def test_a_recipe_without_labels_is_refused(movie: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="learns from no labels"):
        mg.suggest("atoms", [movie], tmp_path / "next")


def test_a_folder_that_would_be_read_as_masks_is_refused_before_anything_is_looked_at(
    movie: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="choose another name"):
        mg.suggest("particle-shapes", [movie], tmp_path / "masks")


def test_the_page_suggests_frames_with_pictures_reasons_and_the_command_to_go_on(movie: Path, tmp_path: Path) -> None:
    desk = Desk(movie.parent, tmp_path / "page")
    with pytest.raises(BadInput, match="learns from no labels"):
        desk.suggest("atoms", movie)
    job = desk.suggest("particle-shapes", movie)
    deadline = time.monotonic() + 60
    while not job.progress.ended and time.monotonic() < deadline:
        time.sleep(0.02)
    told = job.suggestions
    assert (
        job.takes_labels and told is not None and told.command.startswith("micrograph train particle-shapes --labels")
    )
    assert 4 in [one.frame for one in told.pieces[:2]] and all("doubt" in one.reason for one in told.pieces)
    assert (job.thumbnail(1) or b"").startswith(b"\x89PNG") and job.thumbnail(99) is None
