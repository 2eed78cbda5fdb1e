"""What every pixel of an image is, learned from a user's own masks of several classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from micrograph.core import BadInput, Calibration, Frame, Sampler
from micrograph.io.class_masks import UNKNOWN_LABEL, ClassNames
from micrograph.io.files import natural
from micrograph.nets import Head, NetSpec

if TYPE_CHECKING:
    from micrograph.infer import Predictor
    from micrograph.io.masks import LabelledImage
    from micrograph.run import Recipe
    from micrograph.train.labelled_masks import Labelled
    from micrograph.validate.class_scores import ClassesCompared, ClassScores
    from micrograph.validate.mask_scores import Compared

#: Share of the objects of a class below whose area objects are left out in an analysis, at most so large (pixels).
_SMALL, _MOST_PX = 0.02, 60


@dataclass(frozen=True)
class Painted:
    """Learns the class of every pixel, with classes of the user's own in place of the recipe's.

    recipe: with a network of one head a class; begins_from: the weights whose body goes on to learn.
    """

    recipe: Recipe
    begins_from: str | None
    classes: tuple[str, ...]
    least_px: int = 1
    goes_on: bool = False

    def sampler(self, own: Sequence[Labelled], number: float) -> Sampler:
        """Return what makes training images of `own`; the recipe's simulated ones know nothing of these classes."""
        from micrograph.train.labelled_classes import LabelledClasses

        return LabelledClasses(tuple(own), self.classes)

    def compare(self, predict: Predictor, images: Mapping[str, Labelled]) -> list[Compared]:
        """Return the confusion of what a model finds in every image with its labels."""
        from micrograph.validate.class_scores import compare_classes

        found: list[Compared] = []
        for index, one in enumerate(images.values()):
            maps = predict(Frame(one.image, index, Calibration(pixel_nm=one.pixel_nm))).maps
            winner = np.stack([maps[name] for name in self.classes]).argmax(axis=0)
            found.append(compare_classes(one.labels, winner, len(self.classes)))
        return found

    def scores(self, compared: Sequence[Compared], rng: np.random.Generator) -> ClassScores:
        """Return the scores of compared images."""
        from micrograph.validate.class_scores import class_scores

        return class_scores(self.classes, cast("Sequence[ClassesCompared]", compared), rng)

    def objects_in(self, images: Sequence[Labelled]) -> int:
        """Return how many connected parts of classes were painted."""
        return sum(len(areas_of(one)) for one in images)

    def about(self) -> dict[str, object]:
        """Return what an analysis with the weights has to know."""
        return {"classes": list(self.classes), "least_object_px": self.least_px}


def paints(recipe: Recipe) -> bool:
    """Return whether a recipe's network names every pixel, rather than outlining objects."""
    heads = recipe.model.heads
    return len(heads) > 1 and all(head.kind == "region" and head.name != "core" for head in heads)


def read_painted(
    recipe: Recipe, images: Sequence[LabelledImage], known: ClassNames
) -> tuple[Painted, dict[str, Labelled]]:
    """Return what learns from images whose pixels have classes, and the images by name.

    Raises `BadInput` where nothing, or only one class, is painted in all of them.
    """
    read = [(name, *_classes_of(files, known), files[0]) for name, files in _by_image(images)]
    classes = _all_names(known, [names for _, _, names, _ in read])
    found = {name: _with_image(one, labels, names, classes) for name, labels, names, one in read}
    there = set(np.unique(np.concatenate([np.unique(one.labels) for one in found.values()]))) - {UNKNOWN_LABEL}
    if len(there) < 2:
        raise BadInput(
            f"The masks show '{classes[int(next(iter(there), 0))]}' alone: paint at least one class beside it, in "
            "colours or numbers of their own."
        )
    assert isinstance(recipe.model, NetSpec)
    heads = tuple(Head(name, "region") for name in classes)
    spec = replace(recipe.model, heads=heads, weights=None)
    areas = np.concatenate([areas_of(one) for one in found.values()])
    least = int(np.clip(np.quantile(areas, _SMALL), 1, _MOST_PX)) if len(areas) else 1
    begins_from = recipe.model.weights or recipe.begins_from
    return Painted(replace(recipe, model=spec), begins_from, classes, least), found


def areas_of(one: Labelled) -> np.typing.NDArray[np.intp]:
    """Return the areas (pixels) of the connected parts of all classes but the first."""
    from scipy import ndimage as ndi

    areas = [np.bincount(ndi.label(one.labels == kind)[0].ravel())[1:] for kind in range(1, int(one.labels.max()) + 1)]
    return np.concatenate([np.zeros(0, np.intp), *areas])


def _by_image(images: Sequence[LabelledImage]) -> list[tuple[str, list[LabelledImage]]]:
    """Return the files of labels of each image, by a name that no other image has."""
    groups: dict[tuple[str, int], list[LabelledImage]] = {}
    for one in images:
        groups.setdefault((str(one.path), one.position), []).append(one)
    names = [files[0].name for files in groups.values()]
    return [
        (name if names.count(name) == 1 else f"{files[0].path.parent.name}/{name}", files)
        for name, files in zip(names, groups.values(), strict=True)
    ]


def _classes_of(
    files: Sequence[LabelledImage], known: ClassNames
) -> tuple[np.typing.NDArray[np.int32], tuple[str, ...]]:
    """Return classes (H, W) and their names: of one file, or of several, each a class that its folder names."""
    if len(files) == 1:
        return files[0].classes(known)
    names = (known.rest, *sorted({one.source.parent.name for one in files}, key=natural))
    if len(names) - 1 != len(files):
        sources = " and ".join(one.source.name for one in files[:2])
        raise BadInput(
            f"{files[0].name} has several labels, {sources}: leave one of them, or put those of each class into a "
            "folder of its name, such as masks/secondary."
        )
    labels = np.zeros(files[0].shape, np.int32)
    for one in files:
        painted = one.objects()[0] > 0
        labels[painted] = names.index(one.source.parent.name)
    return labels, names


def _all_names(known: ClassNames, each: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of all classes: what is unpainted, those that were named, the others in natural order."""
    first = each[0][0] if each else known.rest
    others = sorted({name for names in each for name in names}, key=natural)
    there = {name for names in each for name in names}
    return tuple(dict.fromkeys([first, *(name for name in known.names if name in there), *others]))


def _with_image(
    one: LabelledImage, labels: np.typing.NDArray[np.int32], names: Sequence[str], classes: Sequence[str]
) -> Labelled:
    from micrograph.train.labelled_masks import Labelled

    frame = one.frame()
    place = np.array([*(classes.index(name) for name in names), UNKNOWN_LABEL], np.int32)
    return Labelled(frame.data, place[labels], tuple(names), frame.calibration.pixel_nm or 1.0)
