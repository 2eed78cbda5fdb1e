"""Dumbbells of a crystal: centre, separation, direction and ratio of the two columns of each, with their errors.

Both columns of a dumbbell overlap: they are refined jointly, and their joint covariance gives the errors. Where the
brighter sublattice is known from all dumbbells together (a polar crystal: GaAs), directions point to it, 0 to 360
degrees; else they are lines, 0 to 180.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.columns.locate import BORDER_NM, Amended, Located, LocateSettings, locate, spotted
from micrograph.features.columns.pairing import Pairs, dumbbell_sites, faint_sites, find_pairs, lost_columns
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.crystal import crystal_of
from micrograph.features.lattices.lattice import Lattice, fit_lattice
from micrograph.features.overview import frame_row, order_doubts

Array = NDArray[np.float64]

#: What table 'objects' promises: one row a dumbbell, and one a column that has no partner.
DUMBBELLS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the dumbbell or single column in its frame"),
    Column("y_nm", "nm", "row position of the centre", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position of the centre", sigma="x_sigma_nm"),
    Column("class", "", "dumbbell, or single: a column without a partner"),
    Column("score", "", "probability that all its columns are there"),
    Column("separation_nm", "nm", "distance of the two columns", sigma="separation_sigma_nm"),
    Column(
        "direction_deg",
        "degree",
        "direction of the dumbbell, counter-clockwise on the screen from +x: 0 to 360 and to the sublattice that is "
        "brighter on average where the crystal is polar, else 0 to 180",
        sigma="direction_sigma_deg",
    ),
    Column("turn_deg", "degree", "direction against the frame's mean direction", sigma="turn_sigma_deg"),
    Column("ratio", "", "intensity of the column it points to over that of the other", sigma="ratio_sigma"),
    Column("intensity", "", "integrated intensity of its columns, in the image's own unit", sigma="intensity_sigma"),
    Column("flags", "", "doubts, see the conventions"),
)  # fmt: skip
#: What table 'columns' promises: one row a column, with the row of 'objects' that it belongs to.
COLUMNS = (*POINTS, Column("object", "", "id of its dumbbell in this frame's objects, or its own"))
#: What table 'frames' promises beside the lattice.
MEANS = (
    Column("dumbbells", "", "dumbbells in the frame"),
    Column("separation_nm", "nm", "mean separation", sigma="separation_sigma_nm"),
    Column("direction_deg", "degree", "mean direction", sigma="direction_sigma_deg"),
    Column("ratio", "", "geometric mean of the intensity ratios", sigma="ratio_sigma"),
    Column("polar", "", "standard deviations by which the logarithm of the mean ratio differs from zero"),
)
#: A crystal is polar if its mean ratio differs from one by so many standard deviations, and by this share at least.
_POLAR, _UNLIKE = 4.0, 0.02
#: A column that only the fit sees: intensity over its sigma and over the usual one, and the score it gets.
_SEEN, _LEAST, _SCORE = 6.0, 0.04, 0.95
#: Columns with one of these flags give no mean.
_DOUBT = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT)


@dataclass(frozen=True)
class Measured:
    """The numbers of E dumbbells, each (E,): in nm, radians (counter-clockwise on the screen), logarithms."""

    centre: Array
    centre_sigma: Array
    separation: Array
    separation_sigma: Array
    angle: Array
    angle_sigma: Array
    log_ratio: Array
    log_ratio_sigma: Array


def measure(located: Located, pairs: Pairs) -> Measured:
    """Return what the joint fit says of the pairs; NaN where a column was not fitted."""
    table, rows = located.table, pairs.rows
    place = table[["y_nm", "x_nm"]].to_numpy(float)[rows]
    bright = table["intensity"].to_numpy(float)[rows]
    covariance = located.fit.pair_covariance(rows) if len(rows) else np.zeros((0, 6, 6))
    alone = _independent(located, rows)
    covariance = np.where(np.isfinite(covariance).all(axis=(1, 2), keepdims=True), covariance, alone)
    spots = covariance[:, [[1], [2], [4], [5]], [1, 2, 4, 5]] * located.pixel_nm**2
    step, away = place[:, 1] - place[:, 0], np.concatenate([-np.eye(2), np.eye(2)], axis=1)
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    along = step / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    spread = away @ spots @ away.T
    middle = np.tile(np.eye(2) / 2, 2)
    centre = np.sqrt(np.maximum(np.einsum("eii->ei", middle @ spots @ middle.T), 0))
    wide = np.einsum("ei,eij,ej->e", across, spread, across)
    slope = np.stack([-1 / bright[:, 0], 1 / bright[:, 1]], axis=1)
    light = covariance[:, [[0], [3]], [0, 3]]
    with np.errstate(invalid="ignore", divide="ignore"):
        log_ratio = np.log(bright[:, 1] / bright[:, 0])
        return Measured(
            centre=place.mean(axis=1),
            centre_sigma=centre,
            separation=length - np.minimum(wide / (2 * length), 0.2 * length),
            separation_sigma=np.sqrt(np.einsum("ei,eij,ej->e", along, spread, along)),
            angle=np.arctan2(-step[:, 0], step[:, 1]),
            angle_sigma=np.sqrt(wide) / length,
            log_ratio=log_ratio,
            log_ratio_sigma=np.sqrt(np.einsum("ei,eij,ej->e", slope, light, slope)),
        )


def _independent(located: Located, rows: NDArray[np.intp]) -> Array:
    """Return the covariances (E, 6, 6) of pairs as if their columns did not overlap."""
    both = np.zeros((len(rows), 6, 6))
    for place, column in enumerate(rows.T):
        begin = 3 * place
        both[:, begin, begin] = located.fit.amplitude_sigma[column] ** 2
        both[:, begin + 1 : begin + 3, begin + 1 : begin + 3] = located.fit.covariance_px2[column]
    return both


def located_in_pairs(prediction: Prediction, settings: LocateSettings) -> Located:
    """Return the columns that the network finds, and those partners of theirs that it missed and the counts show.

    Where the lattice has a partner for a column and none was found, the joint fit is asked: a column counts if its
    intensity is `_SEEN` standard deviations and a share `_LEAST` of the usual one.
    """
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    size = (np.array(prediction.frame.data.shape) - 1) * pixel
    place = spotted(prediction, settings)
    count, lattice, inside = len(place), *_lattice(place, size)
    if lattice is not None and not dumbbell_sites(lattice):
        place = np.concatenate([place, faint_sites(place, lattice, inside, size)])
        lattice, inside = _lattice(place, size)
    lost = lost_columns(place, lattice, inside)
    points = np.concatenate([place[np.setdiff1d(np.arange(count, len(place)), lost.merged)], lost.points])
    points = points[((points > 0) & (points < size)).all(axis=1)]
    located = locate(prediction, settings, Amended(points, lost.merged[lost.merged < count]))
    bright, sigma, known = located.fit.amplitude, located.fit.amplitude_sigma, len(located.table) - len(points)
    usual = float(np.nanmedian(bright[:known])) if np.isfinite(bright[:known]).any() else 0.0
    found = np.arange(len(bright)) < known
    keep = np.flatnonzero(found | (located.fit.ok & (bright > _SEEN * sigma) & (bright > _LEAST * usual)))
    shown = located.table.assign(score=np.where(found, located.table["score"], _SCORE)).iloc[keep]
    return Located(shown.reset_index(drop=True), located.fit.rows(keep), pixel)


def _lattice(place: Array, size: Array) -> tuple[Lattice | None, NDArray[np.bool_]]:
    """Return the lattice of columns (N, 2) and which it was fitted to: those not cut by the border."""
    inside = np.asarray(((place > BORDER_NM) & (place < size - BORDER_NM)).all(axis=1))
    return (fit_lattice(*place[inside].T) if inside.sum() >= 8 else None), inside


def read_dumbbells(prediction: Prediction, located: Located) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'columns' and 'frames' of one frame."""
    table = located.table
    crystal = crystal_of(table)
    pairs = find_pairs(table[["y_nm", "x_nm"]].to_numpy(float), crystal.measured, crystal.trusted)
    found = measure(located, pairs)
    column_flags = table["flags"].to_numpy(np.int64)
    flags = np.bitwise_or.reduce(column_flags[pairs.rows], axis=1) if len(pairs) else np.zeros(0, np.int64)
    flags = flags | np.where(pairs.ordered, 0, int(Flag.LOW_CONFIDENCE))
    means, sense = _means(found, (flags & _DOUBT) == 0, pairs.ordered)
    objects, owner = _objects(prediction.frame.index, located, pairs, _turned(found, sense), (flags, means))
    doubts = order_doubts(table, crystal.lattice)
    if len(table) and not len(pairs):
        doubts = (*doubts, "No two columns are nearer to each other than to others: there are no dumbbells here.")
    frames = frame_row(prediction, table, crystal, doubts=doubts)
    frames = frames.assign(dumbbells=len(pairs), **means)
    columns = table.assign(object=owner)
    columns["class"] = pd.Series(["column"] * len(table), dtype=str)
    return {"objects": objects, "columns": columns, "frames": frames}


