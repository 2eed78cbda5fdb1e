"""Maps of counts without their noise: estimators of several kinds, mixed as the counts themselves ask for.

Counts that are dealt out at random into parts are independent Poisson counts, exactly. So what an estimator makes of
some parts can be judged by the others, without a clean map: the mixture of estimators that makes the parts left out
most likely is taken (stacking, doi:10.1016/S0893-6080(05)80023-1). None of them adds or takes counts in all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Maps = NDArray[np.float32]
Array = NDArray[np.float64]

#: Widths in pixels of the Gaussians, and weights of the total variations, in units of the noise of a usual pixel.
WIDTHS_PX = (1.0, 1.5, 2.2, 3.3, 5.0, 8.0)
FLAT, SLOPED = (1.4, 2.8, 5.6), (3.0, 10.0)
#: Levels of brightness, in units of the usual pixel, at which estimators are mixed; told by a map smoothed so far.
LEVELS, _PILOT_PX = (0.05, 0.4, 1.0), 4.0
#: What a number of a mixture costs in log-likelihood: between Akaike's 1 and Schwarz's half logarithm of the counts.
PRICE = 2.0
#: Values that lie this close to a whole multiple of a unit, times it and one more, are counts.
_WHOLE = 0.02
#: The mixture is made with a hundredth of the mean in every pixel, so that one count in the dark costs no fortune.
_FLOOR = 0.01


@dataclass(frozen=True)
class Estimator:
    """One way to smooth: a 'gauss' of so many pixels, a 'flat' (total variation) or 'sloped' (of the slopes) prior, or
    'even', the same in every pixel.

    iterations: of the primal-dual steps of the priors.
    """

    kind: str
    strength: float
    iterations: int = 60

    @property
    def name(self) -> str:
        """Kind and strength in words."""
        return f"{self.kind} {self.strength:g}"

    def __call__(self, counts: Maps, guide: Maps | None = None) -> Maps:
        """Return the expected counts (C, H, W), whose sums are those of `counts`.

        guide (H, W): a map without much noise (HAADF) whose edges those of the elements may share.
        """
        if self.kind == "even":
            found = np.broadcast_to(counts.mean(axis=(1, 2), keepdims=True), counts.shape)
        elif self.kind == "gauss":
            from scipy.ndimage import gaussian_filter

            found = gaussian_filter(counts, (0, self.strength, self.strength), mode="reflect")
        else:
            found = least_variation(counts, self, guide)
        return conserved(found, counts)


def estimators(iterations: int = 60) -> tuple[Estimator, ...]:
    """Return the estimators that are mixed."""
    priors = [("flat", one) for one in FLAT] + [("sloped", one) for one in SLOPED]
    return (
        Estimator("even", 0.0),
        *(Estimator("gauss", one) for one in WIDTHS_PX),
        *(Estimator(*one, iterations) for one in priors),
    )


def as_counts(values: Maps, unit: float | None = None) -> tuple[Maps, float]:
    """Return whole counts and the value that one count has, found as the smallest one unless `unit` is given.

    Raises `BadInput` for negative values, and for values that are no multiples of one value.
    """
    if not np.isfinite(values).all():
        raise BadInput("The maps hold values that are not finite: counts were expected; export them again as counts.")
    if (values < 0).any():
        raise BadInput(
            f"The maps hold negative values (down to {values.min():.3g}): counts were expected; export the maps "
            "without subtraction of the background."
        )
    positive = values[values > 0]
    if not positive.size:
        return values.astype(np.float32), 1.0
    one = unit or _unit(positive)
    multiples = values.astype(float) / one
    whole = np.rint(multiples)
    if (np.abs(multiples - whole) > np.minimum(_WHOLE * (1 + whole), 0.25)).any():
        raise BadInput(
            "The maps are not counts: their values are no multiples of one value; export the raw counts of the "
            "elements' lines, not smoothed ones or percentages, or say with unit=... what one count is."
        )
    return whole.astype(np.float32), float(one)


def _unit(positive: NDArray[np.floating]) -> float:
    """Return the value of one count: the lowest value, as the mean of all that are nearly as low."""
    low = float(positive.min())
    return float(np.median(positive[positive < 1.3 * low]))


def dealt(counts: Maps, parts: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the counts dealt out at random into `parts` (parts, C, H, W): independent Poisson counts."""
    left, found = np.rint(counts).astype(np.int64), []
    for number in range(parts, 1, -1):
        taken = rng.binomial(left, 1 / number)
        found.append(taken)
        left = left - taken
    return np.stack([*found, left]).astype(np.float32)


