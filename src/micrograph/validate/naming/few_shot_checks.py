"""Checks of naming by a few examples: classes that no features were trained on, beside simple features and the limit.

An episode draws five classes of one family, some shots and ten queries of each. A third of the episodes shows defects
of graphene, a third those of one of four monolayers, a third phases and crystal zones. Intervals draw episodes anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import expected_calibration_error
from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.metrics import auroc
from micrograph.validate.naming import few_shot_scenes as scenes
from micrograph.validate.naming.few_shot_baselines import RIVALS, nearest_neighbours
from micrograph.validate.naming.few_shot_scenes import Patches

if TYPE_CHECKING:
    from micrograph.features.naming.prototypes import Prior
    from micrograph.infer.few_shot import Features

Array = NDArray[np.float64]
Index = NDArray[np.intp]

WAYS, QUERIES, IMAGES, EPISODES = 5, 10, 16, 360
#: The same for what is judged against simple features.
_PAIRED = "few-shot episodes"


@dataclass(frozen=True)
class Episode:
    """Places of five classes (5,), of their shots (5, S) and their queries (5, Q) in the patches of a family."""

    family: int
    classes: Index
    shots: Index
    queries: Index

    def learn(self, features: Array) -> tuple[Array, Index]:
        """Return features of the shots (5 S, D) of all (K, N, D), and their classes."""
        return self._taken(features, self.shots)

    def judge(self, features: Array) -> tuple[Array, Index]:
        """Return features of the queries (5 Q, D), and their classes."""
        return self._taken(features, self.queries)

    def _taken(self, features: Array, which: Index) -> tuple[Array, Index]:
        chosen = features[self.classes[:, None], which]
        return chosen.reshape(-1, features.shape[-1]), np.repeat(np.arange(len(self.classes)), which.shape[1])


def episodes(patches: list[Patches], shots: int, number: int, rng: np.random.Generator) -> list[Episode]:
    """Return episodes, evenly over graphene, monolayers and zones."""
    layers = [n for n, one in enumerate(patches) if one.names == scenes.LAYER_DEFECTS]
    others = [n for n in range(len(patches)) if n not in layers]
    kinds = [[n] for n in others] + ([layers] if layers else [])
    found = []
    for at in range(number):
        family = int(rng.choice(kinds[at % len(kinds)]))
        names, images = patches[family].counts.shape[:2]
        classes = rng.permutation(names)[:WAYS]
        order = np.array([rng.permutation(images) for _ in classes])
        found.append(Episode(family, classes, order[:, :shots], order[:, shots : shots + QUERIES]))
    return found


@dataclass(frozen=True)
class Scene:
    """Patches with the features (K, N, D) of each family: of the network and of each simple way."""

    patches: list[Patches]
    network: list[Array]
    rivals: dict[str, list[Array]] = field(default_factory=dict)


def features_in(analyser: Analyser) -> Features:
    """Return the features that are judged: those of the analyser's own encoder, else the shipped ones."""
    from micrograph.infer.few_shot import features_of, shared_features

    members = getattr(getattr(analyser, "predict", None), "members", ())
    return features_of(members[0].checkpoint) if members else shared_features()


def prior_of(features: Features) -> Prior:
    """Return what is known beforehand of the features of small images."""
    from micrograph.nets.prototype_spec import SMALL

    return features.prior.repeated(len(SMALL))


@functools.lru_cache(maxsize=4)
def _scene(features: _Same, seed: int, dose_factor: float) -> Scene:
    patches = scenes.patches(IMAGES, np.random.default_rng([seed, 1]), dose_factor)
    network = [_each(features.it.of_small, one.counts) for one in patches]
    rivals = {name: [_each(way, one.counts) for one in patches] for name, way in RIVALS.items()}
    return Scene(patches, network, rivals)


class _Same:
    """Features that are the same object are the same key of a cache."""

    def __init__(self, it: Features) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.it.checkpoint is self.it.checkpoint

    def __hash__(self) -> int:
        return id(self.it.checkpoint)


def _each(way: Callable[[NDArray[np.float32]], Array], counts: NDArray[np.float32]) -> Array:
    found = way(counts.reshape(-1, *counts.shape[-2:]))
    return np.asarray(found.reshape(*counts.shape[:2], -1))


