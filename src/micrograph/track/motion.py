"""How fast things move at random: diffusion constants by maximum likelihood, with localisation error and motion blur.

The displacements of a Brownian particle that is seen with error are Gaussian, and only neighbours are correlated
(Berglund 2010, doi:10.1103/PhysRevE.82.011917): along each axis the variance of a step is ``2 D (dt - E/3) + s1^2 +
s2^2`` and its covariance with the next ``D E / 3 - s^2``, with the exposure E of a frame and the errors s of its ends.
Times may be irregular and frames may be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import BadInput, Column
from micrograph.track.steps import Steps, steps_of
from micrograph.track.timeline import Array

DIFFUSION = (
    Column("class", "", "what moves"),
    Column("d_nm2_per_s", "nm^2 s^-1", "diffusion constant", sigma="d_sigma_nm2_per_s"),
    Column("d_sigma_nm2_per_s", "nm^2 s^-1", "1-sigma of it"),
    Column("d_low_nm2_per_s", "nm^2 s^-1", "lower end of its 95 % interval"),
    Column("d_high_nm2_per_s", "nm^2 s^-1", "upper end of its 95 % interval"),
    Column("sigma_nm", "nm", "position error that the motion tells, along one axis"),
    Column("tracks", "", "tracks that count"),
    Column("steps", "", "their steps"),
)
#: Twice the loss of log-likelihood at the ends of a 95 % interval (one parameter).
_LOSS = 3.841


@dataclass(frozen=True)
class MotionSettings:
    """How motion is measured.

    exposure_share: exposure of a frame as a share of the time between frames (0: instantaneous, 1: all of it), which
    blurs moving points; known_sigma: take the position errors from the points instead of finding one common error
    along with the diffusion constant; least_steps: shorter tracks do not count.
    """

    exposure_share: float = 1.0
    known_sigma: bool = False
    least_steps: int = 1

    def __post_init__(self) -> None:
        """Refuse an exposure that is no share of the frame, and too few steps."""
        if not 0 <= self.exposure_share <= 1:
            raise BadInput(f"Setting exposure_share is {self.exposure_share}: it must lie between 0 and 1.")
        if self.least_steps < 1:
            raise BadInput(f"Setting least_steps is {self.least_steps}: it must be 1 or more.")


@dataclass(frozen=True)
class Diffusion:
    """A diffusion constant `d` in nm^2/s with its 1-sigma and 95 % interval, and the position error found (nm)."""

    d: float
    d_sigma: float
    low: float
    high: float
    sigma_nm: float
    tracks: int
    steps: int


def diffusion_table(tracks: pd.DataFrame, settings: MotionSettings | None = None) -> pd.DataFrame:
    """Return the diffusion constant (`DIFFUSION`) of every class of tracks; the class of a track is its commonest.

    tracks: as `link` gives them. Classes without a single step have no row.
    """
    settings = settings or MotionSettings()
    rows = []
    for name, group in by_class(tracks):
        found = diffusion(group, settings)
        if found.steps:
            rows.append(
                [name, found.d, found.d_sigma, found.low, found.high, found.sigma_nm, found.tracks, found.steps]
            )
    return pd.DataFrame(rows, columns=[column.name for column in DIFFUSION])


def by_class(tracks: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return (class, its tracks), each track under its commonest class (column ``class`` or ``name``), by name."""
    column = next((name for name in ("class", "name") if name in tracks), None)
    if column is None or len(tracks) == 0:
        return [("", tracks)] if len(tracks) else []
    kinds, code = np.unique(tracks[column].to_numpy(str), return_inverse=True)
    number, track = np.unique(tracks["track"].to_numpy(np.int64), return_inverse=True)
    votes = np.zeros((len(number), len(kinds)), np.int64)
    np.add.at(votes, (track, code), 1)
    mostly = votes.argmax(axis=1)[track]
    return [(str(kind), tracks[mostly == i]) for i, kind in enumerate(kinds) if (mostly == i).any()]


