"""The three bonds of a foreign atom over time: the same bond in every frame, averaged as long as the atom stays.

The bonds of an atom of graphene point along three directions 120 degrees apart, those of its neighbours along the three
opposite ones: the directions tell the bond and the sublattice, and need no lattice to be indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.columns.points import POINTS
from micrograph.features.layers.bonds import Asymmetry, asymmetry, trusted

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_MEANS = tuple(
    column
    for k in (1, 2, 3)
    for column in (
        Column(f"bond_{k}_nm", "nm", f"mean length of bond {k} as seen", sigma=f"bond_{k}_sigma_nm"),
        Column(f"bond_{k}_sigma_nm", "nm", f"1-sigma of bond_{k}_nm"),
    )
)
_DIFFERENCE = (
    Column("asymmetry_nm", "nm", "longest less shortest mean bond", sigma="asymmetry_sigma_nm"),
    Column("asymmetry_sigma_nm", "nm", "1-sigma of the difference of these two bonds"),
    Column("asymmetry_p", "", "probability that three equal bonds are measured as different"),
)
#: What the table 'sites' promises: one row for every stay of a foreign atom on one site.
SITES = (
    Column("track", "", "number of the track"),
    Column("site", "", "number of the site within the track"),
    Column("sublattice", "", "0 or 1: which way the bonds point"),
    Column("frames", "", "frames with three bonds in no doubt"),
    Column("y_sample_nm", "nm", "mean row position, drift removed"),
    Column("x_sample_nm", "nm", "mean column position, drift removed"),
    Column("bond_1_deg", "deg", "direction of bond 1, counter-clockwise on the screen; 2 and 3 follow by 120 deg"),
    *_MEANS,
    *_DIFFERENCE,
    Column("strain", "", "mean of exx and eyy around the atom against the mean lattice", sigma="strain_sigma"),
    Column("strain_sigma", "", "1-sigma of strain"),
)
#: What the table 'sublattices' promises: all stays on one sublattice together, as if the atoms were alike.
SUBLATTICES = (
    Column("sublattice", "", "0 or 1: which way the bonds point"),
    Column("frames", "", "number of threefold atoms averaged, over all frames"),
    Column("bond_1_deg", "deg", "direction of bond 1, counter-clockwise on the screen"),
    *_MEANS,
    *_DIFFERENCE,
)
#: What the table 'strain_map' promises: one row an atom of the sample.
STRAIN_MAP = (
    Column("y_sample_nm", "nm", "mean row position, drift removed"),
    Column("x_sample_nm", "nm", "mean column position, drift removed"),
    Column("frames", "", "frames averaged"),
    Column("bond_strain", "", "mean of its three bonds over that of the lattice, less 1", sigma="bond_strain_sigma"),
    Column("bond_strain_sigma", "", "1-sigma of bond_strain, from the scatter between frames"),
)
#: What the table 'tracks' promises.
TRACKS = (
    Column("track", "", "number of the track"),
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "its time"),
    *POINTS[1:6],
    Column("y_sample_nm", "nm", "row position, drift removed"),
    Column("x_sample_nm", "nm", "column position, drift removed"),
)
#: Positions of one site differ by less than this.
SAME_SITE_NM = 0.07
_NOWHERE = np.full((1, 2), 1e9)
_BONDS = ("bond_1_nm", "bond_2_nm", "bond_3_nm")


@dataclass(frozen=True)
class Stars:
    """Threefold atoms: rows (M,) of their first bonds in the table, lengths (M, 3), covariances (M, 3, 3), sublattice.

    Bond k points along ``first_deg + 60 * sublattice + 120 * k``, the same for all frames and atoms.
    """

    row: Index
    length_nm: Array
    covariance_nm2: Array
    sublattice: Index
    first_deg: float


def stars_of(bonds: pd.DataFrame) -> Stars:
    """Return the threefold atoms in no doubt of a table `BONDS` of one or more frames, their bonds sorted."""
    order, start, count = _groups(bonds)
    clean = np.logical_and.reduceat(trusted(bonds["flags"])[order], start) if len(start) else np.zeros(0, bool)
    rows = order[start[(count == 3) & clean][:, None] + np.arange(3)]
    turn = np.radians(bonds["direction_deg"].to_numpy(float)[rows])
    phase = np.exp(3j * turn).mean(axis=1)
    first = float(np.degrees(np.angle((phase**2).sum())) / 6 % 60) if len(rows) else 0.0
    sublattice = np.where((phase * np.exp(-3j * np.radians(first))).real > 0, 0, 1)
    shift = np.rint((np.degrees(turn[:, 0]) - first - 60 * sublattice) / 120).astype(int)
    at = (np.arange(3) - shift[:, None]) % 3
    rows = np.take_along_axis(rows, at, axis=1)
    return Stars(rows[:, 0], *_lengths(bonds, rows), sublattice, first)


def _groups(bonds: pd.DataFrame) -> tuple[Index, Index, Index]:
    """Return the order of the rows by frame, atom and bond, where each atom starts, and its number of bonds."""
    keys = [bonds[name].to_numpy(np.int64) for name in ("bond", "dopant", "frame")]
    order = np.lexsort(keys)
    frame, atom = keys[2][order], keys[1][order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(frame) != 0) | (np.diff(atom) != 0)
    start = np.flatnonzero(new)
    return order, start, np.diff(np.append(start, len(order)))


def _lengths(bonds: pd.DataFrame, rows: Index) -> tuple[Array, Array]:
    """Return lengths (M, 3) and covariances (M, 3, 3) of the bonds in `rows` (M, 3), each followed by its next."""
    names = ("length_nm", "length_sigma_nm", "shared_nm2")
    length, sigma, shared = (bonds[name].to_numpy(float)[rows] for name in names)
    covariance = np.empty((len(rows), 3, 3))
    for k in range(3):
        covariance[:, k, k] = sigma[:, k] ** 2
        covariance[:, k, (k + 1) % 3] = covariance[:, (k + 1) % 3, k] = shared[:, k]
    return length, covariance


def site_tables(bonds: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables 'sites' and 'sublattices' from `BONDS` with track, y_sample_nm, x_sample_nm, strain.

    A stay is a track on one site; a frame in which the bonds point the other way than in most of the stay is left out.
    """
    stars = stars_of(bonds)
    seen = bonds.iloc[stars.row]
    place = seen[["y_sample_nm", "x_sample_nm"]].to_numpy(float)
    track = seen["track"].to_numpy(np.int64)
    rows = []
    for number in np.unique(track):
        mine = np.flatnonzero(track == number)
        site = same_places(place[mine], SAME_SITE_NM)
        rows += [_stay(stars, seen, mine[site == k], (int(number), k)) for k in range(int(site.max()) + 1)]
    together = [_pooled(stars, part) for part in (0, 1) if (stars.sublattice == part).any()]
    return {
        "sites": pd.DataFrame(rows, columns=[column.name for column in SITES]),
        "sublattices": pd.DataFrame(together, columns=[column.name for column in SUBLATTICES]),
    }


