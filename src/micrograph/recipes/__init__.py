"""The reviewed systems, one short file each. `RECIPES` is the list: add a name here and nowhere else."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from micrograph.core import BadInput

if TYPE_CHECKING:
    from micrograph.core import Calibration
    from micrograph.run import Recipe

__all__ = ["RECIPES", "find_recipe", "require_suited"]

RECIPES = (
    "atoms",
    "graphene-dopants",
    "tmd-defects",
    "movie-defects",
    "dopant-motion",
    "edge-states",
    "disorder",
    "defect-strain",
    "defect-library",
    "particle-shapes",
    "liquid-cell",
    "pores",
    "particle-search",
    "crystal-defects",
    "pacbed",
    "virtual-detectors",
    "crystal-class",
    "crystal-symmetry",
    "nanotube-chirality",
    "dumbbells",
    "lattice-types",
    "surface-lattice",
    "stm-tip",
    "octahedral-tilts",
    "hrtem-columns",
    "column-heights",
    "unmix",
    "edx-tomography",
    "edx-denoise",
    "denoise",
    "compressed-movie",
    "plasmon-spectra",
    "partial-scan",
    "microstructure",
    "sem-superres",
    "segregation",
    "molecule-states",
    "sem-class",
    "few-shot",
)


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`; refuse an unknown one with a sentence that lists the known ones."""
    if name not in RECIPES:
        raise BadInput(f"There is no recipe '{name}': the recipes are {', '.join(RECIPES)}.")
    recipe: Recipe = importlib.import_module(f"micrograph.recipes.{name.replace('-', '_')}").RECIPE
    return recipe


#: So many recipes are named in a sentence, more are counted.
_NAMED = 6


def require_suited(recipe: Recipe, calibration: Calibration) -> None:
    """Raise `BadInput` where a recipe cannot look at a recording, with the names of those that can."""
    from micrograph.run import require_calibration
    from micrograph.run.streaming import CONTENTS

    if calibration.content not in recipe.task.takes:
        taken = " or ".join(dict.fromkeys(CONTENTS[content] for content in recipe.task.takes))
        fitting = [name for name in RECIPES if calibration.content in find_recipe(name).task.takes]
        named = ", ".join(fitting) if len(fitting) <= _NAMED else f"{len(fitting)}, see 'micrograph recipes'"
        raise BadInput(
            f"Recipe '{recipe.name}' takes {taken}, but the recording holds {CONTENTS[calibration.content]}: choose "
            f"another signal of the file with --signal, or a recipe for these ({named or 'none so far'})."
        )
    require_calibration(recipe, calibration)
