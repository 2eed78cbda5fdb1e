"""A surface read as a lattice: its cell, the motif, what differs; tables of one image and of all together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Frame
from micrograph.features.bravais import BRAVAIS, Cells, cells_of, reduction, type_probabilities
from micrograph.features.levelling import Levelling, Lines
from micrograph.features.surface.motif import REACH_CELLS, Followed, follow, motif_of
from micrograph.features.surface.odd_places import KINDS, Regions, Sites, odd_places, sites_of
from micrograph.features.surface.repeats import find_repeat

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

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
_CELL = (
    Column("a_nm", "nm", "shorter vector of the reduced cell", sigma="a_sigma_nm"),
    Column("a_sigma_nm", "nm", "1-sigma, the image's bends counted"),
    Column("b_nm", "nm", "longer vector", sigma="b_sigma_nm"),
    Column("b_sigma_nm", "nm", "1-sigma"),
    Column("gamma_deg", "degree", "angle between them, 90 to 120", sigma="gamma_sigma_deg"),
    Column("gamma_sigma_deg", "degree", "1-sigma"),
    Column("cell_nm2", "nm^2", "area of the cell", sigma="cell_sigma_nm2"),
    Column("cell_sigma_nm2", "nm^2", "1-sigma"),
)
SEEN = (
    Column("frame", "", "number of the frame"),
    Column("count", "", "places that differ"),
    *_CELL,
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
MEANS = (
    Column("frames", "", "frames with a lattice"),
    *_CELL,
    Column("missing_per_nm2", "1/nm^2", "missing places per area outside islands, over all frames"),
    Column("missing_low", "1/nm^2", "lower end of its 95 % interval (Poisson)"),
    Column("missing_high", "1/nm^2", "upper end"),
    Column("added_per_nm2", "1/nm^2", "added places per area outside islands, over all frames"),
    Column("added_low", "1/nm^2", "lower end"),
    Column("added_high", "1/nm^2", "upper end"),
)
#: Pixels a side that an image needs, and robust sigma beyond which a pixel does not count at first.
_FEWEST_PX, _APART = 32, 4.0
#: Share of the variance that a motif must explain to be one, and cells that an image must hold.
_LEAST_EXPLAINED, _FEWEST_CELLS = 0.3, 6.0
_MEASURES = ("a_nm", "b_nm", "gamma_deg", "cell_nm2")
_SIGMAS = ("a_sigma_nm", "b_sigma_nm", "gamma_sigma_deg", "cell_sigma_nm2")


@dataclass(frozen=True)
class SurfaceSettings:
    """How to look at a surface.

    order, lines, scars: how it is made level first (`Levelling`). sigmas, least: a place differs from the motif by so
    many sigma of the rest, and by that share of the motif's range. distortion: 1-sigma of each element of the scanner's
    stretch and shear, for the type of lattice. known: sides in nm and angle in degrees (60 to 120) of the true cell,
    'a,b,gamma', against which the scanner's scale is measured.
    """

    order: int = 1
    lines: Lines = "difference"
    scars: bool = True
    sigmas: float = 6.0
    least: float = 0.25
    distortion: float = 0.03
    known: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a cell that is none."""
        good = len(self.known) == 3 and min(self.known[:2]) > 0 and 45 <= self.known[2] <= 135
        if self.known and not good:
            raise BadInput(
                f"known is {self.known}: it must be two sides in nm and the angle between them in degrees, for "
                "example 2.69,2.69,120."
            )
        if not (0 < self.distortion < 0.2 and self.sigmas > 0 and self.least >= 0):
            raise BadInput("distortion must lie between 0 and 0.2, sigmas above 0 and least not below 0.")


@dataclass(frozen=True)
class Surface:
    """What was found in one image (H, W): it `level`, its lattice, sites and odd places; ``None`` without a lattice."""

    level: Array
    followed: Followed
    covariance: Array
    explained: float
    sites: Sites
    odd: Regions


