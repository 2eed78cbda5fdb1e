"""Class averages: mean images of equivalent defects, and the mean places of the columns around them.

One image gives a column to a few picometres; the mean over n equivalent defects is better by the square root of n
(0.2 pm in doi:10.1021/acs.nanolett.0c00269). Positions that were fitted in every image, with their covariances, are
averaged rather than fitted in an averaged image: so each member brings its own weight and its own lattice, which takes
drift and scan distortion out before anything is averaged. Averages are kept as sums (`Sums`), small however many
members there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.lattices.lattice import Index
from micrograph.features.layers.honeycomb import Honeycomb

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]
Summed = tuple[tuple[str, ...], tuple[str, ...]]
#: A ring of columns whose centre is off by this share of its radius does not surround its defect.
LOPSIDED = 0.2
#: Fewest members whose scatter says more than the errors of their fits.
FEW = 10
#: By what displacements are summed: around a site, and over rings of equivalent sites.
COLUMN_KEYS, RING_KEYS = ("class", "row", "step"), ("class", "ring")
#: What is summed of columns and rings: weighted values (pm), and plain numbers.
COLUMN_SUMS: Summed = (("y", "x", "radial"), ("at_y", "at_x"))
RING_SUMS: Summed = (("radial",), ("radius", "columns"))


@dataclass(frozen=True)
class AverageSettings:
    """What is averaged around a defect. Lengths in nm.

    Columns within `radius_nm` are averaged. The ideal sites are laid through the quiet columns from `inner_nm` to
    `outer_nm` of the defect, at least `least_columns` of them: by a free cell ('surroundings', which takes out any slow
    distortion, and with it the mean strain of that ring) or by shifting the lattice of the whole frame ('frame'). A
    column farther than `outlier_nm` from its site is not the site's column.
    """

    radius_nm: float = 0.8
    inner_nm: float = 0.5
    outer_nm: float = 1.3
    least_columns: int = 24
    reference: Literal["surroundings", "frame"] = "surroundings"
    outlier_nm: float = 0.05

    def __post_init__(self) -> None:
        """Refuse radii that leave no ring."""
        if not (self.radius_nm > 0 and 0 < self.inner_nm < self.outer_nm):
            raise BadInput(
                f"Columns within {self.radius_nm} nm and a ring from {self.inner_nm} to {self.outer_nm} nm were asked "
                "for: the radius must be greater than zero, and the ring's inner radius less than its outer one."
            )


@dataclass(frozen=True)
class ColumnsOnSites:
    """Columns of one image: ``place`` (K, 2) nm, variance (K,) nm^2 (mean of both axes), lattice ``index`` (K, 3).

    quiet: (K,) which of them are far from every defect, so that ideal sites may be laid through them.
    """

    place: Array
    variance: Array
    index: Index
    quiet: NDArray[np.bool_]


@dataclass(frozen=True)
class Member:
    """A defect with the columns around it, in the standard orientation.

    origin: (2,) where its ideal site lies in the image; turn: (2, 2) takes standard offsets to the image; ideal:
    (M, 2) offsets of the sites around it; shift: (M, 2) displacements; variance: (M,) of them, per axis, with what
    columns scatter beyond their errors; row: (M,) rows of the columns.
    """

    origin: Array
    turn: Array
    ideal: Array
    shift: Array
    variance: Array
    row: Index


def member(columns: ColumnsOnSites, comb: Honeycomb, site: Index, settings: AverageSettings) -> Member | None:
    """Return the surroundings of the defect on `site` (3,); ``None`` where too few columns lie around it."""
    ideal = comb.offset(columns.index, site)
    distance = np.hypot(*ideal.T)
    ring = np.flatnonzero(columns.quiet & (distance >= settings.inner_nm) & (distance <= settings.outer_nm))
    if len(ring) < settings.least_columns or not _all_around(ideal[ring]):
        return None
    one, variance = np.ones((len(ring), 1)), columns.variance[ring]
    if settings.reference == "frame":
        laid, scatter2 = _laid(one, columns.place[ring] - ideal[ring] @ comb.turn, variance)
        origin, turn = laid[0], comb.turn
    else:
        laid, scatter2 = _laid(np.column_stack([one, ideal[ring]]), columns.place[ring], variance)
        origin, turn = laid[0], laid[1:]
    near = np.flatnonzero(distance <= settings.radius_nm)
    shift = (columns.place[near] - origin - ideal[near] @ turn) @ np.linalg.inv(turn)
    on_site = np.hypot(*shift.T) <= settings.outlier_nm
    near, shift = near[on_site], shift[on_site]
    own = columns.variance[near] + scatter2
    return Member(origin, turn, ideal[near], shift, own + (variance.mean() + scatter2) / len(ring), near)


def _all_around(offset: Array) -> bool:
    """Return whether points lie on all sides of the origin, not cut by a border."""
    mean = np.hypot(*offset.mean(axis=0)) / np.hypot(*offset.T).mean()
    return bool(mean < LOPSIDED)


def _laid(design: Array, place: Array, variance: Array) -> tuple[Array, float]:
    """Return robust least-squares parameters (n, 2) of places (K, 2) and the scatter (nm^2) beyond their variances."""
    trust, scatter2 = np.ones(len(place)), 0.0
    parameters: Array
    for _ in range(4):
        weight = trust / (variance + scatter2 + 1e-12)
        parameters = np.linalg.lstsq(design * weight[:, None] ** 0.5, place * weight[:, None] ** 0.5)[0].astype(
            np.float64
        )
        size2 = ((place - design @ parameters) ** 2).sum(axis=1)
        typical2 = float(np.median(size2)) / (2 * np.log(2)) * len(place) / (len(place) - design.shape[1])
        trust = (size2 <= 16 * max(typical2, 1e-12)).astype(np.float64)
        scatter2 = max(typical2 - float(np.median(variance)), 0.0)
    return parameters, scatter2


def turned_member(found: Member, operation: Array) -> Member:
    """Return the member after an `operation` (2, 2) of its class's point group, as folding chose it."""
    back = np.linalg.inv(operation) @ found.turn
    return replace(found, ideal=found.ideal @ operation, shift=found.shift @ operation, turn=back)


