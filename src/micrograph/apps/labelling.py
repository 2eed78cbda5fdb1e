"""Weights from a user's own labels, what they are worth on labels they have not seen, and what one more would bring."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from micrograph.apps.jobs import Advance, silent
from micrograph.apps.label_splits import Split, curve_numbers, own_split, split_images, taken
from micrograph.apps.making import check_weights_path
from micrograph.apps.outlining import Outlined, network_of, read_all, region_of, simulated_by
from micrograph.apps.painting import paints, read_painted
from micrograph.core import BadInput, Sampler
from micrograph.core.provenance import digest, made_folder

if TYPE_CHECKING:
    from micrograph.apps.making import Material
    from micrograph.infer import Predictor
    from micrograph.io.masks import LabelledImage
    from micrograph.nets import Checkpoint
    from micrograph.run import Recipe
    from micrograph.train.labelled_masks import Labelled
    from micrograph.validate.class_scores import ClassScores
    from micrograph.validate.mask_scores import Compared, LearningCurve, MaskScores

#: Steps of a training, and of each of those that make the learning curve; peak of the learning rate where weights
#: that know something learn on.
STEPS, CURVE_STEPS, LEARNING_RATE = 1500, 200, 1e-3


@dataclass(frozen=True)
class OwnLabels:
    """The folder of labels; images: how many of them to learn from (the others are held out); curve: whether to say
    what one more would bring, which takes as long again; classes: names of what is painted,
    ``name=0,0,255; other=2``, for recipes that name every pixel.
    """

    folder: Path
    images: int | None = None
    curve: bool = True
    classes: str = ""


@dataclass(frozen=True)
class LabelReport:
    """What a training from labels learned from, and its scores on what was held out.

    before: the weights it began from, ``None`` where it began anew or with other classes; curve: ``None`` where it was
    not asked for.
    """

    learned_from: tuple[str, ...]
    held_out: tuple[str, ...]
    objects: int
    before: MaskScores | None
    after: MaskScores | ClassScores
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


class Subject(Protocol):
    """What is learned from labels: the recipe whose network and settings are used, samples, and how it is judged."""

    @property
    def recipe(self) -> Recipe:
        """The recipe whose network learns."""
        ...

    @property
    def begins_from(self) -> str | None:
        """Weights that go on to learn."""
        ...

    @property
    def goes_on(self) -> bool:
        """Whether those weights know what is to be learned, and only learn more of it."""
        ...

    def sampler(self, own: Sequence[Labelled], number: float) -> Sampler:
        """Return what makes training images of `own` images, `number` in all."""
        ...

    def compare(self, predict: Predictor, images: Mapping[str, Labelled]) -> list[Compared]:
        """Return the comparison of what a model finds in every image with its labels."""
        ...

    def scores(self, compared: Sequence[Compared], rng: np.random.Generator) -> MaskScores | ClassScores:
        """Return the scores of compared images."""
        ...

    def objects_in(self, images: Sequence[Labelled]) -> int:
        """Return how many objects are labelled."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what the card tells beside the scores."""
        ...


@dataclass(frozen=True)
class Lesson:
    """How to train: what is learned, how long, and what is kept where."""

    subject: Subject
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
        from micrograph.train.labelled_masks import mirrored_out

        recipe, begins_from = self.subject.recipe, self.subject.begins_from
        if self.resume and out.is_file() and read_card(out).get("labels", {}).get("key") == self.key:
            return load(out)
        spread = tuple(mirrored_out(one, network_of(recipe).patch) for one in own)
        settings = replace(recipe.training or TrainSettings(), steps=self.steps, seed=self.seed)
        settings = replace(settings, calibration_samples=min(100, settings.calibration_samples))
        if begins_from is not None and self.subject.goes_on:
            settings = replace(settings, learning_rate=LEARNING_RATE)
        domain = getattr(recipe.data, "domain", dict)
        return train(
            self.subject.sampler(spread, number),
            network_of(recipe),
            settings,
            out,
            resume=self.resume,
            progress=lambda done, total, loss: progress(done, total, f"loss {loss:.4f}"),
            card={"recipe": recipe.name, "domain": domain(), "labels": {"key": self.key}},
            begin_from=begins_from,
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
    simulated_by(recipe)
    if not paints(recipe):
        region_of(recipe)
    images = read_labels(own.folder, several=paints(recipe))
    return learn_labels(recipe, images, own, out, steps=steps, seed=seed, resume=resume, progress=progress)


def check_alone(material: Material, devices: str = "1") -> None:
    """Refuse a structure, a microscope or several devices that are given together with labels."""
    if devices != "1":
        raise BadInput("--labels was given with --devices: learning from labels is short and takes one, leave it out.")
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
    subject, read, bin_ = _subject(recipe, images, own)
    split = own_split(images, read, own.images) or split_images(read, own.images)
    steps = steps or STEPS
    digests = {f"{one.name}, {one.source.name}": one.digests() for one in images}
    key = _key(subject, digests, own.images, own.classes, steps, seed)
    made_folder(out.parent)
    lesson = Lesson(subject, steps, seed, resume, key)
    numbers = curve_numbers(len(split.learn)) if own.curve else ()
    short = replace(lesson, steps=min(steps, CURVE_STEPS))
    total = steps + len(numbers) * short.steps
    number, learn = len(split.learn), list(split.learn.values())
    checkpoint = lesson.learned(learn, number, out, _part_of(progress, 0, total))
    before = None
    if subject.goes_on and subject.begins_from is not None:
        before = _judged(subject, subject.begins_from, split, seed)
    after = _judged(subject, out, split, seed)
    curve = None
    if numbers:
        curve = _curve(short, split, numbers, out, _Bar(progress, steps, total))
    objects = subject.objects_in(learn)
    report = LabelReport(tuple(split.learn), tuple(split.held_out), objects, before, after, curve)
    _write(out, checkpoint, {**report.as_dict(), **subject.about(), "key": key, "bin": bin_, "digests": digests})
    return report


def _subject(
    recipe: Recipe, images: Sequence[LabelledImage], own: OwnLabels
) -> tuple[Subject, dict[str, Labelled], int]:
    """Return what is learned, the images by name, and how far they were binned."""
    from micrograph.io.class_masks import read_names

    if not paints(recipe):
        if own.classes:
            raise BadInput(f"--classes suits recipes that name every pixel: '{recipe.name}' outlines objects.")
        return Outlined(recipe), *read_all(recipe, images)
    return *read_painted(recipe, images, read_names(own.classes, own.folder)), 1


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
        compared.append(lesson.subject.compare(load_predictor(weights), split.held_out))
    shutil.rmtree(kept)
    return learning_curve(numbers, compared, np.random.default_rng(lesson.seed))


def _judged(subject: Subject, weights: str | Path, split: Split, seed: int) -> Any:
    from micrograph.infer import load_predictor

    compared = subject.compare(load_predictor(weights), split.held_out)
    return subject.scores(compared, np.random.default_rng(seed))


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


def _key(subject: Subject, *what: object) -> str:
    """Return a digest of all that decides what is learned."""
    from micrograph.nets import find_weights

    begins = subject.begins_from
    from_ = "" if begins is None else digest(find_weights(begins))
    text = json.dumps([subject.recipe.name, subject.recipe.model.as_dict(), *what, from_], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(out: Path, checkpoint: Checkpoint, about: Mapping[str, Any]) -> None:
    """Write the weights once more, with what their card says of the labels."""
    from micrograph.nets import save

    save(out, replace(checkpoint, card={**checkpoint.card, "labels": dict(about)}))
