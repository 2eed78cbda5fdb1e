"""The report of a movie: pictures, numbers and the movie itself, from the tables over time."""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Calibration, Frame, Prediction, Task
from micrograph.report import headlines_over_time, write_report
from micrograph.run import Recipe, Result, analyze

FRAMES = 14
PICTURES = {
    "tracks",
    "tracks-class",
    "kymograph",
    "drift",
    "displacement",
    "states",
    "rates",
    "numbers-time",
    "classes",
}


@pytest.fixture(scope="module")
def movies() -> ModuleType:
    place = Path(__file__).parents[1] / "draw" / "movies.py"
    spec = importlib.util.spec_from_file_location("movies", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Width:
    base: int = 8
    pixel_nm: float = 0.02

    def grid_nm(self, own_nm: float | None) -> float:
        return self.pixel_nm


@dataclass(frozen=True)
class Known:
    """The tables over time of a simulated movie, whatever was seen."""

    tables: Mapping[str, pd.DataFrame]

    def start(self) -> int:
        return 0

    def step(self, state: int, tables: Mapping[str, pd.DataFrame]) -> int:
        return state + 1

    def result(self, state: int) -> dict[str, pd.DataFrame]:
        return dict(self.tables)


def objects(prediction: Prediction) -> dict[str, pd.DataFrame]:
    found = pd.DataFrame({"y_nm": [1.0], "x_nm": [1.2], "class": ["Si"], "score": [0.9]})
    return {"objects": found, "frames": pd.DataFrame({"area_nm2": [6.0]})}


def predict(frame: Frame) -> Prediction:
    score = (frame.data / frame.data.max()).astype(np.float32)
    return Prediction(frame, {"atom": score}, {"atom": np.zeros_like(score)}, 0.02)


def averages(m: ModuleType) -> pd.DataFrame:
    y, x = (axis.ravel() * m.PIXEL_NM for axis in np.mgrid[:16, :16])
    rows = [
        pd.DataFrame({"class": name, "y_nm": y, "x_nm": x, "intensity": m.read(k)[:16, :16].ravel()})
        for k, name in enumerate(("Si1C3", "V1"))
    ]
    return pd.concat(rows, ignore_index=True)


def order() -> pd.DataFrame:
    at = np.arange(FRAMES)
    return pd.DataFrame({"frame": at, "t_s": 0.5 * at, "crops": 90, "order": 1 - at / 20, "order_sigma": 0.02})


def crops() -> pd.DataFrame:
    y, x = (axis.ravel() * 0.25 + 0.2 for axis in np.mgrid[:9, :9])
    return pd.DataFrame({"frame": 0, "t_s": 0.0, "y_nm": y, "x_nm": x, "order": np.hypot(y, x) / 3, "class": "k1"})


def traversal(m: ModuleType) -> pd.DataFrame:
    kind, latent, step, y, x = (index.ravel() for index in np.indices((2, 2, 5, 16, 16)))
    drawn = m.read(0)[y, x] * (1 + step * latent) + 10 * kind
    named = {"class": np.array(["k1", "k2"])[kind], "latent": latent + 1, "value": step - 2.0}
    return pd.DataFrame(named | {"y_nm": (y - 7.5) * 0.05, "x_nm": (x - 7.5) * 0.05, "brightness": drawn})


def all_tables(m: ModuleType) -> dict[str, pd.DataFrame]:
    (motion, diffusion), (rates, states) = m.motion(), m.chain(3)
    classes = pd.DataFrame({"class": ["Si1C3", "V1"], "count": [12, 5]})
    events = pd.DataFrame({"t_s": [3.0, 4.0], "frame": [6, 8], "kind": ["change", "hop"], "track": [-1, 2]})
    named = {"summary": pd.DataFrame({"name": ["V1"], "count": [3.0]}), "tracks": m.tracks(6, FRAMES)}
    named |= {"drift": m.drift(FRAMES), "motion": motion, "diffusion": diffusion, "rates": rates, "states": states}
    named |= {"order": order(), "crops": crops(), "traversal": traversal(m)}
    return named | {"counts": m.counts(FRAMES), "averages": averages(m), "classes": classes, "events": events}


def analysed(m: ModuleType, folder: Path, tables: Mapping[str, pd.DataFrame], frames: int = FRAMES) -> Result:
    task = Task("How do they move?", (), {}, "doi:10.0000/toy")
    parts: dict[str, Any] = {"name": "walkers", "title": "Walkers", "task": task, "data": m.read, "model": Width()}
    recipe = Recipe(**parts, objects=objects, summary=Known(tables))
    return analyze(recipe, m.recording(frames), predict, folder)


@pytest.fixture(scope="module")
def result(movies: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Result:
    found = analysed(movies, tmp_path_factory.mktemp("movie"), all_tables(movies))
    write_report(found)
    return found


def test_every_table_over_time_has_its_picture(result: Result) -> None:
    names = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert names >= PICTURES | {"sites", "image"}
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption> <") == 0


def test_the_movie_is_beside_the_page_and_small_inside_it(result: Result) -> None:
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    gif = base64.b64decode(re.search(r"data:image/gif;base64,([^\"]*)", page)[1])
    assert gif == (result.folder / "figures" / "movie.gif").read_bytes() and gif.startswith(b"GIF89a")
    assert (result.folder / "movie.mp4").stat().st_size > 1000
    assert 'href="movie.mp4"' in page


def test_rates_shares_and_diffusion_are_headlines_with_intervals(result: Result) -> None:
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert "diffusion constant, Si<b>0.00300 ± 0.00030 nm² s⁻¹</b>" in page
    assert "95 %: 0.0024 to 0.00375 nm² s⁻¹; 7 tracks" in page
    assert re.search(r"Si1C3 → \S+<b>[\d.]+ s⁻¹</b><span class=\"remark\">95 %: [\d.]+ to [\d.]+ s⁻¹; \d+ jumps", page)
    assert re.search(r"share of Si1C3<b>[\d.]+ %</b>", page)


def test_without_times_a_rate_is_a_probability_per_frame() -> None:
    row = {"from": "a", "to": "b", "p": 0.125, "p_low": 0.1, "p_high": 0.15, "rate_per_s": np.nan, "jumps": 9}
    (only,) = headlines_over_time({"rates": pd.DataFrame([row])})
    assert (only.name, only.value, only.remark) == ("a → b", "0.125 per frame", "95 %: 0.1 to 0.15; 9 jumps")


def test_tables_over_time_without_rows_are_left_out(movies: ModuleType, tmp_path: Path) -> None:
    empty = {name: table[:0] for name, table in all_tables(movies).items()}
    found = analysed(movies, tmp_path, empty)
    write_report(found)
    names = {path.stem for path in (found.folder / "figures").glob("*.png")}
    assert not names & PICTURES and {"sites", "image"} <= names


def test_a_short_recording_and_one_without_scale_get_no_movie(movies: ModuleType, tmp_path: Path) -> None:
    write_report(analysed(movies, tmp_path / "short", {"summary": pd.DataFrame({"n": [1]})}, 9))
    assert not list((tmp_path / "short").rglob("movie.*"))
    recipe = analysed(movies, tmp_path / "made", {"summary": pd.DataFrame({"n": [1]})}, 2).recipe
    unknown = Calibration(frame_time_s=1.0)
    plain = movies.recording(12)
    without = type(plain)(plain.read, plain.indices, unknown, plain.shape, name="plain")
    blind = replace(recipe, objects=lambda prediction: objects(prediction))
    predicted = analyze(blind, without, lambda f: Prediction(f, {}, {}, 0.02), tmp_path / "blind")
    write_report(predicted)
    assert not list((tmp_path / "blind").rglob("movie.*"))


def test_without_tracks_the_movie_rings_objects(movies: ModuleType, tmp_path: Path) -> None:
    found = analysed(movies, tmp_path, {"summary": pd.DataFrame({"n": [1]})}, 10)
    write_report(found)
    assert (tmp_path / "movie.mp4").exists() and (tmp_path / "figures" / "movie.gif").exists()
