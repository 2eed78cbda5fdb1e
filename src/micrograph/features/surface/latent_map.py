"""A variational auto-encoder of two latent numbers for histograms, small enough to be trained where it is used.

Kingma and Welling, arXiv:1312.6114. The noise of the histograms is known from configurations drawn alike, so that the
weight of the latent prior is no choice. Written out in numpy: a thousand histograms of thirty bins take a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Width of the hidden layers, steps and size of their batches, learning rate of Adam.
_HIDDEN, _STEPS, _BATCH, _RATE = 24, 1500, 128, 4e-3


@dataclass(frozen=True)
class LatentMap:
    """Where histograms lie: `encode` gives their two latent means, turned so that the first follows a known order."""

    centre: Array
    scale: float
    weights: tuple[Array, ...]
    turn: Array

    def encode(self, histograms: Array) -> Array:
        """Return the latent means (N, 2) of histograms (N, D) of probabilities."""
        hidden = np.tanh(_scaled(histograms, self.centre, self.scale) @ self.weights[0] + self.weights[1])
        return np.asarray((hidden @ self.weights[2] + self.weights[3])[:, :2] @ self.turn)


def _scaled(histograms: Array, centre: Array, scale: float) -> Array:
    return np.asarray((np.sqrt(histograms) - centre) / scale)


def train_map(histograms: Array, group: NDArray[np.intp], order: Array, rng: np.random.Generator) -> LatentMap:
    """Return the map learned from histograms (N, D); those of one `group` (N,) were drawn alike.

    order (N,): what the first latent number is turned to follow (temperature); it plays no part in the learning.
    """
    roots = np.sqrt(histograms)
    centre = roots.mean(axis=0)
    scale = float(np.sqrt(((roots - centre) ** 2).mean())) or 1.0
    x = (roots - centre) / scale
    within = np.mean([np.var(x[group == one], axis=0, ddof=1).mean() for one in np.unique(group)])
    weights = _learned(x, max(float(within), 1e-4), rng)
    plain = LatentMap(centre, scale, weights, np.eye(2))
    latent = plain.encode(histograms)
    terms = np.column_stack([latent - latent.mean(axis=0), np.ones(len(latent))])
    slope = np.linalg.lstsq(terms, order - order.mean(), rcond=None)[0][:2]
    along = slope / max(float(np.hypot(*slope)), 1e-12)
    return LatentMap(centre, scale, weights, np.stack([along, [-along[1], along[0]]], axis=1))


def _learned(x: Array, noise: float, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return the weights of encoder and decoder after `_STEPS` steps of Adam."""
    size = x.shape[1]
    shapes = [(size, _HIDDEN), (_HIDDEN,), (_HIDDEN, 4), (4,), (2, _HIDDEN), (_HIDDEN,), (_HIDDEN, size), (size,)]
    weights = [rng.normal(0, 1 / np.sqrt(shape[0]), shape) if len(shape) == 2 else np.zeros(shape) for shape in shapes]
    first, second = ([np.zeros(shape) for shape in shapes] for _ in range(2))
    for step in range(1, _STEPS + 1):
        batch = x[rng.integers(len(x), size=_BATCH)]
        rate = _RATE * min(1.0, 3 * (1 - step / (_STEPS + 1)))
        for place, slope in enumerate(_slopes(batch, weights, noise, rng)):
            first[place] = 0.9 * first[place] + 0.1 * slope
            second[place] = 0.99 * second[place] + 0.01 * slope**2
            ahead = first[place] / (1 - 0.9**step)
            weights[place] = weights[place] - rate * ahead / (np.sqrt(second[place] / (1 - 0.99**step)) + 1e-8)
    return tuple(weights)


def _slopes(x: Array, weights: list[Array], noise: float, rng: np.random.Generator) -> list[Array]:
    """Return the gradient of the negative evidence bound of a batch with respect to all weights."""
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    h = np.tanh(x @ w1 + b1)
    code = h @ w2 + b2
    mean, log_var = code[:, :2], np.clip(code[:, 2:], -12, 4)
    drawn = rng.normal(size=mean.shape)
    sigma = np.exp(0.5 * log_var)
    g = np.tanh((mean + sigma * drawn) @ w3 + b3)
    d_out = (g @ w4 + b4 - x) / (noise * len(x))
    d_g = d_out @ w4.T * (1 - g**2)
    d_z = d_g @ w3.T
    d_mean = d_z + mean / len(x)
    d_log = 0.5 * (d_z * drawn * sigma + (np.exp(log_var) - 1) / len(x))
    d_code = np.concatenate([d_mean, d_log], axis=1)
    d_h = d_code @ w2.T * (1 - h**2)
    z = mean + sigma * drawn
    return [
        x.T @ d_h, d_h.sum(0), h.T @ d_code, d_code.sum(0), z.T @ d_g, d_g.sum(0), g.T @ d_out, d_out.sum(0),
    ]  # fmt: skip
