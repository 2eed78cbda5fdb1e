"""How fast an object grows or a pore closes, from its area in time: three laws, correlated errors, closing time.

Noise of an outline makes an area's error grow with its perimeter, so the root of the area has the same error in all
frames. Part of it is alike over many frames, where the border is seen wrong in the same way in all of them: how much
and over how long is not known, and a short series hardly tells. Each law is therefore fitted by generalised least
squares under every such share and time, weighed by their restricted likelihood (Patterson and Thompson 1971,
doi:10.1093/biomet/58.3.545); intervals are those of all together. Frames that stand out are set aside and counted. The
laws are compared by Akaike's criterion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.track.timeline import Array

Law = Callable[[Array, Array], Array]
#: Laws by name: the root of the area at scaled times 0..1, from two parameters.
LAWS: dict[str, Law] = {
    "constant edge velocity": lambda p, t: np.maximum(p[0] + p[1] * t, 0.0),
    "constant area rate": lambda p, t: np.sqrt(np.maximum(p[0] + p[1] * t, 0.0)),
    "exponential": lambda p, t: p[0] * np.exp(np.clip(p[1] * t, -30, 30)),
}
#: Longer series are averaged in blocks to so many values.
_MOST = 96
#: Shares of an error that are alike over a time, and such times in steps, up to a part of the series.
_ALIKE = (0.05, 0.2, 0.5, 0.8, 1.0)
_TIMES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_LONGEST = 0.4
#: Values so many standard deviations away are set aside, a third of them at most.
_OUT = 5.0
#: How often a degree of freedom of a smooth course counts when its strength is chosen.
_COUNTED = 1.4
_ROUNDS = 8


@dataclass(frozen=True)
class Growth:
    """What a series of areas says, each as (value, low, high) with its 95 % interval.

    area_rate: mean over the time (nm^2/s); radius_rate: of the circle of equal area (nm/s); closing_s: time at
    which the area is zero, NaN where the law has none. law: the likeliest; delta_aic: how much the next best is worse;
    aside: frames that stand out and were set aside.
    """

    law: str
    area_rate: tuple[float, float, float]
    radius_rate: tuple[float, float, float]
    closing_s: tuple[float, float, float]
    delta_aic: float
    frames: int
    aside: int = 0


_NONE = (float("nan"),) * 3


def growth(t_s: ArrayLike, area_nm2: ArrayLike, over_s: tuple[float, float] | None = None) -> Growth:
    """Return how the areas (T,) nm^2 at times (T,) s change; fewer than 4 of them say nothing (NaN).

    Rates are means over the times `over_s`, from the first area to the last unless given.
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
    good = _standing_in(scaled, root)
    series = _blocks(scaled[good], root[good])
    fits = {name: _fit(law, *series) for name, law in LAWS.items()}
    ranked = sorted(fits, key=lambda name: fits[name].aic)
    best = fits[ranked[0]]
    found = _growth(ranked[0], best, fits[ranked[1]].aic - best.aic, t, over_s or (t[0], t[-1]))
    return replace(found, frames=len(t), aside=int((~good).sum()))


def _standing_in(t: Array, root: Array) -> NDArray[np.bool_]:
    """Return which values (T,) do not stand out: not from those around them, and not from the course of all."""
    every = np.ones(len(t), bool)
    if len(t) < 8:
        return every
    design, weight = np.stack([np.ones_like(t), t, t**2], axis=1), np.ones(len(t))
    for _ in range(2 * _ROUNDS):  # least absolute deviations
        half = np.sqrt(weight)
        left = root - design @ np.linalg.lstsq(design * half[:, None], root * half, rcond=None)[0]
        weight = 1 / np.maximum(np.abs(left) / _spread(left, root), 0.1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(left, 3, mode="reflect"), 7)
    alone = left - np.median(around, axis=1)
    good = (np.abs(left) <= _OUT * _spread(left, root)) & (np.abs(alone) <= _OUT * _spread(alone, root))
    return good if good.sum() >= max(2 * len(t) / 3, 4) else every


def _spread(left: Array, root: Array) -> float:
    """Return the standard deviation of errors of which some stand out; never quite zero."""
    return 1.4826 * float(np.median(np.abs(left))) + 1e-6 * float(root.max()) + 1e-300


