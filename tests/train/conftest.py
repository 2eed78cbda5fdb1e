"""A toy world: Gaussian blobs on noise, a tiny network, and one training that all tests of this room share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograph.core import Sample, Sites
from micrograph.nets import Checkpoint, Head, NetSpec
from micrograph.train import TrainSettings, train

PIXEL_NM = 0.03
HEADS = (Head("blob", "spots", ("blob",)), Head("dirt", "region"))
SPEC = NetSpec(heads=HEADS, base=6, levels=2, pixel_nm=PIXEL_NM, patch=48)
SETTINGS = TrainSettings(steps=60, batch=4, workers=0, checkpoint_every=30, calibration_samples=40, precision="32-true")


def blobs(rng: np.random.Generator, size: int = 64) -> Sample:
    """Return blobs 0.06 nm wide, 0.24 nm apart or more, on noise of a fifth of their height, and a band of dirt."""
    places = np.stack(np.meshgrid(*[np.arange(6, size - 4, 9.0)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = places[rng.random(len(places)) < 0.6] + rng.uniform(-0.5, 0.5, 2)
    rows, columns = np.ogrid[:size, :size]
    image = rng.normal(0, 0.2, (size, size))
    for y, x in places:
        image += np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / 2.0**2)
    dirt = np.zeros((size, size), np.float32)
    dirt[: size // 8] = 1
    y, x = PIXEL_NM * places.T
    sites = Sites(y, x, np.array(["blob"] * len(places), dtype=str))
    return Sample((image + dirt).astype(np.float32), PIXEL_NM, sites, masks={"dirt": dirt})


@dataclass(frozen=True)
class Trained:
    """The checkpoint, its file, and the running loss after every step."""

    checkpoint: Checkpoint
    path: Path
    losses: list[float]


@pytest.fixture(scope="session")
def toy() -> Callable[[np.random.Generator], Sample]:
    return blobs


@pytest.fixture(scope="session")
def spec() -> NetSpec:
    return SPEC


@pytest.fixture(scope="session")
def settings() -> TrainSettings:
    return SETTINGS


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path, losses = tmp_path_factory.mktemp("train") / "blobs.safetensors", []

    def progress(step: int, steps: int, loss: float) -> Any:
        losses.append(loss)

    return Trained(train(blobs, SPEC, SETTINGS, path, progress=progress, card={"recipe": "toy"}), path, losses)
