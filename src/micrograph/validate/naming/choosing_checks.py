"""Checks of what is suggested for labelling: how many labels it saves against random choice.

Pools hold patches of a family's classes as recordings do: one kind is common, the others are rare. Labels come in
rounds; after each the prototypes are made anew and judged on patches of all kinds alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.naming.choosing import chosen, class_doubt
from micrograph.features.naming.prototypes import Prototypes, border_of, fit_prototypes, held_out_scores
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.naming import few_shot_scenes as scenes
from micrograph.validate.naming.few_shot_checks import features_in, prior_of

if TYPE_CHECKING:
    from micrograph.infer.few_shot import Features

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Labels of a round, rounds, patches of a pool, of which each run has a share, and those of each class that judge.
ROUND, ROUNDS, POOL, SHARE, JUDGES = 10, 32, 500, 0.8, 15
#: Runs, each on a part of the pool of its own.
RUNS = 6
#: So much below the accuracy with all labels counts as reached.
AS_GOOD = 0.02


@dataclass(frozen=True)
class Pool:
    """Features (N, D) and classes (N,) of patches to choose from, and of others to judge by; K classes."""

    features: Array
    classes: Index
    judges: Array
    truth: Index
    number: int

    def part(self, rng: np.random.Generator) -> Pool:
        """Return a random part of the pool."""
        kept = np.sort(rng.permutation(len(self.classes))[: round(SHARE * len(self.classes))])
        return replace(self, features=self.features[kept], classes=self.classes[kept])


#: Labelled places so far in, places to label next out.
Choose = Callable[[list[int]], Index]


def pool_of(family: scenes.Family, common: float, features: Features, rng: np.random.Generator) -> Pool:
    """Return a pool in which the first class has the share `common`, and the others all that is left alike."""
    number = len(family.classes)
    share = np.r_[common, np.full(number - 1, (1 - common) / (number - 1))]
    drawn = np.r_[rng.choice(number, POOL - number, p=share), np.arange(number)]
    truth = np.repeat(np.arange(number), JUDGES)
    values = []
    for kind in np.r_[drawn, truth]:
        clean = family.clean(family.classes[int(kind)], int(rng.integers(10**6, 10**9)))
        values.append(features.of_small(family.exposed(clean, rng)[0][None])[0])
    every = np.array(values)
    return Pool(every[:POOL], drawn.astype(np.intp), every[POOL:], truth.astype(np.intp), number)


def accuracy_over_labels(pool: Pool, features: Features, choose: Choose) -> Array:
    """Return the balanced accuracy after each round of labels."""
    labelled: list[int] = []
    found = []
    for _ in range(ROUNDS):
        labelled += choose(labelled).tolist()
        found.append(_accuracy(_learned(pool, labelled, features), pool))
    return np.array(found)


def suggested(pool: Pool, features: Features) -> Choose:
    """Return the choice of `micrograph suggest`."""
    looks = features.even(pool.features)

    def choose(labelled: list[int]) -> Index:
        free = np.setdiff1d(np.arange(len(looks)), labelled)
        doubt = np.ones(len(free))
        if labelled:
            head = _learned(pool, labelled, features)
            doubt = class_doubt(head.probabilities(pool.features[free]), head.away(pool.features[free]))
        return free[chosen(doubt, looks[free], ROUND, looks[labelled] if labelled else None)]

    return choose


def at_random(pool: Pool, rng: np.random.Generator) -> Choose:
    """Return the choice that every pool is compared with."""
    order = rng.permutation(len(pool.classes))
    return lambda labelled: np.asarray(order[len(labelled) : len(labelled) + ROUND], np.intp)


def _learned(pool: Pool, labelled: list[int], features: Features) -> Prototypes:
    """Return the prototypes of labelled patches with the border that held-out ones gave."""
    prior, classes = prior_of(features), pool.classes[labelled]
    groups = np.arange(len(classes))

    def fit(values: Array, own: Index, group: Index, number: int) -> Prototypes:
        return fit_prototypes(values, own, group, prior, number)

    head = fit(pool.features[labelled], classes, groups, pool.number)
    _, least = held_out_scores(pool.features[labelled], classes, groups, fit)
    return replace(head, border=border_of(least))


def _accuracy(head: Prototypes, pool: Pool) -> float:
    right = head.scores(pool.judges).argmax(axis=1) == pool.truth
    return float(np.mean([right[pool.truth == kind].mean() for kind in range(pool.number)]))


@dataclass(frozen=True)
class _Run:
    """Accuracies over labels of one part of a pool: suggested, at random, and with all labels."""

    suggested: Array
    random: Array
    full: float


def labels_needed(runs: list[_Run]) -> tuple[float, float]:
    """Return the labels that suggestion and random choice need until they are as good as all labels, on average."""
    full = float(np.mean([one.full for one in runs])) - AS_GOOD
    return _reached([one.suggested for one in runs], full), _reached([one.random for one in runs], full)


def _reached(curves: list[Array], full: float) -> float:
    """Return the labels at which the mean curve reaches `full`; where it never does, those of one round too many."""
    enough = np.mean(curves, axis=0) >= full
    return float(ROUND * (np.argmax(enough) + 1 if enough.any() else ROUNDS + 1))


def labels_saved(family: str, at_most: float, common: float = 0.8) -> Check:
    """Return the check of the labels that suggestion needs over those that random choice needs."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        features = features_in(analyser)
        kind = next(one for one in scenes.families() if one.name == family)
        pool, runs = pool_of(kind, common, features, rng), []
        for _ in range(RUNS):
            part = pool.part(rng)
            all_of_it = list(range(len(part.classes)))
            runs.append(
                _Run(
                    accuracy_over_labels(part, features, suggested(part, features)),
                    np.mean([accuracy_over_labels(part, features, at_random(part, rng)) for _ in range(3)], axis=0),
                    _accuracy(_learned(part, all_of_it, features), part),
                )
            )
        found = bootstrap(lambda drawn: float(np.divide(*labels_needed(list(drawn)))), runs, rng, resamples=200)
        own, random = labels_needed(runs)
        full = float(np.mean([one.full for one in runs]))
        detail = (
            f"{own:.0f} labels, {random:.0f} at random until {full - AS_GOOD:.3f}; all {len(all_of_it)}: {full:.3f}"
        )
        return Measurement.of(found, baseline=1.0, detail=detail)

    name = f"labels needed over those of random choice, {family}, {100 * common:.0f} % of one kind"
    return Check(name, measure, at_most, "<=")
