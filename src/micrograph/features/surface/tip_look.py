"""What the shape of a bright feature tells of the tip: rings and harmonics of its crop, weighed by a discriminant.

A crop is described by numbers that do not change when it is turned: means, extremes and angular harmonics of rings,
width and length of its core, the height of the next protrusion. Probabilities follow by logistic regression.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.bright import SIDE, STEP_NM

Array = NDArray[np.float64]

#: Rings (nm) and directions at which a crop is read, harmonics that are kept.
_RINGS_NM = np.arange(1, 15) * 0.15
_DIRECTIONS, _HARMONICS = 32, 5
#: Blur (pixels) before; from here on (nm) another protrusion is looked for; no number counts beyond so many spreads.
_BLUR_PX, _APART_NM, _MOST = 0.7, 0.75, 4.0


def describe(crops: NDArray[np.floating]) -> Array:
    """Return the numbers (N, D) that describe crops (N, SIDE, SIDE), the same for a crop that is turned."""
    from scipy.ndimage import gaussian_filter

    values = np.asarray(crops, float).reshape(-1, SIDE, SIDE)
    smooth = gaussian_filter(values, (0, _BLUR_PX, _BLUR_PX))
    polar = (_polar_weights() @ smooth.reshape(-1, SIDE * SIDE).T).T.reshape(-1, len(_RINGS_NM), _DIRECTIONS)
    waves = np.abs(np.fft.rfft(polar, axis=2))[:, :, : _HARMONICS + 1] / _DIRECTIONS
    ordered = np.sort(polar, axis=2)
    cores = np.array([_core(crop) for crop in smooth]).reshape(-1, 3)
    rough = np.log(1e-3 + (values - smooth).std(axis=(1, 2)))
    profile = polar.mean(axis=2)
    parts = (
        profile, *np.moveaxis(waves[:, :, 1:], 2, 0), ordered[:, :, -1], ordered[:, :, -4], ordered[:, :, 0],
        cores, rough[:, None],
    )  # fmt: skip
    return np.concatenate(parts, axis=1)


def _core(smooth: Array) -> tuple[float, float, float]:
    """Return width (nm) and length over breadth of the part above half the height, and how high the next one is."""
    from scipy.ndimage import label

    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    scaled = smooth / max(float(smooth[middle, middle].max()), 1e-6)
    parts, _ = label(scaled > 0.5)
    y, x = np.nonzero(parts == parts[middle, middle].max())
    axes = np.linalg.eigvalsh(np.cov(np.stack([y, x])) + np.eye(2) / 12) if len(y) > 2 else np.ones(2)
    away = _away_nm()
    second = scaled[(away > _APART_NM) & (away < _RINGS_NM[-1])].max()
    return 2 * float(np.sqrt(len(y) / np.pi)) * STEP_NM, float(np.sqrt(axes[1] / axes[0])), float(second)


@functools.cache
def _away_nm() -> Array:
    return np.asarray(np.hypot(*(np.indices((SIDE, SIDE)) - (SIDE - 1) / 2)) * STEP_NM)


@functools.cache
def _polar_weights() -> Any:
    """Return sparse weights (R * T, SIDE * SIDE) that read a crop at rings and directions, by two-way interpolation."""
    from scipy.sparse import csr_array

    angle = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    places = np.stack([np.outer(_RINGS_NM, np.sin(angle)).ravel(), np.outer(_RINGS_NM, np.cos(angle)).ravel()])
    places = places / STEP_NM + (SIDE - 1) / 2
    low = np.floor(places).astype(int)
    part = places - low
    rows, columns, shares = [], [], []
    for dy in (0, 1):
        for dx in (0, 1):
            shares.append(np.where(dy, part[0], 1 - part[0]) * np.where(dx, part[1], 1 - part[1]))
            columns.append((low[0] + dy) * SIDE + low[1] + dx)
            rows.append(np.arange(len(part[0])))
    entries = (np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(places.shape[1], SIDE * SIDE))


@dataclass(frozen=True)
class Discriminant:
    """Logistic regression on descriptions: centre and spread (D,), weights (2 D + 1, K), and the domain's border.

    The description and its square enter. `whitening` (D, E) and `border` give the distance from what it was fitted to,
    1 at the border.
    """

    centre: Array
    spread: Array
    weights: Array
    whitening: Array
    border: float

    def probabilities(self, descriptions: Array) -> Array:
        """Return the probabilities (N, K) of the classes."""
        return _softmax(self.terms(descriptions) @ self.weights)

    def distance(self, descriptions: Array) -> Array:
        """Return how far (N,) descriptions lie from those that were fitted."""
        away = (descriptions - self.centre) / self.spread @ self.whitening
        return np.asarray(np.sqrt((away**2).mean(axis=1)) / self.border)

    def terms(self, descriptions: Array) -> Array:
        """Return what is weighed (N, 2 D + 1)."""
        return _terms(descriptions, self.centre, self.spread)


#: Where the fitted discriminants are kept.
_KEPT = Path(__file__).with_name("tip_look.npz")
_PARTS = ("centre", "spread", "weights", "whitening", "border")


@dataclass(frozen=True)
class Look:
    """What crops tell: `tip` of a bond, `kind` of a feature (a dangling bond or not), `together` of several bonds."""

    tip: Discriminant
    kind: Discriminant
    together: Discriminant

    def save(self, path: Path = _KEPT) -> None:
        """Write the discriminants to a file."""
        arrays: dict[str, Any] = {
            f"{name}_{part}": np.asarray(getattr(getattr(self, name), part), np.float32)
            for name in ("tip", "kind", "together")
            for part in _PARTS
        }
        np.savez_compressed(path, **arrays)

    def joint(self, crops: NDArray[np.floating]) -> Array:
        """Return the probabilities (3,) of the tip's states by the median of crops (N, SIDE, SIDE).

        A ghost stands beside every bond and stays in the median; a true neighbour, an adsorbate or a scar does not.
        """
        return np.asarray(self.together.probabilities(describe(np.median(np.asarray(crops, float), axis=0)[None]))[0])


@functools.cache
def shipped() -> Look:
    """Return the discriminants that ship, fitted to simulated scans."""
    with np.load(_KEPT) as kept:
        arrays = {name: np.asarray(kept[name], float) for name in kept.files}
    return Look(*(_discriminant(arrays, name) for name in ("tip", "kind", "together")))


def _discriminant(arrays: dict[str, Array], name: str) -> Discriminant:
    """Return the discriminant that a file keeps under a name."""
    centre, spread, weights, whitening, border = (arrays[f"{name}_{part}"] for part in _PARTS)
    return Discriminant(centre, spread, weights, whitening, float(border))


def fit(descriptions: Array, classes: NDArray[np.intp], number: int, ridge: float = 3.0) -> Discriminant:
    """Return the discriminant of `number` classes that descriptions (N, D) of known classes (N,) call for."""
    from scipy.optimize import minimize

    centre, spread = descriptions.mean(axis=0), descriptions.std(axis=0) + 1e-9
    terms = _terms(descriptions, centre, spread)
    truth = np.eye(number)[classes]

    def cost(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(-1, number)
        p = _softmax(terms @ weights)
        loss = -float(np.log(np.maximum((p * truth).sum(axis=1), 1e-12)).sum()) + ridge / 2 * float((weights**2).sum())
        return loss, np.asarray((terms.T @ (p - truth) + ridge * weights).ravel())

    found = minimize(cost, np.zeros(terms.shape[1] * number), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    scaled = (descriptions - centre) / spread
    values, vectors = np.linalg.eigh(np.cov(scaled.T))
    kept = values > 1e-3 * values.max()
    whitening = vectors[:, kept] / np.sqrt(values[kept])
    reach = np.sqrt(((scaled @ whitening) ** 2).mean(axis=1))
    weights = np.asarray(found.x).reshape(-1, number)
    return Discriminant(centre, spread, weights, whitening, float(np.quantile(reach, 0.995)))


def _terms(descriptions: Array, centre: Array, spread: Array) -> Array:
    scaled = _MOST * np.tanh((descriptions - centre) / spread / _MOST)
    return np.concatenate([scaled, scaled**2 - 1, np.ones((len(scaled), 1))], axis=1)


def _softmax(scores: Array) -> Array:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))