def conserved(found: Maps, counts: Maps) -> Maps:
    """Return maps scaled to the sums of `counts`, element by element."""
    have, want = (one.sum(axis=(1, 2), dtype=float) for one in (found, counts))
    return np.asarray(found * (want / np.maximum(have, 1e-30))[:, None, None], np.float32)


def usual(counts: Maps) -> Array:
    """Return the usual counts (C,) of a pixel where there is something: the mean over the counts themselves."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(counts, (0, 3, 3))
    return np.asarray(np.maximum((soft**2).sum(axis=(1, 2)) / np.maximum(soft.sum(axis=(1, 2)), 1e-12), 1e-6), float)


def least_variation(counts: Maps, how: Estimator, guide: Maps | None = None) -> Maps:
    """Return the maps (C, H, W) of most Poisson likelihood with least variation, jointly over elements.

    'flat' asks for few edges (total variation), 'sloped' for few kinks (second differences). Elements count in units of
    a usual pixel of their own; a guide counts as one more element. Steps: doi:10.1007/s10851-010-0251-1.
    """
    unit = usual(counts).astype(np.float32)[:, None, None]
    scaled = counts / unit
    share = unit.copy()
    if guide is not None:
        bright = np.maximum(guide - np.percentile(guide, 5), 0)
        level = float((bright**2).sum() / max(float(bright.sum()), 1e-12)) or 1.0
        scaled = np.concatenate([scaled, (bright / level)[None].astype(np.float32)])
        share = np.concatenate([share, np.full((1, 1, 1), 10 * float(unit.max()), np.float32)])
    weight = np.float32(how.strength * np.sqrt(float(unit.mean())))
    differences, adjoint, norm = (
        (_first, _first_adjoint, 8.0) if how.kind == "flat" else (_second, _second_adjoint, 64.0)
    )
    tau = np.float32(0.5 / np.sqrt(norm) / weight)
    sigma = np.float32(1 / (norm * tau))
    from scipy.ndimage import gaussian_filter

    found = gaussian_filter(scaled, (0, 2, 2))
    leading, dual = found.copy(), np.zeros((2 if how.kind == "flat" else 3, *found.shape), np.float32)
    pull = tau * share
    for _ in range(how.iterations):
        dual += sigma * differences(leading)
        dual /= np.maximum(1, np.sqrt((dual**2).sum(axis=(0, 1))) / weight)
        before = found
        moved = found - tau * adjoint(dual) - pull
        found = (moved + np.sqrt(moved**2 + 4 * pull * scaled)) / 2
        leading = 2 * found - before
    return np.asarray(found[: len(counts)] * unit, np.float32)


def _first(maps: Maps) -> Maps:
    found = np.zeros((2, *maps.shape), np.float32)
    found[0, :, :-1] = maps[:, 1:] - maps[:, :-1]
    found[1, :, :, :-1] = maps[:, :, 1:] - maps[:, :, :-1]
    return found


def _first_adjoint(dual: Maps) -> Maps:
    found = np.zeros(dual.shape[1:], np.float32)
    found[:, 1:] += dual[0, :, :-1]
    found[:, :-1] -= dual[0, :, :-1]
    found[:, :, 1:] += dual[1, :, :, :-1]
    found[:, :, :-1] -= dual[1, :, :, :-1]
    return found


def _second(maps: Maps) -> Maps:
    """Return the second differences (3, C, H, W): down, across, and mixed times the root of two."""
    found = np.zeros((3, *maps.shape), np.float32)
    found[0, :, 1:-1] = maps[:, 2:] - 2 * maps[:, 1:-1] + maps[:, :-2]
    found[1, :, :, 1:-1] = maps[:, :, 2:] - 2 * maps[:, :, 1:-1] + maps[:, :, :-2]
    mixed = maps[:, 1:, 1:] - maps[:, 1:, :-1] - maps[:, :-1, 1:] + maps[:, :-1, :-1]
    found[2, :, :-1, :-1] = np.float32(np.sqrt(2)) * mixed
    return found


def _second_adjoint(dual: Maps) -> Maps:
    found = np.zeros(dual.shape[1:], np.float32)
    for one, axis in ((dual[0], 1), (dual[1], 2)):
        moved, into = np.moveaxis(one, axis, 0)[1:-1], np.moveaxis(found, axis, 0)
        into[2:] += moved
        into[1:-1] -= 2 * moved
        into[:-2] += moved
    mixed = np.float32(np.sqrt(2)) * dual[2, :, :-1, :-1]
    found[:, 1:, 1:] += mixed
    found[:, 1:, :-1] -= mixed
    found[:, :-1, 1:] -= mixed
    found[:, :-1, :-1] += mixed
    return found


@dataclass(frozen=True)
class Mixture:
    """Estimators and the shares (E, K, C) in which they are mixed for each element, at K levels of brightness.

    Between the `LEVELS` shares are interpolated. gain: held-out log-likelihood in all beyond that of the best single
    estimator; and `single`, which that is.
    """

    estimators: tuple[Estimator, ...]
    shares: Array
    gain: float = 0.0
    single: str = ""

    def __call__(self, counts: Maps, guide: Maps | None = None) -> Maps:
        """Return the expected counts (C, H, W)."""
        found = np.zeros(counts.shape, np.float32)
        belong = levels_of(counts)
        for one, share in zip(self.estimators, self.shares, strict=True):
            found += np.einsum("kc,kchw->chw", share.astype(np.float32), belong) * one(counts, guide)
        return conserved(found, counts)


def levels_of(counts: Maps) -> NDArray[np.float32]:
    """Return how much every pixel belongs to each of the `LEVELS` of brightness (K, C, H, W), by a soft map."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(counts, (0, _PILOT_PX, _PILOT_PX)) / usual(counts).astype(np.float32)[:, None, None]
    place = np.interp(soft, LEVELS, np.arange(len(LEVELS)))
    return np.stack([np.clip(1 - np.abs(place - number), 0, 1) for number in range(len(LEVELS))]).astype(np.float32)


