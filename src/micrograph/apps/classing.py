"""Weights from a user's own examples of classes: grouped, held out, fitted, judged, and written with their card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.class_examples import MANY, Candidate, Examples, candidates, read_examples
from micrograph.apps.jobs import Advance, silent
from micrograph.apps.making import check_weights_path
from micrograph.core import BadInput
from micrograph.core.provenance import made_folder, versions
from micrograph.features.naming.prototypes import (
    Prototypes,
    border_of,
    curve_of,
    folds_of,
    held_out_scores,
    left_out_distances,
    looks_mislabelled,
    map_temperature,
)
from micrograph.io.classed import ClassFolder, has_classes, read_classes
from micrograph.nets.prototype_spec import SMALL

if TYPE_CHECKING:
    from micrograph.run import Recipe
    from micrograph.validate.intervals import Interval

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Groups of each class from which it is tried whether the features do better when they learn on; of all: `MANY`.
MANY_EACH = 20


@dataclass(frozen=True)
class ClassReport:
    """What weights from a user's own classes are worth on images whose group they had not seen.

    images, groups: of each class; accuracy: share of held-out images that are named rightly; confusion (K, K): rows
    true, columns named; curve: (groups a class, accuracy); unseen: AUROC of images of a class that was left out (NaN
    with two classes); mislabelled: (image, its label, likelier label, probability), worst first; doubles: pairs that
    show the same under two labels; alone: classes that come from one file, so that others are not known; looked: what
    of an image is looked at, tried: the accuracy of each way that was tried; tuned: whether the features learned on,
    in which case the accuracy is that of a quarter of the groups, which they have not seen.
    """

    labels: tuple[str, ...]
    images: tuple[int, ...]
    groups: tuple[int, ...]
    accuracy: Interval
    confusion: tuple[tuple[int, ...], ...]
    curve: tuple[tuple[int, float], ...]
    unseen: float
    mislabelled: tuple[tuple[str, str, str, float], ...]
    doubles: tuple[tuple[str, str], ...]
    alone: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    looked: str
    tried: Mapping[str, float]
    tuned: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the card of the weights."""
        return {
            "labels": list(self.labels),
            "images": list(self.images),
            "groups": list(self.groups),
            "accuracy": {"value": self.accuracy.value, "low": self.accuracy.low, "high": self.accuracy.high},
            "confusion": [list(row) for row in self.confusion],
            "curve": [list(point) for point in self.curve],
            "unseen_auroc": None if np.isnan(self.unseen) else self.unseen,
            "mislabelled": [list(one) for one in self.mislabelled],
            "same_picture_two_labels": [list(pair) for pair in self.doubles],
            "from_one_file": list(self.alone),
            "skipped": [list(one) for one in self.skipped],
            "looked": self.looked,
            "tried": dict(self.tried),
            "tuned": self.tuned,
        }


def train_on_classes(
    name: str, folder: Path, out: Path, *, curve: bool = True, seed: int = 0, progress: Advance = silent
) -> ClassReport:
    """Learn a user's own classes from a folder with a sub-folder each, write weights and card to `out`, judge them.

    Images that show the same, and frames of one file, are never learned from and judged by at once.
    """
    from micrograph.recipes import find_recipe

    recipe = find_recipe(name)
    check_weights_path(out)
    require_classifying(recipe)
    return learn_classes(
        recipe, read_classes(folder, recipe.task.takes), out, curve=curve, seed=seed, progress=progress
    )


def suits(name: str, folder: Path) -> bool:
    """Return whether the labels in a folder are classes of whole images: for this recipe, or by the look of it."""
    from micrograph.recipes import find_recipe

    recipe = find_recipe(name)
    return is_classifying(recipe) or (has_classes(folder) and "core" not in recipe.model.names)


def require_classifying(recipe: Recipe) -> None:
    """Refuse recipes that name no whole images."""
    if not is_classifying(recipe):
        from micrograph.recipes import RECIPES, find_recipe

        known = [one for one in RECIPES if is_classifying(find_recipe(one))]
        raise BadInput(
            f"Recipe '{recipe.name}' does not sort whole images into classes, so a folder of classes does not suit "
            f"it: those that do are {', '.join(known)}."
        )


def is_classifying(recipe: Recipe) -> bool:
    """Return whether a recipe sorts what it sees into classes, so that these may be a user's own."""
    from micrograph.nets import EncoderSpec, NoNet

    if isinstance(recipe.model, EncoderSpec):
        return recipe.model.weights is not None and any(head.kind == "class" for head in recipe.model.heads)
    return isinstance(recipe.model, NoNet) and recipe.name == "lattice-types"


