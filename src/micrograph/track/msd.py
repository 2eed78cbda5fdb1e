"""Mean square displacements with honest errors, and whether they grow like those of a random walk.

Time averages over one track are correlated, across starting times and across lags (Qian, Sheetz and Elson 1991,
doi:10.1016/S0006-3495(91)82125-7; Michalet 2010, doi:10.1103/PhysRevE.82.041914). The covariance used here is exact for
Gaussian motion: the covariance of two squares is twice the square of the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import Column
from micrograph.track.motion import Diffusion, MotionSettings, by_class, diffusion
from micrograph.track.timeline import Array, Index, position_columns

MOTION = (
    Column("class", "", "what moves"),
    Column("lag_s", "s", "time between two positions"),
    Column("msd_nm2", "nm^2", "mean square displacement over it, all tracks together", sigma="msd_sigma_nm2"),
    Column("msd_sigma_nm2", "nm^2", "1-sigma of it"),
    Column("pairs", "", "pairs of positions"),
)


@dataclass(frozen=True)
class Exponent:
    """The mean square displacement grows as lag to the power `alpha` (1 for a random walk), with its 1-sigma."""

    alpha: float
    sigma: float

    @property
    def anomalous(self) -> bool:
        """Whether a plain random walk is in doubt: more than two sigma away."""
        return bool(abs(self.alpha - 1) > 2 * self.sigma)


def msd_table(
    tracks: pd.DataFrame, settings: MotionSettings | None = None, longest_share: float = 0.25
) -> pd.DataFrame:
    """Return the mean square displacement (`MOTION`) of every class at some twenty lags.

    tracks: as `link` gives them, with ``t_s``. Lags reach up to `longest_share` of the longest track, beyond which
    hardly anything is known. The 1-sigma is that of the random walk that fits best.
    """
    settings = settings or MotionSettings()
    pieces = []
    for name, group in by_class(tracks):
        walk = diffusion(group, settings, interval=False)
        curve = msd_curve(group, walk, longest_share)
        if len(curve.lags):
            sigma = np.sqrt(np.diag(curve.covariance))
            values = (name, curve.lags * curve.dt_s, curve.msd_nm2, sigma, curve.pairs)
            pieces.append(pd.DataFrame(dict(zip((column.name for column in MOTION), values, strict=True))))
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=[column.name for column in MOTION])


@dataclass(frozen=True)
class Curve:
    """Mean square displacement of L lags: lags (L,) in steps of `dt_s`, msd_nm2 (L,), pairs (L,), covariance (L, L)."""

    dt_s: float
    lags: Index
    msd_nm2: Array
    pairs: Index
    covariance: Array


def msd_curve(tracks: pd.DataFrame, walk: Diffusion, longest_share: float = 0.25) -> Curve:
    """Return the mean square displacement of tracks and its covariance if they are the random walk `walk`.

    Times are counted in steps of their median distance; tracks with gaps use the pairs that they have.
    """
    paths, dt_s = _paths(tracks)
    longest = max((int(time[-1]) for time, _ in paths), default=0)
    lags = np.unique(np.geomspace(1, max(longest_share * longest, 1), 20).astype(np.int64)) if longest else np.empty(0)
    total, pairs = np.zeros(len(lags)), np.zeros(len(lags), np.int64)
    for time, place in paths:
        for i, lag in enumerate(lags):
            later = np.searchsorted(time, time + lag)
            found = np.flatnonzero((later < len(time)) & (time[np.minimum(later, len(time) - 1)] == time + lag))
            total[i] += ((place[later[found]] - place[found]) ** 2).sum()
            pairs[i] += len(found)
    seen = pairs > 0
    lengths = np.array([int(time[-1]) for time, _ in paths], np.int64)
    lags, total, pairs = lags[seen].astype(np.int64), total[seen], pairs[seen]
    return Curve(dt_s, lags, total / pairs, pairs, _covariance(lags, lengths, walk, dt_s, pairs))


def anomalous_exponent(tracks: pd.DataFrame, settings: MotionSettings | None = None) -> Exponent:
    """Return the exponent of ``msd = 4 D lag^alpha + 4 s^2``, by least squares with the covariance of a random walk.

    The covariance is right where the walk is plain, so that a departure is significant. Without three lags the exponent
    is NaN.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import least_squares

    walk = diffusion(tracks, settings or MotionSettings())
    curve = msd_curve(tracks, walk)
    if len(curve.lags) < 3 or not walk.d > 0:
        return Exponent(np.nan, np.nan)
    some = np.unique(np.linspace(0, len(curve.lags) - 1, 8).astype(int))
    covariance = curve.covariance[np.ix_(some, some)]
    lower = cholesky(covariance + 1e-9 * np.diag(np.diag(covariance)), lower=True)
    lag, msd = curve.lags[some] * curve.dt_s, curve.msd_nm2[some]

    def residual(x: Array) -> Array:
        model = 4 * np.exp(x[0]) * (lag / curve.dt_s) ** x[1] * curve.dt_s + x[2]
        return np.asarray(solve_triangular(lower, msd - model, lower=True))

    start = [np.log(walk.d), 1.0, max(4 * walk.sigma_nm**2, 0.0)]
    scale = [1.0, 1.0, max(msd[0], 1e-30)]
    fit = least_squares(residual, start, bounds=([-np.inf, 0.0, -msd[0]], [np.inf, 3.0, msd[0]]), x_scale=scale)
    jacobian = np.asarray(fit.jac, dtype=float)
    spread = np.linalg.pinv(jacobian.T @ jacobian)
    return Exponent(float(fit.x[1]), float(np.sqrt(spread[1, 1])))