def column_sums(name: str, found: Member, comb: Honeycomb) -> pd.DataFrame:
    """Return a member's displacements (pm: along y, x, and away from the defect) as sums by class, row and step."""
    key = comb.key(found.ideal)
    distance = np.hypot(*found.ideal.T)
    away = (found.shift * found.ideal).sum(axis=1) / np.maximum(distance, 1e-9)
    rows = pd.DataFrame(
        {
            "class": pd.Series([name] * len(key), dtype=str),
            "row": key[:, 0],
            "step": key[:, 1],
            "weight": 1e-6 / found.variance,
            "at_y": found.ideal[:, 0],
            "at_x": found.ideal[:, 1],
            "y": 1e3 * found.shift[:, 0],
            "x": 1e3 * found.shift[:, 1],
            "radial": np.where(distance > 1e-6, 1e3 * away, np.nan),
        }
    )
    return sums(rows, COLUMN_KEYS, *COLUMN_SUMS)


def ring_sums(name: str, found: Member, comb: Honeycomb) -> pd.DataFrame:
    """Return a member's radial displacements (pm), averaged over each ring of equivalent sites, as sums by class, ring.

    The ring's number is its squared radius in units of a^2 / 12: a multiple of 12 for sites of the defect's own kind.
    """
    key = comb.key(found.ideal)
    number = 3 * key[:, 0] ** 2 + key[:, 1] ** 2
    distance = np.hypot(*found.ideal.T)
    outside = number > 0
    away = (found.shift * found.ideal).sum(axis=1)[outside] / distance[outside]
    rings, inverse = np.unique(number[outside], return_inverse=True)
    weight = np.bincount(inverse, 1 / found.variance[outside], len(rings))
    rows = pd.DataFrame(
        {
            "class": pd.Series([name] * len(rings), dtype=str),
            "ring": rings,
            "weight": 1e-6 * weight,
            "radius": comb.a_nm * np.sqrt(rings / 12),
            "columns": np.bincount(inverse, minlength=len(rings)),
            "radial": 1e3 * np.bincount(inverse, away / found.variance[outside], len(rings)) / weight,
        }
    )
    return sums(rows, RING_KEYS, *RING_SUMS)


