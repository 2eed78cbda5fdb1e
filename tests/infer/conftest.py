"""Untrained networks with a card and a domain, saved as weights: all that the predictor needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from micrograph.core import Calibration, Frame
from micrograph.nets import Checkpoint, Head, NetSpec, build, save
from micrograph.train.calibrate import domain_statistics

SPEC = NetSpec(heads=(Head("atom", "spots", ("C",)), Head("dirt", "region")), base=4, levels=3, pixel_nm=0.03)
CARD = {"confidence": {"atom": (1.5, -0.5)}, "domain": {"pixel_nm": [0.01, 0.03]}}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save the network of a seed with a wide domain, and return the file."""
    folder = tmp_path_factory.mktemp("weights")

    def made(seed: int = 0, spec: NetSpec = SPEC, width: float = 100.0) -> Path:
        path = folder / f"{seed}-{spec.base}-{spec.pixel_nm}-{width:g}-{'-'.join(spec.names)}.safetensors"
        if not path.exists():
            torch.manual_seed(seed)
            net = build(spec)
            size = spec.base * (2 ** (spec.levels - 1) + 1)
            domain = domain_statistics(width * np.random.default_rng(seed).normal(0, 1, (50, size)))
            save(path, Checkpoint(spec, {f"net.{key}": part for key, part in net.state_dict().items()} | domain, CARD))
        return path

    return made


@pytest.fixture(scope="session")
def frame() -> Callable[..., Frame]:
    """Return a frame of random, smooth contrast."""

    def made(height: int = 90, width: int = 70, pixel_nm: float | None = 0.02, seed: int = 0) -> Frame:
        image = np.random.default_rng(seed).normal(10, 1, (height, width)).astype(np.float32)
        return Frame(image + np.roll(image, 1, 0) + np.roll(image, 1, 1), 4, Calibration(pixel_nm=pixel_nm))

    return made
