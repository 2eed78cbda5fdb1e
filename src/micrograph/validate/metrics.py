"""How right an answer is: matching of points, detection, classes, positions, ranking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Match:
    """Pairs of points, each point in at most one: rows `true`, `found` (M,) and their `distance` (M,) in nm."""

    true: Index
    found: Index
    distance: Array

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.true)


def match(true_y: ArrayLike, true_x: ArrayLike, found_y: ArrayLike, found_x: ArrayLike, radius_nm: float) -> Match:
    """Return the one-to-one matching of points within `radius_nm`: as many pairs as can be, then the shortest.

    Coordinates (N,) and (M,) in nm. Points that are not finite match nothing. Pairs are ordered by the true row.
    """
    true = np.column_stack([np.asarray(true_y, float), np.asarray(true_x, float)])
    found = np.column_stack([np.asarray(found_y, float), np.asarray(found_x, float)])
    rows, columns, distance = _candidates(true, found, radius_nm)
    chosen = _assigned(rows, columns, distance, len(true), len(found))
    order = chosen[np.argsort(rows[chosen], kind="stable")]
    return Match(rows[order], columns[order], distance[order])


def _candidates(true: Array, found: Array, radius: float) -> tuple[Index, Index, Array]:
    """Return all pairs within the radius: rows, columns, distances."""
    from scipy.spatial import cKDTree

    usable = [np.flatnonzero(np.isfinite(points).all(axis=1)) for points in (true, found)]
    trees = [cKDTree(points[keep]) for points, keep in zip((true, found), usable, strict=True)]
    near = trees[0].sparse_distance_matrix(trees[1], radius, output_type="ndarray")
    distance = np.asarray(near["v"], dtype=np.float64)
    return usable[0][near["i"].astype(np.intp)], usable[1][near["j"].astype(np.intp)], distance


def _assigned(rows: Index, columns: Index, distance: Array, n_true: int, n_found: int) -> Index:
    """Return which candidate pairs make the optimal matching, group of touching points by group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(rows) == 0:
        return np.zeros(0, np.intp)
    size = n_true + n_found
    graph = coo_array((np.ones(len(rows)), (rows, n_true + columns)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    of_pair = group[rows]
    order = np.argsort(of_pair, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1)
    chosen = [piece if len(piece) == 1 else _assigned_group(piece, rows, columns, distance) for piece in pieces]
    return np.concatenate(chosen)


def _assigned_group(piece: Index, rows: Index, columns: Index, distance: Array) -> Index:
    from scipy.optimize import linear_sum_assignment

    true, i = np.unique(rows[piece], return_inverse=True)
    found, j = np.unique(columns[piece], return_inverse=True)
    none = 2.0 * (len(true) + len(found)) * (float(distance[piece].max()) + 1e-12)
    cost = np.full((len(true), len(found)), none)
    pair = np.full(cost.shape, -1, np.intp)
    cost[i, j], pair[i, j] = distance[piece], piece
    taken = pair[linear_sum_assignment(cost)]
    return np.asarray(taken[taken >= 0], np.intp)


class Detection(NamedTuple):
    """Counts of one image: right finds, false finds, missed."""

    right: int
    false: int
    missed: int


def total(counts: Iterable[Detection]) -> Detection:
    """Return the sum over images."""
    right, false, missed = np.array([*counts, Detection(0, 0, 0)]).sum(axis=0)
    return Detection(int(right), int(false), int(missed))


def precision(counts: Sequence[Detection]) -> float:
    """Return the share of finds that are right, all images pooled; NaN without finds."""
    sum_ = total(counts)
    return _share(sum_.right, sum_.right + sum_.false)


def recall(counts: Sequence[Detection]) -> float:
    """Return the share of true points that were found, all images pooled; NaN without true points."""
    sum_ = total(counts)
    return _share(sum_.right, sum_.right + sum_.missed)


def f1(counts: Sequence[Detection]) -> float:
    """Return the harmonic mean of precision and recall, all images pooled; NaN where there is nothing at all."""
    sum_ = total(counts)
    return _share(2 * sum_.right, 2 * sum_.right + sum_.false + sum_.missed)


def confusion_matrix(true: ArrayLike, found: ArrayLike, labels: Sequence[str]) -> NDArray[np.int_]:
    """Return (L, L + 1) counts, rows by true label; the last column holds all other names and missed sites."""
    names = list(labels)
    rows = [names.index(str(label)) for label in np.asarray(true)]
    columns = [names.index(label) if label in names else len(names) for label in map(str, np.asarray(found))]
    counts = np.zeros((len(names), len(names) + 1), np.int_)
    np.add.at(counts, (rows, columns), 1)
    return counts


def class_recall(confusion: NDArray[np.int_]) -> Array:
    """Return the recall (L,) of every class of a confusion matrix; NaN for a class without sites."""
    sites = confusion.sum(axis=1)
    right = np.diagonal(confusion)
    return np.asarray(np.where(sites > 0, right / np.maximum(sites, 1), np.nan))


def balanced_accuracy(confusion: NDArray[np.int_]) -> float:
    """Return the mean recall of the classes that have sites; NaN when there are none."""
    known = class_recall(confusion)
    return float(np.nanmean(known)) if np.isfinite(known).any() else float("nan")


def rmse(error: Array) -> float:
    """Return the root mean square of errors of any shape, in their unit; NaN when there are none."""
    return float(np.sqrt(np.mean(np.square(error)))) if np.size(error) else float("nan")


def over_limit(error: Array, limit: Array) -> float:
    """Return root mean square error over root mean square limit (1: as good as can be); same shapes, same unit."""
    return rmse(error) / rmse(limit)


class Slope(NamedTuple):
    """A regression slope and its standard error."""

    value: float
    error: float


def displacement_slope(true: Array, measured: Array) -> Slope:
    """Return the slope of measured on true displacements (N,), both about their means.

    1 says that displacements are measured; below 1 they are drawn to what the model expects. NaN below three values.
    """
    if len(true) < 3:
        return Slope(float("nan"), float("nan"))
    x, y = true - true.mean(), measured - measured.mean()
    square = float(x @ x)
    slope = float(x @ y) / square
    residual = y - slope * x
    return Slope(slope, float(np.sqrt(residual @ residual / (len(x) - 2) / square)))


def coverage(error: Array, sigma: Array, level: float = 0.6827) -> float:
    """Return the share of errors within the `level` interval that `sigma` promises; right if it equals `level`."""
    from scipy.special import ndtri

    reach = float(ndtri((1 + level) / 2))
    return float(np.mean(np.abs(error) <= reach * sigma)) if np.size(error) else float("nan")


def auroc(negative: ArrayLike, positive: ArrayLike) -> float:
    """Return the probability that a score drawn from `positive` exceeds one from `negative`; ties count one half."""
    from scipy.stats import rankdata

    low, high = np.asarray(negative, float), np.asarray(positive, float)
    if not (len(low) and len(high)):
        return float("nan")
    ranks = rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))


def normalised_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Pearson's correlation of two arrays of one shape; NaN when one of them is constant."""
    a, b = (np.asarray(v, float).ravel() for v in (first, second))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
