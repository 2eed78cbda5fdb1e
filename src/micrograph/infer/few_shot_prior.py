"""What is known of shared features before any example is given: their scatter within a class, how sure to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from micrograph.features.naming.prototypes import Prior, fit_prototypes, map_temperature
from micrograph.infer.few_shot import features_of
from micrograph.nets import Checkpoint
from micrograph.nets.prototype_spec import SMALL

if TYPE_CHECKING:
    from micrograph.train.episodes import Classes

Array = NDArray[np.float64]

#: Families whose classes are looked at, images of each class, and shots of the episodes that set the temperature.
FAMILIES, IMAGES, SHOTS = 60, 10, 5
#: Share of the scatter that is taken as alike in all directions: the best on families of the pool, from 0 to 1.
EVEN = 0.5


def with_prior(checkpoint: Checkpoint, classes: Classes, seed: int) -> Checkpoint:
    """Return features with their scatter within a class and the temperature of their scores, from fresh families."""
    features = features_of(checkpoint)
    values = []
    for number in range(FAMILIES):
        images, _ = classes.drawn(np.random.default_rng([seed, 3, number]), IMAGES)
        found = features.of_small(images.reshape(-1, *images.shape[-2:]))
        values.append(found.reshape(*images.shape[:2], -1))
    half = FAMILIES // 2
    size = features.spec.hidden

    def prior(some: list[Array]) -> Prior:
        # Every look has the scatter of the whole, and none is taken to know of another.
        return Prior(evened(scatter_within([one[..., :size] for one in some]))).repeated(len(SMALL))

    temperature = _temperature(values[half:], prior(values[:half]))
    parts = {"within.covariance": torch.from_numpy(prior(values).covariance[:size, :size].copy()).float()}
    card = {**checkpoint.card, "few_shot": {"temperature": temperature, "families": FAMILIES}}
    return replace(checkpoint, state={**checkpoint.state, **parts}, card=card)


def scatter_within(values: list[Array]) -> Array:
    """Return the covariance (D, D) of features, families of (K, N, D), about the mean of their class."""
    away = [(one - one.mean(axis=1, keepdims=True)).reshape(-1, one.shape[-1]) for one in values]
    free = sum(one.shape[0] * (one.shape[1] - 1) for one in values)
    return np.asarray(sum(one.T @ one for one in away) / free)


def evened(covariance: Array) -> Array:
    """Return a covariance (D, D) half way to one that is alike in all directions: other classes scatter otherwise."""
    size = float(np.trace(covariance)) / len(covariance)
    return np.asarray((1 - EVEN) * covariance + EVEN * size * np.eye(len(covariance)))


def _temperature(values: list[Array], prior: Prior) -> float:
    """Return the temperature of scores of episodes over families of (K, N, D)."""
    scores, truth = [], []
    for one in values:
        names = np.arange(len(one))
        learn = one[:, :SHOTS].reshape(-1, one.shape[-1])
        head = fit_prototypes(learn, np.repeat(names, SHOTS), np.arange(len(learn)), prior)
        scores.append(head.scores(one[:, SHOTS:].reshape(-1, one.shape[-1])))
        truth.append(np.repeat(names, one.shape[1] - SHOTS))
    return map_temperature(np.concatenate(scores), np.concatenate(truth), 1.0, spread=10.0)
