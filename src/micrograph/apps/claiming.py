"""The job behind `micrograph validate NAME --intervals`: intervals of what a recipe claims, measured and shipped."""

from __future__ import annotations

from dataclasses import replace

from micrograph.core import BadInput
from micrograph.run import Analyser, Predict, Recipe
from micrograph.run.trusting import digest_of, plain_settings, with_intervals
from micrograph.validate.checks import Progress
from micrograph.validate.claims import measured_intervals
from micrograph.validate.measured import Intervals, record_intervals


def measure_intervals(
    recipe: Recipe, predict: Predict | None, *, record: bool = False, progress: Progress | None = None
) -> Recipe:
    """Return the recipe with the intervals of its claims, measured on fresh simulations; `record` ships them.

    Raises `BadInput` for a recipe that claims nothing.
    """
    if recipe.trust is None:
        raise BadInput(f"Recipe '{recipe.name}' claims no number whose intervals could be measured.")
    claims = measured_intervals(recipe.name, recipe.trust, Analyser(replace(recipe, trust=None), predict), progress)
    if record:
        found = Intervals(digest_of(recipe, predict), plain_settings(recipe), recipe.trust.frames, claims)
        record_intervals(recipe.name, found)
    return with_intervals(recipe, claims)
