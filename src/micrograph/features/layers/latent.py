"""What surrounds a place of an image, told so that turning it changes nothing; and regression from few numbers to few.

Rings about the place are written as harmonics of the angle: their strengths, and how those of neighbouring rings are
turned against each other, stay the same when the surroundings are turned about the place or mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Points of a ring, and harmonics that are kept of it.
POINTS, HARMONICS = 48, 6
#: Length scales (over the typical distance) and shares of noise that a process is chosen from.
_SCALES, _NOISES = (0.35, 0.7, 1.4, 2.8, 5.6), tuple(np.geomspace(1e-5, 10, 25))
#: Places that one process learns from, at most.
_MOST = 1000
#: Rows that are answered at once.
_TOGETHER = 2048


def ring_radii(reach: float, rings: int) -> Array:
    """Return the radii (rings,) up to `reach`: closer together near the middle."""
    return np.asarray(reach * ((np.arange(rings) + 0.5) / rings) ** 1.4)


def polar_views(
    image: NDArray[np.floating], place_px: Array, radii_px: Array, points: int = POINTS, *, mirrored: bool = True
) -> Array:
    """Return the rings (N, R, points) of an image (H, W) about places (N, 2) as y, x in pixels.

    Beyond its edges the image is `mirrored`, or 0.
    """
    from scipy.ndimage import map_coordinates

    turn = 2 * np.pi * np.arange(points) / points
    y = place_px[:, 0, None, None] + radii_px[:, None] * np.sin(turn)
    x = place_px[:, 1, None, None] + radii_px[:, None] * np.cos(turn)
    return np.asarray(
        map_coordinates(np.asarray(image, float), [y, x], order=1, mode="reflect" if mirrored else "constant")
    )


def invariants(views: Array, harmonics: int = HARMONICS) -> Array:
    """Return what turning rings (N, R, P) does not change (N, F): strengths, and agreement of neighbouring rings."""
    waves = np.fft.rfft(views, axis=2)[:, :, :harmonics] / views.shape[2]
    strength = np.abs(waves)
    mean = waves[:, :, :1].real
    together = (waves[:, 1:] * waves[:, :-1].conj()).real[:, :, 1:]
    scale = np.sqrt(strength[:, 1:, 1:] * strength[:, :-1, 1:])
    agreement = together / np.maximum(scale, 1e-12 * max(float(strength.max()), 1e-300))
    return np.concatenate([part.reshape(len(views), -1) for part in (mean, strength[:, :, 1:], agreement)], axis=1)


def turned_alike(views: NDArray[np.floating[Any]]) -> Array:
    """Return rings (N, R, P) turned and mirrored so that what alike surroundings show lies at like angles.

    The weight of the surroundings, farther rings counting more, lies towards the first angle; where that is no
    direction, the longer axis; and the heavier side after it.
    """
    number = views.shape[2]
    weight = (views - views.min(axis=(1, 2), keepdims=True)) * np.linspace(0.5, 1.5, views.shape[1])[:, None]
    wave = np.fft.rfft(weight.sum(axis=1), axis=1)
    one, two = np.angle(wave[:, 1]), np.angle(wave[:, 2]) / 2
    angle = np.where(np.abs(wave[:, 1]) > 0.5 * np.abs(wave[:, 2]), one, two)
    shift = np.round(-angle * number / (2 * np.pi)).astype(int)
    index = (np.arange(number) + shift[:, None]) % number
    turned = np.take_along_axis(views, index[:, None], axis=2)
    half = number // 2
    after, before = turned[:, :, 1:half].mean((1, 2)), turned[:, :, -half + 1 :].mean((1, 2))
    mirror = turned[:, :, (-np.arange(number)) % number]
    return np.asarray(np.where((after >= before)[:, None, None], turned, mirror))


@dataclass(frozen=True)
class Scores:
    """The first principal components of numbers: ``(x - centre) @ parts``."""

    centre: Array
    parts: Array

    def __call__(self, x: Array) -> Array:
        """Return the components (N, K) of `x` (N, F)."""
        return np.asarray((x - self.centre) @ self.parts)

    def back(self, scores: Array) -> Array:
        """Return the numbers (N, F) that components (N, K) stand for."""
        return np.asarray(self.centre + scores @ self.parts.T)


def principal(x: Array, number: int, share: float = 0.999) -> Scores:
    """Return at most `number` principal components of `x` (N, F), as many as hold `share` of the variance."""
    centre = x.mean(axis=0)
    _, value, parts = np.linalg.svd(x - centre, full_matrices=False)
    held = np.cumsum(value**2) / max(float(np.sum(value**2)), 1e-300)
    count = int(np.clip(np.searchsorted(held, share) + 1, 1, min(number, len(value))))
    return Scores(centre, parts[:count].T)


@dataclass(frozen=True)
class Process:
    """Gaussian processes (doi:10.7551/mitpress/3206.001.0001) about a plane, one an output, see `learned_process`.

    x (N, F) was learned from; plane (1 + F, K); for output j: scale[j] of the kernel, noise[j] over its variance[j],
    weights (N, K).
    """

    x: Array
    plane: Array
    scale: Array
    noise: Array
    variance: Array
    weights: Array

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Return the outputs (M, K) at `x` (M, F) and their variances (M, K), noise of measuring included."""
        mean, spread = np.empty((len(x), len(self.scale))), np.empty((len(x), len(self.scale)))
        for kind in np.unique(self.scale):
            mine = np.flatnonzero(self.scale == kind)
            value, vectors = np.linalg.eigh(np.exp(-_squared(self.x, self.x) / (2 * kind**2)))
            shares = 1 / (np.clip(value, 0, None)[:, None] + self.noise[mine])
            for at in range(0, len(x), _TOGETHER):
                rows = slice(at, at + _TOGETHER)
                kernel = np.exp(-_squared(x[rows], self.x) / (2 * kind**2))
                known = (kernel @ vectors) ** 2 @ shares
                mean[rows, mine] = kernel @ self.weights[:, mine]
                spread[rows, mine] = self.variance[mine] * (self.noise[mine] + np.clip(1 - known, 0, None))
        return mean + _with_one(x) @ self.plane, spread


