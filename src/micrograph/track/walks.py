"""Motion by hops between sites: rate and diffusion constant from the hops that are seen, with Poisson's intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import BadInput
from micrograph.features.summary import interval
from micrograph.track.steps import steps_of
from micrograph.track.timeline import Array


@dataclass(frozen=True)
class Hopping:
    """Hops over `time_s` of all tracks: rate (1/s) and diffusion constant (nm^2/s), each with its 95 % interval."""

    hops: int
    time_s: float
    rate: float
    rate_low: float
    rate_high: float
    d: float
    d_low: float
    d_high: float


def hop_diffusion(tracks: pd.DataFrame, hop_nm: float) -> Hopping:
    """Return the rate of hops of length `hop_nm` and the diffusion constant ``rate * hop_nm^2 / 4``.

    A step longer than half a hop is one hop or several: its square, less that of the steps in which nothing hopped,
    counts in hops squared. For hops in random directions that is right on average however many fall between two frames.
    tracks: as `link` gives them, with ``t_s``. Raises `BadInput` for a length that is not positive and unknown times.
    """
    if not 0 < hop_nm < np.inf:
        raise BadInput(f"A hop is {hop_nm} nm long: it must be greater than zero and finite.")
    steps = steps_of(tracks)
    time_s = float(steps.dt_s.sum())
    if len(steps) == 0:
        return Hopping(0, 0.0, np.nan, 0.0, np.inf, np.nan, 0.0, np.inf)
    hops, weights = hop_weights(steps.nm, hop_nm)
    number = float(weights.sum())
    alike = number**2 / float((weights**2).sum()) if number > 0 else 0.0
    low, high = interval(alike)
    scale = number / alike if alike > 0 else 1.0
    rates = [value * scale / time_s for value in (alike, low, high)]
    constants = [rate * hop_nm**2 / 4 for rate in rates]
    return Hopping(len(hops), time_s, *rates, *constants)


def hop_weights(step_nm: Array, hop_nm: float) -> tuple[Array, Array]:
    """Return which of the steps (M, 2) are hops, and how many hops each of them counts."""
    square = (step_nm**2).sum(axis=1)
    moved = square > (hop_nm / 2) ** 2
    noise = float(square[~moved].mean()) if (~moved).any() else 0.0
    return np.flatnonzero(moved), np.maximum(square[moved] - noise, 0.25 * hop_nm**2) / hop_nm**2
