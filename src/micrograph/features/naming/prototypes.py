"""Naming by prototypes: a few examples of each class, in a space of features whose scatter within a class is known.

Snell et al. 2017, arXiv:1703.05175; the scatter is that of the examples, shrunken towards that of the classes which the
features were learned from, so that one example of each class is enough to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: So many examples' worth of scatter is taken from the classes which the features were learned from.
PRIOR_EXAMPLES = 5.0
#: Share of images of known classes that may be called none of them.
ABSTAIN = 0.05
#: With fewer held-out images than this, the border of 'none of these' lies beyond all of them.
_MANY = 60
_BEYOND = 1.15
#: Scatter in any direction is at least this share of the mean.
LEAST_SCATTER = 0.03
#: Distance of a class without any example.
_FAR = 1e3


@dataclass(frozen=True)
class Prior:
    """What is known of features beforehand: their scatter (D, D) within a class, the temperature of their scores."""

    covariance: Array
    temperature: float = 1.0

    def repeated(self, times: int) -> Prior:
        """Return the prior of so many such features side by side."""
        return replace(self, covariance=np.asarray(np.kron(np.eye(times), self.covariance), float))


@dataclass(frozen=True)
class Prototypes:
    """The head: mean features (K, D) of K classes, from how many groups (K,), the matrix (D, D) that makes their
    scatter one, the temperature of the scores, and the distance at which something is none of the classes.
    """

    mean: Array
    groups: Array
    whitening: Array
    temperature: float = 1.0
    border: float = np.inf

    def distances(self, features: Array) -> Array:
        """Return the distances (N, K) of features (N, D) from the prototypes, in units of the scatter.

        A prototype of n examples is itself uncertain: its distances are shorter by the root of 1 + 1 / n.
        """
        here, there = features @ self.whitening, self.mean @ self.whitening
        square = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
        known = self.groups > 0
        shorter = 1 + 1 / np.where(known, self.groups, 1.0)
        return np.where(known, np.sqrt(np.maximum(square, 0) / shorter / self.mean.shape[1]), _FAR)

    def scores(self, features: Array) -> Array:
        """Return the log likelihoods (N, K), up to a factor, that the temperature sets."""
        return np.asarray(-0.5 * self.mean.shape[1] * self.distances(features) ** 2)

    def probabilities(self, features: Array) -> Array:
        """Return the probabilities (N, K) of the classes for images that belong to one of them."""
        scores = self.scores(features) / self.temperature
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def away(self, features: Array) -> Array:
        """Return how far (N,) features are from the nearest prototype, over the border: above 1 it is none of them."""
        return np.asarray(self.distances(features).min(axis=1) / self.border)


def prepared(features: Array) -> Array:
    """Return non-negative features (N, D) as they are compared: their roots, whose scatter is more even."""
    return np.sqrt(np.maximum(features, 0.0))


def fit_prototypes(features: Array, classes: Index, groups: Index, prior: Prior, number: int = 0) -> Prototypes:
    """Return the prototypes of features (N, D) of images of `classes` (N,) 0 .. K - 1; each group (N,) counts once.

    `number`: of the classes, where the last of them may have no image.
    """
    number = number or int(classes.max()) + 1
    weight = 1.0 / np.bincount(groups)[groups]
    total = np.bincount(classes, weight, number).astype(float)
    sums = np.stack([np.bincount(classes, weight * column, number) for column in features.T], 1)
    mean = sums / np.maximum(total, 1e-12)[:, None]
    away = (features - mean[classes]) * np.sqrt(weight)[:, None]
    free = max(float(total.sum()) - number, 0.0)
    covariance = (PRIOR_EXAMPLES * prior.covariance + away.T @ away) / (PRIOR_EXAMPLES + free)
    size = float(np.trace(covariance)) / len(covariance)
    factor = np.linalg.cholesky(covariance + LEAST_SCATTER * size * np.eye(len(covariance)))
    return Prototypes(mean, total, np.linalg.inv(factor).T, prior.temperature)


#: Features, classes, groups and the number of classes in, prototypes out.
Fit = Callable[[Array, Index, Index, int], Prototypes]


def folds_of(classes: Index, groups: Index, most: int = 12) -> list[Index]:
    """Return the groups that are held out together: each group once, of each class as evenly as can be.

    With up to `most` groups in the largest class each fold holds at most one group of a class.
    """
    of_group = {int(group): int(classes[np.argmax(groups == group)]) for group in np.unique(groups)}
    counts: dict[int, int] = {}
    fold: dict[int, list[int]] = {}
    for group, owner in of_group.items():
        place = counts.get(owner, 0)
        counts[owner] = place + 1
        fold.setdefault(place % most, []).append(group)
    return [np.array(held, np.intp) for held in fold.values()]


def held_out_scores(features: Array, classes: Index, groups: Index, fit: Fit) -> tuple[Array, Array]:
    """Return scores (N, K) and least distances (N,) of images, each by prototypes that have not seen its group."""
    number = int(classes.max()) + 1
    scores, least = np.zeros((len(features), number)), np.zeros(len(features))
    for held in folds_of(classes, groups):
        out = np.isin(groups, held)
        _, inside = np.unique(groups[~out], return_inverse=True)
        head = fit(features[~out], classes[~out], inside, number)
        scores[out], least[out] = head.scores(features[out]), head.distances(features[out]).min(axis=1)
    return scores, least


def border_of(least: Array) -> float:
    """Return the distance beyond which an image is none of the classes, from those of held-out images (N,)."""
    if len(least) >= _MANY:
        return float(np.quantile(least, 1 - ABSTAIN))
    return float(least.max()) * _BEYOND


def left_out_distances(features: Array, classes: Index, groups: Index, fit: Fit) -> tuple[Array, Array]:
    """Return least distances of images whose class was left out of the prototypes, and of those that it was not.

    It tells whether images of classes that nobody gave examples of would be noticed; needs three classes.
    """
    unseen, seen = [], []
    for left in range(int(classes.max()) + 1):
        kept = classes != left
        _, renamed = np.unique(classes[kept], return_inverse=True)
        _, inside = np.unique(groups[kept], return_inverse=True)
        head = fit(features[kept], renamed, inside, 0)
        unseen.append(head.distances(features[~kept]).min(axis=1))
        seen.append(held_out_scores(features[kept], renamed, inside, fit)[1])
    return np.concatenate(unseen), np.concatenate(seen)


def looks_mislabelled(probabilities: Array, classes: Index, least: float = 0.8) -> Index:
    """Return the images (M,), worst first, that held-out prototypes give to another class with `least` probability."""
    other = probabilities.copy()
    other[np.arange(len(classes)), classes] = 0
    doubt = other.max(axis=1)
    found = np.flatnonzero(doubt >= least)
    return found[np.argsort(-doubt[found], kind="stable")]


def map_temperature(scores: Array, classes: Index, usual: float, spread: float = 0.5) -> float:
    """Return the likeliest temperature of held-out scores (N, K), pulled towards the `usual` one where they are few.

    `spread`: how far, as a logarithm, temperatures of other sets of classes lie from the usual one.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    def cost(log_t: float) -> float:
        scaled = scores / np.exp(log_t)
        picked = np.take_along_axis(scaled, classes[:, None], axis=1)[:, 0]
        return float((logsumexp(scaled, axis=1) - picked).sum() + 0.5 * ((log_t - np.log(usual)) / spread) ** 2)

    ends = (float(np.log(usual)) - 3, float(np.log(usual)) + 3)
    return float(np.exp(minimize_scalar(cost, bounds=ends, method="bounded").x))