def named(features: Features, one: Episode, values: Array) -> tuple[Array, Array, Index]:
    """Return the probabilities (5 Q, 5) and distances from the border (5 Q,) of the queries, and their classes."""
    from micrograph.features.naming.prototypes import fit_prototypes

    learn, classes = one.learn(values)
    head = fit_prototypes(learn, classes, np.arange(len(classes)), prior_of(features))
    queries, truth = one.judge(values)
    return head.probabilities(queries), head.distances(queries).min(axis=1), truth


def _accuracies(features: Features, scene: Scene, drawn: list[Episode]) -> Array:
    right = []
    for one in drawn:
        shares, _, truth = named(features, one, scene.network[one.family])
        right.append(float((shares.argmax(1) == truth).mean()))
    return np.array(right)


def _rivals(scene: Scene, drawn: list[Episode]) -> dict[str, Array]:
    """Return the accuracy of each simple way in every episode."""
    found: dict[str, list[Array]] = {name: [] for name in scene.rivals}
    for one in drawn:
        for name, each in scene.rivals.items():
            learn, classes = one.learn(each[one.family])
            queries, truth = one.judge(each[one.family])
            found[name].append(nearest_neighbours(learn, classes, queries, truth))
    return {name: _best(values) for name, values in found.items()}


def _best(values: list[Array]) -> Array:
    """Return the accuracies of the number of neighbours that is best over all episodes."""
    each = np.array(values)
    return np.asarray(each[:, int(each.mean(axis=0).argmax())])


def _limit(patches: list[Patches], rng: np.random.Generator) -> float:
    """Return the accuracy in five ways of the likeliest class where turn, place, focus and dose of a patch are told."""
    kinds: dict[str, list[float]] = {}
    for one in patches:
        assert one.log_likelihood is not None
        names, images = one.log_likelihood.shape[:2]
        right = []
        for _ in range(60):
            classes = rng.permutation(names)[:WAYS]
            for place, own in enumerate(classes):
                told = one.log_likelihood[own, int(rng.integers(images))][classes]
                right.append(float(np.argmax(told) == place))
        kind = "layers" if one.names == scenes.LAYER_DEFECTS else one.family
        kinds.setdefault(kind, []).append(float(np.mean(right)))
    return float(np.mean([np.mean(values) for values in kinds.values()]))


def _mean(values: Array, rng: np.random.Generator) -> Interval:
    return bootstrap(lambda drawn: float(np.mean(drawn)), values.tolist(), rng)


def _by_family(scene: Scene, drawn: list[Episode], right: Array) -> str:
    """Return the accuracy by family in words."""
    parts = []
    for number, one in enumerate(scene.patches):
        mine = [value for episode, value in zip(drawn, right, strict=True) if episode.family == number]
        if mine:
            parts.append(f"{one.family} {np.mean(mine):.3f}")
    return ", ".join(parts)


def _at(dose_factor: float) -> str:
    return "" if dose_factor == 1 else f", {dose_factor:g} of the dose"


def episode_accuracy(shots: int, at_least: float, dose_factor: float = 1.0) -> Check:
    """Return the check of the accuracy of 5-way episodes over classes of materials that were not trained on."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        features, seed = features_in(analyser), int(rng.integers(2**32))
        scene = _scene(_Same(features), seed, dose_factor)
        drawn = episodes(scene.patches, shots, EPISODES, rng)
        right = _accuracies(features, scene, drawn)
        rivals = {name: float(values.mean()) for name, values in _rivals(scene, drawn).items()}
        told = ", ".join(f"{name} {value:.3f}" for name, value in rivals.items())
        detail = f"{_by_family(scene, drawn, right)}; simple features: {told}"
        limit = _limit(scene.patches, rng)
        return Measurement.of(_mean(right, rng), limit=limit, baseline=max(rivals.values()), detail=detail)

    name = f"share of queries named rightly, 5 ways, {shots} shot{'s' * (shots != 1)}{_at(dose_factor)}"
    return Check(name, measure, at_least, ">=", data=f"{_PAIRED}{_at(dose_factor)}")


def above_raw_pixels(shots: int, at_least: float) -> Check:
    """Return the check of how far the accuracy lies above that of the nearest neighbours of raw pixels, paired."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        features, seed = features_in(analyser), int(rng.integers(2**32))
        scene = _scene(_Same(features), seed, 1.0)
        drawn = episodes(scene.patches, shots, EPISODES, rng)
        gain = _accuracies(features, scene, drawn) - _rivals(scene, drawn)["raw pixels"]
        return Measurement.of(_mean(gain, rng), detail=_by_family(scene, drawn, gain))

    name = f"above nearest neighbours of raw pixels, {shots} shot{'s' * (shots != 1)}"
    return Check(name, measure, at_least, ">=", data=_PAIRED)