def learn_classes(
    recipe: Recipe, folder: ClassFolder, out: Path, *, curve: bool = True, seed: int = 0, progress: Advance = silent
) -> ClassReport:
    """Do what `train_on_classes` does, for a recipe and a folder at hand."""
    from micrograph.infer.few_shot import as_checkpoint
    from micrograph.nets import save
    from micrograph.nets.prototype_spec import PrototypeSpec

    sides = [min(one.recording.shape[-2:]) for one in folder.files]
    ways = candidates(recipe, sides)
    examples = read_examples(folder, ways, progress)
    progress(len(examples.names), len(examples.names), "judging on images that are held out")
    judged = [_judged(way, examples) for way in ways]
    chosen = _best(judged)
    way, head = ways[chosen], judged[chosen].head(examples, ways[chosen])
    report = _report(examples, ways, judged, chosen, np.random.default_rng(seed), curve)
    better = learned_on(examples, way, seed, progress)
    if better is not None:
        way, head = better.way, better.head
        report = replace(report, **better.told(examples, report, np.random.default_rng(seed)))
    own = "views" in way.looks
    spec = PrototypeSpec(folder.labels, way.features.spec, way.looks, recipe.name if own else "")
    digests = folder.digests()
    card = {
        "recipe": recipe.name,
        "classes": {**report.as_dict(), "digests": digests, "key": _key(digests), "side_px": int(np.median(sides))},
        "features": way.name,
        "confidence": {"class": head.temperature},
        "versions": versions(),
    }
    made_folder(out.parent)
    save(out, as_checkpoint(spec, way.features, head, card))
    return report


@dataclass(frozen=True)
class Judged:
    """One way to look, judged: scores (N, K) and least distances (N,) of held-out images, and its temperature."""

    scores: Array
    least: Array
    temperature: float
    cost: Array

    def head(self, examples: Examples, way: Candidate) -> Prototypes:
        """Return the prototypes of all images, with the confidence that held-out ones gave."""
        features = examples.features[way.name]
        head = way.fit(features, examples.classes, examples.groups)
        return replace(head, temperature=self.temperature, border=border_of(self.least))

    def shares(self) -> Array:
        """Return the calibrated probabilities (N, K) of held-out images."""
        scaled = self.scores / self.temperature
        e = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))


def _judged(way: Candidate, examples: Examples) -> Judged:
    scores, least = held_out_scores(examples.features[way.name], examples.classes, examples.groups, way.fit)
    found = Judged(scores, least, map_temperature(scores, examples.classes, way.features.prior.temperature), least)
    own = found.shares()[np.arange(len(scores)), examples.classes]
    return replace(found, cost=-np.log(np.maximum(own, 1e-12)))


def _best(judged: Sequence[Judged]) -> int:
    """Return the way that finds the true classes likeliest."""
    return int(np.argmin([one.cost.mean() for one in judged]))


def _crossed(judged: Sequence[Judged], groups: Index) -> Array:
    """Return the probabilities (N, K) of held-out images, each by the way that is best on all other groups."""
    total = np.array([one.cost.sum() for one in judged])
    own = np.array([np.bincount(groups, one.cost) for one in judged])
    best = (total[:, None] - own).argmin(axis=0)[groups]
    return np.asarray(np.array([one.shares() for one in judged])[best, np.arange(len(groups))])


def _report(
    examples: Examples, ways: Sequence[Candidate], judged: Sequence[Judged], chosen: int, rng: np.random.Generator,
    curve: bool,
) -> ClassReport:  # fmt: skip
    from micrograph.validate.intervals import share_interval
    from micrograph.validate.metrics import auroc

    labels, classes, groups = examples.folder.labels, examples.classes, examples.groups
    shares, way = _crossed(judged, groups), ways[chosen]
    named = shares.argmax(axis=1)
    right = (named == classes).astype(int)
    hits, trials = np.bincount(groups, right).astype(int), np.bincount(groups)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (classes, named), 1)
    values = examples.features[way.name]
    doubts = looks_mislabelled(shares, classes)
    return ClassReport(
        labels,
        tuple(np.bincount(classes, minlength=len(labels)).tolist()),
        tuple(examples.each(groups)),
        share_interval(hits.tolist(), trials.tolist(), rng),
        tuple(tuple(row) for row in confusion.tolist()),
        tuple(curve_of(values, classes, groups, way.fit, rng)) if curve else (),
        auroc(*left_out_distances(values, classes, groups, way.fit)[::-1]) if len(labels) > 2 else float("nan"),
        tuple((examples.names[i], labels[classes[i]], labels[named[i]], float(shares[i].max())) for i in doubts),
        examples.doubles,
        examples.alone,
        examples.folder.skipped,
        way.name,
        {
            one.name: float((found.scores.argmax(axis=1) == classes).mean())
            for one, found in zip(ways, judged, strict=True)
        },
    )


