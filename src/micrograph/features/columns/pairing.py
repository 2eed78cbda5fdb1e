"""Which columns of a crystal form dumbbells: sites of its lattice that are nearer to each other than to others.

Not the distance of two columns decides but the lattice that all columns together have: two sites of its cell form a
dumbbell if each is the other's only nearest site, by a factor of `APART`. A column whose partner's site is empty is
single, however near another column has come; where there is no lattice, or beside it (a second grain), the columns'
own distances decide by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.lattice import Lattice

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: The nearest site but one is farther than the nearest by this factor at least.
APART = 1.25
#: A lone column stands for two if it is so near to the middle (in separations; a column's own place is 0.5 away); how
#: far from it two columns are then tried; and how far aside it may lie.
_MIDDLE, _HALF, _ASIDE = 0.3, 0.36, 0.35
#: Columns lie at one place of the cell within this distance; share of all columns that must, to be a site.
_STRAY_NM, _STRAY = 0.04, 0.08
#: Without a lattice: share by which a pair's distance may differ from the usual one.
_UNUSUAL = 0.3


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows (E, 2), first and second sublattice; `ordered` (E,): by the lattice, which tells the two apart."""

    rows: Index
    ordered: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows)


def find_pairs(place_nm: Array, lattice: Lattice | None, trusted: NDArray[np.bool_]) -> Pairs:
    """Return the dumbbells of columns at `place_nm` (N, 2), whose `lattice` was fitted to the `trusted` ones (N,)."""
    rows = np.zeros((0, 2), dtype=np.intp)
    usual = None
    if lattice is not None:
        index = _indexed(place_nm, lattice, trusted)
        for first, second, shift in dumbbell_sites(lattice):
            rows = np.concatenate([rows, _partners(index, first, second, shift)])
            usual = float(np.hypot(*((lattice.basis[second] + shift - lattice.basis[first]) @ lattice.cell)))
        left = index[:, 2] < 0
    else:
        left = np.ones(len(place_nm), dtype=bool)
    loose = _nearest_pairs(place_nm, usual)
    loose = loose[left[loose].all(axis=1)]
    ordered = np.arange(len(rows) + len(loose)) < len(rows)
    return Pairs(np.concatenate([rows, loose]), ordered)


@dataclass(frozen=True)
class Lost:
    """Dumbbells of which one column was found: rows that stand for both columns, and points (M, 2) nm to look at."""

    merged: Index
    points: Array


def lost_columns(place_nm: Array, lattice: Lattice | None, trusted: NDArray[np.bool_]) -> Lost:
    """Return where columns of dumbbells may have been missed.

    A lone column in the middle of a dumbbell's two sites stands for both: it is to be replaced by two. A lone column
    near one of the sites may have a partner on the other side of the middle.
    """
    merged: list[int] = []
    points: list[Array] = []
    if lattice is None:
        return Lost(np.zeros(0, np.intp), np.zeros((0, 2)))
    index = _indexed(place_nm, lattice, trusted)
    there = {tuple(site) for site in index.tolist()}
    inverse = np.linalg.inv(lattice.cell)
    for first, second, shift in dumbbell_sites(lattice):
        step = (lattice.basis[second] + shift - lattice.basis[first]) @ lattice.cell
        middle = lattice.origin + lattice.basis[first] @ lattice.cell + step / 2
        cells = np.rint((place_nm - middle) @ inverse).astype(np.intp)
        off = place_nm - middle - cells @ lattice.cell
        along = off @ step / float(step @ step)
        for row in np.flatnonzero(np.hypot(*(off - along[:, None] * step).T) < _ASIDE * np.hypot(*step)):
            if abs(along[row]) > 1:
                continue
            sites = [(*cells[row].tolist(), first), (*(cells[row] + shift).tolist(), second)]
            if sum(site in there for site in sites) == 2 or index[row, 2] not in (-1, first, second):
                continue
            if abs(along[row]) < _MIDDLE:
                merged.append(int(row))
                points += [place_nm[row] - _HALF * step, place_nm[row] + _HALF * step]
            else:
                points.append(place_nm[row] - np.sign(along[row]) * step)
    return Lost(np.array(merged, dtype=np.intp), np.array(points).reshape(-1, 2))


