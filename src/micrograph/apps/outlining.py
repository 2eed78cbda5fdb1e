"""Masks of objects, learned from a user's own labels mixed with simulated ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import BadInput, Calibration, Frame, Sampler

if TYPE_CHECKING:
    from micrograph.infer import Predictor
    from micrograph.io.masks import LabelledImage
    from micrograph.nets import NetSpec
    from micrograph.run import Recipe
    from micrograph.train.labelled_masks import Labelled
    from micrograph.validate.mask_scores import Compared, MaskScores


@dataclass(frozen=True)
class Outlined:
    """Learns masks of objects, from labelled images mixed with the recipe's simulated ones."""

    recipe: Recipe
    goes_on: bool = True

    @property
    def begins_from(self) -> str | None:
        """The recipe's own weights, or those that these begin from."""
        return self.recipe.model.weights or self.recipe.begins_from

    def sampler(self, own: Sequence[Labelled], number: float) -> Sampler:
        """Return labelled images mixed with simulated ones."""
        from micrograph.train.labelled_masks import LabelledMasks, Mixed, own_share

        return Mixed(LabelledMasks(tuple(own), region_of(self.recipe)), simulated_by(self.recipe), own_share(number))

    def compare(self, predict: Predictor, images: Mapping[str, Labelled]) -> list[Compared]:
        """Return the comparison of the objects that are found."""
        return compare_all(self.recipe, predict, images)

    def scores(self, compared: Sequence[Compared], rng: np.random.Generator) -> MaskScores:
        """Return scores of masks and of objects."""
        from micrograph.validate.mask_scores import mask_scores

        return mask_scores(compared, rng)

    def objects_in(self, images: Sequence[Labelled]) -> int:
        """Return how many objects have a label."""
        return sum(len(np.unique(one.labels)) - 1 for one in images)

    def about(self) -> dict[str, Any]:
        """Return nothing: the recipe knows all."""
        return {}


def network_of(recipe: Recipe) -> NetSpec:
    """Return the network of a recipe that outlines objects."""
    from micrograph.nets import NetSpec

    assert isinstance(recipe.model, NetSpec)
    return recipe.model


def region_of(recipe: Recipe) -> str:
    """Return the name of the mask that a recipe's network learns beside 'core'; refuse recipes that outline nothing."""
    names = [head.name for head in recipe.model.heads if head.kind == "region" and head.name != "core"]
    if "core" not in recipe.model.names or len(names) != 1:
        from micrograph.recipes import RECIPES, find_recipe

        known = [one for one in RECIPES if "core" in find_recipe(one).model.names and find_recipe(one).training]
        raise BadInput(
            f"Recipe '{recipe.name}' learns no masks of objects, so --labels does not suit it: those that do are "
            f"{', '.join(known) or 'none'}."
        )
    return names[0]


def simulated_by(recipe: Recipe) -> Sampler:
    """Return what simulates images for a recipe."""
    from micrograph.run import Learner, Preparer, Searcher, SelfTaught

    if isinstance(recipe.data, Learner | Searcher | Preparer | SelfTaught):
        raise BadInput(f"Recipe '{recipe.name}' learns from each recording when that is analysed, not from labels.")
    return recipe.data


def read_all(recipe: Recipe, images: Sequence[LabelledImage]) -> tuple[dict[str, Labelled], int]:
    """Return all images with their labels by name, binned as recordings are for the recipe, and that binning."""
    from micrograph.train.labelled_masks import Labelled, binned

    read = {}
    for one in images:
        labels, names = one.objects()
        frame = one.frame()
        read[one.name] = Labelled(frame.data, labels, names, frame.calibration.pixel_nm or 1.0)
    number = suitable_bin(recipe, list(read.values()))
    return {name: binned(one, number) for name, one in read.items()}, number


def suitable_bin(recipe: Recipe, images: Sequence[Labelled]) -> int:
    """Return how far labelled images may be binned for a recipe's network: the rule of recordings, for all of them."""
    from micrograph.run.binning import BINS, LEAST_SIDE, alike_px, is_wide_enough, small_diameter

    diameter = float(np.median([small_diameter(one.labels) for one in images]))
    alike = float(np.median([alike_px(one.image) for one in images]))
    side, model = min(min(one.image.shape) for one in images), network_of(recipe)
    fits = (n for n in BINS if side // n >= LEAST_SIDE and is_wide_enough(model, n, diameter / n, alike))
    return next(fits, 1)


def compare_all(recipe: Recipe, predict: Predictor, images: Mapping[str, Labelled]) -> list[Compared]:
    """Return the comparison of what a model finds in every image with its labels."""
    from micrograph.features.objects.instances import find_objects
    from micrograph.validate.mask_scores import compare

    region, stage = region_of(recipe), recipe.objects
    limits = {name: getattr(stage, name) for name in ("threshold", "rise") if hasattr(stage, name)}
    least = round(np.pi / 4 * getattr(stage, "least_diameter_px", 4.0) ** 2)
    found = []
    for index, one in enumerate(images.values()):
        maps = predict(Frame(one.image, index, Calibration(pixel_nm=one.pixel_nm))).maps
        objects = find_objects(maps[region], maps["core"], least_px=least, **limits)
        found.append(compare(one.labels, objects.labels))
    return found
