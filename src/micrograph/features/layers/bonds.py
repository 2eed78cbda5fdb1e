"""Bonds of foreign atoms in a sheet: lengths, angles, and whether the bonds of one atom differ, with honest errors.

The sheet's own lattice tells the scan distortion of the frame (`distortion`). It is always taken out of the bonds,
significant or not: a shear too small to be seen in one frame would make bonds differ in the mean of many. What is left
of its uncertainty enters the errors. Bonds of silicon in graphene: doi:10.1088/1361-6528/abb8a6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput, Column, Flag
from micrograph.features.columns.covariance import covariances
from micrograph.features.lattices.crystal import Crystal
from micrograph.features.lattices.distortion import P_MAX
from micrograph.features.layers.graph import Graph

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: What the table 'bonds' promises: one row a bond, those of an atom counter-clockwise on the screen.
BONDS = (
    Column("frame", "", "number of the frame"),
    Column("dopant", "", "row number of the foreign atom in this frame's objects"),
    Column("bond", "", "number of the bond, counter-clockwise on the screen from +x"),
    Column("neighbour", "", "row number of the atom at its other end"),
    Column("y_nm", "nm", "row position of the foreign atom"),
    Column("x_nm", "nm", "column position of the foreign atom"),
    Column("length_nm", "nm", "length as seen, scan distortion removed", sigma="length_sigma_nm"),
    Column("length_sigma_nm", "nm", "1-sigma of the length, that of the distortion included"),
    Column("shared_nm2", "nm^2", "covariance of this length with that of the next bond"),
    Column("direction_deg", "deg", "direction, counter-clockwise on the screen from +x"),
    Column("angle_deg", "deg", "angle to the next bond", sigma="angle_sigma_deg"),
    Column("angle_sigma_deg", "deg", "1-sigma of the angle"),
    Column("off_centre_nm", "nm", "distance of the atom from the middle of its neighbours"),
    Column("off_centre_sigma_nm", "nm", "its 1-sigma along one axis"),
    Column("equal_p", "", "probability that equal bonds differ as much in one frame; NaN unless there are three"),
    Column("strain", "", "mean of exx and eyy around the atom against the mean lattice", sigma="strain_sigma"),
    Column("strain_sigma", "", "1-sigma of strain"),
    Column("flags", "", "doubts of the atom and its neighbours, see the conventions"),
)
#: Columns that `with_bond_strain` adds.
BOND_STRAIN = (
    Column("bond_strain", "", "mean of the bonds around over that of the lattice, less 1", sigma="bond_strain_sigma"),
    Column("bond_strain_sigma", "", "1-sigma of bond_strain"),
)
#: From so many frames on the scatter between frames alone gives the errors; below, it scales the stated ones.
MANY = 8
#: A frame in which a bond is off its median by more than so many robust sigmas was misread and is left out.
MISREAD = 6.0


@dataclass(frozen=True)
class Straightened:
    """Positions (N, 2) [y, x] nm without scan distortion, their covariance (N, 2, 2), and the distortion's variances.

    affine_variance: (2,) of the stretch along y and of the shear, both known from the lattice only so well.
    """

    place: Array
    covariance: Array
    affine_variance: Array

    def lengths(self, bonds: Index) -> tuple[Array, Array]:
        """Return lengths (E,), freed of the bias of errors across, and 1-sigma of bonds (E, 2) between rows."""
        step = self.place[bonds[:, 1]] - self.place[bonds[:, 0]]
        distance = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-12)
        along = step / distance[:, None]
        both = self.covariance[bonds].sum(axis=1)
        variance = np.einsum("ei,eij,ej->e", along, both, along)
        wide = np.trace(both, axis1=1, axis2=2) - variance
        stretch, shear = _distorted(step)
        for change, spread in zip((stretch, shear), self.affine_variance, strict=True):
            variance = variance + spread * (change * along).sum(axis=1) ** 2
        return distance - np.minimum(wide / (2 * distance), 0.2 * distance), np.sqrt(variance)


def straightened(table: pd.DataFrame, crystal: Crystal) -> Straightened:
    """Return the columns of a frame (`POINTS`) with the affine distortion removed, whether it is significant or not."""
    place = table[["y_nm", "x_nm"]].to_numpy(float)
    covariance = covariances(table[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float), len(table))
    found = crystal.distortion
    if found is None:
        return Straightened(place, covariance, np.zeros(2))
    if found.row_p <= P_MAX:
        wander = [np.interp(place[:, 0], found.row_y_nm, each) for each in found.row_shift_nm.T]
        place = place - np.stack(wander, axis=1)
    back = np.linalg.inv(found.matrix) * np.sqrt(abs(np.linalg.det(found.matrix)))
    place = found.centre_nm + (place - found.centre_nm) @ back.T
    return Straightened(place, covariance, np.array([found.stretch_y_sigma, found.shear_sigma]) ** 2)


@dataclass(frozen=True)
class Star:
    """The K bonds of one atom, counter-clockwise on the screen: length (K,), its covariance (K, K), direction (K,).

    angle_deg, angle_sigma_deg: (K,) to the next bond; neighbour: (K,) rows; off_centre_nm: distance of the atom from
    the middle of its neighbours, with off_centre_sigma_nm along one axis.
    """

    neighbour: Index
    length_nm: Array
    covariance_nm2: Array
    direction_deg: Array
    angle_deg: Array
    angle_sigma_deg: Array
    off_centre_nm: float
    off_centre_sigma_nm: float


def star(atom: int, neighbours: ArrayLike, atoms: Straightened) -> Star:
    """Return the bonds between `atom` and its `neighbours` (K,), all row numbers; raises `BadInput` without any."""
    rows = np.asarray(neighbours, dtype=np.intp)
    if len(rows) == 0:
        raise BadInput("A star of bonds needs one neighbour at least.")
    step = atoms.place[rows] - atoms.place[atom]
    turn = np.degrees(np.arctan2(-step[:, 0], step[:, 1])) % 360
    order = np.argsort(turn)
    rows, step, turn = rows[order], step[order], turn[order]
    distance = np.hypot(step[:, 0], step[:, 1])
    along = step / distance[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    covariance = _steps_covariance(atom, rows, step, atoms)
    wide = np.einsum("ki,kikj,kj->k", across, covariance, across)
    angle = np.diff(np.append(turn, turn[0] + 360))
    twist = _projected(across / distance[:, None], covariance)
    following = np.roll(np.arange(len(rows)), -1)
    variance = np.diag(twist) + np.diag(twist)[following] - 2 * twist[np.arange(len(rows)), following]
    middle = covariance.mean(axis=(0, 2))
    return Star(
        neighbour=rows,
        length_nm=distance - np.minimum(wide / (2 * distance), 0.2 * distance),
        covariance_nm2=_projected(along, covariance),
        direction_deg=turn,
        angle_deg=angle,
        angle_sigma_deg=np.degrees(np.sqrt(np.maximum(variance, 0.0))),
        off_centre_nm=float(np.hypot(*step.mean(axis=0))),
        off_centre_sigma_nm=float(np.sqrt(np.trace(middle) / 2)),
    )


def _steps_covariance(atom: int, rows: Index, step: Array, atoms: Straightened) -> Array:
    """Return the covariance (K, 2, K, 2) of the vectors to the neighbours: shared atom, own atoms, distortion."""
    count = len(rows)
    covariance = np.zeros((count, 2, count, 2))
    covariance += atoms.covariance[atom][None, :, None, :]
    own = np.arange(count)
    covariance[own, :, own, :] += atoms.covariance[rows]
    for change, variance in zip(_distorted(step), atoms.affine_variance, strict=True):
        covariance += variance * change[:, :, None, None] * change[None, None, :, :]
    return covariance


def _distorted(step: Array) -> tuple[Array, Array]:
    """Return how vectors (K, 2) change per unit of stretch along y, the area kept, and per unit of shear along x."""
    nothing = np.zeros(len(step))
    return np.stack([-step[:, 0], step[:, 1]], axis=1) / 2, np.stack([nothing, -step[:, 0]], axis=1)


def _projected(onto: Array, covariance: Array) -> Array:
    """Return the covariance (K, K) of the components of K vectors along `onto` (K, 2)."""
    return np.asarray(np.einsum("ki,kilj,lj->kl", onto, covariance, onto))


def equal_p(length_nm: ArrayLike, covariance_nm2: ArrayLike) -> float:
    """Return the probability that three equal bonds are measured as different as `length_nm` (3,) (chi-square, 2)."""
    from scipy.stats import chi2

    value = _PARTS @ np.asarray(length_nm, dtype=np.float64)
    error = _PARTS @ np.asarray(covariance_nm2, dtype=np.float64) @ _PARTS.T
    return float(chi2.sf(value @ np.linalg.pinv(error) @ value, 2))


#: Two orthonormal differences of three bonds, zero where all are equal.
_PARTS = np.array([[1.0, -1.0, 0.0] / np.sqrt(2), [1.0, 1.0, -2.0] / np.sqrt(6)])


@dataclass(frozen=True)
class Asymmetry:
    """Three bonds averaged over `frames`: mean (3,), its covariance (3, 3), how they differ.

    spread_nm: the longest less the shortest mean, with its 1-sigma (of noise alone it is about 1.7 sigma); p: the
    probability that equal bonds differ as much.
    """

    frames: int
    mean_nm: Array
    covariance_nm2: Array
    spread_nm: float
    spread_sigma_nm: float
    p: float

    @property
    def sigma_nm(self) -> Array:
        """1-sigma (3,) of the means."""
        return np.sqrt(np.diag(self.covariance_nm2))


def asymmetry(length_nm: ArrayLike, covariance_nm2: ArrayLike) -> Asymmetry:
    """Return whether three bonds differ, from their lengths (n, 3) and covariances (n, 3, 3) in n frames.

    From `MANY` frames on, Hotelling's T-square test, whose errors are the scatter between the frames: all sources,
    known or not, as long as frames are independent. With fewer, the larger p of a chi-square test with the stated
    covariances and of an F test in which the scatter scales them. Frames with a bond off by `MISREAD` robust sigmas
    are left out. Raises `BadInput` for other shapes or no frame.
    """
    length, covariance = np.asarray(length_nm, dtype=np.float64), np.asarray(covariance_nm2, dtype=np.float64)
    if length.ndim != 2 or length.shape[1] != 3 or covariance.shape != (*length.shape, 3) or len(length) == 0:
        raise BadInput(f"Lengths {length.shape} and covariances {covariance.shape}: give (n, 3) and (n, 3, 3).")
    read = _well_read(length)
    length, covariance = length[read], covariance[read]
    mean, n = length.mean(axis=0), len(length)
    error, p = _by_scatter(length, mean) if n >= MANY else _by_stated(length, covariance, mean)
    high, low = int(mean.argmax()), int(mean.argmin())
    spread = error[high, high] + error[low, low] - 2 * error[high, low]
    return Asymmetry(n, mean, error, float(mean[high] - mean[low]), float(np.sqrt(max(spread, 0.0))), p)


def _well_read(length: Array) -> NDArray[np.bool_]:
    """Return which frames hold no bond far off its median."""
    if len(length) < MANY:
        return np.ones(len(length), dtype=np.bool_)
    off = np.abs(length - np.median(length, axis=0))
    scale = np.maximum(np.median(off, axis=0) / 0.6745, 1e-9)
    return np.asarray((off <= MISREAD * scale).all(axis=1))


def _by_scatter(length: Array, mean: Array) -> tuple[Array, float]:
    """Return the covariance of the mean from the scatter, and the p-value of Hotelling's test for equal bonds."""
    from scipy.stats import f

    n = len(length)
    error = np.cov(length.T) / n
    value = _PARTS @ mean
    t2 = value @ np.linalg.pinv(_PARTS @ error @ _PARTS.T) @ value
    return error, float(f.sf(t2 * (n - 2) / (2 * (n - 1)), 2, n - 2))


