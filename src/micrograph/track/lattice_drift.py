"""The drift of a crystal from the phase of its lattice: nothing adds up, but it is known only up to a lattice vector.

Which lattice vector is told by a coarse drift, from the same points or others. Every atom counts, whoever is missing.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.track.drift import drift_table
from micrograph.track.timeline import Array, in_order, timeline

#: A frame counts if this share of its atoms' waves adds up.
_LEAST_ORDER = 0.1


def lattice_drift(points: pd.DataFrame, coarse: pd.DataFrame, cell: ArrayLike | None = None) -> pd.DataFrame:
    """Return the drift (table as `coarse`) from the phase of the lattice of `points` in every frame.

    points: rows with ``frame, y_nm, x_nm`` of the columns of a crystal; coarse: the drift of all frames to better than
    a third of the spacing of the lattice planes (`find_drift`); cell: (2, 2) vectors [y, x] nm, fitted to the first
    frame that allows it where not given. A frame without order keeps its coarse drift. Raises `BadInput` if there is no
    lattice.
    """
    points = in_order(points)
    frame = timeline(points, coarse)
    place = points[["y_nm", "x_nm"]].to_numpy(float)
    cuts = np.searchsorted(frame.position(points), np.arange(len(frame) + 1)).tolist()
    clouds = [place[a:b] for a, b in itertools.pairwise(cuts)]
    waves = _strongest_waves(clouds, _cell(clouds) if cell is None else np.asarray(cell, dtype=float))
    order = np.array([_order(cloud, waves) for cloud in clouds])
    known = coarse[["drift_y_nm", "drift_x_nm"]].to_numpy(float)
    doubt = coarse[["drift_y_sigma_nm", "drift_x_sigma_nm"]].to_numpy(float)
    seen = (np.abs(order) > _LEAST_ORDER).all(axis=1)
    if not seen.any():
        return coarse
    drift, sigma = _placed(order, waves, seen, known), _sigma(clouds, order, waves)
    drift = np.where(seen[:, None], drift - drift[np.argmax(seen)] + _start(known, seen), known)
    return drift_table(frame, drift - drift[0], np.where(seen[:, None], sigma, doubt))


def _start(known: Array, seen: NDArray[np.bool_]) -> Array:
    """Return where the first ordered frame lies: at the origin if it is the first of all, else where `known` says."""
    first = int(np.argmax(seen))
    return np.zeros(2) if first == 0 else known[first]


def _cell(clouds: list[Array]) -> Array:
    """Return the lattice vectors of the first of the frames that shows a lattice."""
    for cloud in sorted(clouds[:20], key=len, reverse=True)[:3]:
        lattice = fit_lattice(cloud[:, 0], cloud[:, 1]) if len(cloud) >= 8 else None
        if lattice is not None:
            return lattice.cell
    raise BadInput("The points show no lattice in the first frames: find the drift without one, or give its cell.")


def _strongest_waves(clouds: list[Array], cell: Array) -> Array:
    """Return the two independent reciprocal vectors (2, 2), 1/nm, in which the fullest frame is most ordered."""
    fullest = max(clouds, key=len)
    index = np.array([(h, k) for h in range(3) for k in range(-2, 3) if (h, k) > (0, 0)])
    waves = index @ np.linalg.inv(cell).T
    ranked = np.argsort(-np.abs(_order(fullest, waves)) + 1e-3 * np.hypot(*waves.T) / np.hypot(*waves.T).max())
    best = waves[ranked[0]]
    other = next(w for w in waves[ranked[1:]] if abs(best[0] * w[1] - best[1] * w[0]) > 0.1 * np.hypot(*best) ** 2)
    return np.array([best, other])


def _order(cloud: Array, waves: Array) -> NDArray[np.complex128]:
    """Return the mean of every atom's wave, for each reciprocal vector."""
    if len(cloud) == 0:
        return np.zeros(len(waves), complex)
    return np.asarray(np.exp(2j * np.pi * cloud @ waves.T).mean(axis=0))


def _placed(order: NDArray[np.complex128], waves: Array, seen: NDArray[np.bool_], known: Array) -> Array:
    """Return the drift (T, 2): the phases against the first ordered frame, unwrapped to lie nearest to `known`."""
    first = int(np.argmax(seen))
    turns = np.angle(order * np.conj(order[first])) / (2 * np.pi)
    expected = (known - known[first]) @ waves.T
    return np.asarray((turns + np.rint(expected - turns)) @ np.linalg.inv(waves).T)


def _sigma(clouds: list[Array], order: NDArray[np.complex128], waves: Array) -> Array:
    """Return the 1-sigma (T, 2) from the scatter of the atoms' phases."""
    back = np.linalg.inv(waves)
    sigma = np.zeros((len(clouds), 2))
    for t, (cloud, mean) in enumerate(zip(clouds, order, strict=True)):
        if len(cloud) > 1 and (np.abs(mean) > 0).all():
            aside = (np.exp(2j * np.pi * cloud @ waves.T) * np.conj(mean / np.abs(mean))).imag
            turns = np.sqrt((aside**2).mean(axis=0) / len(cloud)) / (2 * np.pi * np.abs(mean))
            sigma[t] = np.sqrt((back * turns) ** 2 @ np.ones(2))
    first = sigma[np.argmax((sigma > 0).all(axis=1))]
    total = np.sqrt(sigma**2 + first**2)
    total[0] = 0.0
    return np.asarray(total)
