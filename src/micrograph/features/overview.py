"""One row a frame: how many, over which area, in which lattice, and every reason for doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.columns.locate import BORDER_NM
from micrograph.features.lattices.crystal import Crystal
from micrograph.features.lattices.lattice import Lattice

#: What the table 'frames' promises.
FRAME_COLUMNS = (
    Column("columns", "", "columns found"),
    Column("area_nm2", "nm^2", "analysed area: clean ground near columns"),
    Column(
        "a_nm", "nm", "first lattice vector, scan distortion removed where the symmetry is known", sigma="a_sigma_nm"
    ),
    Column("b_nm", "nm", "second lattice vector, likewise", sigma="b_sigma_nm"),
    Column("gamma_deg", "deg", "angle between them", sigma="gamma_sigma_deg"),
    Column("scan_stretch_y", "", "stretch along y relative to x by drift, as measured", sigma="scan_stretch_y_sigma"),
    Column("scan_shear", "", "shear along x by drift, as measured", sigma="scan_shear_sigma"),
    Column("domain_distance", "", "distance from the training images; above 1 the frame is out of domain"),
    Column("expected_f1", "", "F1 that columns found in such an image are expected to reach; empty where not known"),
    Column("flags", "", "doubts, see the conventions"),
)
#: Flags of a column on whose ground nothing is counted.
UNCLEAN = int(Flag.EDGE | Flag.LOW_CONFIDENCE)


def analysed_area_nm2(
    y_nm: NDArray[np.float64], x_nm: NDArray[np.float64], size_nm: tuple[float, float], reach_nm: float = 0.25
) -> float:
    """Return the area within `reach_nm` of any of the given clean columns, inside a field of `size_nm` (y, x).

    The border on which columns are flagged EDGE does not count.
    """
    from scipy.spatial import cKDTree

    if len(y_nm) == 0:
        return 0.0
    pitch = 0.1
    rows, columns = (np.arange(BORDER_NM + pitch / 2, size - BORDER_NM, pitch) for size in size_nm)
    if len(rows) == 0 or len(columns) == 0:
        return 0.0
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, _ = cKDTree(np.column_stack([y_nm, x_nm])).query(grid, distance_upper_bound=reach_nm)
    inner = (size_nm[0] - 2 * BORDER_NM) * (size_nm[1] - 2 * BORDER_NM)
    return float(np.isfinite(distance).mean() * inner)


def frame_row(
    prediction: Prediction,
    table: pd.DataFrame,
    crystal: Crystal,
    *,
    reach_nm: float = 0.25,
    doubts: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the row of table 'frames'; any of `doubts` sets OUT_OF_DOMAIN and joins the notes."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    size = (prediction.frame.data.shape[0] * pixel, prediction.frame.data.shape[1] * pixel)
    flags = prediction.flags | (Flag.OUT_OF_DOMAIN if doubts else Flag.OK)
    clean = (table["flags"].to_numpy(np.int64) & UNCLEAN) == 0
    area = analysed_area_nm2(table["y_nm"].to_numpy()[clean], table["x_nm"].to_numpy()[clean], size, reach_nm)
    nan, lattice, distortion = float("nan"), crystal.lattice, crystal.distortion
    row = {
        "frame": prediction.frame.index,
        "columns": len(table),
        "area_nm2": area,
        "a_nm": lattice.a_nm if lattice else nan,
        "a_sigma_nm": lattice.a_sigma_nm if lattice else nan,
        "b_nm": lattice.b_nm if lattice else nan,
        "b_sigma_nm": lattice.b_sigma_nm if lattice else nan,
        "gamma_deg": lattice.gamma_deg if lattice else nan,
        "gamma_sigma_deg": lattice.gamma_sigma_deg if lattice else nan,
        "scan_stretch_y": distortion.stretch_y if distortion else nan,
        "scan_stretch_y_sigma": distortion.stretch_y_sigma if distortion else nan,
        "scan_shear": distortion.shear if distortion else nan,
        "scan_shear_sigma": distortion.shear_sigma if distortion else nan,
        "domain_distance": prediction.domain_distance,
        "expected_f1": prediction.expected_f1,
        "flags": int(flags),
        "notes": " ".join((*prediction.notes, *doubts, *notes)),
    }
    return pd.DataFrame([row])


def lattice_doubts(lattice: Lattice | None, a_nm: float, material: str, tolerance: float = 0.08) -> tuple[str, ...]:
    """Return a sentence if the lattice constant is not that of the material within `tolerance`, else nothing."""
    if lattice is None or abs(_hexagonal_a(lattice) / a_nm - 1) <= tolerance:
        return ()
    return (
        f"The lattice constant is {_hexagonal_a(lattice):.4f} nm, that of {material} {a_nm:.4f} nm: "
        "check the pixel size and the material.",
    )


def order_doubts(table: pd.DataFrame, lattice: Lattice | None) -> tuple[str, ...]:
    """Return a sentence if the columns form no lattice: noise, an amorphous film, or no crystal of this kind."""
    if lattice is not None:
        return ()
    return (f"The {len(table)} columns that were found form no lattice.",)


def magnification_note(
    lattice: Lattice | None, a_nm: float, pixel_nm: float, tolerance: float = 0.015
) -> tuple[str, ...]:
    """Return a sentence with the pixel size that the lattice asks for, if it differs by more than `tolerance`."""
    if lattice is None or abs(_hexagonal_a(lattice) / a_nm - 1) <= tolerance:
        return ()
    ratio = _hexagonal_a(lattice) / a_nm
    return (
        f"Lengths seem {100 * (ratio - 1):+.1f} % off: with a pixel of {pixel_nm / ratio:.5f} nm "
        f"the lattice constant would be {a_nm:.4f} nm.",
    )


def _hexagonal_a(lattice: Lattice) -> float:
    """Return the lattice constant of the hexagonal cell of the same area."""
    area = abs(float(np.linalg.det(lattice.cell)))
    return float(np.sqrt(2 * area / np.sqrt(3)))