def sums(rows: pd.DataFrame, by: Sequence[str], values: Sequence[str], plain: Sequence[str] = ()) -> pd.DataFrame:
    """Return additive sums of weighted `values`, and of `plain` columns, by the keys `by`; see `means`."""
    weight = rows["weight"]
    parts = {"n": np.ones(len(rows)), "w": weight, "ww": weight**2} | {name: rows[name] for name in plain}
    for value in values:
        parts |= {f"w_{value}": weight * rows[value], f"ww_{value}": weight**2 * rows[value]}
        parts |= {f"ww_{value}2": weight**2 * rows[value] ** 2}
    return pd.DataFrame({key: rows[key] for key in by} | parts).groupby(list(by), as_index=False).sum(min_count=1)


def no_sums(by: Sequence[str], values: Sequence[str], plain: Sequence[str] = ()) -> pd.DataFrame:
    """Return the `sums` of nothing."""
    whole = [key for key in by if key != "class"]
    rows = {"class": pd.Series(dtype=str)} | {key: pd.Series(dtype=np.int64) for key in whole}
    return sums(
        pd.DataFrame(rows | {name: pd.Series(dtype=float) for name in ("weight", *values, *plain)}), by, values, plain
    )


def added(tables: Sequence[pd.DataFrame], by: Sequence[str]) -> pd.DataFrame:
    """Return the sums of several tables of `sums` together."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0]
    return pd.concat(filled, ignore_index=True).groupby(list(by), as_index=False).sum(min_count=1)


def means(table: pd.DataFrame, by: Sequence[str], values: Sequence[str], plain: Sequence[str] = ()) -> pd.DataFrame:
    """Return from `sums` the number n, the plain means, and every value's weighted mean and 1-sigma (``_sigma``).

    The 1-sigma is the members' own scatter (sandwich), which holds whatever their errors are; for fewer than `FEW`
    members it is not less than their errors let expect.
    """
    n, w, ww = (table[name].to_numpy(np.float64) for name in ("n", "w", "ww"))
    found: dict[str, NDArray[np.float64]] = {name: table[name].to_numpy(np.float64) / n for name in plain}
    for value in values:
        mean = table[f"w_{value}"].to_numpy(np.float64) / w
        squares = table[f"ww_{value}2"] - 2 * mean * table[f"ww_{value}"] + mean**2 * ww
        scatter2 = np.maximum(squares.to_numpy(np.float64), 0.0) / w**2 * n / np.maximum(n - 1, 1)
        expected2 = np.where(n < FEW, 1 / w, 0.0)
        found |= {value: mean, f"{value}_sigma": np.sqrt(np.maximum(scatter2, expected2))}
    return pd.DataFrame({key: table[key] for key in by} | {"n": n.astype(np.int64)} | found)


def robust_mean(values: NDArray[np.floating], clip: float = 4.0) -> tuple[Array, Array]:
    """Return mean and its standard error (P,) of crops (N, P), values farther than `clip` robust sigmas left out."""
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    kept = np.abs(values - middle) <= clip * np.maximum(spread, 1e-12)
    number = np.maximum(kept.sum(axis=0), 1)
    mean = np.where(kept, values, 0.0).sum(axis=0) / number
    variance = np.where(kept, (values - mean) ** 2, 0.0).sum(axis=0) / np.maximum(number - 1, 1)
    return np.asarray(mean, dtype=np.float64), np.asarray(np.sqrt(variance / number), dtype=np.float64)