def read_surface(image: NDArray[np.floating], settings: SurfaceSettings) -> Surface | None:
    """Return the lattice of an image (H, W) and what differs from it; ``None`` where it does not repeat."""
    if min(image.shape) < _FEWEST_PX:
        raise BadInput(
            f"The image has {image.shape[0]} x {image.shape[1]} pixels: it needs {_FEWEST_PX} a side at least."
        )
    level = np.asarray(Levelling(settings.order, settings.lines, settings.scars)(image), float)
    if not np.isfinite(level).any() or not np.nanstd(level):
        return None
    seen = np.isfinite(level)
    filled = np.where(seen, level, 0.0)
    repeat = find_repeat(_clipped(filled, seen), seen)
    if repeat is None:
        return None
    followed = follow(_clipped(filled, seen), seen, repeat.cell)
    followed = replace(followed, motif=motif_of(filled, seen, followed))
    usable = seen & (_odd(level, followed, settings).label == 0)
    followed = follow(filled, usable, reduction(followed.cell) @ followed.cell)
    cells = level.size / max(abs(float(np.linalg.det(followed.cell))), 1e-9)
    if cells < _FEWEST_CELLS or np.linalg.norm(followed.cell, axis=1).max() > max(level.shape):
        return None
    rest = (filled - followed.periodic())[usable]
    explained = 1 - float(np.var(rest) / max(np.var(filled[usable]), 1e-300))
    if explained < _LEAST_EXPLAINED:
        return None
    sites = sites_of(followed.motif, followed.cell)
    return Surface(level, followed, _covariance(followed, usable), explained, sites, _odd(level, followed, settings))


def _odd(level: Array, followed: Followed, settings: SurfaceSettings) -> Regions:
    apart = sites_of(followed.motif, followed.cell).apart_px
    return odd_places(level, followed, apart, sigmas=settings.sigmas, least=settings.least)


def _clipped(values: Array, seen: Mask) -> Array:
    """Return an image with what stands out cut down to `_APART` robust sigma: islands become plain, lattices stay."""
    middle = float(np.median(values[seen]))
    spread = _APART * 1.4826 * float(np.median(np.abs(values[seen] - middle)))
    return np.asarray(np.clip(values - middle, -spread, spread)) if spread > 0 else values - middle


def _covariance(followed: Followed, usable: Mask) -> Array:
    """Return the covariance (4, 4) of the cell, from how much the lattice bends over patches that are independent."""
    _, height, width = followed.shift.shape
    reach = REACH_CELLS * float(np.linalg.norm(followed.cell, axis=1).mean())
    patches = max(4.0, float(usable.sum()) / (4 * np.pi * reach**2))
    bend = np.array([np.var(followed.shift[axis][usable]) for axis in range(2)])
    slopes = bend[:, None] / (patches * np.array([height, width]) ** 2 / 12)  # of y and x (rows) by y and x
    parts = np.zeros((4, 4))
    for vector, cell in enumerate(followed.cell):
        for axis in range(2):
            for other, second in enumerate(followed.cell):
                parts[2 * vector + axis, 2 * other + axis] = float(np.sum(cell * second * slopes[axis]))
    return parts + 1e-12 * np.eye(4)


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
        **_densities({kind: int((found.odd.kind == kind).sum()) for kind in KINDS[:2]}, area.free),
        "island_share": 1 - area.free / area.whole,
        **_scanner(cells.vectors[0] * pixel, settings.known),
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
    return {column.name: float(value) for column, value in zip(_CELL, values, strict=True)}


def _densities(counts: Mapping[str, int], area_nm2: float) -> dict[str, float]:
    """Return the density of each kind with the ends of its 95 % interval (exact, of a Poisson number)."""
    from scipy.special import gammaincinv

    found: dict[str, float] = {}
    for kind, number in counts.items():
        low = float(gammaincinv(number, 0.025)) if number else 0.0
        found |= {
            f"{kind}_per_nm2": number / area_nm2,
            f"{kind}_low": low / area_nm2,
            f"{kind}_high": float(gammaincinv(number + 1, 0.975)) / area_nm2,
        }
    return found


