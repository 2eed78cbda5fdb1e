"""Frames of rising disorder come out in that order, given a network that errs nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from micrograph.core import Calibration, Frame, Prediction, Sample
from micrograph.recipes.disorder import RECIPE
from micrograph.structures import graphene, random_displacements, sites_of
from micrograph.train.targets import example
from micrograph.validate.layers.planted_order import Scenery

SCENE = Scenery(frames=6, size_nm=2.6, pixel_nm=0.025)


def tables() -> tuple[dict[str, pd.DataFrame], np.ndarray, np.ndarray]:
    """Return the tables of the whole recipe, and turn (degrees) and disorder (nm) of each frame."""
    rng = np.random.default_rng(5)
    turns, disorder = rng.uniform(0, 60, SCENE.frames), np.linspace(0, 0.03, SCENE.frames)
    recipe = RECIPE.with_settings({"seeds": 2, "classes": 1, "rounds": 25})
    state = recipe.summary.start()
    for index, (turn, spread) in enumerate(zip(turns, disorder, strict=True)):
        atoms = random_displacements(graphene(SCENE.size_nm, rotation_deg=float(turn)), float(spread), rng)
        image = SCENE.image(atoms, rng)
        clean = {"contamination": np.zeros_like(image)}
        _, targets = example(Sample(image, SCENE.pixel_nm, sites_of(atoms), clean), recipe.model)
        maps = {name: 0.999 * t.numpy() for name, t in zip(recipe.model.names, targets, strict=True)}
        none = {name: np.zeros_like(values) for name, values in maps.items()}
        frame = Frame(image, index, Calibration(pixel_nm=SCENE.pixel_nm, voltage_kV=60.0))
        found = dict(recipe.objects(Prediction(frame, maps, none, recipe.model.pixel_nm)))
        found["frames"] = found["frames"].assign(t_s=0.5 * index)
        state = recipe.summary.step(state, found)
    return dict(recipe.summary.result(state)), turns, disorder


def test_frames_of_rising_disorder_lose_order_and_keep_their_orientation() -> None:
    found, turns, disorder = tables()
    order = found["order"]
    assert spearmanr(order["order"], disorder).statistic < -0.9
    np.testing.assert_allclose(order["t_s"], 0.5 * np.arange(SCENE.frames))
    # A zigzag row runs along the turn; bonds are 30 degrees off it.
    off = (order["angle_deg"] - turns - 30 + 30) % 60 - 30
    assert (np.abs(off) < 2.0).all()
    assert found["crops"]["order"].between(0, 1).all() and (found["crops"]["class"] == "k1").all()
    assert len(found["stability"]) == 1 and found["stability"]["rho"].iloc[0] > 0.9
    assert found["summary"].set_index("name").loc["all", "count"] == len(found["crops"])


def test_before_there_is_enough_to_learn_from_the_tables_are_there_and_empty() -> None:
    fold = replace(RECIPE.summary, classes=3)
    found = fold.result(fold.start())
    assert {name for name, table in found.items() if len(table)} == {"summary"}
    assert (found["summary"]["count"] == 0).all()
    for name, columns in RECIPE.task.answers.items():
        if name in found:
            assert {column.name for column in columns} <= set(found[name])