def _by_stated(length: Array, covariance: Array, mean: Array) -> tuple[Array, float]:
    """Return the covariance of the mean as stated, scaled up by the scatter, and the p-value of an F test."""
    from scipy.stats import chi2, f

    n = len(length)
    error = covariance.sum(axis=0) / n**2
    inverse = np.linalg.pinv(_PARTS @ covariance @ _PARTS.T)
    value = _PARTS @ mean
    statistic = float(value @ np.linalg.pinv(_PARTS @ error @ _PARTS.T) @ value)
    if n == 1:
        return error, float(chi2.sf(statistic, 2))
    off = (length - mean) @ _PARTS.T
    scale = float(np.einsum("ni,nij,nj->", off, inverse, off)) / (2 * (n - 1))
    wide = max(scale, 1.0)
    return error * wide, max(float(f.sf(statistic / (2 * scale), 2, 2 * (n - 1))), float(chi2.sf(statistic, 2)))


def bonds_of(table: pd.DataFrame, crystal: Crystal, graph: Graph, host: str = "C") -> pd.DataFrame:
    """Return the table `BONDS` of all atoms of a frame whose class is not `host`, between them and the hosts.

    table: with `STRAIN_COLUMNS` (`with_strain`).
    """
    atoms = straightened(table, crystal)
    foreign = table["class"].to_numpy(str) != host
    flags = table["flags"].to_numpy(np.int64)
    pieces = [_no_bonds()]
    for row in np.flatnonzero(foreign).tolist():
        start, end = graph.edges.T
        near = np.concatenate([end[start == row], start[end == row]])
        if len(near := near[~foreign[near]]):
            doubts = int(np.bitwise_or.reduce(flags[near]) | flags[row])
            pieces.append(_rows(table, row, star(row, near, atoms), doubts))
    return pd.concat([piece for piece in pieces if len(piece)] or pieces, ignore_index=True)


