"""Whether trainings from different seeds tell the same story: latents, angles and classes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from micrograph.nets.rvae_spec import Agreement, Encoded

Array = NDArray[np.float64]

#: A latent that says less than this about a crop on average (nats) is at rest: its order of the crops means nothing.
AT_REST_NATS = 0.2


def agreements(runs: Sequence[Encoded], symmetry: int) -> list[Agreement]:
    """Return the agreement of every pair of `runs`, which encode the same crops by models of different seeds."""
    counts = [int(np.sum(run.information_nats > AT_REST_NATS)) for run in runs]
    active = round(float(np.median(counts))) if counts else 0
    found = []
    for first, second in combinations(range(len(runs)), 2):
        one, other = runs[first], runs[second]
        rho = paired_rho(_telling(one, active), _telling(other, active))
        angle = circular_correlation(one.angle_deg, other.angle_deg, symmetry)
        found.append(Agreement(first, second, rho, angle, _rand_index(one.class_p, other.class_p)))
    return found


def verdict(pairs: Sequence[Agreement]) -> str:
    """Return one sentence: stable or unstable, and by which numbers."""
    if not pairs:
        return "Stability is not known: train at least two seeds."
    rho, angle, ari = (_least([getattr(pair, name) for pair in pairs]) for name in ("rho", "angle", "ari"))
    parts = [
        f"{name} {value:.2f}"
        for name, value in (("latents", rho), ("angles", angle), ("classes", ari))
        if np.isfinite(value)
    ]
    word = "stable" if all(pair.stable for pair in pairs) else "unstable"
    return f"The training is {word}: the least agreement of any two seeds is {', '.join(parts)} (1 is the same)."


def _telling(run: Encoded, active: int) -> Array:
    """Return the `active` latents (N, active) that say most: one at rest must not take the place of another."""
    return run.latents[:, np.argsort(-run.information_nats, kind="stable")[:active]]


def paired_rho(first: Array, second: Array) -> float:
    """Return the smallest absolute Spearman correlation of latents (N, L) and (N, L) after the best pairing."""
    from scipy.optimize import linear_sum_assignment

    count = first.shape[1]
    if count == 0:
        return float("nan")
    ranks = np.argsort(np.argsort(np.column_stack([first, second]), axis=0), axis=0)
    rho = np.abs(np.corrcoef(ranks.T))[:count, count:]
    rows, columns = linear_sum_assignment(-rho)
    return float(rho[rows, columns].min())


def circular_correlation(first_deg: Array, second_deg: Array, symmetry: int) -> float:
    """Return the circular correlation (-1..1) of angles (N,) modulo 360 / `symmetry`, whatever their offset.

    The form of Fisher and Lee for angles from all directions (doi:10.1093/biomet/70.2.327), by resultants.
    """
    one, other = (np.exp(1j * np.radians(symmetry * angle)) for angle in (first_deg, second_deg))
    together, against = abs(np.mean(one * np.conj(other))) ** 2, abs(np.mean(one * other)) ** 2
    spread = np.sqrt((1 - abs(np.mean(one**2)) ** 2) * (1 - abs(np.mean(other**2)) ** 2))
    return float((together - against) / spread) if spread > 1e-9 else float("nan")


def _rand_index(first: Array, second: Array) -> float:
    from sklearn.metrics import adjusted_rand_score

    if first.shape[1] < 2:
        return float("nan")
    return float(adjusted_rand_score(first.argmax(1), second.argmax(1)))


def _least(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return min(known) if known else float("nan")
