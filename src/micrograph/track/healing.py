"""How fast an object grows or a pore closes, from its area in time: three laws, correlated errors, closing time.

Noise of an outline makes an area's error grow with its perimeter, so the root of the area has the same error in all
frames; errors of neighbouring frames are alike (flicker), as a first-order autoregression. Each law is fitted to the
root of the area by generalised least squares, and the laws are compared by Akaike's criterion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from micrograph.core import BadInput
from micrograph.track.timeline import Array

#: Laws by name: the root of the area at scaled times 0..1, from two parameters.
LAWS: dict[str, Callable[[Array, Array], Array]] = {
    "constant edge velocity": lambda p, t: np.maximum(p[0] + p[1] * t, 0.0),
    "constant area rate": lambda p, t: np.sqrt(np.maximum(p[0] + p[1] * t, 0.0)),
    "exponential": lambda p, t: p[0] * np.exp(np.clip(p[1] * t, -30, 30)),
}
_MOST_RHO = 0.95
#: Rounds in which the law and the correlation of its errors are found.
_ROUNDS = 8


@dataclass(frozen=True)
class Growth:
    """What a series of areas says, each as (value, low, high) with its 95 % interval.

    area_rate: mean over the time seen (nm^2/s); radius_rate: of the circle of equal area (nm/s); closing_s: time at
    which the area is zero, NaN where the law has none. law: the likeliest; delta_aic: how much the next best is worse.
    """

    law: str
    area_rate: tuple[float, float, float]
    radius_rate: tuple[float, float, float]
    closing_s: tuple[float, float, float]
    delta_aic: float
    frames: int


_NONE = (float("nan"),) * 3


def growth(t_s: ArrayLike, area_nm2: ArrayLike) -> Growth:
    """Return how the areas (T,) nm^2 at times (T,) s change; fewer than 4 of them say nothing (NaN).

    Raises `BadInput` for times that do not increase and areas that are negative or not finite.
    """
    t, area = np.asarray(t_s, float), np.asarray(area_nm2, float)
    if t.shape != area.shape or t.ndim != 1 or not (np.isfinite(t).all() and np.isfinite(area).all()):
        raise BadInput("Times and areas must be two rows of finite numbers of the same length.")
    if (np.diff(t) <= 0).any() or (area < 0).any():
        raise BadInput("Times must increase and areas be zero or greater.")
    if len(t) < 4:
        return Growth("", _NONE, _NONE, _NONE, float("nan"), len(t))
    scaled, root = (t - t[0]) / (t[-1] - t[0]), np.sqrt(area)
    fits = {name: _fit(law, scaled, root) for name, law in LAWS.items()}
    ranked = sorted(fits, key=lambda name: fits[name].aic)
    best = fits[ranked[0]]
    return _growth(ranked[0], best, fits[ranked[1]].aic - best.aic, t)


@dataclass(frozen=True)
class _Fit:
    """Parameters (2,) in scaled time with covariance, and Akaike's criterion."""

    value: Array
    cover: Array
    aic: float


def _fit(law: Callable[[Array, Array], Array], t: Array, root: Array) -> _Fit:
    rho, first = 0.0, _start(law, t, root)
    for _ in range(_ROUNDS):
        gain = _whitening(t, rho)
        slope = np.column_stack([gain(column) for column in _slopes(law, first, t).T])
        change = np.asarray(np.linalg.lstsq(slope, gain(root - law(first, t)), rcond=None)[0], np.float64)
        first = _stepped(law, first, (t, root), change)
        rho = _correlation(law(first, t) - root)
    gain = _whitening(t, rho)
    left = gain(law(first, t) - root)
    noise = max(float(np.sum(left**2)) / max(len(t) - 3, 1), 1e-18 * float(np.mean(root**2)) + 1e-30)
    slope = np.column_stack([gain(column) for column in _slopes(law, first, t).T])
    cover = np.linalg.pinv(slope.T @ slope) * noise
    deviance = len(t) * np.log(noise * (len(t) - 3) / len(t)) + (len(t) - 1) * np.log(1 - rho**2)
    return _Fit(first, np.asarray(cover, float), float(deviance + 8))


def _stepped(law: Callable[[Array, Array], Array], p: Array, seen: tuple[Array, Array], step: Array) -> Array:
    """Return the parameters after the step, halved while it makes the fit worse."""
    t, root = seen
    before = float(np.sum((law(p, t) - root) ** 2))
    for share in (1.0, 0.5, 0.25, 0.125):
        if float(np.sum((law(p + share * step, t) - root) ** 2)) <= 1.1 * before:
            return np.asarray(p + share * step)
    return p