def _turned(found: Measured, sense: Array) -> Measured:
    """Return the same with the pairs turned round where `sense` (E,) is -1."""
    return Measured(
        found.centre, found.centre_sigma, found.separation, found.separation_sigma,
        found.angle + np.where(sense < 0, np.pi, 0.0), found.angle_sigma,
        sense * found.log_ratio, found.log_ratio_sigma,
    )  # fmt: skip


def _means(found: Measured, good: NDArray[np.bool_], ordered: NDArray[np.bool_]) -> tuple[dict[str, float], Array]:
    """Return the means of a frame, and which way (E,) each pair is to be read: 1 as it is, -1 turned round."""
    unknown = float("nan")
    names = (
        "separation_nm",
        "separation_sigma_nm",
        "direction_deg",
        "direction_sigma_deg",
        "ratio",
        "ratio_sigma",
        "polar",
    )
    count = int((good & ordered).sum())
    which = good & ordered if count >= 3 else good
    which = which & np.isfinite(found.separation_sigma) & np.isfinite(found.log_ratio_sigma)
    number = int(which.sum())
    sense = np.ones(len(good))
    if number < 3:
        return dict.fromkeys(names, unknown), sense
    ratio = float(found.log_ratio[which].mean())
    ratio_sigma = float(found.log_ratio[which].std(ddof=1) / np.sqrt(number))
    polar = abs(ratio) / max(ratio_sigma, 1e-12)
    if ratio < 0:
        sense, ratio = -sense, -ratio
    angle = found.angle + np.where(sense < 0, np.pi, 0.0)
    mean = float(np.angle(np.exp(2j * angle[which]).mean()) / 2)
    spread = np.angle(np.exp(2j * (angle[which] - mean))) / 2
    is_polar = polar > _POLAR and ratio > _UNLIKE
    if np.cos(angle[which] - mean).mean() < 0:
        mean += np.pi
    aside = ~ordered & (np.cos(angle - mean) < 0)
    sense = np.where(aside, -sense, sense)
    if not is_polar and not 0 <= mean % (2 * np.pi) < np.pi:
        sense, ratio, mean = -sense, -ratio, mean + np.pi
    separation = found.separation[which]
    values = (
        float(separation.mean()), float(separation.std(ddof=1) / np.sqrt(number)),
        float(np.degrees(mean) % (360 if is_polar else 180)),
        float(np.degrees(spread.std(ddof=1) / np.sqrt(number))),
        float(np.exp(ratio)), float(np.exp(ratio) * ratio_sigma), float(polar),
    )  # fmt: skip
    return dict(zip(names, values, strict=True)), sense


