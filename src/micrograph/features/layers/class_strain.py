"""Mean image, mean column places and strain of every kind of defect in a layer, over all frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.lattices.crystal import Crystal
from micrograph.features.layers.averages import (
    COLUMN_KEYS,
    COLUMN_SUMS,
    RING_KEYS,
    RING_SUMS,
    AverageSettings,
    ColumnsOnSites,
    Member,
    Summed,
    added,
    column_sums,
    means,
    member,
    no_sums,
    ring_sums,
    sums,
)
from micrograph.features.layers.crops import Disc, cut, levelled
from micrograph.features.layers.honeycomb import Honeycomb, honeycomb
from micrograph.features.summary import ArealDensity, Counts

PIXEL_KEYS = ("class", "point")
#: Working tables: their keys and what they sum.
WORKING: dict[str, tuple[tuple[str, ...], Summed]] = {
    "_columns": (COLUMN_KEYS, COLUMN_SUMS),
    "_rings": (RING_KEYS, RING_SUMS),
    "_pixels": (PIXEL_KEYS, (("value",), ())),
}
#: Columns nearer to a defect are moved by it: no ideal sites are laid through them.
QUIET_NM = 0.25
#: The size and the fineness of mean images.
IMAGE = Disc(0.6, 0.03)
#: What the fold promises beside the summary.
CLASSES = (
    Column("name", "", "name of the defect"),
    Column("n", "", "defects averaged, over all frames"),
    Column("radial_pm", "pm", "mean displacement of the nearest ring of columns, outwards", sigma="radial_sigma_pm"),
    Column("radial_sigma_pm", "pm", "1-sigma of radial_pm"),
    Column("place_sigma_pm", "pm", "median 1-sigma of a column's mean place, per axis"),
)
CLASS_COLUMNS = (
    Column("class", "", "name of the defect"),
    Column("sublattice", "", "'own': the defect's kind of site, 'other'"),
    Column("radius_nm", "nm", "distance of the ideal site from the defect's"),
    Column("n", "", "columns averaged"),
    Column("y_nm", "nm", "mean row position from the defect's site; the lattice is turned to put a bond along +x"),
    Column("x_nm", "nm", "mean column position, likewise"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm"),
    Column("radial_pm", "pm", "mean displacement away from the defect", sigma="radial_sigma_pm"),
    Column("radial_sigma_pm", "pm", "1-sigma of radial_pm"),
)
STRAIN_RINGS = (
    Column("class", "", "name of the defect"),
    Column("sublattice", "", "'own': the defect's kind of site, 'other'"),
    Column("radius_nm", "nm", "radius of a ring of equivalent sites"),
    Column("n", "", "defects averaged"),
    Column("radial_pm", "pm", "mean displacement of the ring's columns, outwards", sigma="radial_sigma_pm"),
    Column("radial_sigma_pm", "pm", "1-sigma of radial_pm"),
    Column("strain", "", "relative change of the ring's radius", sigma="strain_sigma"),
    Column("strain_sigma", "", "1-sigma of strain"),
)
CLASS_IMAGES = (
    Column("class", "", "name of the defect"),
    Column("y_nm", "nm", "row position from the defect's site, turned as in class_columns"),
    Column("x_nm", "nm", "column position, likewise"),
    Column("value", "", "mean brightness; 0 and 1 are the frame's darkest and brightest tenth", sigma="value_sigma"),
    Column("value_sigma", "", "1-sigma of value"),
)
_UNMEASURED = int(Flag.NO_FIT | Flag.EDGE)


@dataclass(frozen=True)
class SurroundingsSettings(AverageSettings):
    """What is averaged (`AverageSettings`); defects nearer than `isolation_nm` to another one are left out."""

    isolation_nm: float = 0.4


@dataclass(frozen=True)
class Seen:
    """One frame: image and pixel (nm), table of K columns, their crystal, named defects, which columns are metals."""

    image: NDArray[np.floating]
    pixel_nm: float
    table: pd.DataFrame
    crystal: Crystal
    defects: pd.DataFrame
    metal: NDArray[np.bool_]


def surroundings(seen: Seen, settings: SurroundingsSettings) -> dict[str, pd.DataFrame]:
    """Return the working tables '_columns', '_rings' and '_pixels' of one frame: sums over its defects by name."""
    comb = standard(seen.crystal, seen.metal)
    found = [] if comb is None else _members(seen, comb, settings)
    if comb is None or not found:
        return {name: no_sums(by, *what) for name, (by, what) in WORKING.items()}
    return {
        "_columns": added([column_sums(name, each, comb) for name, each in found], COLUMN_KEYS),
        "_rings": added([ring_sums(name, each, comb) for name, each in found], RING_KEYS),
        "_pixels": _pixel_sums(seen, found),
    }


def standard(crystal: Crystal, metal: NDArray[np.bool_]) -> Honeycomb | None:
    """Return the standard orientation of a layer as the image shows it; metal: (K,) which columns are metals."""
    lattice = crystal.measured
    if lattice is None or len(lattice.basis) != 2:
        return None
    kind = lattice.index[:, 2][metal[crystal.trusted]]
    return honeycomb(lattice, int(np.count_nonzero(kind == 1) > np.count_nonzero(kind == 0)))


def _members(seen: Seen, comb: Honeycomb, settings: SurroundingsSettings) -> list[tuple[str, Member]]:
    """Return the names and the surroundings of the frame's defects that stand alone on a known site."""
    lattice, table, defects = seen.crystal.measured, seen.table, seen.defects
    assert lattice is not None
    index = np.full((len(table), 3), -1, dtype=np.intp)
    index[seen.crystal.trusted] = lattice.index
    sigma = table[["y_sigma_nm", "x_sigma_nm"]].to_numpy(np.float64)
    flags = table["flags"].to_numpy(np.int64)
    good = np.flatnonzero((index[:, 2] >= 0) & ((flags & _UNMEASURED) == 0) & np.isfinite(sigma).all(axis=1))
    place = table[["y_nm", "x_nm"]].to_numpy(np.float64)
    rows = np.array([int(atoms.split()[0]) for atoms in defects["atoms"]], dtype=np.intp)
    quiet = _far(place[good], place[rows], QUIET_NM)
    columns = ColumnsOnSites(place[good], (sigma[good] ** 2).mean(axis=1), index[good], quiet)
    found = []
    for k in _alone(place[rows], settings.isolation_nm):
        site = index[rows[k]]
        each = member(columns, comb, site, settings) if site[2] >= 0 else None
        if each is not None:
            found.append((str(defects["name"].iloc[k]), each))
    return found