def multislice_accuracy(shots: int, at_least: float) -> Check:
    """Return the check of multislice monolayers: learned from one specimen and microscope, judged on another."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.features.naming.prototypes import fit_prototypes

        features, right, told = features_in(analyser), [], []
        raw: list[Array] = []
        for learn, test in scenes.multislice_patches(rng):
            values = [_each(features.of_small, one.counts) for one in (learn, test)]
            pixels = [_each(RIVALS["raw pixels"], one.counts) for one in (learn, test)]
            own = []
            for _ in range(24):
                one = episodes([learn], shots, 1, rng)[0]
                shown, classes = one.learn(values[0])
                head = fit_prototypes(shown, classes, np.arange(len(classes)), prior_of(features))
                queries, truth = one.judge(values[1])
                own.append(float((head.scores(queries).argmax(1) == truth).mean()))
                raw.append(nearest_neighbours(*one.learn(pixels[0]), *one.judge(pixels[1])))
            right.append(float(np.mean(own)))
            told.append(f"{learn.family} {right[-1]:.3f}")
        found = _mean(np.array(right), rng)
        return Measurement.of(found, baseline=float(_best(raw).mean()), detail=f"pairs of specimens: {', '.join(told)}")

    return Check(f"multislice monolayers, 5 ways, {shots} shots", measure, at_least, ">=")


def unseen_auroc(shots: int, at_least: float) -> Check:
    """Return the check that images of a sixth class are told from those of the five that examples were given of."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        features, seed = features_in(analyser), int(rng.integers(2**32))
        scene = _scene(_Same(features), seed, 1.0)
        found = []
        for one in episodes(scene.patches, shots, EPISODES // 2, rng):
            values = scene.network[one.family]
            left = np.setdiff1d(np.arange(len(values)), one.classes)
            _, seen, _ = named(features, one, values)
            strange = values[rng.choice(left), one.queries[0]]
            far = _least(features, one, values, strange)
            found.append(auroc(seen, far))
        return Measurement.of(_mean(np.array(found), rng), detail="distance from the nearest prototype")

    return Check(f"AUROC of a class without examples, {shots} shots", measure, at_least, ">=", data=_PAIRED)


def _least(features: Features, one: Episode, values: Array, strange: Array) -> Array:
    from micrograph.features.naming.prototypes import fit_prototypes

    learn, classes = one.learn(values)
    head = fit_prototypes(learn, classes, np.arange(len(classes)), prior_of(features))
    return np.asarray(head.distances(strange).min(axis=1))


def episode_calibration(shots: int, at_most: float) -> Check:
    """Return the check of the calibration error of probabilities whose temperature the shots themselves gave."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        features, seed = features_in(analyser), int(rng.integers(2**32))
        scene = _scene(_Same(features), seed, 1.0)
        pairs: list[tuple[Array, Index]] = []
        for one in episodes(scene.patches, shots, EPISODES // 2, rng):
            pairs.append(_sure(features, one, scene.network[one.family]))

        def error(drawn: list[tuple[Array, Index]]) -> float:
            shares, truth = (np.concatenate(part) for part in zip(*drawn, strict=True))
            return float(expected_calibration_error(shares.max(1), shares.argmax(1) == truth))

        return Measurement.of(bootstrap(lambda drawn: error(list(drawn)), pairs, rng, resamples=200))

    return Check(f"expected calibration error, {shots} shots", measure, at_most, "<=", data=_PAIRED)


def _sure(features: Features, one: Episode, values: Array) -> tuple[Array, Index]:
    """Return the probabilities (5 Q, 5) of the queries, calibrated on shots that were held out, and their classes."""
    from micrograph.features.naming.prototypes import Prototypes, fit_prototypes, held_out_scores, map_temperature

    def fit(learn: Array, classes: Index, groups: Index, number: int) -> Prototypes:
        return fit_prototypes(learn, classes, groups, prior_of(features), number)

    learn, classes = one.learn(values)
    groups = np.arange(len(classes))
    scores, _ = held_out_scores(learn, classes, groups, fit)
    warmth = map_temperature(scores, classes, prior_of(features).temperature)
    queries, truth = one.judge(values)
    return replace(fit(learn, classes, groups, 0), temperature=warmth).probabilities(queries), truth