def _start(law: Callable[[Array, Array], Array], t: Array, root: Array) -> Array:
    """Return the parameters that meet the mean of the first and of the last quarter."""
    part = max(len(t) // 4, 1)
    early, late = float(root[:part].mean()), float(root[-part:].mean())
    if law is LAWS["constant area rate"]:
        return np.array([early**2, late**2 - early**2])
    if law is LAWS["exponential"]:
        return np.array([early, np.log(max(late, 1e-9) / max(early, 1e-9))])
    return np.array([early, late - early])


def _slopes(law: Callable[[Array, Array], Array], p: Array, t: Array) -> Array:
    step = 1e-6 * (np.abs(p) + np.abs(p).max() * 1e-3 + 1e-12)
    return np.column_stack(
        [(law(p + step * e, t) - law(p - step * e, t)) / (2 * step[i]) for i, e in enumerate(np.eye(2))]
    )


def _whitening(t: Array, rho: float) -> Callable[[Array], Array]:
    """Return what makes errors with the correlation `rho` between neighbours independent and of one size."""
    share = np.sqrt(1 - rho**2)

    def whiten(values: Array) -> Array:
        return np.concatenate([values[:1], (values[1:] - rho * values[:-1]) / share])

    return whiten


def _correlation(left: Array) -> float:
    """Return the correlation of neighbours, with the bias that two fitted parameters leave taken out."""
    total = float(np.sum(left**2))
    if total == 0 or len(left) < 8:
        return 0.0
    raw = float(np.sum(left[1:] * left[:-1])) / total
    return float(np.clip(raw + (2 + 4 * raw) / len(left), 0.0, _MOST_RHO))


def _growth(name: str, fit: _Fit, delta: float, t: Array) -> Growth:
    from scipy.stats import t as student

    law, span = LAWS[name], float(t[-1] - t[0])
    ends = np.array([0.0, 1.0])
    times = float(student.ppf(0.975, max(len(t) - 2, 1)))

    def interval(value: Callable[[Array], float]) -> tuple[float, float, float]:
        step = 1e-5 * (np.abs(fit.value) + 1e-9)
        middle: float = value(fit.value)
        slope = np.array([(value(fit.value + step * e) - value(fit.value - step * e)) / (2 * step[i])
                          for i, e in enumerate(np.eye(2))])  # fmt: skip
        wide = times * float(np.sqrt(max(slope @ fit.cover @ slope, 0.0)))
        return middle, middle - wide, middle + wide

    def area_rate(p: Array) -> float:
        return float(np.diff(law(p, ends) ** 2)[0]) / span

    def radius_rate(p: Array) -> float:
        return float(np.diff(law(p, ends))[0] / span / np.sqrt(np.pi))

    closing = _NONE
    if name != "exponential" and fit.value[1] < 0:
        closing = interval(lambda p: float(t[0] - span * p[0] / p[1]))
    return Growth(name, interval(area_rate), interval(radius_rate), closing, delta, len(t))


def steady(t_s: ArrayLike, values: ArrayLike) -> Array:
    """Return a series (T,) without flicker: the smoothest course that the scatter between frames allows.

    Single frames that stand out are drawn straight between their neighbours; then second differences are penalised
    (Whittaker), by cosines, so much that generalised cross-validation is least (Garcia 2010,
    doi:10.1016/j.csda.2009.09.020). Straight lines stay as they are.
    """
    from scipy.fft import dct, idct

    t, series = np.asarray(t_s, float), np.asarray(values, float)
    if len(series) < 5:
        return series.copy()
    series = _without_spikes(series)
    line = np.polyval(np.polyfit(t - t[0], series, 1), t - t[0])
    part = dct(series - line, norm="ortho")
    size = (2 - 2 * np.cos(np.pi * np.arange(len(t)) / len(t))) ** 2
    best, course = np.inf, np.zeros(len(t))
    for strength in 10.0 ** np.arange(-2.0, 10.1, 0.25):
        kept = 1 / (1 + strength * size)
        score = float(np.sum(((1 - kept) * part) ** 2)) / (len(t) - 1 - float(np.sum(kept[1:]))) ** 2
        if score < best * (1 - 1e-9):
            best, course = score, idct(kept * part, norm="ortho")
    return np.asarray(line + course)


def _without_spikes(series: Array) -> Array:
    """Return the series with single values that stand out drawn straight between their neighbours."""
    padded = np.pad(series, 2, mode="reflect", reflect_type="odd")
    apart = np.abs(series - np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1))
    most = np.max(np.lib.stride_tricks.sliding_window_view(np.pad(apart, 2), 5), axis=1)
    spread = max(1.4826 * float(np.median(apart)), float(np.median(np.abs(np.diff(series)))))
    alone = (apart > 5 * spread) & (apart == most)
    good = np.flatnonzero(~alone)
    return np.asarray(np.interp(np.arange(len(series)), good, series[good]))