def _far(place: NDArray[np.float64], others: NDArray[np.float64], distance_nm: float) -> NDArray[np.bool_]:
    """Return which places (K, 2) are farther than `distance_nm` from all `others` (N, 2)."""
    from scipy.spatial import cKDTree

    if len(others) == 0:
        return np.ones(len(place), dtype=bool)
    return np.asarray(cKDTree(others).query(place)[0] > distance_nm)


def _alone(place: NDArray[np.float64], isolation_nm: float) -> NDArray[np.intp]:
    """Return which places (N, 2) have no other within `isolation_nm`."""
    from scipy.spatial import cKDTree

    if len(place) < 2:
        return np.arange(len(place))
    distance, _ = cKDTree(place).query(place, k=2)
    return np.flatnonzero(np.asarray(distance)[:, 1] > isolation_nm)


def _pixel_sums(seen: Seen, found: Sequence[tuple[str, Member]]) -> pd.DataFrame:
    """Return the images around the defects, each laid over its own lattice, as sums by class and sampling point."""
    origin, turn = np.stack([each.origin for _, each in found]), np.stack([each.turn for _, each in found])
    crops = cut(levelled(seen.image), seen.pixel_nm, origin[:, 0], origin[:, 1], IMAGE, turn)
    count = len(IMAGE.points)
    names = [found[k][0] for k in crops.source for _ in range(count)]
    rows = pd.DataFrame(
        {
            "class": pd.Series(names, dtype=str),
            "point": np.tile(np.arange(count), len(crops)),
            "weight": np.ones(len(crops) * count),
            "value": crops.values.ravel().astype(np.float64),
        }
    )
    return sums(rows, PIXEL_KEYS, ("value",))


