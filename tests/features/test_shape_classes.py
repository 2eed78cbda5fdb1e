"""Classes of shapes: found without labels, as many as there are, whatever the sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from micrograph.core import BadInput
from micrograph.features.objects.shape_classes import DESCRIPTORS, OTHER, learn_shapes, name_of

sys.path.insert(0, str(Path(__file__).parent))
from outlined_shapes import objects_of

NAMES = {"sphere": "round", "rod": "rod", "cube": "square", "triangle": "triangle", "hexagon": "hexagon"}


def _drawn(shares: dict[str, float], count: int, rng: np.random.Generator) -> list[str]:
    return [str(name) for name in rng.choice(list(shares), count, p=list(shares.values()))]


@pytest.mark.parametrize("sigma_px", [0.3, 1.0])
def test_four_shapes_are_told_apart_and_named(sigma_px: float) -> None:
    rng = np.random.default_rng(2)
    shapes = _drawn({"sphere": 0.4, "rod": 0.3, "cube": 0.2, "triangle": 0.1}, 300, rng)
    objects = objects_of(shapes, rng, sigma_px=sigma_px)
    found = learn_shapes(objects, np.random.default_rng(0))(objects)
    assert adjusted_rand_score(shapes, found.shape) >= 0.95
    for shape in set(shapes):
        assert np.mean(found.shape == NAMES[shape]) == pytest.approx(np.mean(np.array(shapes) == shape), abs=0.03)
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(300))
    assert (found.score >= 0.5).all()


@pytest.mark.parametrize("shape", ["sphere", "rod", "cube", "triangle", "hexagon"])
def test_one_shape_of_many_sizes_is_one_class(shape: str) -> None:
    rng = np.random.default_rng(3)
    objects = objects_of([shape] * 150, rng, radius_px=(8, 50))
    found = learn_shapes(objects, np.random.default_rng(0))(objects)
    assert np.mean(found.shape == NAMES[shape]) >= 0.98


def test_what_has_no_shape_is_other() -> None:
    rng = np.random.default_rng(1)
    singles = objects_of(["sphere"] * 100 + ["cube"] * 100, rng)
    objects = pd.concat([singles, objects_of(["clump"] * 40, rng, (15, 55))], ignore_index=True)
    found = learn_shapes(objects, np.random.default_rng(0))(objects)
    clump = np.arange(240) >= 200
    assert np.mean(found.shape[clump] == OTHER) >= 0.7
    assert np.mean(found.shape[~clump] == OTHER) <= 0.04


def test_the_same_rng_gives_the_same_classes() -> None:
    rng = np.random.default_rng(5)
    objects = objects_of(_drawn({"sphere": 0.5, "triangle": 0.5}, 120, rng), rng)
    first, again = (learn_shapes(objects, np.random.default_rng(8))(objects) for _ in range(2))
    assert (first.shape == again.shape).all()
    assert first.posterior == pytest.approx(again.posterior)


def test_few_objects_gaps_and_none_are_no_error() -> None:
    rng = np.random.default_rng(6)
    objects = objects_of(["sphere"] * 5, rng)
    model = learn_shapes(objects, rng)
    assert set(model(objects).shape) == {"round"}
    gap = objects.assign(aspect=np.nan)
    assert set(model(gap).shape) == {OTHER}
    none = pd.DataFrame({name: np.zeros(0) for name in ("area_nm2", *DESCRIPTORS)})
    assert len(learn_shapes(none, rng)(none).shape) == 0
    with pytest.raises(BadInput, match="solidity"):
        learn_shapes(objects.drop(columns="solidity"), rng)


def test_names_follow_the_symmetry_of_the_outline() -> None:
    plain = dict.fromkeys(DESCRIPTORS, 0.004) | {"aspect": 1.05, "solidity": 0.98, "convexity": 0.99}
    assert name_of(plain) == "round"
    assert name_of(plain | {"aspect": 1.4, "fourier_2": 0.17}) == "oval"
    assert name_of(plain | {"aspect": 3.0, "fourier_2": 0.5, "fourier_4": 0.05}) == "rod"
    assert name_of(plain | {"fourier_3": 0.28, "fourier_6": 0.05}) == "triangle"
    assert name_of(plain | {"fourier_4": 0.14}) == "square"
    assert name_of(plain | {"fourier_4": 0.2, "solidity": 0.9}) == "concave"
    assert name_of(plain | {"fourier_6": 0.05}) == "hexagon"
    assert name_of(plain | {"fourier_5": 0.09, "fourier_4": 0.07, "aspect": 1.45}) == ""
