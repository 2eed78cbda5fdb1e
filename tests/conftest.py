"""What tests of several rooms share: every recipe's predictor, loaded once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from micrograph.infer import Predictor
from micrograph.recipes import find_recipe


@pytest.fixture(scope="session")
def predictor_of() -> Callable[[str], Predictor]:
    """Return the predictor of a recipe's shipped weights by the recipe's name."""
    from micrograph.apps.jobs import predictor

    return functools.cache(lambda name: predictor(find_recipe(name), ()))
