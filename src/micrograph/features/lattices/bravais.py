"""Which of the five two-dimensional lattices a measured cell is: probabilities by Bayes' rule, nothing trained.

Size and direction do not matter: a lattice is a point ``tau = b / a exp(i (180 - gamma))`` of the domain
``0 <= Re tau <= 1/2, |tau| >= 1`` (a <= b the shortest vectors, gamma 90 to 120 degrees). Square (tau = i)
and hexagonal lattices (tau = exp(i 60 degrees)) are corners of it, rectangular ones its edge Re tau = 0, centred
rectangular ones the edges |tau| = 1 (rhombs) and Re tau = 1/2, oblique ones its inside.

A cell is measured with an error: the covariance of tau. How likely it is under a type is that error's density,
integrated along the type's edge with the prior there: the logarithm of the conventional cell's ratio of sides, the same
chance anywhere up to `MOST_RATIO`; oblique cells also have any angle that a reduced cell may have. A measured point is
folded into the domain; the two, four or six images of it that fall together there count. So the simpler type wins where
both fit (the prior of the richer one is thin), and a lattice is called less symmetric only when its error says so.

A scan that is stretched and sheared at random, with the standard deviation `sigma` in each element of its matrix, moves
tau by sqrt(2) sigma Im tau in any direction: that is added to the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The types, in the order of all probabilities here.
BRAVAIS = ("square", "hexagonal", "rectangular", "centred rectangular", "oblique")
#: Largest ratio of the sides of a conventional cell.
MOST_RATIO = 3.0
_I, _RHO = np.array([0.0, 1.0]), np.array([0.5, np.sqrt(3) / 2])


@dataclass(frozen=True)
class Cells:
    """Reduced cells of N lattices: vectors (N, 2, 2), rows a and b as [y, x], and tau (N, 2) with covariance (N, 2, 2).

    `size` (N, 3) is a, b (the vectors' unit) and gamma (degrees), `size_sigma` their 1-sigma.
    """

    vectors: Array
    tau: Array
    covariance: Array
    size: Array
    size_sigma: Array


def cells_of(vectors: Array, covariance: Array) -> Cells:
    """Return the reduced cells of any `vectors` (N, 2, 2); `covariance` (N, 4, 4) is of a_y, a_x, b_y, b_x."""
    steps = np.stack([reduction(cell) for cell in vectors]) if len(vectors) else np.zeros((0, 2, 2))
    joint = np.einsum("nij,kl->nikjl", steps, np.eye(2)).reshape(-1, 4, 4)
    reduced = np.einsum("nij,njk->nik", steps, vectors)
    spread = joint @ covariance @ joint.transpose(0, 2, 1)
    values, slopes = _shape(reduced)
    own = slopes @ spread @ slopes.transpose(0, 2, 1)
    sigma = np.sqrt(np.maximum(np.einsum("nii->ni", own), 0.0))
    return Cells(reduced, values[:, 3:], own[:, 3:, 3:], values[:, :3], sigma[:, :3])


def reduction(cell: Array) -> Array:
    """Return the whole numbers (2, 2) that make of a cell (rows a, b) its two shortest vectors, gamma 90 to 120."""
    step = np.eye(2)
    for _ in range(100):
        a, b = step @ cell
        if a @ a > b @ b:
            step = step[::-1]
            continue
        number = np.rint(a @ b / max(float(a @ a), 1e-300))
        if number == 0:
            break
        step = np.stack([step[0], step[1] - number * step[0]])
    a, b = step @ cell
    return np.asarray(np.stack([step[0], -step[1]]) if a @ b > 0 else step)


def _shape(cell: Array) -> tuple[Array, Array]:
    """Return a, b, gamma, Re tau, Im tau (N, 5) of cells (N, 2, 2) and their slopes (N, 5, 4)."""
    h = 1e-6 * np.linalg.norm(cell[:, 0], axis=1)[:, None, None]
    slopes = []
    for number in range(4):
        way = h * np.eye(4)[number].reshape(1, 2, 2)
        slopes.append((_values(cell + way) - _values(cell - way)) / (2 * h[:, 0]))
    return _values(cell), np.stack(slopes, axis=2) if len(cell) else np.zeros((0, 5, 4))


def _values(cell: Array) -> Array:
    a, b = np.linalg.norm(cell[:, 0], axis=1), np.linalg.norm(cell[:, 1], axis=1)
    inner = np.einsum("ni,ni->n", cell[:, 0], cell[:, 1])
    area = np.abs(np.linalg.det(cell))
    return np.stack([a, b, np.degrees(np.arctan2(area, inner)), -inner / a**2, area / a**2], axis=1)


def type_probabilities(tau: Array, covariance: Array, distortion: float = 0.0) -> Array:
    """Return the probabilities (N, 5) of `BRAVAIS` for lattices at `tau` (N, 2) with `covariance` (N, 2, 2).

    distortion: 1-sigma of every element of the scan's random distortion.
    """
    spread = with_distortion(tau, covariance, distortion)
    inverse = np.linalg.inv(spread).astype(np.float64)
    norm = 1 / (2 * np.pi * np.sqrt(np.linalg.det(spread)))
    tall = _upwards(tau, inverse, 0.5, (float(_RHO[1]), MOST_RATIO / 2), float(np.log(MOST_RATIO)))
    evidence = np.stack(
        [
            4 * norm * _density(tau - _I, inverse),
            6 * norm * _density(tau - _RHO, inverse),
            2 * norm * _upwards(tau, inverse, 0.0, (1.0, MOST_RATIO), float(np.log(MOST_RATIO))),
            2 * norm * (_rhombs(tau, inverse) + tall),
            _oblique(tau),
        ],
        axis=1,
    )  # fmt: skip
    return np.asarray(evidence / evidence.sum(axis=1, keepdims=True))


def with_distortion(tau: Array, covariance: Array, distortion: float) -> Array:
    """Return the covariance (N, 2, 2) of tau with that of a scan distorted at random added."""
    grown = 2 * (distortion * tau[:, 1]) ** 2 + 1e-14
    return np.asarray(covariance + grown[:, None, None] * np.eye(2))


def distances(tau: Array, covariance: Array) -> Array:
    """Return how many standard deviations lattices (N,) lie from each type (N, 4), all of `BRAVAIS` but oblique."""
    inverse = np.linalg.inv(covariance)
    along = np.exp(np.linspace(0, np.log(MOST_RATIO), 1500))
    edges = [
        _I[None],
        _RHO[None],
        np.stack([0 * along, along], axis=1),
        np.concatenate(
            [_arc(np.linspace(np.pi / 3, np.pi / 2, 1500)), np.stack([0 * along + 0.5, _RHO[1] * along], 1)]
        ),
    ]
    found = []
    for points in edges:
        off = points[None] - tau[:, None]
        found.append(np.sqrt(np.einsum("nki,nij,nkj->nk", off, inverse, off).min(axis=1)))
    return np.stack(found, axis=1)


def _density(off: Array, inverse: Array) -> Array:
    return np.asarray(np.exp(-0.5 * np.einsum("ni,nij,nj->n", off, inverse, off)))


def _along(tau: Array, inverse: Array, foot: Array, way: Array, ends: tuple[Array, Array]) -> Array:
    """Return the integral of the unnormed density along straight lines ``foot + t way`` between `ends` of t."""
    from scipy.special import ndtr

    off = foot - tau
    bend = np.einsum("ni,nij,nj->n", way, inverse, way)
    slope = np.einsum("ni,nij,nj->n", way, inverse, off)
    least = np.einsum("ni,nij,nj->n", off, inverse, off) - slope**2 / bend
    sigma, middle = 1 / np.sqrt(bend), -slope / bend
    low, high = ((end - middle) / sigma for end in ends)
    held = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    return np.asarray(np.exp(-0.5 * least) * np.sqrt(2 * np.pi) * sigma * held)


def _upwards(tau: Array, inverse: Array, x: float, ends: tuple[float, float], span: float) -> Array:
    """Return the integral along Re tau = x, Im tau between `ends`, of a prior uniform in log Im tau over `span`."""
    y = np.clip(tau[:, 1], *ends)
    foot = np.stack([np.full(len(tau), x), y], axis=1)
    return _along(tau, inverse, foot, np.tile([0.0, 1.0], (len(tau), 1)), (ends[0] - y, ends[1] - y)) / (y * span)


def _rhombs(tau: Array, inverse: Array) -> Array:
    """Return the integral along |tau| = 1 of a prior uniform in the log of the diagonals' ratio, cot(theta / 2)."""
    theta = np.clip(np.arctan2(tau[:, 1], tau[:, 0]), np.pi / 3, np.pi / 2)
    way = np.stack([-np.sin(theta), np.cos(theta)], axis=1)
    held = _along(tau, inverse, _arc(theta), way, (np.pi / 3 - theta, np.pi / 2 - theta))
    return np.asarray(held / (np.sin(theta) * np.log(MOST_RATIO)))


def _arc(theta: Array) -> Array:
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1)


def _oblique(tau: Array) -> Array:
    """Return the prior density of oblique cells at tau: uniform in log(b / a), and in the angle that is left."""
    ratio = np.maximum(np.hypot(tau[:, 0], tau[:, 1]), 1.0)
    room = np.pi / 2 - np.arccos(0.5 / ratio)
    return np.asarray(np.where(ratio <= MOST_RATIO, 1.0, 1e-3) / (ratio**2 * np.log(MOST_RATIO) * room))
