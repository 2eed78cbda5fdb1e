"""Checks of microstructures, on a model that knows the truth and on drawn steels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from micrograph.core import Frame, Prediction
from micrograph.recipes import find_recipe
from micrograph.simulate.steels.carbides import CarbideRanges
from micrograph.simulate.steels.metallography import CONSTITUENTS, MetallographySampler, Micrograph
from micrograph.validate.checks import run_checks
from micrograph.validate.steels import microstructure_trials
from micrograph.validate.steels.drawn_steels import DrawnSteels
from micrograph.validate.steels.microstructure_checks import (
    calibration_error,
    clear_error,
    denuded_error,
    mean_overlap,
    object_vote,
    share_error,
    size_bias,
    sizes_agree,
    vote_gain,
)
from micrograph.validate.steels.microstructure_trials import SteelTrial, thresholded
from micrograph.validate.steels.texture_baseline import texture_features

if TYPE_CHECKING:
    from pandas import DataFrame

SEEN: dict[bytes, Micrograph] = {}


@dataclass(frozen=True)
class Remembered:
    """Metals whose truth is known by their image."""

    metals: Any

    def micrograph(self, rng: np.random.Generator) -> Micrograph:
        made: Micrograph = self.metals.micrograph(rng)
        SEEN[made.image.tobytes()] = made
        return made


def knowing(frame: Frame) -> Prediction:
    metal = SEEN[frame.data.tobytes()].metal
    maps = {name: (metal.constituent == place).astype(np.float32) for place, name in enumerate(CONSTITUENTS)}
    carbides = metal.carbides
    maps["particle"] = np.zeros_like(maps["ferrite"]) if carbides is None else carbides.particles
    return Prediction(frame, maps, maps, frame.calibration.pixel_nm or 1.0)


@dataclass(frozen=True)
class Knowing:
    """An analyser that knows the truth."""

    recipe: Any = field(default_factory=lambda: find_recipe("microstructure"))
    predict: Any = field(default=knowing)

    def __call__(self, image: Any, pixel_nm: float) -> Mapping[str, DataFrame]:
        raise AssertionError

    def movie(self, recording: Any) -> Mapping[str, DataFrame]:
        raise AssertionError


@pytest.mark.parametrize("drawn", [False, True])
def test_a_model_that_knows_the_truth_clears_every_bar(drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microstructure_trials, "learned_textures", lambda: lambda image: np.zeros(image.shape, np.intp))
    carbides = CarbideRanges(diameter_px=(6.0, 8.0), covered=(0.15, 0.2), denuded_px=(9.0, 12.0), whole=0.0)
    low: Any = DrawnSteels(side_px=160) if drawn else MetallographySampler(side_px=160, carbides=carbides)
    islands = SteelTrial("islands", Remembered(replace(low, high_carbon=0.0)), 3)
    grains = SteelTrial("grains", Remembered(replace(low, high_carbon=1.0)), 3)
    checks = (
        object_vote(islands, at_least=0.6),
        mean_overlap(islands, at_least=0.97),
        share_error(islands, at_most=0.01),
        calibration_error(islands, at_most=0.01),
        sizes_agree(grains, at_least=0.29),
        size_bias(grains, at_most=0.05),
        denuded_error(grains, at_most=0.3),
        clear_error(grains, at_most=0.05),
        replace(vote_gain(islands), bound=-0.02),
    )
    results = run_checks(checks, Knowing(), np.random.default_rng(3))
    assert [(one.name, one.error) for one in results if not one.passed] == []


def test_thresholds_find_bright_particles_and_leave_the_network() -> None:
    y, x = np.mgrid[:120, :120]
    network = np.abs(x - 60) < 3
    image = 10.0 + 90 * network
    for row in (20, 60, 100):
        image += 80 * (np.hypot(y - row, x - 30) < 5)
    image = image + np.random.default_rng(0).normal(0, 3, image.shape)
    diameters = thresholded(image.astype(np.float32), network).diameter_px
    assert len(diameters) == 3 and diameters == pytest.approx(np.full(3, 10.0), rel=0.15)


def test_the_filter_bank_answers_on_every_pixel() -> None:
    image = np.random.default_rng(1).normal(5, 1, (40, 50)).astype(np.float32)
    found = texture_features(image)
    assert found.shape[1:] == (40, 50) and np.isfinite(found).all()
