"""Objects whose state each frame names with a probability, named again in the light of all frames of a track."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.track.chain import Tracks, smoothed
from micrograph.track.rates import Rates, estimate_rates, generator_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Named:
    """Tracks with ``state`` and ``state_p`` of every row, and the rates between the states."""

    tracks: pd.DataFrame
    rates: Rates


def likelihoods(names: ArrayLike, score: ArrayLike, states: Sequence[str], mistakes: ArrayLike) -> Array:
    """Return the likelihood (N, K) of each state from what single frames say.

    names, score: (N,) state named in a frame and its probability; mistakes: (K, K) chances that a state (row) is named
    so (column), measured where the truth is known. The less probable a name, the less it says. Raises `BadInput`.
    """
    confusion = np.asarray(mistakes, np.float64)
    if confusion.shape != (len(states),) * 2 or (confusion < 0).any() or not np.allclose(confusion.sum(axis=1), 1):
        raise BadInput(f"Mistakes among {len(states)} states need a square table whose rows sum to 1.")
    place = {state: k for k, state in enumerate(states)}
    try:
        seen = np.array([place[name] for name in np.asarray(names, dtype=object).tolist()], dtype=np.intp)
    except KeyError as error:
        raise BadInput(f"A state is named {error}, and only {', '.join(states)} are known.") from error
    sure = np.clip(np.asarray(score, np.float64), 0.0, 1.0)[:, None]
    return np.asarray(sure * confusion[:, seen].T + (1 - sure) / len(states))


def named_states(
    tracks: pd.DataFrame, likelihood: Array, states: Sequence[str], allowed: ArrayLike | None = None
) -> Named:
    """Return `tracks` (as `link` gives them, by track and time) named by all frames together, and the rates.

    likelihood: (N, K) of the rows. Without times (``t_s``) no rates are known, and each frame speaks for itself.
    """
    timed = bool(len(tracks)) and bool(np.isfinite(tracks["t_s"].to_numpy(float)).all())
    time = tracks["t_s" if timed else "frame"].to_numpy(float)
    own = tracks["track"].to_numpy()
    cuts = np.flatnonzero(np.r_[True, own[1:] != own[:-1], True]) if len(own) else np.zeros(1, np.intp)
    pieces = [slice(a, b) for a, b in itertools.pairwise(cuts.tolist())]
    chain = Tracks.of([time[piece] for piece in pieces], [likelihood[piece] for piece in pieces], len(states))
    free = np.ones((len(states),) * 2, bool) if allowed is None else np.asarray(allowed, bool)
    rates = estimate_rates(chain, states, free & timed)
    p = np.concatenate(smoothed(chain, generator_of(rates.rate_per_s))) if timed else likelihood
    p = p / p.sum(axis=1, keepdims=True)
    best = np.array(states, dtype=object)[p.argmax(axis=1)] if len(p) else np.zeros(0, dtype=object)
    return Named(tracks.assign(state=best, state_p=p.max(axis=1, initial=0.0)), rates)