def _blocks(t: Array, root: Array) -> tuple[Array, Array]:
    """Return means over blocks of a long series."""
    size = -(-len(t) // _MOST)
    if size == 1:
        return t, root
    at = np.arange(len(t)) // size
    number = np.bincount(at)
    return np.bincount(at, t) / number, np.bincount(at, root) / number


@dataclass(frozen=True)
class _Fit:
    """Parameters (N, 2) in scaled time and covariances (N, 2, 2) by kind of error, their weights (N,), and Akaike's.

    freedom: degrees of freedom of the errors.
    """

    values: Array
    covers: Array
    weights: Array
    aic: float
    freedom: int


def _fit(law: Law, t: Array, root: Array) -> _Fit:
    first = _start(law, t, root)
    for _ in range(_ROUNDS):
        change = np.asarray(np.linalg.lstsq(_slopes(law, first, t), root - law(first, t), rcond=None)[0], np.float64)
        first = _stepped(law, first, (t, root), change)
    slope, left = _slopes(law, first, t), root - law(first, t)
    freedom = max(len(t) - 2, 1)
    floor = freedom * (1e-18 * float(np.mean(root**2)) + 1e-30)
    found = []
    for kind in _kinds(t):
        lower = np.linalg.cholesky(kind)
        white = np.linalg.solve(lower, np.column_stack([slope, left]))
        square = white[:, :2].T @ white[:, :2]
        inverse = np.linalg.pinv(square)
        step = inverse @ white[:, :2].T @ white[:, 2]
        total = max(float(np.sum((white[:, 2] - white[:, :2] @ step) ** 2)), floor)
        size = 2 * float(np.log(np.diag(lower)).sum())
        restricted = -0.5 * (size + float(np.linalg.slogdet(square)[1]) + freedom * np.log(total))
        deviance = len(t) * np.log(total / len(t)) + size
        found.append((first + step, inverse * total / freedom, restricted, deviance))
    values, covers, restricted, deviances = (np.array(column) for column in zip(*found, strict=True))
    weights = np.exp(restricted - restricted.max())
    return _Fit(values, covers, weights / weights.sum(), float(deviances.min()) + 10, freedom)


def _kinds(t: Array) -> list[Array]:
    """Return the correlation matrices (T, T) that the errors may have, the first of errors that have none."""
    step = float(np.median(np.diff(t)))
    apart = np.abs(t[:, None] - t) / step
    times = [time for time in _TIMES if time <= max(_LONGEST * len(t), 1.0)] if len(t) >= 8 else []
    middle = np.eye(len(t))
    return [middle, *((1 - share) * middle + share * np.exp(-apart / time) for time in times for share in _ALIKE)]


def _stepped(law: Law, p: Array, seen: tuple[Array, Array], step: Array) -> Array:
    """Return the parameters after the step, halved while it makes the fit worse."""
    t, root = seen
    before = float(np.sum((law(p, t) - root) ** 2))
    for share in (1.0, 0.5, 0.25, 0.125):
        if float(np.sum((law(p + share * step, t) - root) ** 2)) <= 1.1 * before:
            return np.asarray(p + share * step)
    return p


def _start(law: Law, t: Array, root: Array) -> Array:
    """Return the parameters that meet the mean of the first and of the last quarter."""
    part = max(len(t) // 4, 1)
    early, late = float(root[:part].mean()), float(root[-part:].mean())
    if law is LAWS["constant area rate"]:
        return np.array([early**2, late**2 - early**2])
    if law is LAWS["exponential"]:
        return np.array([early, np.log(max(late, 1e-9) / max(early, 1e-9))])
    return np.array([early, late - early])


def _slopes(law: Law, p: Array, t: Array) -> Array:
    step = 1e-6 * (np.abs(p) + np.abs(p).max() * 1e-3 + 1e-12)
    return np.column_stack(
        [(law(p + step * e, t) - law(p - step * e, t)) / (2 * step[i]) for i, e in enumerate(np.eye(2))]
    )


def _growth(name: str, fit: _Fit, delta: float, t: Array, over_s: tuple[float, float]) -> Growth:
    law, scale, span = LAWS[name], float(t[-1] - t[0]), over_s[1] - over_s[0]
    ends = (np.array(over_s) - t[0]) / scale

    def area_rate(p: Array) -> float:
        return float(np.diff(law(p, ends) ** 2)[0]) / span

    def radius_rate(p: Array) -> float:
        return float(np.diff(law(p, ends))[0] / span / np.sqrt(np.pi))

    closing = _NONE
    if name != "exponential" and (fit.values[:, 1] < 0).all():
        closing = _interval(lambda p: float(t[0] - scale * p[0] / p[1]), fit)
    return Growth(name, _interval(area_rate, fit), _interval(radius_rate, fit), closing, delta, len(t))


def _interval(value: Callable[[Array], float], fit: _Fit) -> tuple[float, float, float]:
    """Return a value and the ends of its 95 % interval, under all kinds of errors together."""
    from scipy.optimize import brentq
    from scipy.stats import t as student

    middles, wide = np.array([_with_sigma(value, *one) for one in zip(fit.values, fit.covers, strict=True)]).T
    middle, most = float(fit.weights @ middles), float(wide.max())

    def below(at: float) -> float:
        return float(fit.weights @ student.cdf((at - middles) / wide, fit.freedom))

    far = float(student.ppf(0.9999, fit.freedom)) * most + float(np.ptp(middles))
    low, high = (brentq(lambda at, p=p: below(at) - p, middle - far, middle + far) for p in (0.025, 0.975))
    return middle, float(low), float(high)


def _with_sigma(value: Callable[[Array], float], p: Array, cover: Array) -> tuple[float, float]:
    step = 1e-5 * (np.abs(p) + 1e-9)
    slope = np.array(
        [(value(p + step * one) - value(p - step * one)) / (2 * step[i]) for i, one in enumerate(np.eye(2))]
    )
    middle = value(p)
    return middle, float(np.sqrt(max(slope @ cover @ slope, 0.0))) + 1e-12 * abs(middle) + 1e-300


def steady(t_s: ArrayLike, values: ArrayLike) -> Array:
    """Return a series (T,) without flicker: the smoothest course that the scatter between frames allows.

    Single frames that stand out are drawn straight between their neighbours; then second differences are penalised
    (Whittaker), by cosines, so much that generalised cross-validation is least (Garcia 2010,
    doi:10.1016/j.csda.2009.09.020), with each degree of freedom counted 1.4 times, or it follows the noise of one
    series in ten (Kim and Gu 2004, doi:10.1046/j.1369-7412.2003.05316.x). Straight lines stay as they are.
    """
    from scipy.fft import dct, idct

    t, series = np.asarray(t_s, float), np.asarray(values, float)
    if len(series) < 5:
        return series.copy()
    series = _without_spikes(series)
    line = np.polyval(np.polyfit(t - t[0], series, 1), t - t[0])
    part = dct(series - line, norm="ortho")
    size = (2 - 2 * np.cos(np.pi * np.arange(len(t)) / len(t))) ** 2
    kept = 1 / (1 + 10.0 ** np.arange(-2.0, 10.1, 0.25)[:, None] * size)
    spare = len(t) - _COUNTED * (1 + np.sum(kept[:, 1:], axis=1))
    scores = np.where(spare > 0, np.sum(((1 - kept) * part) ** 2, axis=1) / spare**2, np.inf)
    best = int(np.argmax(scores <= scores.min() * (1 + 1e-9)))
    return np.asarray(line + idct(kept[best] * part, norm="ortho"))


def _without_spikes(series: Array) -> Array:
    """Return the series with single values that stand out drawn straight between their neighbours."""
    padded = np.pad(series, 2, mode="reflect", reflect_type="odd")
    apart = np.abs(series - np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1))
    most = np.max(np.lib.stride_tricks.sliding_window_view(np.pad(apart, 2), 5), axis=1)
    spread = max(1.4826 * float(np.median(apart)), float(np.median(np.abs(np.diff(series)))))
    alone = (apart > 5 * spread) & (apart == most)
    good = np.flatnonzero(~alone)
    return np.asarray(np.interp(np.arange(len(series)), good, series[good]))