def _objects(
    frame: int, located: Located, pairs: Pairs, found: Measured, said: tuple[NDArray[np.int64], Mapping[str, float]]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the table 'objects' and to which of its rows each column belongs; `said` are flags and means."""
    table, (flags, means) = located.table, said
    owner = np.full(len(table), -1, dtype=np.int64)
    for number, rows in enumerate(pairs.rows):
        owner[rows] = number
    single = np.flatnonzero(owner < 0)
    owner[single] = len(pairs) + np.arange(len(single))
    nan = np.full(len(single), np.nan)
    alone = table.iloc[single]
    mean = np.radians(means["direction_deg"]) if np.isfinite(means["direction_deg"]) else 0.0
    turn = np.degrees(np.angle(np.exp(2j * (found.angle - mean))) / 2)
    whole = 360.0 if _is_polar(means) else 180.0
    angle = np.degrees(found.angle) % whole
    ratio = np.exp(found.log_ratio)
    light = located.fit.amplitude[pairs.rows].sum(axis=1)
    light_sigma = np.sqrt((located.fit.amplitude_sigma[pairs.rows] ** 2).sum(axis=1))
    values: dict[str, Any] = {
        "frame": np.full(len(pairs) + len(single), frame, dtype=np.int64),
        "id": np.arange(len(pairs) + len(single), dtype=np.int64),
        "y_nm": np.concatenate([found.centre[:, 0], alone["y_nm"]]),
        "x_nm": np.concatenate([found.centre[:, 1], alone["x_nm"]]),
        "y_sigma_nm": np.concatenate([found.centre_sigma[:, 0], alone["y_sigma_nm"]]),
        "x_sigma_nm": np.concatenate([found.centre_sigma[:, 1], alone["x_sigma_nm"]]),
        "class": pd.Series(["dumbbell"] * len(pairs) + ["single"] * len(single), dtype=str),
        "score": np.concatenate([table["score"].to_numpy(float)[pairs.rows].prod(axis=1), alone["score"]]),
        "separation_nm": np.concatenate([found.separation, nan]),
        "separation_sigma_nm": np.concatenate([found.separation_sigma, nan]),
        "direction_deg": np.concatenate([angle, nan]),
        "direction_sigma_deg": np.concatenate([np.degrees(found.angle_sigma), nan]),
        "turn_deg": np.concatenate([turn, nan]),
        "turn_sigma_deg": np.concatenate([np.degrees(found.angle_sigma), nan]),
        "ratio": np.concatenate([ratio, nan]),
        "ratio_sigma": np.concatenate([ratio * found.log_ratio_sigma, nan]),
        "intensity": np.concatenate([light, alone["intensity"]]),
        "intensity_sigma": np.concatenate([light_sigma, alone["intensity_sigma"]]),
        "flags": np.concatenate([flags, alone["flags"].to_numpy(np.int64)]).astype(np.int64),
    }
    return pd.DataFrame(values), owner


def _is_polar(means: Mapping[str, float]) -> bool:
    return bool(means["polar"] > _POLAR and means["ratio"] > 1 + _UNLIKE)
