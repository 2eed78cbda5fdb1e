"""What a table of columns says of the crystal: its lattice, the strain at every column, and sites that hold nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.defects import Defects
from micrograph.features.lattice import Lattice, fit_lattice
from micrograph.features.sites import missing_sites
from micrograph.features.strain import local_strain

#: Columns that `with_strain` adds; axes x to the right, y down; against the image's own mean lattice.
STRAIN_COLUMNS = (
    Column("strain_xx", "", "strain along x against the image's mean lattice", sigma="strain_xx_sigma"),
    Column("strain_yy", "", "strain along y against the image's mean lattice", sigma="strain_yy_sigma"),
    Column("strain_xy", "", "half the shear against the image's mean lattice", sigma="strain_xy_sigma"),
    Column("rotation_deg", "deg", "local rotation of the lattice", sigma="rotation_sigma_deg"),
)
#: What the table 'defects' promises.
DEFECT_COLUMNS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the defect in the frame"),
    Column("name", "", "name as in the literature"),
    Column("y_nm", "nm", "row position of its centre"),
    Column("x_nm", "nm", "column position of its centre"),
    Column("score", "", "probability that it is what name says"),
    Column("flags", "", "doubts, see the conventions"),
    Column("atoms", "", "row numbers of its atoms in this frame's objects"),
)
#: Columns in doubt do not shape the lattice.
_DOUBT = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT)


def lattice_of(table: pd.DataFrame) -> Lattice | None:
    """Return the lattice of the trusted columns of a table of points, ``None`` where they have none."""
    trusted = _trusted(table)
    if trusted.sum() < 8:
        return None
    rows = table[trusted]
    return fit_lattice(rows["y_nm"].to_numpy(), rows["x_nm"].to_numpy(), _sigma(rows))


def with_strain(table: pd.DataFrame, lattice: Lattice | None) -> pd.DataFrame:
    """Return `table` with STRAIN_COLUMNS and their errors; NaN at columns in doubt or where there is no lattice.

    `lattice` is that of `lattice_of(table)`.
    """
    values = {name: np.full(len(table), np.nan) for column in STRAIN_COLUMNS for name in (column.name, column.sigma or "")}
    if lattice is not None:
        trusted = _trusted(table)
        rows = table[trusted]
        strain = local_strain(lattice, rows["y_nm"].to_numpy(), rows["x_nm"].to_numpy(), _sigma(rows))
        for axes in ("xx", "yy", "xy"):
            values[f"strain_{axes}"][trusted] = getattr(strain, f"e{axes}")
            values[f"strain_{axes}_sigma"][trusted] = getattr(strain, f"e{axes}_sigma")
        values["rotation_deg"][trusted] = strain.rotation_deg
        values["rotation_sigma_deg"][trusted] = strain.rotation_sigma_deg
    return table.assign(**values)


def vacancies(table: pd.DataFrame, lattice: Lattice | None, name: str) -> Defects:
    """Return the surrounded sites of ``lattice_of(table)`` that hold no column, each called `name`."""
    from scipy.spatial import cKDTree

    place = np.zeros((0, 2))
    if lattice is not None:
        rows = table[_trusted(table)]
        empty = missing_sites(lattice, rows["y_nm"].to_numpy(), rows["x_nm"].to_numpy(), least_surrounded=0.7)
        place = np.column_stack([empty.y_nm, empty.x_nm])
        distance, _ = cKDTree(table[["y_nm", "x_nm"]].to_numpy()).query(place)
        place = place[np.atleast_1d(distance) > 0.45 * lattice.site_spacing_nm]
    count = len(place)
    nobody = (np.zeros(0, np.intp),) * count
    return Defects(
        name=np.array([name] * count, dtype=np.str_),
        y_nm=place[:, 0],
        x_nm=place[:, 1],
        score=np.ones(count),
        flags=np.zeros(count, np.intp),
        atoms=nobody,
        ring_sizes=((),) * count,
    )


def defect_table(frame: int, defects: Defects) -> pd.DataFrame:
    """Return named defects as the table 'defects' of one frame; 'atoms' holds row numbers of table 'objects'."""
    count = len(defects)
    return pd.DataFrame(
        {
            "frame": np.full(count, frame, dtype=np.int64),
            "id": np.arange(count, dtype=np.int64),
            "name": pd.Series([str(name) for name in defects.name], dtype=str),
            "y_nm": defects.y_nm,
            "x_nm": defects.x_nm,
            "score": defects.score,
            "flags": np.asarray(defects.flags, dtype=np.int64),
            "atoms": pd.Series([" ".join(map(str, rows)) for rows in defects.atoms], dtype=str),
        }
    )


def _trusted(table: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray((table["flags"].to_numpy(np.int64) & _DOUBT) == 0)


def _sigma(rows: pd.DataFrame) -> NDArray[np.float64]:
    return rows[["y_sigma_nm", "x_sigma_nm"]].to_numpy()