def diffusion(tracks: pd.DataFrame, settings: MotionSettings | None = None, *, interval: bool = True) -> Diffusion:
    """Return the common diffusion constant of tracks by exact maximum likelihood, with its profile-likelihood interval.

    The constant is never negative; points that stand still give an interval that begins at zero. Without any step the
    interval is 0 .. infinity, and so it is without `interval`, which is most of the work. Raises `BadInput` where times
    are unknown.
    """
    settings = settings or MotionSettings()
    steps = _long_enough(steps_of(tracks), settings.least_steps)
    count = len(np.unique(steps.track))
    if len(steps) == 0:
        return Diffusion(np.nan, np.nan, 0.0, np.inf, np.nan, 0, 0)
    if not steps.nm.any():
        return Diffusion(0.0, np.nan, 0.0, np.inf, 0.0, count, len(steps))
    likelihood = _Likelihood.of(steps, settings)
    best, s2 = likelihood.best()
    low, high = likelihood.interval(best, s2) if interval else (0.0, np.inf)
    if likelihood.known:
        s2 = float(np.mean([steps.before, steps.after]))
    return Diffusion(best, (high - low) / (2 * 1.96), low, high, float(np.sqrt(s2)), count, len(steps))


def velocities(tracks: pd.DataFrame, walk: Diffusion) -> pd.DataFrame:
    """Return the mean velocity (nm/s) of every track of two rows or more, drift removed where the tracks know it.

    Columns ``track, v_y_nm_per_s, v_x_nm_per_s, v_sigma_nm_per_s``: from end to end, which is the best that can be said
    of a random walk with a velocity; the 1-sigma along one axis is that of the `walk` alone.
    """
    steps = steps_of(tracks)
    number, place = np.unique(steps.track, return_inverse=True)
    time = np.bincount(place, steps.dt_s, len(number))
    moved = [np.bincount(place, steps.nm[:, axis], len(number)) / time for axis in range(2)]
    sigma = np.sqrt(2 * walk.d * time + 2 * walk.sigma_nm**2) / time
    columns = ("track", "v_y_nm_per_s", "v_x_nm_per_s", "v_sigma_nm_per_s")
    return pd.DataFrame(dict(zip(columns, (number, *moved, sigma), strict=True)))


def cramer_rao(
    steps: int, dt_s: float, d_nm2_per_s: float, sigma_nm: float, *, exposure_share: float = 1.0, known: bool = False
) -> float:
    """Return the least 1-sigma that an unbiased D (nm^2/s) of one 2-D track of `steps` steps can have.

    sigma_nm: position error along one axis; known: it need not be found along with D. From the Fisher information of
    the Gaussian displacements; D / sqrt(steps) without error and blur.
    """
    share = exposure_share / 3
    middle, beside = np.eye(steps), np.eye(steps, k=1) + np.eye(steps, k=-1)
    by_d = dt_s * (2 * (1 - share) * middle + share * beside)
    by_s2 = 2 * middle - beside
    inverse = np.linalg.inv(d_nm2_per_s * by_d + sigma_nm**2 * by_s2)
    parts = [inverse @ by_d, inverse @ by_s2]
    information = np.array([[np.sum(one * other.T) for other in parts] for one in parts])
    if known:
        return float(1 / np.sqrt(information[0, 0]))
    return float(np.sqrt(np.linalg.inv(information)[0, 0]))


def _long_enough(steps: Steps, least: int) -> Steps:
    if least <= 1 or len(steps) == 0:
        return steps
    _, place, count = np.unique(steps.track, return_inverse=True, return_counts=True)
    return steps[count[place] >= least]