def curve_of(
    features: Array, classes: Index, groups: Index, fit: Fit, rng: np.random.Generator, draws: int = 12
) -> list[tuple[int, float]]:
    """Return the learning curve: (groups a class, share of held-out images that are named rightly)."""
    owners = np.array([classes[np.argmax(groups == group)] for group in np.unique(groups)])
    least = int(np.bincount(owners).min())
    numbers = sorted({n for n in (1, 2, 3, 5, 8, 12, 20, 40, 80, 160) if n < least} | {least - 1})
    return [(n, _share(features, classes, groups, owners, n, fit, rng, draws)) for n in numbers if n > 0]


def _share(
    features: Array, classes: Index, groups: Index, owners: Index, number: int, fit: Fit,
    rng: np.random.Generator, draws: int,
) -> float:  # fmt: skip
    names, right, judged = np.unique(groups), 0.0, 0.0
    for _ in range(draws):
        learn: Sequence[int] = np.concatenate(
            [rng.permutation(names[owners == one])[:number] for one in range(int(classes.max()) + 1)]
        ).tolist()
        taken = np.isin(groups, learn)
        _, inside = np.unique(groups[taken], return_inverse=True)
        head = fit(features[taken], classes[taken], inside, 0)
        named = head.scores(features[~taken]).argmax(axis=1)
        weight = 1.0 / np.bincount(groups)[groups][~taken]
        right, judged = right + float(weight[named == classes[~taken]].sum()), judged + float(weight.sum())
    return right / max(judged, 1e-12)
