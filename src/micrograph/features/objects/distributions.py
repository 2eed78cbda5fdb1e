"""Distributions of sizes and shapes with 95 % intervals, from objects that may carry weights against selection.

Weights (`features.objects.selection`) undo what was cut by the border or rejected; the effective number
``(sum w)^2 / sum w^2`` (Kish 1965) then takes the place of the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column

Array = NDArray[np.float64]

#: What sizes are made of: column of the table of objects -> its unit.
QUANTITIES: Mapping[str, str] = {
    "area_nm2": "nm^2", "perimeter_nm": "nm", "equivalent_diameter_nm": "nm", "feret_max_nm": "nm",
    "feret_min_nm": "nm", "aspect": "", "circularity": "", "solidity": "", "convexity": "", "eccentricity": "",
    "thickness_nm": "nm", "volume_nm3": "nm^3",
}  # fmt: skip
SIZES = (
    Column("name", "", "'all' or a class of shapes"),
    Column("quantity", "", "column of the table of objects that is described"),
    Column("unit", "", "unit of mean to p90"),
    Column("number", "", "objects that count"),
    Column("effective_number", "", "number of equal objects that would be as precise, (sum w)^2 / sum w^2"),
    Column("mean", "", "weighted mean, in `unit`"),
    Column("mean_low", "", "lower end of its 95 % interval"),
    Column("mean_high", "", "upper end of its 95 % interval"),
    Column("sd", "", "standard deviation between objects"),
    Column("median", "", "weighted median"),
    Column("median_low", "", "lower end of its 95 % interval"),
    Column("median_high", "", "upper end of its 95 % interval"),
    Column("p10", "", "a tenth of the objects lie below"),
    Column("p90", "", "a tenth of the objects lie above"),
)
SHAPES = (
    Column("shape", "", "class of shapes"),
    Column("number", "", "objects of this class that were seen"),
    Column("share", "", "weighted share of all objects"),
    Column("share_low", "", "lower end of its 95 % Wilson interval"),
    Column("share_high", "", "upper end of its 95 % Wilson interval"),
)
BINS = (
    Column("low", "", "lower edge of the bin"),
    Column("high", "", "upper edge of the bin"),
    Column("number", "", "objects in the bin"),
    Column("share", "", "weighted share of all objects"),
    Column("share_low", "", "lower end of its 95 % Wilson interval"),
    Column("share_high", "", "upper end of its 95 % Wilson interval"),
)
#: With more independent objects than this, intervals follow from the central limit theorem, not from resampling.
MANY = 2000
#: Many rows of few independent objects are pooled into so many ranks before they are resampled.
_RANKS = 1000


@dataclass(frozen=True)
class Described:
    """One distribution: numbers as in the table `SIZES`."""

    number: int
    effective_number: float
    mean: float
    mean_low: float
    mean_high: float
    sd: float
    median: float
    median_low: float
    median_high: float
    p10: float
    p90: float


class Agreement(NamedTuple):
    """Greatest distance between two distribution functions (0..1), and how often chance alone gives a greater one."""

    distance: float
    p: float


def describe(
    values: Array, rng: np.random.Generator, weights: Array | None = None, groups: NDArray[np.int64] | None = None
) -> Described:
    """Return what the `values` (N,) are like; values that are not finite and weights of zero do not count.

    Intervals are expanded percentile bootstraps (Hesterberg, doi:10.1080/00031305.2015.1089789) of 1,000 resamples;
    `groups` (N,) names what was drawn independently (one particle in many frames is one draw). Raises `BadInput` where
    lengths differ or a weight is negative.
    """
    values, weights, groups = _checked(values, weights, groups)
    if len(values) == 0:
        return Described(0, 0.0, *([np.nan] * 9))
    order = np.argsort(values, kind="stable")
    values, weights, groups = values[order], weights[order], groups[order]
    mean = float(np.average(values, weights=weights))
    number = effective_number(np.bincount(groups, weights).astype(float))
    middle, low, high = (_quantile(values, weights, at) for at in (0.5, 0.1, 0.9))
    ends = (_resampled if groups.max() < MANY else _asymptotic)(values, weights, groups, rng)
    sd = float(np.sqrt(np.average((values - mean) ** 2, weights=weights) * number / max(number - 1, 1e-9)))
    if number <= 1:
        sd = np.nan
    return Described(len(values), number, mean, *ends[0], sd, middle, *ends[1], low, high)


def sizes_table(
    objects: pd.DataFrame, rng: np.random.Generator, weights: Array | None = None, *, by: str | None = "shape"
) -> pd.DataFrame:
    """Return the table 'sizes' (`SIZES`): a row for each of `QUANTITIES` that is there, for all and for each shape.

    objects: one row an object; with a column 'track', rows of one track are one draw. weights (N,): against selection.
    """
    weights = np.ones(len(objects)) if weights is None else np.asarray(weights, float)
    groups = objects["track"].to_numpy(np.int64) if "track" in objects else np.arange(len(objects))
    parts = {"all": np.ones(len(objects), bool)}
    if by is not None and by in objects:
        names = objects[by].to_numpy(str)
        parts |= {str(name): names == name for name in np.unique(names)}
    rows = []
    for name, mine in parts.items():
        for quantity, unit in QUANTITIES.items():
            if quantity in objects:
                found = describe(objects[quantity].to_numpy(float)[mine], rng, weights[mine], groups[mine])
                rows.append({"name": name, "quantity": quantity, "unit": unit, **vars(found)})
    return pd.DataFrame(rows, columns=[column.name for column in SIZES])


def shapes_table(
    objects: pd.DataFrame, weights: Array | None = None, *, always: Sequence[str] = (), by: str = "shape"
) -> pd.DataFrame:
    """Return the table 'shapes' (`SHAPES`), commonest first; `always` names classes listed even when unseen."""
    names = objects[by].to_numpy(str)
    weights = np.ones(len(names)) if weights is None else np.asarray(weights, float)
    total, number = weights.sum(), effective_number(weights)
    rows = []
    for name in sorted({*names.tolist(), *always}):
        mine = names == name
        share = float(weights[mine].sum() / total) if total > 0 else np.nan
        rows.append((name, int(np.count_nonzero(weights[mine])), share, *wilson(share, number)))
    table = pd.DataFrame(rows, columns=[column.name for column in SHAPES])
    return table.sort_values(["share", "shape"], ascending=[False, True], ignore_index=True)


def histogram(values: Array, edges: Array | None = None, weights: Array | None = None) -> pd.DataFrame:
    """Return the share of the `values` (N,) in each bin with its Wilson interval (`BINS`).

    edges (B+1,): bins, in ascending order; without them, equal ones as wide as Freedman and Diaconis advise
    (doi:10.1007/BF01025868), 50 at most.
    """
    values, weights, _ = _checked(values, weights, None)
    edges = _edges(values) if edges is None else np.asarray(edges, float)
    counts, _ = np.histogram(values, edges)
    inside, _ = np.histogram(values, edges, weights=weights)
    total, number = float(weights.sum()), effective_number(weights)
    shares = inside / total if total > 0 else np.full(len(inside), np.nan)
    ends = np.array([wilson(float(share), number) for share in shares]).reshape(-1, 2)
    columns = (edges[:-1], edges[1:], counts, shares, ends[:, 0], ends[:, 1])
    return pd.DataFrame(dict(zip([column.name for column in BINS], columns, strict=True)))


def effective_number(weights: Array) -> float:
    """Return the number of equal objects that are as precise as these weighted ones: ``(sum w)^2 / sum w^2``."""
    square = float(np.square(weights).sum())
    return float(np.sum(weights)) ** 2 / square if square > 0 else 0.0


def wilson(share: float, number: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a share (0..1) seen in `number` objects (doi:10.1080/01621459.1927.10502953)."""
    if number <= 0 or not np.isfinite(share):
        return 0.0, 1.0
    z = _normal_quantile((1 + level) / 2)
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def half_width(share: float, number: float, level: float = 0.95) -> float:
    """Return half the width of the interval of a share in `number` objects: 0.025 for 0.5 in 1,500."""
    return float(_normal_quantile((1 + level) / 2) * np.sqrt(share * (1 - share) / number))