def _paths(tracks: pd.DataFrame) -> tuple[list[tuple[Index, Array]], float]:
    """Return every track as times in whole steps (n,) from its first and positions (n, 2), and the step (s)."""
    rows = tracks.iloc[np.lexsort([tracks["t_s"].to_numpy(float), tracks["track"].to_numpy(np.int64)])]
    number, time = rows["track"].to_numpy(np.int64), rows["t_s"].to_numpy(float)
    place = rows[list(position_columns(rows))].to_numpy(float)
    same = number[1:] == number[:-1]
    if not same.any():
        return [], np.nan
    dt_s = float(np.median(np.diff(time)[same]))
    paths = []
    for part in np.split(np.arange(len(rows)), np.flatnonzero(~same) + 1):
        if len(part) > 1:
            steps, first = np.unique(np.rint((time[part] - time[part[0]]) / dt_s).astype(np.int64), return_index=True)
            paths.append((steps, place[part[first]]))
    return paths, dt_s


def _covariance(lags: Index, lengths: Index, walk: Diffusion, dt_s: float, pairs: Index) -> Array:
    """Return the covariance (L, L) of the averages over tracks that are `lengths` steps long, for a random walk."""
    noise = 0.0 if np.isnan(walk.sigma_nm) else walk.sigma_nm**2
    length, times = np.unique(lengths, return_counts=True)
    found = np.zeros((len(lags), len(lags)))
    for i, n in enumerate(lags.tolist()):
        for j, m in enumerate(lags.tolist()[: i + 1]):
            k = np.arange(-m, n + 1)
            terms = [np.abs(k - n), np.abs(k + m), np.abs(k), np.abs(k + m - n)]
            grown = [2 * walk.d * dt_s * term + 2 * noise * (term > 0) for term in terms]
            shared = 0.5 * (grown[0] + grown[1] - grown[2] - grown[3])
            starts_n, starts_m = length[:, None] - n + 1, length[:, None] - m + 1
            count = np.clip(np.minimum(starts_n, starts_m - k) - np.maximum(0, -k), 0, None)
            whole = np.maximum((times[:, None] * np.clip(starts_n, 0, None)).sum(), 1)
            other = np.maximum((times[:, None] * np.clip(starts_m, 0, None)).sum(), 1)
            full = 4 * float((times[:, None] * count * shared**2).sum()) / float(whole * other)
            found[i, j] = found[j, i] = full * float(np.sqrt(whole / pairs[i] * other / pairs[j]))
    return found
