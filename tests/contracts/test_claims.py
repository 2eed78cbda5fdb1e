"""What every recipe keeps to that claims numbers: they are in its answers, and have a truth on its draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from micrograph.recipes import RECIPES, find_recipe
from micrograph.run import Analyser, Predict
from micrograph.validate.choices import Choice
from micrograph.validate.claims import Claim, passed

CLAIMING = [name for name in RECIPES if find_recipe(name).trust is not None]


@pytest.mark.parametrize("name", CLAIMING)
def test_claims_are_among_the_answers_and_have_checks(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.trust is not None
    checks = [check.name for check in recipe.checks]
    for claim in recipe.trust.claims:
        promised = recipe.task.answers[claim.table]
        names = {one.name for one in promised} | {one.sigma for one in promised}
        assert claim.column in names
        if isinstance(claim, Claim):
            assert set(claim.scale) <= names
            assert claim.sigma in ("", next(one.sigma for one in promised if one.name == claim.column))
        assert any(check.startswith(f"intervals of {claim}:") for check in checks)


@pytest.mark.parametrize("name", CLAIMING)
def test_claims_have_a_truth_that_errors_and_widths_follow_from(
    name: str, predictor_of: Callable[[str], Predict]
) -> None:
    recipe = find_recipe(name)
    assert recipe.trust is not None
    analyser = Analyser(replace(recipe, trust=None), None if recipe.learner else predictor_of(name))
    found = passed(recipe.trust.draw, recipe.trust.claims, analyser, np.random.default_rng(2), 3)
    for claim, draws in zip(recipe.trust.claims, found, strict=True):
        truth = np.concatenate([rows.truth for rows in draws])
        value = np.concatenate([rows.table[claim.column].to_numpy(float) for rows in draws])
        assert len(truth) > 0
        if isinstance(claim, Choice):
            assert truth.sum() == len([rows for rows in draws if len(rows.truth)])
            continue
        assert np.median(np.abs(truth - value)) < 0.75 * np.abs(truth).max()