@dataclass(frozen=True)
class Gathered:
    """Running state of `ClassStrain`: counts of defects, and the sums of all frames by working table."""

    counts: Counts
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class ClassStrain:
    """Fold of the working tables of `surroundings`: class averages, their columns, strain and images.

    Classes of fewer than `least_members` defects are not averaged. Frames out of the model's domain do not count.
    """

    least_members: int = 5
    counts: ArealDensity = field(default_factory=ArealDensity, metadata={"setting": False})

    def start(self) -> Gathered:
        """Return the state before the first frame."""
        return Gathered(self.counts.start(), {})

    def step(self, state: Gathered, tables: Mapping[str, pd.DataFrame]) -> Gathered:
        """Return the state after one frame."""
        counts = self.counts.step(state.counts, tables)
        if int(tables["frames"]["flags"].iloc[0]) & self.counts.ignore:
            return Gathered(counts, state.tables)
        summed = dict(state.tables)
        for name, (by, _) in WORKING.items():
            new = tables.get(name)
            if new is not None and len(new):
                new = new.drop(columns=["frame", "flags"], errors="ignore")
                summed[name] = added([summed[name], new], by) if name in summed else new
        return Gathered(counts, summed)

    def result(self, state: Gathered) -> dict[str, pd.DataFrame]:
        """Return the tables 'summary', 'classes', 'class_columns', 'strain_rings' and 'class_images'."""
        summed = {name: state.tables.get(name, no_sums(by, *what)) for name, (by, what) in WORKING.items()}
        rings, columns, images = (
            _strain_rings(summed["_rings"]),
            _columns(summed["_columns"]),
            _images(summed["_pixels"]),
        )
        members = rings.groupby("class")["n"].max()
        kept = set(members.index[members >= self.least_members])
        rings, columns, images = (
            table[table["class"].isin(kept)].reset_index(drop=True) for table in (rings, columns, images)
        )
        return {
            **self.counts.result(state.counts),
            "classes": _classes(rings, columns),
            "class_columns": columns,
            "strain_rings": rings,
            "class_images": images,
        }


def _strain_rings(summed: pd.DataFrame) -> pd.DataFrame:
    found = means(summed, RING_KEYS, *RING_SUMS)
    radius = found["radius"]
    found = found.assign(
        sublattice=_sublattice(found["ring"]),
        radius_nm=radius,
        radial_pm=found["radial"],
        radial_sigma_pm=found["radial_sigma"],
        strain=1e-3 * found["radial"] / radius,
        strain_sigma=1e-3 * found["radial_sigma"] / radius,
    )
    return found.sort_values(["class", "radius_nm"])[_named(STRAIN_RINGS)].reset_index(drop=True)


def _columns(summed: pd.DataFrame) -> pd.DataFrame:
    found = means(summed, COLUMN_KEYS, *COLUMN_SUMS)
    found = found.assign(
        sublattice=_sublattice(3 * found["row"] ** 2 + found["step"] ** 2),
        radius_nm=np.hypot(found["at_y"], found["at_x"]).round(6),
        y_nm=found["at_y"] + 1e-3 * found["y"],
        x_nm=found["at_x"] + 1e-3 * found["x"],
        y_sigma_nm=1e-3 * found["y_sigma"],
        x_sigma_nm=1e-3 * found["x_sigma"],
        radial_pm=found["radial"],
        radial_sigma_pm=found["radial_sigma"],
    )
    return found.sort_values(["class", "radius_nm", "row", "step"])[_named(CLASS_COLUMNS)].reset_index(drop=True)


def _images(summed: pd.DataFrame) -> pd.DataFrame:
    found = means(summed, PIXEL_KEYS, ("value",))
    place = IMAGE.points[found["point"].to_numpy(np.intp)]
    found = found.assign(y_nm=place[:, 0], x_nm=place[:, 1])
    return found.sort_values(["class", "point"])[_named(CLASS_IMAGES)].reset_index(drop=True)


def _classes(rings: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Return one row a class: how many, the nearest ring, how sure the places are."""
    nearest = rings.groupby("class", as_index=False).first()
    sigma = columns.assign(s=1e3 * columns[["y_sigma_nm", "x_sigma_nm"]].mean(axis=1)).groupby("class")["s"].median()
    number = rings.groupby("class")["n"].max()
    names = nearest["class"]
    found = nearest.assign(
        name=names, n=number.reindex(names).to_numpy(), place_sigma_pm=sigma.reindex(names).to_numpy()
    )
    return found.sort_values("n", ascending=False)[_named(CLASSES)].reset_index(drop=True)


def _sublattice(ring: pd.Series) -> NDArray[np.str_]:
    """Return on which sublattice sites of a squared radius `ring` (in a^2 / 12) lie, as seen from the defect."""
    return np.where(ring.to_numpy(np.int64) % 12 == 0, "own", "other")


def _named(columns: tuple[Column, ...]) -> list[str]:
    return [column.name for column in columns]
