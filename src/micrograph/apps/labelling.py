"""Weights from a user's own labels, what they are worth on labels they have not seen, and what one more would bring."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.apps.jobs import Advance, silent
from micrograph.apps.making import check_weights_path
from micrograph.core import BadInput, Calibration, Frame, Sampler
from micrograph.core.provenance import digest, made_folder

if TYPE_CHECKING:
    from micrograph.apps.making import Material
    from micrograph.infer import Predictor
    from micrograph.io.masks import LabelledImage
    from micrograph.nets import Checkpoint, NetSpec
    from micrograph.run import Recipe
    from micrograph.train.labelled_masks import Labelled
    from micrograph.validate.mask_scores import Compared, LearningCurve, MaskScores

#: Steps of a training, and of each of those that make the learning curve; peak of the learning rate where weights
#: that know something learn on.
STEPS, CURVE_STEPS, LEARNING_RATE = 1500, 200, 1e-3
#: Share of the images that are held out of the training, and of the image where there is only one.
_HELD_OUT, _HELD_OUT_OF_ONE = 0.25, 0.4


@dataclass(frozen=True)
class OwnLabels:
    """The folder of labels; images: how many of them to learn from (the others are held out); curve: whether to say
    what one more would bring, which takes as long again.
    """

    folder: Path
    images: int | None = None
    curve: bool = True


@dataclass(frozen=True)
class LabelReport:
    """What a training from labels learned from, and its scores on what was held out.

    before: the weights it began from, ``None`` where it began anew; curve: ``None`` where it was not asked for.
    """

    learned_from: tuple[str, ...]
    held_out: tuple[str, ...]
    objects: int
    before: MaskScores | None
    after: MaskScores
    curve: LearningCurve | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the card of the weights."""
        return {
            "learned_from": list(self.learned_from),
            "held_out": list(self.held_out),
            "objects": self.objects,
            "before": None if self.before is None else self.before.as_dict(),
            "after": self.after.as_dict(),
            "curve": None if self.curve is None else self.curve.as_dict(),
        }


@dataclass(frozen=True)
class Split:
    """Labelled images by name: those to learn from, and those that are held out."""

    learn: Mapping[str, Labelled]
    held_out: Mapping[str, Labelled]


@dataclass(frozen=True)
class Lesson:
    """How to train: the recipe whose network, simulated images and settings are used, and what is kept where."""

    recipe: Recipe
    begins_from: str | None
    steps: int
    seed: int
    resume: bool
    key: str

    def learned(self, own: Sequence[Labelled], number: float, out: Path, progress: Advance) -> Checkpoint:
        """Return weights that learned from `own` images, `number` in all, and write them to `out`.

        What a run with the same key has finished is read, what it began is gone on with.
        """
        from micrograph.nets import load, read_card
        from micrograph.train import TrainSettings, train
        from micrograph.train.labelled_masks import LabelledMasks, Mixed, mirrored_out, own_share

        if self.resume and out.is_file() and read_card(out).get("labels", {}).get("key") == self.key:
            return load(out)
        simulated = simulated_by(self.recipe)
        spread = tuple(mirrored_out(one, network_of(self.recipe).patch) for one in own)
        sampler = Mixed(LabelledMasks(spread, region_of(self.recipe)), simulated, own_share(number))
        settings = self.recipe.training or TrainSettings()
        settings = replace(settings, steps=self.steps, seed=self.seed, calibration_samples=100)
        if self.begins_from is not None:
            settings = replace(settings, learning_rate=LEARNING_RATE)
        domain = getattr(simulated, "domain", dict)
        return train(
            sampler,
            network_of(self.recipe),
            settings,
            out,
            resume=self.resume,
            progress=lambda done, total, loss: progress(done, total, f"loss {loss:.4f}"),
            card={"recipe": self.recipe.name, "domain": domain(), "labels": {"key": self.key}},
            begin_from=self.begins_from,
        )


def train_on_labels(
    name: str,
    own: OwnLabels,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = True,
    progress: Advance = silent,
) -> LabelReport:
    """Train the weights of a recipe on from a user's own labels, write them with their card to `out`, and judge them.

    The recipe's shipped weights go on to learn from the labelled images, mixed with simulated ones. A quarter of the
    images (or a part of the only one) is held out, and scored before and after.
    """
    from micrograph.io.masks import read_labels
    from micrograph.recipes import find_recipe

    recipe = find_recipe(name)
    check_weights_path(out)
    region_of(recipe)
    simulated_by(recipe)
    images = read_labels(own.folder)
    return learn_labels(recipe, images, own, out, steps=steps, seed=seed, resume=resume, progress=progress)


def check_alone(material: Material) -> None:
    """Refuse a structure or microscope that is given together with labels."""
    if material.given:
        raise BadInput(
            "--labels was given with --structure, --voltage or --pixel-size: labels tell what objects look like, so "
            "leave these out."
        )


def learn_labels(
    recipe: Recipe,
    images: Sequence[LabelledImage],
    own: OwnLabels,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = True,
    progress: Advance = silent,
) -> LabelReport:
    """Do what `train_on_labels` does, for a recipe and labelled images at hand."""
    read, bin_ = read_all(recipe, images)
    split = split_images(read, own.images)
    begins_from = recipe.model.weights or recipe.begins_from
    steps = steps or STEPS
    digests = {one.name: one.digests() for one in images}
    key = _key(recipe, digests, own.images, begins_from, steps, seed)
    made_folder(out.parent)
    lesson = Lesson(recipe, begins_from, steps, seed, resume, key)
    numbers = curve_numbers(len(split.learn)) if own.curve else ()
    short = replace(lesson, steps=min(steps, CURVE_STEPS))
    total = steps + len(numbers) * short.steps
    number, learn = len(split.learn), list(split.learn.values())
    checkpoint = lesson.learned(learn, number, out, _part_of(progress, 0, total))
    before = None if begins_from is None else _judged(recipe, begins_from, split, seed)
    after = _judged(recipe, out, split, seed)
    curve = None
    if numbers:
        curve = _curve(short, split, numbers, out, _Bar(progress, steps, total))
    objects = sum(len(np.unique(one.labels)) - 1 for one in learn)
    report = LabelReport(tuple(split.learn), tuple(split.held_out), objects, before, after, curve)
    _write(out, checkpoint, {**report.as_dict(), "key": key, "bin": bin_, "digests": digests})
    return report


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


