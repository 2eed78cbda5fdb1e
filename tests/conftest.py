"""What tests of several rooms share: every recipe's predictor, loaded once, and a toy recipe without a network."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

from micrograph.core import Calibration, Recording
from micrograph.recipes import find_recipe
from micrograph.run import Predict, Searcher, learned
from micrograph.simulate import Microscope, ParticleSampler, Scan, adf, expose
from micrograph.structures import tmd, with_chalcogen_vacancies, with_dopants

#: The suite says the same of the same code: examples follow from the tests, not from chance.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def defective_layer(size_px: int = 256, pixel_nm: float = 0.02, seed: int = 3) -> Recording:
    """Return one image of WS2 with molybdenum and sulphur vacancies, enough of them to learn from."""
    rng = np.random.default_rng(seed)
    atoms = with_dopants(tmd("WS2", size_px * pixel_nm, rotation_deg=11.0), "Mo", 0.03, rng)
    atoms = with_chalcogen_vacancies(atoms, 0.03, rng)
    microscope = Microscope(voltage_kV=80.0, inner_mrad=65.0, outer_mrad=200.0)
    fraction = adf(atoms, microscope, pixel_nm=pixel_nm, shape=(size_px, size_px), thermal_nm=0.005)
    image = expose(fraction, Scan(dose_e_per_A2=2e5), pixel_nm, rng)
    return Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel_nm), image.shape, name="WS2")


def particles(size_px: int = 112, pixel_nm: float = 0.02) -> Recording:
    """Return one image of dark particles that stand apart."""
    sampler = ParticleSampler(
        side_px=size_px, diameter_px=(14, 20), contrast_to_noise=(4, 6), covered=(0.15, 0.25), gaps=("apart",),
        bright=0.0, liquid=0.0, empty=0.0,
    )  # fmt: skip
    image = sampler(np.random.default_rng(8)).image
    return Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel_nm), image.shape, name="particles")


@pytest.fixture(scope="session")
def predictor_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Predict]:
    """Return the predictor of a recipe's shipped weights by its name; of a learner, one that has learned a little."""
    from micrograph.apps.models import predictor

    def of(name: str) -> Predict:
        recipe = find_recipe(name)
        if recipe.learner is None:
            return predictor(recipe, ())
        folder = Path(tmp_path_factory.mktemp("learned"))
        if isinstance(recipe.learner, Searcher):
            return learned(recipe.with_settings({"seconds": 3.0}), particles(), folder / "model.toml")
        weights = folder / "model.safetensors"
        return learned(recipe.with_settings({"steps": 40}), defective_layer(), weights)

    return functools.cache(of)


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Return the module of the toy recipe (toy.py)."""
    spec = importlib.util.spec_from_file_location("micrograph_toy_recipe", Path(__file__).with_name("toy.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