def mixture(
    counts: Maps,
    rng: np.random.Generator,
    guide: Maps | None = None,
    parts: int = 4,
    choices: Sequence[Estimator] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Mixture:
    """Return the mixture of estimators that makes counts left out most likely; those that hardly count are dropped.

    counts: (C, H, W); they are dealt into `parts`, of which each is left out in turn.
    """
    choices = tuple(choices or estimators())
    split = dealt(counts, parts, rng)
    guesses, seen, belong = [], [], []
    for number in range(parts):
        rest = counts - split[number]
        guesses.append(np.stack([_guess(one, rest, guide, parts) for one in choices]))
        belong.append(levels_of(rest))
        seen.append(split[number])
        if progress is not None:
            progress(number + 1, parts)
    made, left = np.stack(guesses, axis=2), np.stack(seen, axis=1)  # (E, C, parts, H, W), (C, parts, H, W)
    level = np.stack(belong, axis=2)  # (K, C, parts, H, W)
    flat, target = made.reshape(*made.shape[:2], -1), left.reshape(len(left), -1)
    singles = np.array([[_likelihood(one, own) for one, own in zip(each, target, strict=True)] for each in flat])
    shares, likelihood = _chosen(flat, level.reshape(*level.shape[:2], -1), target, singles)
    best = int(singles.sum(axis=1).argmax())
    used = shares.max(axis=(1, 2)) > 0
    kept = tuple(one for one, use in zip(choices, used, strict=True) if use)
    return Mixture(kept, shares[used], likelihood - float(singles[best].sum()), choices[best].name)


def _chosen(guesses: Maps, level: Maps, counts: Maps, singles: Array) -> tuple[Array, float]:
    """Return the shares (E, K, C) of all elements, and the log-likelihood: few counts bear few numbers.

    guesses (E, C, N), level (K, C, N), counts (C, N), singles (E, C). Tried are the estimator that suits all elements
    best, that which suits each best, and mixtures, the same everywhere or at each level of brightness, for all elements
    alike or for each. Every number costs `PRICE` units of log-likelihood, as in Akaike's and Schwarz's criteria.
    """
    many, levels, elements = len(guesses), len(level), counts.shape[0]
    common = np.full(elements, int(singles.sum(axis=1).argmax()))
    tried: list[tuple[float, float, Array]] = []
    for chosen, cost in ((common, 1), (singles.argmax(axis=0), elements)):
        alone = np.zeros((many, levels, elements))
        alone[chosen, :, np.arange(elements)] = 1.0
        likelihood = float(singles[chosen, np.arange(elements)].sum())
        tried.append((likelihood - cost * PRICE, likelihood, alone))
    for known in (level.sum(axis=0, keepdims=True), level):
        pooled, likelihood = _shares(guesses.reshape(many, -1), known.reshape(len(known), -1), counts.ravel())
        shares = np.broadcast_to(pooled[..., None], (many, levels, elements))
        tried.append((likelihood - PRICE * _numbers(pooled), likelihood, shares))
        each = [_shares(guesses[:, n], known[:, n], counts[n]) for n in range(elements)]
        shares = np.stack([np.broadcast_to(one[0], (many, levels)) for one in each], axis=2)
        likelihood = sum(one[1] for one in each)
        tried.append((likelihood - PRICE * sum(_numbers(one[0]) for one in each), likelihood, shares))
    _, likelihood, shares = max(tried, key=lambda one: one[0])
    return np.array(shares), likelihood


def _numbers(shares: Array) -> int:
    """Return how many numbers shares (E, K) hold."""
    return int((shares > 0).sum())


def _guess(one: Estimator, rest: Maps, guide: Maps | None, parts: int) -> Maps:
    """Return what an estimator makes of a part left out, from the rest."""
    found = one(rest, guide) / np.float32(parts - 1)
    floor = _FLOOR * found.mean(axis=(1, 2), keepdims=True) + 1e-9
    return np.asarray(found + floor, np.float32)


def _likelihood(expected: Maps, counts: Maps) -> float:
    return float((counts * np.log(expected)).sum(dtype=float) - expected.sum(dtype=float))


def _shares(guesses: Maps, level: Maps, counts: Maps, steps: int = 150, least: float = 0.05) -> tuple[Array, float]:
    """Return the shares (E, K) of most Poisson likelihood, by expectation maximisation, and that likelihood.

    guesses (E, N), level (K, N), counts (N,). Only pixels with counts need to be looked at, beside sums over all. Those
    that hardly count are dropped on the way. At a level shares need not add up to 1.
    """
    lit = counts > 0
    sums = np.maximum(np.einsum("en,kn->ek", guesses, level).astype(float), 1e-30)
    seen: Array = guesses[:, None, lit].astype(float) * level[None, :, lit].astype(float)
    weight: Array = counts[lit].astype(float)
    shares: Array = np.full(sums.shape, 1 / len(guesses))
    for step in range(steps):
        shares = shares * np.einsum("ekn,n->ek", seen, weight / np.maximum(_mixed(shares, seen), 1e-30)) / sums
        if step in (steps // 3, 2 * steps // 3):
            shares = np.where(shares >= least * shares.max(axis=0), shares, 0.0)
    value = float((weight * np.log(np.maximum(_mixed(shares, seen), 1e-30))).sum() - (shares * sums).sum())
    return shares, value


def _mixed(shares: Array, seen: Array) -> Array:
    return np.asarray(np.einsum("ek,ekn->n", shares, seen))


def map_sigma(mean: Maps, mix: Mixture, rng: np.random.Generator, guide: Maps | None = None, replicas: int = 6) -> Maps:
    """Return the 1-sigma (C, H, W) of a mixture's maps, by what it makes of counts drawn anew from its own `mean`.

    Their spread is the noise; what they are off on average is what smoothing takes away, once. It took so much from
    what was there before too, where edges were sharper: twice that is counted. Both are smoothed over a few pixels.
    """
    from scipy.ndimage import gaussian_filter

    drawn = (rng.poisson(np.maximum(mean, 0)).astype(np.float32) for _ in range(replicas))
    made = np.stack([mix(one, guide) for one in drawn])
    spread = made.var(axis=0, ddof=1)
    off = np.maximum((made.mean(axis=0) - mean) ** 2 - spread / replicas, 0)
    return np.sqrt(gaussian_filter(spread + 4 * off, (0, 3, 3))).astype(np.float32)
