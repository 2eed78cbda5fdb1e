"""The classical way to kinds of images: what textures are known by, and linear discriminants of shrunk covariance."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.naming.texture_vector import texture_vector
from micrograph.simulate.secondary.sem_sampler import KINDS, SemTextures

Array = NDArray[np.float64]
#: Images that the classifier learns from.
LEARNED = 700
#: Share of the covariance's diagonal.
_SHRUNK = 0.05


@dataclass(frozen=True)
class LinearKinds:
    """Linear discriminants: vectors (N, F) are scaled by `mean` and `spread` (F,), scores are `weights` (F + 1, K)."""

    mean: Array
    spread: Array
    weights: Array

    def __call__(self, image: NDArray[np.floating]) -> int:
        """Return the likeliest kind's place in `KINDS`."""
        vector = (texture_vector(image) - self.mean) / self.spread
        return int(np.argmax(np.append(vector, 1) @ self.weights))


@functools.lru_cache(maxsize=1)
def learned_kinds() -> LinearKinds:
    """Return the classifier, learned from images of one kind each that the simulator of the training makes."""
    textures, vectors, kinds = SemTextures(), [], np.arange(LEARNED) % len(KINDS)
    for number, kind in enumerate(kinds):
        vectors.append(texture_vector(textures.of_kind(int(kind), np.random.default_rng([41, number])).image))
    x = np.array(vectors)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = (x - mean) / spread
    middles = np.array([z[kinds == kind].mean(axis=0) for kind in range(len(KINDS))])
    within = np.cov((z - middles[kinds]).T) + _SHRUNK * np.eye(z.shape[1])
    slopes = np.linalg.solve(within, middles.T)
    return LinearKinds(mean, spread, np.vstack([slopes, -0.5 * (middles.T * slopes).sum(axis=0)]))