def split_images(images: Mapping[str, Labelled], learn: int | None) -> Split:
    """Return which images to learn from, `learn` of them or three quarters, spread evenly over all, and the others.

    Of a single image the larger part is learned from, the other held out.
    """
    if learn is not None and not 1 <= learn <= len(images):
        raise BadInput(f"--images is {learn}: there are {len(images)} labelled images to learn from.")
    if len(images) == 1 or learn == len(images):
        return _split_within(images)
    number = learn or len(images) - max(1, round(_HELD_OUT * len(images)))
    names = list(images)
    chosen = (
        {names[i] for i in np.rint(np.linspace(0, len(names) - 1, number)).astype(int)} if number > 1 else {names[0]}
    )
    return Split(
        {name: one for name, one in images.items() if name in chosen},
        {name: one for name, one in images.items() if name not in chosen},
    )


def _split_within(images: Mapping[str, Labelled]) -> Split:
    """Return the first part of every image to learn from, and its last part."""
    learn = {name: part(one, 0, 1 - _HELD_OUT_OF_ONE) for name, one in images.items()}
    held = {f"{name} (held-out part)": part(one, 1 - _HELD_OUT_OF_ONE, 1) for name, one in images.items()}
    for name, one in (*learn.items(), *held.items()):
        if not (one.labels > 0).any():
            raise BadInput(
                f"{name} has all its labels in one place, so that none is left to judge the model by: label objects "
                "all over the image, or a second image."
            )
    return Split(learn, held)


def part(one: Labelled, first: float, last: float) -> Labelled:
    """Return the part of a labelled image between two shares of its longer side."""
    axis = int(one.image.shape[1] >= one.image.shape[0])
    begin, end = (round(share * one.image.shape[axis]) for share in (first, last))
    cut = (slice(None), slice(begin, end)) if axis else (slice(begin, end), slice(None))
    return replace(one, image=np.ascontiguousarray(one.image[cut]), labels=np.ascontiguousarray(one.labels[cut]))


def curve_numbers(images: int) -> tuple[float, ...]:
    """Return of how many images each short training learns: parts of an image where there are fewer than three."""
    return {1: (0.25, 0.5, 1.0), 2: (0.5, 1.0, 2.0)}.get(images, (1.0, float((images + 1) // 2), float(images)))


def taken(images: Sequence[Labelled], number: float) -> list[Labelled]:
    """Return so many of the images, spread evenly; below one, that part of the first."""
    if number < 1:
        return [part(images[0], 0, number)]
    places = np.rint(np.linspace(0, len(images) - 1, int(number))).astype(int) if number > 1 else [0]
    return [images[place] for place in places]


def _curve(lesson: Lesson, split: Split, numbers: Sequence[float], out: Path, bar: _Bar) -> LearningCurve:
    """Return the learning curve of short trainings, each tried on what is held out."""
    from micrograph.infer import load_predictor
    from micrograph.validate.mask_scores import learning_curve

    kept = made_folder(out.with_name(f"{out.stem}-curve"))
    compared = []
    for place, number in enumerate(numbers):
        weights = kept / f"{number:g}.safetensors"
        some = taken(list(split.learn.values()), number)
        lesson.learned(some, number, weights, bar.part(place * lesson.steps))
        compared.append(compare_all(lesson.recipe, load_predictor(weights), split.held_out))
    shutil.rmtree(kept)
    return learning_curve(numbers, compared, np.random.default_rng(lesson.seed))


def compare_all(recipe: Recipe, predict: Predictor, images: Mapping[str, Labelled]) -> list[Compared]:
    """Return the comparison of what a model finds in every image with its labels."""
    from micrograph.features.instances import find_objects
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


def _judged(recipe: Recipe, weights: str | Path, split: Split, seed: int) -> MaskScores:
    from micrograph.infer import load_predictor
    from micrograph.validate.mask_scores import mask_scores

    compared = compare_all(recipe, load_predictor(weights), split.held_out)
    return mask_scores(compared, np.random.default_rng(seed))


@dataclass(frozen=True)
class _Bar:
    """One progress bar for several trainings: `done` steps of `total` lie behind."""

    progress: Advance
    done: int
    total: int

    def part(self, behind: int) -> Advance:
        """Return the function that a training tells how far it is."""
        return _part_of(self.progress, self.done + behind, self.total)


def _part_of(progress: Advance, done: int, total: int) -> Advance:
    return lambda now, _, note: progress(done + now, total, note)


def _key(recipe: Recipe, *what: object) -> str:
    """Return a digest of all that decides what is learned."""
    from micrograph.nets import find_weights

    begins = [digest(find_weights(one)) for one in what if isinstance(one, str)]
    text = json.dumps([recipe.name, recipe.model.as_dict(), *what, *begins], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(out: Path, checkpoint: Checkpoint, about: Mapping[str, Any]) -> None:
    """Write the weights once more, with what their card says of the labels."""
    from micrograph.nets import save

    save(out, replace(checkpoint, card={**checkpoint.card, "labels": dict(about)}))
