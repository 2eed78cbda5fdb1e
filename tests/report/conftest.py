"""A small movie of a honeycomb with known defects, analysed by a recipe that reads the truth, for reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Calibration, Column, Flag, Frame, Prediction, Recording, Sample, Sites, Task
from micrograph.features.summary import ArealDensity
from micrograph.run import Recipe, Result, analyze

PIXEL_NM, SIDE, BOND_NM = 0.02, 128, 0.142


@dataclass(frozen=True)
class Width:
    base: int = 8
    pixel_nm: float = PIXEL_NM

    def grid_nm(self, own_nm: float | None) -> float:
        return self.pixel_nm


def honeycomb() -> np.ndarray:
    a = BOND_NM * np.sqrt(3)
    i, j, k = (axis.ravel() for axis in np.mgrid[-20:40, -40:40, 0:2])
    points = np.column_stack([i * a * np.sqrt(3) / 2 + k * BOND_NM, (j + i / 2) * a])
    inside = (points > 0.1).all(axis=1) & (points < SIDE * PIXEL_NM - 0.1).all(axis=1)
    return points[inside]


def read(index: int) -> np.ndarray:
    points = honeycomb() / PIXEL_NM
    image = np.zeros((SIDE, SIDE))
    image[points[:, 0].round().astype(int), points[:, 1].round().astype(int)] = 1.0
    near = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, near, mode="same")
    return np.random.default_rng(index).poisson(20 * image + 2).astype(np.float32)


@dataclass(frozen=True)
class Truth:
    """The known sites, with one silicon atom and a defect that carries its name."""

    threshold: float = 0.5

    def __call__(self, prediction: Prediction) -> dict[str, pd.DataFrame]:
        rng = np.random.default_rng(prediction.frame.index)
        points = honeycomb() + rng.normal(0, 0.004, honeycomb().shape)
        names = np.where(np.arange(len(points)) == len(points) // 2, "Si", "C")
        objects = pd.DataFrame({"y_nm": points[:, 0], "x_nm": points[:, 1], "class": names, "score": 0.99})
        objects["intensity"] = np.where(names == "Si", 500.0, 100.0) + rng.normal(0, 8, len(points))
        objects["eps_xx"] = 0.01 * np.sin(points[:, 0])
        defects = objects[objects["class"] == "Si"][["y_nm", "x_nm", "score"]].assign(name="Si1C3")
        area = (SIDE * PIXEL_NM) ** 2
        frames = pd.DataFrame({"area_nm2": [area], "a_nm": [0.246 + rng.normal(0, 1e-4)], "a_sigma_nm": [1e-4]})
        return {"objects": objects, "defects": defects, "frames": frames}


def predict(frame: Frame) -> Prediction:
    score = (frame.data / frame.data.max()).astype(np.float32)
    flags, notes = (Flag.OUT_OF_DOMAIN, ("The dose is below <100> e",)) if frame.index == 3 else (Flag.OK, ())
    return Prediction(frame, {"atom": score}, {"atom": np.zeros_like(score)}, PIXEL_NM, flags, 0.4, notes)


def sample(rng: np.random.Generator) -> Sample:
    return Sample(read(0), PIXEL_NM, Sites(np.empty(0), np.empty(0), np.empty(0, str)))


def recipe(**changes: Any) -> Recipe:
    objects = (Column("y_nm", "nm", "position of the site"), Column("class", "", "element"))
    task = Task("Where are the atoms?", ("pixel_nm",), {"objects": objects}, "doi:10.0000/toy")
    parts: dict[str, Any] = {
        "name": "honeycomb",
        "title": "Honeycomb & silicon",
        "task": task,
        "data": sample,
        "model": Width(),
        "objects": Truth(),
        "summary": ArealDensity(always=("C", "Si1C3", "V1")),
    }
    return Recipe(**(parts | changes))


def movie(frames: int) -> Recording:
    calibration = Calibration(pixel_nm=PIXEL_NM, frame_time_s=0.5)
    return Recording(read, range(frames), calibration, (SIDE, SIDE), name="honeycomb.tif")


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return analyze(recipe(), movie(5), predict, Path(tmp_path_factory.mktemp("report")))


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Result:
    nothing = Recording(lambda index: np.zeros((8, 8)), range(2), Calibration(pixel_nm=PIXEL_NM), (8, 8))
    return analyze(recipe(), nothing, predict, Path(tmp_path_factory.mktemp("blank")))
