"""Spectra as mixtures of a few endmembers, found where most spectra hold few of them.

Non-negative factors are not unique: any simplex about the data will do. The one taken here has as many spectra as
possible on its corners, edges and faces, as far as noise lets tell: it begins at the purest spectra (successive
projection), and each spectrum then takes as few endmembers as explain it. Where no spectrum is pure and none lies on
a face, endmembers are mixtures themselves; nothing in the data says so.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.spectra.components import Components

Array = NDArray[np.float64]

#: An endmember more in a spectrum must lower chi-square by so much (4: it would be seen at two sigma).
_WORTH = 4.0
#: Rounds of amounts and endmembers, and what ends them: the largest change of an endmember, relative.
_ROUNDS, _SETTLED = 60, 1e-5
#: With more endmembers than this, a spectrum holds three of them at most.
_ALL_SUBSETS, _FEW = 6, 3
_TINY = 1e-12


@dataclass(frozen=True)
class Unmixed:
    """Endmembers (K, E) that each sum to 1, and counts (N, K) of each in every spectrum, most abundant first.

    sigma (K, E): 1-sigma of the endmembers by counting noise, the counts taken as known.
    """

    endmembers: Array
    counts: Array
    sigma: Array


def unmixed(components: Components, counts: NDArray[np.floating], purest: float = 0.01) -> Unmixed:
    """Return the endmembers of counts (N, E), whose components are known; `purest`: share of spectra that are averaged.

    `purest` of all spectra, those farthest out, give each endmember to begin with.
    """
    number = components.number
    scores = components.scores[:, :number]
    corners = scores_of_purest(components, purest)
    amounts = np.zeros_like(scores)
    for _ in range(_ROUNDS):
        before, size = corners, np.linalg.norm(corners, axis=1, keepdims=True)
        amounts = sparse_amounts(scores, corners, components.gain)
        known = amounts.any(axis=0)
        gram = amounts[:, known].T @ amounts[:, known]
        corners = corners.copy()
        corners[known] = np.linalg.lstsq(gram, amounts[:, known].T @ scores, rcond=None)[0]
        if float((np.abs(corners - before) / np.maximum(size, _TINY)).max()) < _SETTLED:
            break
    return _finished(components, counts, amounts)


def _finished(components: Components, counts: NDArray[np.floating], amounts: Array) -> Unmixed:
    """Return endmembers by least squares over all channels, as sums of 1, and their counts in every spectrum."""
    weights = components.weights
    white = weights.weighted(counts)
    inverse = np.linalg.pinv(amounts.T @ amounts)
    ends = inverse @ (amounts.T @ white) * np.sqrt(weights.column)
    spread = np.sqrt(components.gain * np.diag(inverse).clip(0))[:, None] * np.sqrt(weights.column)
    total = np.maximum(ends.sum(axis=1), _TINY)
    held = amounts * total * np.sqrt(weights.row)[:, None]
    order = np.argsort(-held.sum(axis=0))
    return Unmixed((ends / total[:, None]).clip(0)[order], held[:, order], (spread / total[:, None])[order])


def sparse_amounts(scores: Array, corners: Array, gain: float, worth: float = _WORTH) -> Array:
    """Return amounts (N, K) >= 0 of corners (K, D) in scores (N, D) with noise of variance `gain`: as few as do."""
    number = len(corners)
    most = number if number <= _ALL_SUBSETS else _FEW
    best = np.full(len(scores), np.inf)
    found = np.zeros((len(scores), number))
    for size in range(1, most + 1):
        for chosen in itertools.combinations(range(number), size):
            own = corners[list(chosen)]
            amounts = scores @ np.linalg.pinv(own)
            cost = ((scores - amounts @ own) ** 2).sum(axis=1) / gain + worth * size
            better = (amounts >= 0).all(axis=1) & (cost < best)
            best[better] = cost[better]
            found[better] = 0.0
            found[np.ix_(better, list(chosen))] = amounts[better]
    return found


def scores_of_purest(components: Components, share: float = 0.01) -> Array:
    """Return the scores (K, K) that span the largest simplex: each the middle of a `share` of all spectra.

    Successive projection (Araujo et al., doi:10.1016/S0169-7439(01)00119-8) with averaging (Nadisic et al.,
    doi:10.1137/22M1471882), of spectra that are divided by their total.
    """
    number = components.number
    scores = components.scores[:, :number]
    total = scores @ (components.parts[:number] * np.sqrt(components.weights.column)).sum(axis=1)
    usable = total > 0.2 * np.median(total)
    places = scores[usable] / total[usable, None]
    together = max(1, min(round(share * len(places)), 200))
    chosen: list[Array] = []
    left = places - places.mean(axis=0) if number > 1 else places
    for _ in range(number):
        longest = np.argsort(-np.einsum("nk,nk->n", left, left))[:together]
        agree = longest[left[longest] @ left[longest[0]] > 0.7 * float(left[longest[0]] @ left[longest[0]])]
        direction = left[agree if len(agree) else longest].mean(axis=0)
        best = np.argsort(-(left @ direction))[:together]
        chosen.append(np.median(places[best], axis=0))
        # the flat through the corners so far is projected away
        basis, _ = np.linalg.qr((np.stack(chosen) - chosen[0])[1:].T) if len(chosen) > 1 else (np.zeros((number, 0)), 0)
        left = places - chosen[0]
        left = left - (left @ basis) @ basis.T
    return np.stack(chosen)