def _with_one(x: Array) -> Array:
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def _squared(a: Array, b: Array) -> Array:
    """Return squared distances (A, B) over the number of dimensions."""
    both = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.clip(both, 0, None) / a.shape[1])


def learned_process(x: Array, y: Array, rng: np.random.Generator, most: int = _MOST) -> Process:
    """Return processes from `x` (N, F) to `y` (N, K), kernel and noise by likelihood; at most `most` rows are used."""
    if len(x) > most:
        some = np.sort(rng.choice(len(x), most, replace=False))
        x, y = x[some], y[some]
    squared, outputs = _squared(x, x), y.shape[1]
    typical = float(np.sqrt(np.median(squared[squared > 0]))) if np.any(squared > 0) else 1.0
    flat = _with_one(x)
    ridge = 1e-3 * len(x) * np.diag([0.0, *x.var(axis=0)])
    plane = np.linalg.solve(flat.T @ flat + ridge + 1e-9 * np.eye(len(ridge)), flat.T @ y)
    left, best = y - flat @ plane, np.full(outputs, -np.inf)
    scale, noise, variance = (np.ones(outputs) for _ in range(3))
    weights = np.zeros_like(y)
    for times in _SCALES:
        value, vectors = np.linalg.eigh(np.exp(-squared / (2 * (times * typical) ** 2)))
        value, turned = np.clip(value, 0, None), vectors.T @ left
        for share in _NOISES:
            own = (turned**2 / (value + share)[:, None]).mean(axis=0) + 1e-300
            likely = -0.5 * len(x) * np.log(own) - 0.5 * np.log(value + share).sum()
            better = likely > best
            best[better], variance[better] = likely[better], own[better]
            scale[better], noise[better] = times * typical, share
            weights[:, better] = vectors @ (turned[:, better] / (value + share)[:, None])
    return Process(x, np.asarray(plane, np.float64), scale, noise, variance, weights)


def nearest(latent: Array, number: int) -> tuple[NDArray[np.intp], Array]:
    """Return the `number` other rows nearest to each row of `latent` (N, K), and how far they are (N, number)."""
    from scipy.spatial import cKDTree

    number = min(number, len(latent) - 1)
    if number < 1:
        return np.zeros((len(latent), 0), np.intp), np.zeros((len(latent), 0))
    found: Any = cKDTree(latent).query(latent, k=number + 1)
    distance, index = found
    other = index != np.arange(len(latent))[:, None]
    other[other.all(axis=1), -1] = False  # where equal rows hid the row itself
    return index[other].reshape(len(latent), number), distance[other].reshape(len(latent), number)