@dataclass(frozen=True)
class Better:
    """Features that learned on from three quarters of the groups, and do better on the last one: `held` (N,) says
    which images these are, shares (M, K) what they are; groups (M,) of them.
    """

    way: Candidate
    head: Prototypes
    held: NDArray[np.bool_]
    shares: Array
    accuracy: float

    def told(self, examples: Examples, report: ClassReport, rng: np.random.Generator) -> dict[str, Any]:
        """Return what a report says of these features instead."""
        from micrograph.validate.intervals import share_interval

        classes, groups, named = examples.classes[self.held], examples.groups[self.held], self.shares.argmax(axis=1)
        of = np.unique(groups, return_inverse=True)[1]
        hits, trials = np.bincount(of, named == classes).astype(int).tolist(), np.bincount(of).tolist()
        confusion = np.zeros((len(report.labels),) * 2, int)
        np.add.at(confusion, (classes, named), 1)
        return {
            "accuracy": share_interval(hits, trials, rng),
            "confusion": tuple(tuple(row) for row in confusion.tolist()),
            "looked": f"{self.way.name}, learned on",
            "tried": {**report.tried, f"{self.way.name}, learned on": self.accuracy},
            "tuned": True,
        }


def learned_on(examples: Examples, way: Candidate, seed: int, progress: Advance) -> Better | None:
    """Return features that learned on, where there are many images and the gain on held-out groups is no chance."""
    if way.looks != SMALL or len(examples.seen) != len(examples.names):
        return None
    if min(examples.each(examples.groups)) < MANY_EACH or len(np.unique(examples.groups)) < MANY:
        return None
    from micrograph.infer.few_shot import features_of
    from micrograph.train.fine_tuning import TuneSettings, tuned
    from micrograph.validate.intervals import bootstrap

    held = np.isin(examples.groups, folds_of(examples.classes, examples.groups, most=4)[0])
    learn = np.flatnonzero(~held)
    images = examples.seen.astype(np.float32)
    both = np.concatenate([images[learn, 0], images[learn, 1]]), np.tile(examples.classes[learn], 2)
    made = tuned(
        way.features.checkpoint, *both, TuneSettings(seed=seed), lambda done, all_: progress(done, all_, "learning on")
    )
    other = replace(way, features=features_of(made))
    features = other.features.of_seen_small(images)
    before, after = (_split_judged(one, values, examples, held) for one, values in (
        (way, examples.features[way.name]), (other, features)
    ))  # fmt: skip
    truth, groups = examples.classes[held], examples.groups[held]
    gain = (after.scores.argmax(axis=1) == truth).astype(float) - (before.scores.argmax(axis=1) == truth)
    of = np.unique(groups, return_inverse=True)[1]
    each = (np.bincount(of, gain) / np.bincount(of)).tolist()
    if not bootstrap(lambda drawn: float(np.mean(drawn)), each, np.random.default_rng(seed)).low > 0:
        return None
    head = other.fit(features, examples.classes, examples.groups)
    head = replace(head, temperature=after.temperature, border=border_of(after.least))
    right = float((after.scores.argmax(axis=1) == truth).mean())
    return Better(other, head, held, after.shares(), right)


def _split_judged(way: Candidate, features: Array, examples: Examples, held: NDArray[np.bool_]) -> Judged:
    """Return how prototypes of the images that are not held out judge those that are."""
    _, inside = np.unique(examples.groups[~held], return_inverse=True)
    head = way.fit(features[~held], examples.classes[~held], inside, len(examples.folder.labels))
    scores, least = head.scores(features[held]), head.distances(features[held]).min(axis=1)
    warmth = map_temperature(scores, examples.classes[held], way.features.prior.temperature)
    return Judged(scores, least, warmth, least)


def _key(digests: Mapping[str, str]) -> str:
    """Return a digest of all files that were learned from."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