def _scanner(cell_nm: Array, known: tuple[float, ...]) -> dict[str, float]:
    """Return how the scan stretches along y and x and shears, against a known cell; NaN without one.

    Measured and known cell differ by a rotation, which is the sample's, and by a symmetric stretch, which is the
    scan's; of the ways in which the known lattice may lie under the measured one that with the least stretch is taken.
    """
    names = ("scale_y", "scale_x", "scan_shear")
    if not known:
        return dict.fromkeys(names, np.nan)
    a, b, gamma = known[0], known[1], np.radians(known[2])
    true = np.array([[0.0, a], [b * np.sin(gamma), b * np.cos(gamma)]])
    best, least = np.eye(2), np.inf
    orders = [np.array(order).reshape(2, 2) for order in np.ndindex(3, 3, 3, 3)]
    for order in (one - 1 for one in orders if abs(np.linalg.det(one - 1)) == 1):
        change = (np.linalg.inv(order @ true) @ cell_nm).T
        u, sizes, _ = np.linalg.svd(change)
        if np.abs(np.log(sizes)).sum() < least:
            least, best = float(np.abs(np.log(sizes)).sum()), u @ np.diag(sizes) @ u.T
    return dict(zip(names, (float(best[0, 0]), float(best[1, 1]), float(best[0, 1])), strict=True))


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


@dataclass(frozen=True)
class Sums:
    """Running sums over frames with a lattice: their number, cells and squares, counts, free area (nm^2)."""

    frames: int = 0
    first: tuple[float, ...] = (0.0,) * 4
    second: tuple[float, ...] = (0.0,) * 4
    own: tuple[float, ...] = (0.0,) * 4
    missing: int = 0
    added: int = 0
    free_nm2: float = 0.0


@dataclass(frozen=True)
class SurfaceMeans:
    """Fold of frames into the mean cell and the densities of missing and added places."""

    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME | Flag.NO_FIT), metadata={"setting": False})

    def start(self) -> Sums:
        """Return the state before the first frame."""
        return Sums()

    def step(self, state: Sums, tables: Mapping[str, pd.DataFrame]) -> Sums:
        """Return the state after one more frame."""
        frames = tables["frames"]
        if len(frames) == 0 or int(frames["flags"].iloc[0]) & self.ignore:
            return state
        row = frames.iloc[0]
        cell = np.array([float(row[name]) for name in _MEASURES])
        own = np.array([float(row[name]) for name in _SIGMAS])
        kinds = tables["objects"]["class"]
        missing, added = (int((kinds == kind).sum()) for kind in KINDS[:2])
        free = float(row["cells"]) * float(row["cell_nm2"]) * (1 - float(row["island_share"]))
        return Sums(
            state.frames + 1,
            tuple(np.add(state.first, cell)), tuple(np.add(state.second, cell**2)), tuple(np.add(state.own, own**2)),
            state.missing + missing, state.added + added, state.free_nm2 + free,
        )  # fmt: skip

    def result(self, state: Sums) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`MEANS`), one row; NaN before the first lattice."""
        import pandas as pd

        number = state.frames
        row: dict[str, Any] = {"frames": number} | {column.name: np.nan for column in MEANS[1:]}
        if number:
            mean = np.array(state.first) / number
            scatter = np.maximum(np.array(state.second) / number - mean**2, 0) / max(number - 1, 1)
            sigma = np.sqrt(np.maximum(scatter, np.array(state.own) / number**2))
            row |= dict(zip(_MEASURES, mean, strict=True)) | dict(zip(_SIGMAS, sigma, strict=True))
            row |= _densities({KINDS[0]: state.missing, KINDS[1]: state.added}, state.free_nm2)
        return {"summary": pd.DataFrame([row])}