def number_needed(wanted: float, share: float = 0.5, level: float = 0.95) -> int:
    """Return how many objects give the share an interval of +- `wanted` (half a width > 0), by the 1/sqrt(n) law."""
    if not wanted > 0:
        raise BadInput(f"Half a width of {wanted} asks for endlessly many objects: give one above 0.")
    return int(np.ceil(share * (1 - share) * (_normal_quantile((1 + level) / 2) / wanted) ** 2))


def number_needed_for_mean(described: Described, wanted: float, level: float = 0.95) -> int:
    """Return how many objects like those `described` give their mean an interval of +- `wanted`, in its unit.

    Unequal weights cost as many objects more as they cost here (number over effective number).
    """
    if not wanted > 0:
        raise BadInput(f"Half a width of {wanted} asks for endlessly many objects: give one above 0.")
    if described.number < 2:
        raise BadInput(f"{described.number} objects say nothing of the scatter between objects: at least 2 are needed.")
    cost = described.number / described.effective_number
    return int(np.ceil(cost * (_normal_quantile((1 + level) / 2) * described.sd / wanted) ** 2))


def compare(values: Array, reference: Array, weights: Array | None = None) -> Agreement:
    """Return the Kolmogorov-Smirnov distance between the weighted `values` (N,) and a `reference` (M,), with its p.

    The effective number takes the place of N in the asymptotic law (doi:10.1214/aoms/1177730256).
    """
    from scipy.stats import kstwobign

    values, weights, _ = _checked(values, weights, None)
    reference = np.sort(np.asarray(reference, float))
    if len(values) == 0 or len(reference) == 0:
        return Agreement(np.nan, np.nan)
    order = np.argsort(values)
    values, total = values[order], np.append(0.0, np.cumsum(weights[order]))
    at = np.concatenate([values, reference])
    ours = total[np.searchsorted(values, at, side="right")] / total[-1]
    theirs = np.searchsorted(reference, at, side="right") / len(reference)
    distance = float(np.abs(ours - theirs).max())
    number = effective_number(weights)
    root = np.sqrt(number * len(reference) / (number + len(reference)))
    return Agreement(distance, float(kstwobign.sf((root + 0.12 + 0.11 / root) * distance)))