def _rows(table: pd.DataFrame, row: int, seen: Star, flags: int) -> pd.DataFrame:
    count = len(seen.neighbour)
    own, atom = np.arange(count), table.iloc[row]
    strain_sigma = float(np.hypot(atom["strain_xx_sigma"], atom["strain_yy_sigma"])) / 2
    values: Mapping[str, Any] = {
        "frame": np.full(count, int(atom["frame"]), dtype=np.int64),
        "dopant": np.full(count, row, dtype=np.int64),
        "bond": own.astype(np.int64),
        "neighbour": seen.neighbour.astype(np.int64),
        "y_nm": np.full(count, float(atom["y_nm"])),
        "x_nm": np.full(count, float(atom["x_nm"])),
        "length_nm": seen.length_nm,
        "length_sigma_nm": np.sqrt(np.diag(seen.covariance_nm2)),
        "shared_nm2": seen.covariance_nm2[own, np.roll(own, -1)],
        "direction_deg": seen.direction_deg,
        "angle_deg": seen.angle_deg,
        "angle_sigma_deg": seen.angle_sigma_deg,
        "off_centre_nm": np.full(count, seen.off_centre_nm),
        "off_centre_sigma_nm": np.full(count, seen.off_centre_sigma_nm),
        "equal_p": np.full(count, equal_p(seen.length_nm, seen.covariance_nm2) if count == 3 else np.nan),
        "strain": np.full(count, (float(atom["strain_xx"]) + float(atom["strain_yy"])) / 2),
        "strain_sigma": np.full(count, strain_sigma),
        "flags": np.full(count, flags, dtype=np.int64),
    }
    return pd.DataFrame(values)


