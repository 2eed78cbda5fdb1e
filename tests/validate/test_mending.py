"""Mending: the settings that frames speak of, what is tried, and that nothing worse is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from micrograph.nets import Checkpoint, Head, NetSpec, build
from micrograph.simulate import StemSampler
from micrograph.simulate.settings import at_places, with_ranges
from micrograph.structures import random_graphene
from micrograph.train.settings import TrainSettings
from micrograph.validate.intervals import Interval
from micrograph.validate.mending import MendSettings, agreement, images_like, mend, predictor_of
from micrograph.validate.shifts import clean

SPEC = NetSpec(heads=(Head("atom", "spots", ("C", "Si")),), base=4, levels=2, pixel_nm=0.03, patch=32)
SAMPLER = clean(StemSampler(random_graphene, field_nm=1.2))
HASTY = MendSettings(
    draws=12, judges=2, training=TrainSettings(steps=2, batch=2, workers=0, calibration_samples=2, precision="32-true")
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(SPEC, {f"net.{name}": part for name, part in build(SPEC).state_dict().items()}, {})


def test_everything_is_tried_and_judged_and_the_network_as_it_is_comes_first(checkpoint: Checkpoint) -> None:
    frame = with_ranges(SAMPLER, {"pixel_nm": (0.02, 0.02)})(np.random.default_rng(0)).image
    found = mend(checkpoint, SAMPLER, [frame], 0.02, settings=HASTY, rng=np.random.default_rng(1))
    names = [one.name for one in found.attempts]
    assert names[0] == "as it is" and "learned on" in names[-1] and len(names) == 9
    assert all(0 <= one.f1 <= 1 for one in found.attempts)
    assert found.best in found.attempts
    assert {"pixel_nm", "claimed", "turned", "defocus_nm"} <= set(found.like.domain())


def test_what_is_no_better_than_chance_is_not_kept(checkpoint: Checkpoint) -> None:
    frame = with_ranges(SAMPLER, {"pixel_nm": (0.02, 0.02)})(np.random.default_rng(0)).image
    found = mend(checkpoint, SAMPLER, [frame], 0.02, settings=HASTY, rng=np.random.default_rng(1))
    assert not replace(found, best=found.attempts[0], gain=Interval(0.5, 0.4, 0.6)).worth_it
    assert not replace(found, best=found.attempts[-1], gain=Interval(0.1, -0.1, 0.3)).worth_it
    assert replace(found, best=found.attempts[-1], gain=Interval(0.2, 0.1, 0.3)).worth_it


def test_frames_of_few_electrons_speak_of_few_electrons() -> None:
    told = []
    for place in (0.0, 1.0):
        bright = with_ranges(at_places(SAMPLER, {"dose_e_per_A2": place}), {"pixel_nm": (0.025, 0.025)})
        frames = [bright(np.random.default_rng(seed)).image for seed in (1, 2)]
        like = images_like(frames, 0.025, SAMPLER, SPEC, 60, np.random.default_rng(0))
        told.append(like.quantile("dose_e_per_A2", 0.5))
    assert told[0] < 0.5 * told[1]


def test_a_network_agrees_with_itself_where_its_answers_turn_with_the_image(checkpoint: Checkpoint) -> None:
    predict = predictor_of(checkpoint)
    assert agreement(predict, [np.random.default_rng(0).normal(0, 1, (40, 40)).astype(np.float32)], 0.03) <= 1.0
