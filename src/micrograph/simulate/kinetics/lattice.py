"""Sites between which objects hop: points and who neighbours whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class SiteGraph:
    """Sites with their neighbours.

    y_x_nm: (N, 2); near: (N, K) rows of the neighbouring sites, -1 where there are fewer than K; step_nm: (N, K, 2) the
    way to them (the short way round where the sites are periodic); period_nm: (y, x) after which they repeat, or
    ``None``.
    """

    y_x_nm: Array
    near: Index
    step_nm: Array
    period_nm: tuple[float, float] | None = None

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.y_x_nm)

    @property
    def most(self) -> int:
        """Largest number of neighbours of a site, K."""
        return int(self.near.shape[1])

    def within(self, reach_nm: float) -> list[list[int]]:
        """Return for every site the rows of all others that are at most `reach_nm` away."""
        first, second, _ = _pairs(self.y_x_nm, reach_nm, self.period_nm)
        lists: list[list[int]] = [[] for _ in range(len(self))]
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            lists[a].append(b)
        return lists


def site_graph(
    y_x_nm: ArrayLike,
    reach_nm: float,
    *,
    kind: ArrayLike | None = None,
    period_nm: tuple[float, float] | None = None,
) -> SiteGraph:
    """Return the sites `y_x_nm` (N, 2), neighbours being those at most `reach_nm` apart and of the same `kind` (N,).

    With `period_nm` (y, x) the sites repeat; they must then lie in 0 .. period, and the reach be less than half of it.
    """
    points = np.asarray(y_x_nm, dtype=float).reshape(-1, 2)
    if not len(points) or not reach_nm > 0:
        raise BadInput(f"{len(points)} sites with a reach of {reach_nm} nm were given: give at least one and a reach.")
    first, second, step = _pairs(points, reach_nm, period_nm)
    if kind is not None:
        alike = np.asarray(kind)[first] == np.asarray(kind)[second]
        first, second, step = first[alike], second[alike], step[alike]
    degree = np.bincount(first, minlength=len(points))
    slot = np.arange(len(first)) - np.repeat(np.cumsum(degree) - degree, degree)
    near = np.full((len(points), max(int(degree.max()), 1)), -1, dtype=np.intp)
    ways = np.zeros((*near.shape, 2))
    near[first, slot] = second
    ways[first, slot] = step
    return SiteGraph(points, near, ways, period_nm)


def hexagonal_sites(
    rows: int, columns: int, a_nm: float, *, carbon: bool = False
) -> tuple[SiteGraph, tuple[float, float]]:
    """Return periodic sites of a hexagonal lattice constant `a_nm` and their period (y, x).

    `rows` (even) by `columns` cells: a triangular lattice with six neighbours at `a_nm`, or, for `carbon`, the
    honeycomb of graphene with three at ``a_nm / sqrt(3)``.
    """
    if rows < 4 or rows % 2 or columns < 4:
        raise BadInput(f"{rows} rows and {columns} columns were asked for: give at least 4 and an even number of rows.")
    height = np.sqrt(3) / 2 * a_nm
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    points = np.column_stack([row * height, (column + row % 2 / 2) * a_nm])
    period = (rows * height, columns * a_nm)
    if carbon:
        points = np.concatenate([points, points + np.array([height / 3, a_nm / 2])])
    wrapped = points % np.array(period)
    return site_graph(wrapped, 1.1 * a_nm / (np.sqrt(3) if carbon else 1), period_nm=period), period


def _pairs(points: Array, reach_nm: float, period_nm: tuple[float, float] | None) -> tuple[Index, Index, Array]:
    """Return all ordered pairs within reach, sorted by the first, and the way (y, x) from first to second."""
    from scipy.spatial import cKDTree

    if period_nm is not None and reach_nm >= min(period_nm) / 2:
        raise BadInput(f"A reach of {reach_nm} nm is too long for sites that repeat after {min(period_nm):.4g} nm.")
    tree = cKDTree(points, boxsize=None if period_nm is None else np.array(period_nm))
    pairs = np.asarray(tree.query_pairs(reach_nm, output_type="ndarray"), dtype=np.intp)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    first, second = both[np.lexsort((both[:, 1], both[:, 0]))].T
    step = points[second] - points[first]
    if period_nm is not None:
        step -= np.round(step / np.array(period_nm)) * np.array(period_nm)
    return first, second, step
