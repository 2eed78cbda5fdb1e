"""A toy recipe without a network: bright points of a sparse random movie. Run as a program it can be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from micrograph.core import Calibration, Column, Flag, Frame, Prediction, Recording, Sample, Sites, Task
from micrograph.run import Recipe, RunSettings, analyze

PIXEL_NM = 0.05
ANSWERS = {
    "objects": (
        Column("frame", "", "number of the frame"),
        Column("y_nm", "nm", "position", sigma="y_sigma_nm"),
        Column("x_nm", "nm", "position", sigma="x_sigma_nm"),
        Column("class", "", "element"),
        Column("score", "", "probability"),
    ),
    "summary": (Column("density_per_nm2", "nm^-2", "points per area"),),
}


@dataclass(frozen=True)
class Bright:
    """Points above a threshold."""

    threshold: float = 0.5
    element: str = "C"
    spacing_nm: float = 0.2
    strict: bool = False
    most: int | None = None
    elements: tuple[str, ...] = ("C", "Si")

    def __call__(self, prediction: Prediction) -> dict[str, pd.DataFrame]:
        score = prediction.maps["atom"]
        y, x = np.nonzero(score > self.threshold)
        objects = pd.DataFrame(
            {
                "y_nm": y * PIXEL_NM,
                "x_nm": x * PIXEL_NM,
                "y_sigma_nm": np.full(len(y), 0.01),
                "x_sigma_nm": np.full(len(y), 0.01),
                "class": pd.Series([self.element] * len(y), dtype="str"),
                "score": score[y, x].astype(float),
            }
        )
        frames = pd.DataFrame({"count": [len(y)], "area_nm2": [score.size * PIXEL_NM**2]})
        return {"objects": objects, "frames": frames}


@dataclass(frozen=True)
class Density:
    """Points per area over all frames."""

    def start(self) -> tuple[int, float]:
        return 0, 0.0

    def step(self, state: tuple[int, float], tables: Mapping[str, pd.DataFrame]) -> tuple[int, float]:
        return state[0] + len(tables["objects"]), state[1] + float(tables["frames"]["area_nm2"].iloc[0])

    def result(self, state: tuple[int, float]) -> dict[str, pd.DataFrame]:
        return {
            "summary": pd.DataFrame(
                {"count": [state[0]], "density_per_nm2": [state[0] / state[1] if state[1] else np.nan]}
            )
        }


@dataclass(frozen=True)
class Width:
    """As much of a NetSpec as the memory estimate reads."""

    base: int = 8
    pixel_nm: float = PIXEL_NM
    names: tuple[str, ...] = ("blob",)

    def grid_nm(self, pixel_nm: float) -> float:
        return self.pixel_nm


def sample(rng: np.random.Generator) -> Sample:
    return Sample(rng.random((8, 8), dtype=np.float32), PIXEL_NM, Sites(np.empty(0), np.empty(0), np.empty(0, str)))


def recipe(**changes: Any) -> Recipe:
    task = Task("Where is it bright?", ("pixel_nm",), ANSWERS, "doi:10.0000/toy")
    parts: dict[str, Any] = {
        "name": "bright",
        "title": "Bright points",
        "task": task,
        "data": sample,
        "model": Width(),
        "objects": Bright(),
        "summary": Density(),
    }
    return Recipe(**(parts | changes))


def predict(frame: Frame) -> Prediction:
    maps = {"atom": np.clip(frame.data, 0, 1)}
    return Prediction(frame, maps, {"atom": np.zeros_like(frame.data)}, PIXEL_NM, domain_distance=0.5)


def movie(frames: int = 50, bad: tuple[int, ...] = (), size: int = 16) -> Recording:
    def read(index: int) -> np.ndarray:
        if index in bad:
            return np.full((size, size), np.nan, np.float32)
        return np.random.default_rng(index).random((size, size), dtype=np.float32) ** 6

    calibration = Calibration(pixel_nm=PIXEL_NM, frame_time_s=0.5)
    return Recording(read, range(frames), calibration, (size, size), name="toy")


@dataclass
class Dies:
    """Predicts until one frame, at which the process kills itself with SIGKILL."""

    at: int

    def __call__(self, frame: Frame) -> Prediction:
        if frame.index == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return predict(frame)


@dataclass
class Doubts:
    """Predicts with a flag and a note."""

    flag: Flag = Flag.OUT_OF_DOMAIN

    def __call__(self, frame: Frame) -> Prediction:
        found = predict(frame)
        return Prediction(found.frame, found.maps, found.sigma, found.pixel_nm, self.flag, 1.7, ("low dose",))


def main(out: str, frames: str, at: str = "-1") -> None:
    """Analyse a movie of `frames` frames into `out`, dying at frame `at`; say the peak memory in MB."""
    import resource

    analyze(recipe(), movie(int(frames), bad=(0, 9)), Dies(int(at)), Path(out), settings=RunSettings(resume=True))
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


if __name__ == "__main__":
    main(*sys.argv[1:])
