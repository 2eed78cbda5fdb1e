"""The report of particles and pores: outlines, sizes, shapes, moving boundaries and growth, in pictures and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Calibration, Frame, Prediction, Recording, Task
from micrograph.features.objects.outlined import OutlinedObjects
from micrograph.report import outlined_headlines, result_figures, write_report
from micrograph.report.outlined import size_distributions
from micrograph.run import Recipe, Result, analyze
from micrograph.track import Outlined
from micrograph.track.population import Population

PIXEL_NM, SIDE, FRAMES, SHRINK_PX = 0.5, 128, 16, 0.4
CENTRES = np.array([[24, 24], [24, 70], [70, 22], [66, 66], [104, 40], [98, 100], [30, 108]], float)
RADII = np.array([14, 12, 15, 13, 11, 16, 10], float)


@dataclass(frozen=True)
class Width:
    base: int = 8
    pixel_nm: None = None
    names: tuple[str, ...] = ("pore", "core")

    def grid_nm(self, own_nm: float) -> float:
        return own_nm


def discs(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and depth of discs whose radii shrink evenly."""
    y, x = np.mgrid[:SIDE, :SIDE]
    radius = RADII - SHRINK_PX * index
    inside = radius - np.hypot(y[..., None] - CENTRES[:, 0], x[..., None] - CENTRES[:, 1])
    covered = np.clip(inside.max(axis=-1) + 0.5, 0, 1)
    return covered.astype(np.float32), np.clip((inside / radius).max(axis=-1), 0, 1).astype(np.float32)


def read(index: int) -> np.ndarray:
    return np.random.default_rng(index).poisson(50 + 50 * discs(index)[0]).astype(np.float32)


def predict(frame: Frame) -> Prediction:
    covered, depth = discs(frame.index)
    return Prediction(frame, {"pore": covered, "core": depth}, {"pore": 0 * covered, "core": 0 * covered}, PIXEL_NM)


def analysed(folder: Path, fold: Any, frames: int, frame_time_s: float | None) -> Result:
    recipe = Recipe(
        name="discs", title="Discs", task=Task("How large are they?", (), {}, "doi:10.0000/toy"), data=read,
        model=Width(), objects=OutlinedObjects(kind="pore"), summary=fold,
    )  # fmt: skip
    calibration = Calibration(pixel_nm=PIXEL_NM, frame_time_s=frame_time_s)
    return analyze(recipe, Recording(read, range(frames), calibration, (SIDE, SIDE), name="discs"), predict, folder)


@pytest.fixture(scope="module")
def closing(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analysed(tmp_path_factory.mktemp("closing"), Outlined(), FRAMES, 2.0)


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analysed(tmp_path_factory.mktemp("stills"), Population(), 2, None)


def test_a_movie_of_outlined_objects_has_their_pictures_and_none_of_atoms(closing: Result) -> None:
    page = write_report(closing).read_text(encoding="utf-8")
    names = {path.stem for path in (closing.folder / "figures").glob("*.png")}
    assert names >= {"outlines", "image", "sizes", "velocity", "rate-law", "areas", "stages", "tracks"}
    assert not names & {"sites", "detail", "distances", "intensity", "kymograph", "numbers-time"}
    assert page.count("<figcaption> <") == 0
    assert (closing.folder / "movie.mp4").exists()


def test_stills_have_sizes_and_shapes_and_nothing_over_time(stills: Result) -> None:
    names = set(result_figures(stills))
    assert names >= {"outlines", "shapes", "sizes", "score-pore"}
    assert not names & {"tracks", "areas", "velocity", "rate-law", "stages", "sites"}


def test_numbers_sizes_the_law_and_closing_are_headlines(closing: Result) -> None:
    found = {line.name: line for line in outlined_headlines(closing.tables)}
    assert found["number of objects in a frame"].value == "7"
    v0 = found["velocity of a straight edge, v0"].value
    assert float(v0.split(" ")[0]) == pytest.approx(-SHRINK_PX * PIXEL_NM / 2.0, rel=0.1) and v0.endswith("nm s⁻¹")
    mean = 2 * PIXEL_NM * (RADII.mean() - SHRINK_PX * (FRAMES - 1) / 2)
    size = found["mean diameter of the circle of equal area"]
    assert float(size.value.removesuffix(" nm")) == pytest.approx(mean, rel=0.02)
    assert size.remark.startswith("95 %: ")
    rates = [line for name, line in found.items() if name.startswith("change of area, pore")]
    assert len(rates) == 7 and all("gone at" in line.remark for line in rates)


def test_shares_of_shapes_are_headlines_of_stills(stills: Result) -> None:
    found = {line.name: line for line in outlined_headlines(stills.tables)}
    assert found["number of objects"].value == "14"
    assert found["shape: round"].value == "100 %"


def test_where_no_object_was_found_no_mean_is_a_headline(stills: Result) -> None:
    none = {name: stills.tables[name] for name in stills.tables}
    none["sizes"] = none["sizes"].assign(mean=np.nan, median=np.nan, number=0)
    names = [line.name for line in outlined_headlines(none)]
    assert names and "mean diameter of the circle of equal area" not in names


def test_every_object_counts_once_in_the_sizes_of_a_movie(closing: Result) -> None:
    part = size_distributions({"tracks": closing.tables["tracks"]})["all"]
    assert part.words.endswith("n = 7")
    assert part.share.sum() == pytest.approx(1.0)
    assert (part.low <= part.share).all() and (part.share <= part.high).all()


def test_a_few_objects_make_no_histogram(closing: Result) -> None:
    few = closing.tables["tracks"]
    assert size_distributions({"tracks": few[few["track"] < 3]}) == {}


def test_other_recipes_have_no_headlines_of_outlined_objects() -> None:
    assert outlined_headlines({"frames": pd.DataFrame({"frame": [0], "area_nm2": [1.0]})}) == []
