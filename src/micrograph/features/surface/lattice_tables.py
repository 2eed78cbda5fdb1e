"""Tables of one image of a surface: what differs from its lattice, the sites of the motif, the motif, the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Frame
from micrograph.features.lattices.bravais import BRAVAIS, Cells, cells_of, type_probabilities
from micrograph.features.surface.lattice_means import CELL, densities
from micrograph.features.surface.lattice_reading import Surface, SurfaceSettings, read_surface, scanner
from micrograph.features.surface.odd_places import KINDS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

ODD_PLACES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the place within the frame"),
    Column("y_nm", "nm", "middle, from the top"),
    Column("x_nm", "nm", "middle, from the left"),
    Column("class", "", "missing (lower than the motif), added (higher), island (over 0.6 cells and some atoms)"),
    Column("value", "", "largest difference from the motif, in the recording's unit (value_unit of the frame)"),
    Column("score", "", "the difference over the 1-sigma of the rest of the image"),
    Column("area_nm2", "nm^2", "area within half the least difference that counts"),
    Column("cell_a", "", "place in the unit cell along a, 0 to 1"),
    Column("cell_b", "", "place in the unit cell along b, 0 to 1"),
    Column("site", "", "nearest site of the motif (table 'sites'), -1 for islands"),
    Column("flags", "", "doubts"),
)
SITES = (
    Column("frame", "", "number of the frame"),
    Column("site", "", "number of the site, the highest first"),
    Column("cell_a", "", "place in the unit cell along a, 0 to 1"),
    Column("cell_b", "", "place in the unit cell along b, 0 to 1"),
    Column("value", "", "height of the motif there, in the recording's unit"),
    Column("missing", "", "places where this site is missing"),
    Column("occupied", "", "share of the cells outside islands in which it is there"),
    Column("occupied_low", "", "lower end of its 95 % interval (Jeffreys)"),
    Column("occupied_high", "", "upper end"),
)
MOTIF = (
    Column("frame", "", "number of the frame"),
    Column("cell_a", "", "place in the unit cell along a, 0 to 1"),
    Column("cell_b", "", "place in the unit cell along b, 0 to 1"),
    Column("value", "", "median over all cells, in the recording's unit"),
)
SEEN = (
    Column("frame", "", "number of the frame"),
    Column("count", "", "places that differ"),
    *CELL,
    Column("a_y_nm", "nm", "vector a of the motif's cell, downwards"),
    Column("a_x_nm", "nm", "vector a, to the right"),
    Column("b_y_nm", "nm", "vector b, downwards"),
    Column("b_x_nm", "nm", "vector b, to the right"),
    Column("lattice", "", "likeliest of the five types, for a scanner as wrong as `distortion` says"),
    Column("lattice_score", "", "its probability"),
    Column("explained", "", "share of the image's variance, islands and defects apart, that the motif explains"),
    Column("cells", "", "unit cells in the image"),
    Column("sites", "", "sites in the motif"),
    Column("bend_nm", "nm", "root mean square of the lattice's bends (creep, drift)"),
    Column("noise", "", "1-sigma of what the motif leaves, seen through a site, in the recording's unit"),
    Column("value_unit", "", "the recording's unit"),
    Column("missing_per_nm2", "1/nm^2", "missing places per area outside islands"),
    Column("missing_low", "1/nm^2", "lower end of its 95 % interval (Poisson)"),
    Column("missing_high", "1/nm^2", "upper end"),
    Column("added_per_nm2", "1/nm^2", "added places per area outside islands"),
    Column("added_low", "1/nm^2", "lower end"),
    Column("added_high", "1/nm^2", "upper end"),
    Column("island_share", "", "share of the area under islands"),
    Column("scale_y", "", "by which lengths along y come out too long, against the cell in `known`"),
    Column("scale_x", "", "the same along x"),
    Column("scan_shear", "", "shear of the scan, against the cell in `known`"),
    Column("domain_distance", "", "0: nothing was trained"),
    Column("flags", "", "doubts"),
    Column("notes", "", "remarks"),
)


def surface_tables(frame: Frame, settings: SurfaceSettings) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'sites', 'motif' and 'frames' of one frame."""
    import pandas as pd

    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    found = read_surface(frame.data, settings)
    if found is None:
        return _nothing(frame)
    area = _Areas.of(found, pixel)
    sites = _site_rows(frame.index, found, area)
    sides = found.followed.motif.shape
    places = (np.indices(sides).reshape(2, -1) + 0.5) / np.array(sides)[:, None]
    motif = pd.DataFrame({
        "frame": np.full(found.followed.motif.size, frame.index, dtype=np.int64),
        "cell_a": places[0], "cell_b": places[1], "value": found.followed.motif.ravel(),
    })  # fmt: skip
    row = _frame_row(frame, found, area, settings)
    return {"objects": _odd_rows(frame.index, found, pixel), "sites": sites, "motif": motif, "frames": row}


