"""What a table of columns says of the crystal: its lattice, the strain at every column, and sites that hold nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.lattices.distortion import P_MAX, Distortion, scan_distortion
from micrograph.features.lattices.lattice import Lattice, fit_lattice
from micrograph.features.lattices.sites import missing_sites
from micrograph.features.lattices.strain import local_strain
from micrograph.features.layers.defects import Defects

#: Columns that `with_strain` adds; axes x to the right, y down; against the image's own mean lattice.
STRAIN_COLUMNS = (
    Column(
        "strain_xx",
        "",
        "strain along x against the image's mean lattice, scan distortion removed",
        sigma="strain_xx_sigma",
    ),
    Column(
        "strain_yy",
        "",
        "strain along y against the image's mean lattice, scan distortion removed",
        sigma="strain_yy_sigma",
    ),
    Column(
        "strain_xy",
        "",
        "half the shear against the image's mean lattice, scan distortion removed",
        sigma="strain_xy_sigma",
    ),
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
_DOUBT = int(Flag.EDGE | Flag.LOW_CONFIDENCE)


@dataclass(frozen=True)
class Crystal:
    """The crystal behind a table of N columns, scan distortion removed where it is significant.

    measured: the lattice as it lies in the image, ``None`` if there is none; lattice: the same without the distortion;
    distortion: ``None`` without a known symmetry; y_nm, x_nm: (N,) positions without it; trusted: (N,) the columns that
    the lattices were fitted to.
    """

    measured: Lattice | None
    lattice: Lattice | None
    distortion: Distortion | None
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    sigma_nm: NDArray[np.float64]
    trusted: NDArray[np.bool_]


def crystal_of(table: pd.DataFrame, symmetry: str | None = None) -> Crystal:
    """Return the crystal of the trusted columns of a table of points; `symmetry` ('hexagonal', 'square') if known.

    The symmetry tells the shape of the distortion, not which axis has the right length: the area is kept.
    """
    y, x = table["y_nm"].to_numpy(), table["x_nm"].to_numpy()
    sigma = table[["y_sigma_nm", "x_sigma_nm"]].to_numpy()
    trusted = np.asarray((table["flags"].to_numpy(np.int64) & _DOUBT) == 0)
    measured = fit_lattice(y[trusted], x[trusted], sigma[trusted]) if trusted.sum() >= 8 else None
    if measured is None or symmetry is None:
        return Crystal(measured, measured, None, y, x, sigma, trusted)
    distortion = scan_distortion(measured, y[trusted], x[trusted], symmetry)
    if min(distortion.affine_p, distortion.row_p) > P_MAX:
        return Crystal(measured, measured, distortion, y, x, sigma, trusted)
    true_y, true_x = distortion.correct(y, x)
    if distortion.affine_p <= P_MAX:
        scale = float(np.sqrt(abs(np.linalg.det(distortion.matrix))))
        true_y, true_x = (c + scale * (v - c) for c, v in zip(distortion.centre_nm, (true_y, true_x), strict=True))
    corrected = fit_lattice(true_y[trusted], true_x[trusted], sigma[trusted])
    if corrected is None:
        return Crystal(measured, measured, None, y, x, sigma, trusted)
    return Crystal(measured, corrected, distortion, true_y, true_x, sigma, trusted)


def with_strain(table: pd.DataFrame, crystal: Crystal) -> pd.DataFrame:
    """Return `table` with STRAIN_COLUMNS and their errors; NaN at columns in doubt or where there is no lattice."""
    values = {
        name: np.full(len(table), np.nan) for column in STRAIN_COLUMNS for name in (column.name, column.sigma or "")
    }
    if crystal.lattice is not None:
        inside = crystal.trusted
        strain = local_strain(crystal.lattice, crystal.y_nm[inside], crystal.x_nm[inside], crystal.sigma_nm[inside])
        for axes in ("xx", "yy", "xy"):
            values[f"strain_{axes}"][inside] = getattr(strain, f"e{axes}")
            values[f"strain_{axes}_sigma"][inside] = getattr(strain, f"e{axes}_sigma")
        values["rotation_deg"][inside] = strain.rotation_deg
        values["rotation_sigma_deg"][inside] = strain.rotation_sigma_deg
    return table.assign(**values)


def voted(crystal: Crystal, belongs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `belongs` (one of two sublattices, by each column's own look) after a vote among equivalent sites.

    All trusted columns on the same site of the lattice's cell take the majority's side; the others keep theirs.
    """
    decided = belongs.copy()
    if crystal.lattice is None:
        return decided
    trusted = np.flatnonzero(crystal.trusted)
    for site in range(len(crystal.lattice.basis)):
        rows = trusted[crystal.lattice.index[:, 2] == site]
        if len(rows) >= 5:
            decided[rows] = belongs[rows].mean() > 0.5
    return decided


def vacancies(table: pd.DataFrame, crystal: Crystal, name: str) -> Defects:
    """Return the surrounded sites of the crystal that hold no column, each called `name`, as they lie in the image."""
    from scipy.spatial import cKDTree

    place = np.zeros((0, 2))
    if crystal.measured is not None:
        rows = table[crystal.trusted]
        empty = missing_sites(crystal.measured, rows["y_nm"].to_numpy(), rows["x_nm"].to_numpy(), least_surrounded=0.7)
        place = np.column_stack([empty.y_nm, empty.x_nm])
        distance, _ = cKDTree(table[["y_nm", "x_nm"]].to_numpy()).query(place)
        place = place[np.atleast_1d(distance) > 0.45 * crystal.measured.site_spacing_nm]
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