def faint_sites(place_nm: Array, lattice: Lattice | None, trusted: NDArray[np.bool_], extent_nm: Array) -> Array:
    """Return all places (M, 2) of a site of the cell of which too few columns were found for the lattice to hold it.

    Columns beside the lattice's sites that lie at one place of its cell, more than chance puts there, show the site.
    `extent_nm` (2,) is the height and width of the image.
    """
    if lattice is None:
        return np.zeros((0, 2))
    stray = place_nm[_indexed(place_nm, lattice, trusted)[:, 2] < 0]
    cells = (stray - lattice.origin) @ np.linalg.inv(lattice.cell)
    off = cells[:, None] - cells[None]
    near = np.hypot(*np.moveaxis((off - np.rint(off)) @ lattice.cell, -1, 0)) < _STRAY_NM
    number = near.sum(axis=1)
    if len(stray) < 5 or number.max() < max(5, _STRAY * len(place_nm)):
        return np.zeros((0, 2))
    best = int(number.argmax())
    shift = (off[:, best] - np.rint(off[:, best]))[near[best]].mean(axis=0) + cells[best]
    moved = Lattice(
        lattice.origin + shift @ lattice.cell, lattice.cell, lattice.covariance, np.zeros((1, 2)),
        lattice.index, lattice.displacement_nm, lattice.rms_nm,
    )  # fmt: skip
    sites = moved.sites_in((0.0, 0.0, float(extent_nm[0]), float(extent_nm[1])))
    places = np.stack([sites.y_nm, sites.x_nm], axis=1)
    from scipy.spatial import cKDTree

    return np.asarray(places[cKDTree(place_nm).query(places)[0] > 2 * _STRAY_NM])


def dumbbell_sites(lattice: Lattice) -> list[tuple[int, int, Index]]:
    """Return the pairs of sites of a lattice's cell that form dumbbells: first, second, and the second's cell (2,)."""
    count = len(lattice.basis)
    shifts = np.mgrid[-2:3, -2:3].reshape(2, -1).T
    step = lattice.basis[None, :, None] + shifts - lattice.basis[:, None, None]
    length = np.hypot(*np.moveaxis(step @ lattice.cell, -1, 0)).reshape(count, -1)
    length[length < 1e-9] = np.inf
    nearest, order = np.sort(length, axis=1)[:, :2], np.argmin(length, axis=1)
    partner, shift = order // len(shifts), shifts[order % len(shifts)]
    alone = nearest[:, 1] > APART * nearest[:, 0]
    found = []
    for first in range(count):
        second = int(partner[first])
        mutual = partner[second] == first and bool((shift[second] == -shift[first]).all())
        if first < second and mutual and alone[first] and alone[second]:
            found.append((first, second, np.asarray(shift[first], dtype=np.intp)))
    return found


def _indexed(place_nm: Array, lattice: Lattice, trusted: NDArray[np.bool_]) -> Index:
    """Return the site (N, 3) of every column: as fitted for the trusted ones, the nearest within reach for others."""
    index = np.full((len(place_nm), 3), -1, dtype=np.intp)
    index[trusted] = lattice.index
    taken = {tuple(site) for site in lattice.index.tolist() if site[2] >= 0}
    for row in np.flatnonzero(~trusted):
        cells = (place_nm[row] - lattice.origin) @ np.linalg.inv(lattice.cell) - lattice.basis
        off = np.hypot(*((cells - np.rint(cells)) @ lattice.cell).T)
        site = int(off.argmin())
        key = (*np.rint(cells[site]).astype(int).tolist(), site)
        if off[site] < 0.35 * lattice.site_spacing_nm and key not in taken:
            index[row] = key
            taken.add(key)
    return index


def _partners(index: Index, first: int, second: int, shift: Index) -> Index:
    """Return the rows (E, 2) of the columns on sites `first` and `second`, the latter `shift` cells on."""
    rows = {tuple(site): row for row, site in enumerate(index.tolist())}
    found = []
    for row in np.flatnonzero(index[:, 2] == first):
        h, k = (index[row, :2] + shift).tolist()
        other = rows.get((h, k, second))
        if other is not None:
            found.append((row, other))
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def _nearest_pairs(place_nm: Array, usual_nm: float | None) -> Index:
    """Return the pairs (E, 2) of columns each of which is the other's only nearest one."""
    from scipy.spatial import cKDTree

    if len(place_nm) < 4:
        return np.zeros((0, 2), dtype=np.intp)
    distance, near = map(np.asarray, cKDTree(place_nm).query(place_nm, k=3))
    alone = distance[:, 2] > APART * distance[:, 1]
    partner = near[:, 1]
    rows = np.arange(len(place_nm))
    mutual = (partner[partner] == rows) & (rows < partner) & alone & alone[partner]
    if usual_nm is None:
        usual_nm = float(np.median(distance[mutual, 1])) if mutual.sum() >= 0.25 * len(rows) else np.nan
    mutual &= np.abs(distance[:, 1] / usual_nm - 1) < _UNUSUAL
    return np.stack([rows[mutual], partner[mutual]], axis=1).astype(np.intp)