@dataclass(frozen=True)
class _Areas:
    """Areas in nm^2: of the image, outside islands, of a cell."""

    whole: float
    free: float
    cell: float

    @staticmethod
    def of(found: Surface, pixel_nm: float) -> _Areas:
        whole = found.level.size * pixel_nm**2
        under = float(found.odd.area_px[found.odd.kind == KINDS[2]].sum()) * pixel_nm**2
        cell = abs(float(np.linalg.det(found.followed.cell))) * pixel_nm**2
        return _Areas(whole, max(whole - under, cell), cell)


def _odd_rows(frame: int, found: Surface, pixel_nm: float) -> pd.DataFrame:
    import pandas as pd

    odd = found.odd
    number = len(odd.y_px)
    rows = np.clip(np.rint(odd.y_px).astype(int), 0, found.level.shape[0] - 1)
    columns = np.clip(np.rint(odd.x_px).astype(int), 0, found.level.shape[1] - 1)
    place = found.followed.place[:, rows, columns].T.reshape(-1, 2)
    site = np.where(odd.kind == KINDS[2], -1, _nearest(place, found))
    return pd.DataFrame({
        "frame": np.full(number, frame, dtype=np.int64), "id": np.arange(number, dtype=np.int64),
        "y_nm": odd.y_px * pixel_nm, "x_nm": odd.x_px * pixel_nm, "class": pd.Series(odd.kind, dtype=str),
        "value": odd.value, "score": odd.score, "area_nm2": odd.area_px * pixel_nm**2,
        "cell_a": place[:, 0], "cell_b": place[:, 1], "site": site.astype(np.int64),
        "flags": np.where(odd.cut, int(Flag.EDGE), 0).astype(np.int64),
    })  # fmt: skip


def _nearest(place: Array, found: Surface) -> NDArray[np.intp]:
    """Return the nearest site of the motif to places (N, 2) in the cell; -1 where there is no site."""
    if not len(found.sites.place) or not len(place):
        return np.full(len(place), -1, dtype=np.intp)
    step = place[:, None] - found.sites.place
    step -= np.rint(step)
    return np.asarray(np.linalg.norm(step @ found.followed.cell, axis=-1).argmin(axis=1), np.intp)


def _site_rows(frame: int, found: Surface, area: _Areas) -> pd.DataFrame:
    """Return one row a site; a missing place may hold several sites: each within its region counts."""
    import pandas as pd

    cells = area.free / area.cell
    missing = _missing_of(found)
    low, high = _jeffreys(cells - missing, cells)
    return pd.DataFrame({
        "frame": np.full(len(missing), frame, dtype=np.int64), "site": np.arange(len(missing), dtype=np.int64),
        "cell_a": found.sites.place[:, 0], "cell_b": found.sites.place[:, 1], "value": found.sites.height,
        "missing": missing.astype(np.int64), "occupied": 1 - missing / cells,
        "occupied_low": low, "occupied_high": high,
    })  # fmt: skip


