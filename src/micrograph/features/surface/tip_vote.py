"""What several features say together of the tip that saw them all: votes that are not independent, changes on the way.

Features of one image share the tip, the noise and the feedback, so they err together: their evidence adds as that of
``n / (1 + (n - 1) ALIKE)`` independent ones would (the design effect of Kish, ISBN 0471109495).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: States of a tip, and how common each was among the scans that the discriminants were fitted to.
STATES = ("sharp", "double", "blunt")
PRIOR = np.array([0.5, 0.3, 0.2])
#: Share of the evidence that features of one image have in common.
ALIKE = 0.1
#: No single feature is believed further than this.
_MOST = 0.999
#: Chance that a tip changes within one scan.
_CHANGES = 0.02


@dataclass(frozen=True)
class Part:
    """A stretch of an image taken by one state of the tip: features `first` to `last` (exclusive), p (3,)."""

    first: int
    last: int
    p: Array

    @property
    def state(self) -> str:
        """The likeliest state."""
        return STATES[int(self.p.argmax())]


def evidence_of(p: Array, weight: Array) -> Array:
    """Return the weighted log likelihoods (N, 3) of the states that probabilities (N, 3) hold."""
    held = np.clip(p, (1 - _MOST) / 2, None)
    return np.asarray(weight[:, None] * (np.log(held / held.sum(axis=1, keepdims=True)) - np.log(PRIOR)))


def vote(evidence: Array, alike: float = ALIKE) -> Array:
    """Return the probabilities (3,) of the states given the log likelihoods (N, 3); `alike` 0 is the naive vote."""
    total = np.log(PRIOR) + evidence.sum(axis=0) / (1 + max(len(evidence) - 1, 0) * alike)
    grown = np.exp(total - total.max())
    return np.asarray(grown / grown.sum())


def parts_of(evidence: Array) -> tuple[Part, ...]:
    """Return the stretches of an image whose features, in the order of time, have log likelihoods (N, 3).

    There are two where a change of the tip explains the features better than one state, else one.
    """
    many = len(evidence)
    whole = Part(0, many, vote(evidence))
    best, cut = _likelihood(evidence) + np.log1p(-_CHANGES), 0
    for place in range(2, many - 1):
        before, after = vote(evidence[:place]), vote(evidence[place:])
        if before.argmax() == after.argmax():
            continue
        together = _likelihood(evidence[:place]) + _likelihood(evidence[place:]) + np.log(_CHANGES / (many - 3))
        if together > best:
            best, cut = together, place
    if cut == 0:
        return (whole,)
    return Part(0, cut, vote(evidence[:cut])), Part(cut, many, vote(evidence[cut:]))


def _likelihood(evidence: Array) -> float:
    """Return the logarithm of how likely features are, whichever the state."""
    total = np.log(PRIOR) + evidence.sum(axis=0) / (1 + max(len(evidence) - 1, 0) * ALIKE)
    return float(np.logaddexp.reduce(total))