@dataclass(frozen=True)
class _Likelihood:
    """Twice the negative log-likelihood of D (nm^2/s) and a common variance of positions s2 (nm^2), up to a constant.

    Covariance of the steps of all tracks and both axes in one chain (2 M,): ``D by_d + s2 by_s2 + fixed``, each with
    its diagonal and the entries beside it.
    """

    nm: Array
    by_d: tuple[Array, Array]
    by_s2: tuple[Array, Array]
    fixed: tuple[Array, Array]
    dt_s: float
    known: bool

    @classmethod
    def of(cls, steps: Steps, settings: MotionSettings) -> _Likelihood:
        """Return the likelihood of the steps; long chains are cut into their two axes."""
        if settings.known_sigma and not steps.sigma_known:
            raise BadInput("The points have no position errors (y_sigma_nm, x_sigma_nm): leave known_sigma out.")
        joined = np.concatenate([steps.joined, [False]]).astype(float)
        exposure = settings.exposure_share * float(np.quantile(steps.dt_s, 0.1)) / 3
        one = np.ones(len(steps))
        two = np.concatenate([joined, joined])[:-1]
        by_d = np.tile(2 * (steps.dt_s - exposure), 2), two * exposure
        variance, shared = (steps.before + steps.after).T.ravel(), -two * steps.after.T.ravel()[:-1]
        nothing = np.zeros(2 * len(one)), np.zeros(2 * len(one) - 1)
        return cls(
            nm=steps.nm.T.ravel(),
            by_d=by_d,
            by_s2=nothing if settings.known_sigma else (np.tile(2 * one, 2), -two),
            fixed=(variance, shared) if settings.known_sigma else nothing,
            dt_s=float(np.median(steps.dt_s)),
            known=settings.known_sigma,
        )

    def __call__(self, d: float, s2: float) -> float:
        """Return twice the negative log-likelihood; infinite where the covariance is not positive."""
        squares, logarithm = self._terms(d, s2)
        return squares + logarithm

    def _terms(self, d: float, s2: float) -> tuple[float, float]:
        """Return the squares of the steps in units of their covariance, and the logarithm of its determinant."""
        from scipy.linalg.lapack import dpttrf, dpttrs

        middle = d * self.by_d[0] + s2 * self.by_s2[0] + self.fixed[0]
        beside = d * self.by_d[1] + s2 * self.by_s2[1] + self.fixed[1]
        middle, beside, failed = dpttrf(middle, beside)
        if failed:
            return float("inf"), 0.0
        solved, _ = dpttrs(middle, beside, self.nm)
        return float(self.nm @ solved), float(np.log(middle).sum())

    def best(self) -> tuple[float, float]:
        """Return the likeliest D and s2."""
        from scipy.optimize import minimize_scalar

        total = max(float(np.mean(self.nm**2)), 1e-30)
        if self.known:
            return self._minimum(lambda d: self(d, 0.0), 0.0, 4 * total / self.dt_s), 0.0

        def scaled(share: float) -> float:
            return self(*self._of_share(share))

        found = minimize_scalar(scaled, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-4})
        share = min((0.0, float(found.x), 1.0), key=scaled)
        return self._of_share(share)

    def _of_share(self, share: float) -> tuple[float, float]:
        """Return D and s2 if `share` of a step's variance is motion; their scale is the likeliest."""
        d, s2 = share / (2 * self.dt_s), (1 - share) / 2
        scale = self._terms(d, s2)[0] / len(self.nm)
        return d * scale, s2 * scale

    def profile(self, d: float, s2: float) -> float:
        """Return the likelihood of `d` at the s2 that is likeliest with it, searched around `s2`."""
        if self.known:
            return self(d, 0.0)
        top = 4 * max(s2, d * self.dt_s, float(np.mean(self.nm**2)))
        return self(d, self._minimum(lambda value: self(d, value), 0.0, top))

    @staticmethod
    def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda root: function(root * root),
            bounds=(np.sqrt(low), np.sqrt(high)),
            method="bounded",
            options={"xatol": 1e-5 * np.sqrt(high)},
        )
        value = float(found.x) ** 2
        return low if function(low) <= function(value) else value

    def interval(self, best: float, s2: float) -> tuple[float, float]:
        """Return where the profile likelihood has fallen to that of the 95 % interval, below and above."""
        from scipy.optimize import brentq

        least = self(best, s2) if not self.known else self(best, 0.0)
        scale = max(best, float(np.mean(self.nm**2)) / self.dt_s / len(self.nm))

        def loss(d: float) -> float:
            return min(self.profile(d, s2) - least - _LOSS, 1e6)

        high = 2 * scale
        while loss(high) < 0 and high < 1e6 * scale:
            high *= 2
        top = float(brentq(loss, best, high, rtol=1e-4))
        low = 0.0 if loss(0.0) < 0 else float(brentq(loss, 0.0, best, rtol=1e-4, xtol=1e-6 * scale))
        return low, top