def _missing_of(found: Surface) -> Array:
    """Return for every site of the motif in how many cells it lies in a region that is lower than the motif."""
    shape, cell = found.level.shape, found.followed.cell
    reach = int(np.ceil(np.hypot(*shape) / max(np.linalg.norm(cell, axis=1).min(), 1.0))) + 2
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    missing = np.zeros(len(found.sites.place))
    lower = np.flatnonzero(found.odd.kind == KINDS[0]) + 1
    for number, place in enumerate(found.sites.place):
        middle = (steps + place) @ cell
        inside = ((middle >= 0) & (middle <= np.array(shape) - 1)).all(axis=1)
        rows, columns = np.rint(middle[inside]).astype(int).T
        moved = middle[inside] + found.followed.shift[:, rows, columns].T
        rows, columns = np.clip(np.rint(moved), 0, np.array(shape) - 1).astype(int).T
        missing[number] = np.isin(found.odd.label[rows, columns], lower).sum()
    return missing


def _jeffreys(hits: Array, number: float) -> tuple[Array, Array]:
    from scipy.special import betaincinv

    hits = np.clip(hits, 0.0, number)
    low, high = (betaincinv(hits + 0.5, number - hits + 0.5, tail) for tail in (0.025, 0.975))
    return np.asarray(low), np.asarray(high)


def _frame_row(frame: Frame, found: Surface, area: _Areas, settings: SurfaceSettings) -> pd.DataFrame:
    import pandas as pd

    pixel = float(frame.calibration.pixel_nm or np.nan)
    cells = cells_of(found.followed.cell[None], found.covariance[None])
    p = type_probabilities(cells.tau, cells.covariance, settings.distortion)[0]
    bend = float(np.sqrt(np.mean(np.sum(found.followed.shift**2, axis=0)))) * pixel
    row: dict[str, Any] = {
        "frame": frame.index, "count": len(found.odd.y_px), **_cell_columns(cells, pixel),
        **dict(zip(("a_y_nm", "a_x_nm", "b_y_nm", "b_x_nm"), found.followed.cell.ravel() * pixel, strict=True)),
        "lattice": BRAVAIS[int(p.argmax())], "lattice_score": float(p.max()),
        "explained": found.explained, "cells": area.whole / area.cell, "sites": len(found.sites.place),
        "bend_nm": bend, "noise": found.odd.noise, "value_unit": frame.calibration.value_unit or "",
        **densities({kind: int((found.odd.kind == kind).sum()) for kind in KINDS[:2]}, area.free),
        "island_share": 1 - area.free / area.whole,
        **scanner(cells.vectors[0] * pixel, settings.known),
        "domain_distance": 0.0, "flags": int(Flag.OK), "notes": "",
    }  # fmt: skip
    return pd.DataFrame([row])


def _cell_columns(cells: Cells, pixel_nm: float) -> dict[str, float]:
    (a, b, gamma), (da, db, dgamma) = cells.size[0], cells.size_sigma[0]
    area = abs(float(np.linalg.det(cells.vectors[0]))) * pixel_nm**2
    spread = area * float(
        np.sqrt((da / a) ** 2 + (db / b) ** 2 + (np.radians(dgamma) / np.tan(np.radians(gamma))) ** 2)
    )
    values = (a * pixel_nm, da * pixel_nm, b * pixel_nm, db * pixel_nm, gamma, dgamma, area, spread)
    return {column.name: float(value) for column, value in zip(CELL, values, strict=True)}


def _nothing(frame: Frame) -> dict[str, pd.DataFrame]:
    """Return empty tables, and a frame that says that nothing repeats."""
    import pandas as pd

    empty = {"objects": ODD_PLACES, "sites": SITES, "motif": MOTIF}
    texts = {"lattice": "none", "value_unit": frame.calibration.value_unit or "", "notes": "nothing repeats"}
    row = {column.name: np.nan for column in SEEN} | texts
    row |= {"frame": frame.index, "count": 0, "cells": 0.0, "sites": 0, "domain_distance": 0.0}
    row["flags"] = int(Flag.NO_FIT)
    tables = {
        name: pd.DataFrame({c.name: pd.Series(dtype=_kind(c.name)) for c in columns}) for name, columns in empty.items()
    }
    return tables | {"frames": pd.DataFrame([row])}


def _kind(name: str) -> type:
    return str if name == "class" else np.int64 if name in ("frame", "id", "site", "missing", "flags") else float