def _stay(stars: Stars, seen: pd.DataFrame, mine: Index, name: tuple[int, int]) -> dict[str, Any]:
    part = int(np.bincount(stars.sublattice[mine], minlength=2).argmax())
    mine = mine[stars.sublattice[mine] == part]
    found = asymmetry(stars.length_nm[mine], stars.covariance_nm2[mine])
    place = seen[["y_sample_nm", "x_sample_nm"]].to_numpy(float)[mine].mean(axis=0)
    strain, stated = (seen[key].to_numpy(float)[mine] for key in ("strain", "strain_sigma"))
    value, sigma = averaged(strain, stated)
    named = {"track": name[0], "site": name[1], "sublattice": part}
    where = {"y_sample_nm": place[0], "x_sample_nm": place[1], "bond_1_deg": stars.first_deg + 60 * part}
    return {**named, **_said(found), **where, "strain": value, "strain_sigma": sigma}


def _pooled(stars: Stars, part: int) -> dict[str, Any]:
    mine = stars.sublattice == part
    found = asymmetry(stars.length_nm[mine], stars.covariance_nm2[mine])
    return {"sublattice": part, **_said(found), "bond_1_deg": stars.first_deg + 60 * part}


def _said(found: Asymmetry) -> dict[str, Any]:
    means = dict(zip(_BONDS, found.mean_nm.tolist(), strict=True))
    sigmas = {f"bond_{k + 1}_sigma_nm": float(sigma) for k, sigma in enumerate(found.sigma_nm)}
    difference = {"asymmetry_nm": found.spread_nm, "asymmetry_sigma_nm": found.spread_sigma_nm, "asymmetry_p": found.p}
    return {"frames": found.frames, **means, **sigmas, **difference}


def averaged(value: Array, sigma: Array) -> tuple[float, float]:
    """Return the mean of the known values and its 1-sigma: from their scatter, from the stated ones where few."""
    known = np.isfinite(value)
    count = int(known.sum())
    if count == 0:
        return np.nan, np.nan
    if count < 8:
        return float(value[known].mean()), float(np.sqrt((sigma[known] ** 2).sum()) / count)
    return float(value[known].mean()), float(value[known].std(ddof=1) / np.sqrt(count))


def same_places(place: Array, reach_nm: float) -> Index:
    """Return a number (N,) for each position (N, 2): within `reach_nm` of the first of a place, it is that place."""
    number = np.empty(len(place), dtype=np.intp)
    known = np.empty((0, 2))
    for row, at in enumerate(place):
        off = np.hypot(*(known - at).T)
        near = int(off.argmin()) if len(known) else 0
        if len(known) == 0 or off[near] > reach_nm:
            near, known = len(known), np.vstack([known, at])
        number[row] = near
    return number


def strain_map(objects: pd.DataFrame, reach_nm: float = SAME_SITE_NM) -> pd.DataFrame:
    """Return `STRAIN_MAP` from atoms of all frames: frame, y_sample_nm, x_sample_nm, bond_strain, bond_strain_sigma."""
    from scipy.spatial import cKDTree

    rows = objects[np.isfinite(objects["bond_strain"].to_numpy(float))]
    place = rows[["y_sample_nm", "x_sample_nm"]].to_numpy(float)
    number = np.empty(len(rows), dtype=np.intp)
    known = np.empty((0, 2))
    for mine in pd.Series(np.arange(len(rows))).groupby(rows["frame"].to_numpy()).indices.values():
        off, near = (np.asarray(found) for found in cKDTree(known if len(known) else _NOWHERE).query(place[mine]))
        new = off > reach_nm
        number[mine] = np.where(new, len(known) + np.cumsum(new) - 1, near)
        known = np.vstack([known, place[mine][new]])
    return _averages(number, place, rows)


def _averages(number: Index, place: Array, rows: pd.DataFrame) -> pd.DataFrame:
    strain, stated = (rows[key].to_numpy(float) for key in ("bond_strain", "bond_strain_sigma"))
    found: list[list[float]] = []
    order = np.argsort(number, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(order) else []:
        found.append([*place[mine].mean(axis=0), len(mine), *averaged(strain[mine], stated[mine])])
    table = pd.DataFrame(np.array(found).reshape(-1, 5), columns=[column.name for column in STRAIN_MAP])
    return table.astype({"frames": np.int64})
