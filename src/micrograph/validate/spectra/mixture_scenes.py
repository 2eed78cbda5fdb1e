"""Mixtures to judge unmixing by, and how far endmembers are from the planted ones.

The third set has the endmembers of another simulator: `spectra/mixtures.npz` holds spectra that exspy (0.3.2) made
of materials: hydrogenic edges on a power law (oxides, carbides, nitrides), and X-ray lines with their tabled energies
and weights and exspy's width of a detector.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from micrograph.core import SignalAxis
from micrograph.simulate.signals.spectra import Mixture, random_mixture

Array = NDArray[np.float64]
KINDS = ("eels", "edx")


@functools.cache
def reference_endmembers(kind: str) -> Array:
    """Return spectra (M, 600) of materials, sums 1, from another simulator: 'eels' 260 to 859 eV, 'edx' 0 to 12 keV."""
    path = resources.files("micrograph.validate") / "spectra" / "mixtures.npz"
    with resources.as_file(path) as file, np.load(file) as kept:
        spectra = kept[kind].astype(float)
    return np.asarray(spectra / spectra.sum(axis=1, keepdims=True))


def scene(data: str, kind: str, rng: np.random.Generator, snr: float) -> Mixture:
    """Return a mixture of 'new', 'half dose' or 'exspy' endmembers at this ratio of signal to noise of one spectrum."""
    mixture = random_mixture(kind, rng, snr=snr)
    if data == "half dose":
        return replace(mixture, counts=mixture.counts / 2)
    if data == "exspy":
        known = reference_endmembers(kind)
        chosen = rng.choice(len(known), size=len(mixture.endmembers), replace=False)
        axis = SignalAxis("eV", 1.0, 260.0) if kind == "eels" else SignalAxis("eV", 20.0, 0.0)
        mixture = replace(mixture, endmembers=known[chosen], axis=axis).with_snr(snr)
    return mixture


@dataclass(frozen=True)
class Likeness:
    """How like endmembers are to the planted ones, each matched once: the lowest `cosine`, and that of what tells them
    apart (the mean of the planted ones taken off, channels weighted by their noise)."""

    cosine: float
    contrast: float


def likeness(true: Array, found: Array) -> Likeness:
    """Return how like the endmembers found (M, E) are to the true ones (K, E); 0 for one that nothing matches."""
    from scipy.optimize import linear_sum_assignment

    middle = true.mean(axis=0)
    weight = 1 / np.sqrt(np.maximum(middle, 1e-3 * float(middle.max())))
    apart = _unit((true - middle) * weight) @ _unit((found - middle) * weight).T
    rows, columns = linear_sum_assignment(-apart)
    cosines = (_unit(true) @ _unit(found).T)[rows, columns]
    if len(rows) < len(true):
        return Likeness(0.0, 0.0)
    return Likeness(float(cosines.min()), float(apart[rows, columns].min()))


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))


def known_shares_limit(mixture: Mixture) -> Likeness:
    """Return the likeness that Cramer-Rao's bound allows where all shares are known: 1 less half its variance.

    The error of an endmember's channel i has the variance ``[A' diag(1 / lambda_i) A]^-1``, A the counts of each.
    """
    expected = mixture.expected.reshape(-1, mixture.endmembers.shape[1])
    amounts = (mixture.counts[..., None] * mixture.shares).reshape(len(expected), -1)
    number = amounts.shape[1]
    pairs = (amounts[:, :, None] * amounts[:, None]).reshape(len(amounts), -1)
    fisher = (pairs.T @ (1 / np.maximum(expected, 1e-9))).T.reshape(-1, number, number)
    variance = np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2).T
    true = mixture.endmembers
    middle = true.mean(axis=0)
    weight = 1 / np.maximum(middle, 1e-3 * float(middle.max()))
    plain = variance.sum(axis=1) / (true**2).sum(axis=1)
    apart = (variance * weight).sum(axis=1) / (((true - middle) ** 2) * weight).sum(axis=1)
    return Likeness(*(float((1 / np.sqrt(1 + one)).min()) for one in (plain, apart)))


def visible_components(mixture: Mixture) -> int:
    """Return how many components of the noise-free spectra lie above what noise of these counts makes (its edge).

    Spectra of neighbouring places may be added, four by four at most, which is what an ideal observer would do too.
    """
    from micrograph.features.spectra.components import binned, noise_edge, noise_weights

    most = 0
    for places in (1, 2, 4):
        expected, _ = binned(mixture.expected, places, 1)
        values = np.linalg.svd(noise_weights(expected).weighted(expected), compute_uv=False) ** 2
        rows, columns = expected.shape
        # a component whose square is below sqrt(N E) is lost in principle; above it stands out by (s + N)(s + E) / s
        seen = (values + rows) * (values + columns) / np.maximum(values, 1e-12)
        above = (values > np.sqrt(rows * columns)) & (seen > noise_edge(rows, columns))
        most = max(most, int(above.sum()))
    return most


def baselines(seen: NDArray[np.float32], number: int, seed: int = 0) -> dict[str, Array]:
    """Return endmembers (K, E) by plain methods that are told their number: NMF, and PCA turned by varimax."""
    import warnings

    from sklearn.decomposition import NMF

    flat = seen.reshape(-1, seen.shape[-1]).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(number, init="nndsvda", max_iter=200, random_state=seed).fit(flat)
    _, _, parts = np.linalg.svd(flat.T @ flat)
    return {"NMF": model.components_, "PCA": varimax(parts[:number])}


def varimax(parts: Array, rounds: int = 100) -> Array:
    """Return orthonormal rows (K, E) turned so that each is large in few channels (Kaiser), of positive sum."""
    turn = np.eye(len(parts))
    for _ in range(rounds):
        turned = turn @ parts
        cubic = turned**3 - turned * (turned**2).mean(axis=1, keepdims=True)
        left, _, right = np.linalg.svd(cubic @ parts.T)
        before, turn = turn, left @ right
        if np.abs(turn - before).max() < 1e-8:
            break
    turned = turn @ parts
    return np.asarray(turned * np.where(turned.sum(axis=1, keepdims=True) < 0, -1, 1))