def _checked(
    values: Array, weights: Array | None, groups: NDArray[np.int64] | None
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return what counts, with groups numbered from 0."""
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if not len(values) == len(weights) == len(groups):
        raise BadInput(f"{len(values)} values have {len(weights)} weights and {len(groups)} groups: give one for each.")
    if np.any(weights < 0):
        raise BadInput(f"A weight is {weights.min():g}: weights are zero or greater.")
    counts = np.isfinite(values) & (weights > 0)
    return values[counts], weights[counts], np.unique(groups[counts], return_inverse=True)[1].astype(np.int64)


def _quantile(values: Array, weights: Array, at: float) -> float:
    """Return a quantile of sorted values, half of each weight counted below its value."""
    below = np.cumsum(weights) - weights / 2
    return float(np.interp(at * weights.sum(), below, values))


def _resampled(
    values: Array, weights: Array, groups: NDArray[np.int64], rng: np.random.Generator, resamples: int = 1000
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the intervals of mean and median over resampled groups, expanded as Student's t asks."""
    from scipy.special import ndtr, stdtrit

    number = int(groups.max()) + 1
    if number < 2:
        return (np.nan, np.nan), (np.nan, np.nan)
    means, medians = np.empty(resamples), np.empty(resamples)
    values, pooled = _pooled(values, weights, groups) if number * _RANKS < 20 * len(values) else (values, None)
    step = max(1_000_000 // len(values), 1)
    for begin in range(0, resamples, step):
        part = slice(begin, min(begin + step, resamples))
        drawn = rng.multinomial(number, np.full(number, 1 / number), size=part.stop - part.start)
        w = weights * drawn[:, groups] if pooled is None else drawn @ pooled
        means[part] = w @ values / w.sum(axis=1)
        medians[part] = _medians(values, w)
    tail = float(ndtr(np.sqrt(number / (number - 1)) * stdtrit(number - 1, 0.025)))
    low, high = np.quantile(means, [tail, 1 - tail])
    below, above = np.quantile(medians, [tail, 1 - tail])
    return (float(low), float(high)), (float(below), float(above))


def _pooled(values: Array, weights: Array, groups: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return mean values (K,) of sorted values (N,) by rank, and the weight (G, K) that each group has at each rank."""
    ranks = np.arange(len(values)) * _RANKS // len(values)
    total = np.bincount(ranks, weights)
    cells = np.bincount(groups * len(total) + ranks, weights, (int(groups.max()) + 1) * len(total))
    return np.bincount(ranks, weights * values) / total, np.asarray(cells, float).reshape(-1, len(total))


def _medians(values: Array, weights: Array) -> Array:
    """Return the median of sorted values (N,) under each row of weights (B, N)."""
    below = np.cumsum(weights, axis=1) - weights / 2
    half = weights.sum(axis=1) / 2
    right = np.clip((below < half[:, None]).sum(axis=1), 1, len(values) - 1)
    rows = np.arange(len(weights))
    before, after = below[rows, right - 1], below[rows, right]
    share = np.clip((half - before) / np.maximum(after - before, 1e-300), 0, 1)
    return np.asarray(values[right - 1] + share * (values[right] - values[right - 1]))


def _asymptotic(
    values: Array, weights: Array, groups: NDArray[np.int64], rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the normal interval of the mean (linearised over groups) and Woodruff's of the median."""
    total = weights.sum()
    mean = float(np.average(values, weights=weights))
    pull = np.bincount(groups, weights * (values - mean)) / total
    half = 1.96 * float(np.sqrt(np.square(pull).sum()))
    middle = _quantile(values, weights, 0.5)
    pull = np.bincount(groups, weights * ((values <= middle) - 0.5)) / total
    step = 1.96 * float(np.sqrt(np.square(pull).sum()))
    ends = (_quantile(values, weights, 0.5 - step), _quantile(values, weights, 0.5 + step))
    return (mean - half, mean + half), ends


def _edges(values: Array) -> Array:
    if len(values) == 0:
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    q1, q3 = np.quantile(values, [0.25, 0.75])
    width = 2 * (q3 - q1) / len(values) ** (1 / 3)
    count = int(np.clip(np.ceil((high - low) / width), 1, 50)) if width > 0 else 10
    return np.linspace(low, high, count + 1)


def _normal_quantile(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))