def _no_bonds() -> pd.DataFrame:
    whole = ("frame", "dopant", "bond", "neighbour", "flags")
    kinds = {column.name: np.int64 if column.name in whole else np.float64 for column in BONDS}
    return pd.DataFrame({name: np.empty(0, dtype=kind) for name, kind in kinds.items()})


def with_bond_strain(table: pd.DataFrame, crystal: Crystal, graph: Graph, host: str = "C") -> pd.DataFrame:
    """Return `table` with `BOND_STRAIN`: at hosts with three bonds to hosts, all trusted, else NaN.

    In the mean of an atom's bonds its own error cancels to first order; that of its neighbours stays.
    """
    value, sigma = np.full(len(table), np.nan), np.full(len(table), np.nan)
    if crystal.lattice is not None and len(graph.edges):
        atoms = straightened(table, crystal)
        usual = honeycomb_bond_nm(crystal.lattice.cell)
        fit = np.asarray(table["class"].to_numpy(str) == host) & crystal.trusted
        edges = graph.edges[fit[graph.edges].all(axis=1)]
        ends = np.concatenate([edges, edges[:, ::-1]])
        ends = ends[np.argsort(ends[:, 0], kind="stable")]
        three = np.flatnonzero(np.bincount(ends[:, 0], minlength=len(table)) == 3)
        near = ends[np.isin(ends[:, 0], three), 1].reshape(-1, 3)
        value[three], sigma[three] = _mean_bond(atoms, three, near, usual)
    return table.assign(bond_strain=value, bond_strain_sigma=sigma)


def honeycomb_bond_nm(cell: ArrayLike) -> float:
    """Return the bond (nm) of the honeycomb whose cell has the area of `cell` (2, 2): no shear changes it."""
    return float(np.sqrt(2 * abs(np.linalg.det(np.asarray(cell, dtype=np.float64))) / (3 * np.sqrt(3))))


def _mean_bond(atoms: Straightened, centre: Index, near: Index, usual: float) -> tuple[Array, Array]:
    """Return strain and 1-sigma (M,) of the mean of three bonds (M, 3) against a usual bond."""
    step = atoms.place[near] - atoms.place[centre][:, None]
    distance = np.maximum(np.hypot(step[..., 0], step[..., 1]), 1e-12)
    along = step / distance[..., None]
    outer = np.einsum("mki,mkij,mkj->mk", along, atoms.covariance[near], along)
    drift = along.sum(axis=1)
    inner = np.einsum("mi,mij,mj->m", drift, atoms.covariance[centre], drift)
    both = atoms.covariance[near] + atoms.covariance[centre][:, None]
    across = np.trace(both, axis1=2, axis2=3) - np.einsum("mki,mkij,mkj->mk", along, both, along)
    length = distance - across / (2 * distance)
    return length.mean(axis=1) / usual - 1, np.sqrt(outer.sum(axis=1) + inner) / (3 * usual)


def trusted(flags: ArrayLike) -> NDArray[np.bool_]:
    """Return which bonds are to be averaged: none of their atoms is at the border, unfitted, or in doubt."""
    doubt = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT | Flag.BAD_FRAME)
    return np.asarray((np.asarray(flags, dtype=np.int64) & doubt) == 0)
