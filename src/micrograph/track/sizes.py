"""Sizes of followed objects, their growth or closing, and areas without flicker."""

from __future__ import annotations

import numpy as np
import pandas as pd

from micrograph.core import Column
from micrograph.track.healing import Growth, growth, steady
from micrograph.track.timeline import Array

SIZES = (
    Column("name", "", "class of the objects; 'all' together"),
    Column("number", "", "different objects: tracks"),
    Column("count_per_frame", "", "mean number in a frame"),
    Column("equivalent_diameter_nm", "nm", "mean diameter of the circle of equal area, one value an object"),
    Column("equivalent_diameter_low_nm", "nm", "lower end of the 95 % interval of the mean"),
    Column("equivalent_diameter_high_nm", "nm", "upper end of it"),
    Column("equivalent_diameter_spread_nm", "nm", "standard deviation between objects"),
    Column("area_nm2", "nm^2", "mean area, one value an object"),
    Column("area_low_nm2", "nm^2", "lower end of the 95 % interval of the mean"),
    Column("area_high_nm2", "nm^2", "upper end of it"),
    Column("frames", "", "frames that count"),
)
GROWTH = (
    Column("track", "", "the object"),
    Column("name", "", "its class"),
    Column("law", "", "which law its area follows best: constant edge velocity, constant area rate, exponential"),
    Column("delta_aic", "", "by how much the next best law is worse (Akaike)"),
    *(
        Column(f"{name}{end}{unit}", of, f"{about}{meaning}")
        for name, unit, of, about in (
            ("area_rate", "_nm2_per_s", "nm^2 s^-1", "mean change of the area"),
            ("radius_rate", "_nm_per_s", "nm s^-1", "mean change of the radius of the circle of equal area"),
            ("edge_velocity", "_nm_per_s", "nm s^-1", "area rate over mean perimeter, outwards positive"),
            ("closing", "_s", "s", "time at which the area is zero"),
        )
        for end, meaning in (("", ""), ("_low", ": lower end of the 95 % interval"), ("_high", ": upper end"))
    ),
    Column("frames", "", "frames in which it was measured"),
    Column("aside", "", "frames of these that stand out and were set aside"),
)


def sizes_table(tracks: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return the mean sizes (`SIZES`) of all tracks and of every class, with intervals between objects."""
    own = tracks.assign(diameter=2 * np.sqrt(tracks["area_nm2"].to_numpy(float) / np.pi))
    kinds = sorted(set(own["class"].tolist()))
    groups = [("all", own), *((kind, own[own["class"] == kind]) for kind in kinds if len(kinds) > 1)]
    rows = [_size_row(name, rows, len(frames)) for name, rows in groups]
    return pd.DataFrame(rows, columns=[column.name for column in SIZES])


def _size_row(name: str, rows: pd.DataFrame, frames: int) -> list[object]:
    means = rows.groupby("track")[["diameter", "area_nm2"]].mean()
    diameter, area = means["diameter"].to_numpy(float), means["area_nm2"].to_numpy(float)
    spread = float(np.std(diameter, ddof=1)) if len(means) > 1 else float("nan")
    per_frame = len(rows) / frames if frames else 0.0
    return [name, len(means), per_frame, *_mean(diameter), spread, *_mean(area), frames]


def _mean(values: Array) -> tuple[float, float, float]:
    """Return the mean and the ends of its 95 % interval."""
    from scipy.stats import t as student

    if len(values) == 0:
        return (float("nan"),) * 3
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    wide = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - wide, mean + wide


def growth_table(tracks: pd.DataFrame, followed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return growth or closing (`GROWTH`) of every track of 4 rows or more with ``t_s`` and ``area_nm2``.

    followed: all rows of the tracks, where `tracks` holds those alone whose areas are sure: rates are means over the
    time in which an object was followed, by the law of its sure areas.
    """
    times = (tracks if followed is None else followed).groupby("track")["t_s"]
    first, last = times.min().to_dict(), times.max().to_dict()
    found = []
    for track, rows in tracks.groupby("track"):
        if len(rows) >= 4:
            answer = growth(rows["t_s"].to_numpy(float), rows["area_nm2"].to_numpy(float), (first[track], last[track]))
            name = rows["class"].iloc[0] if "class" in rows else rows["shape"].iloc[0] if "shape" in rows else "object"
            found.append([track, name, *_growth_row(answer, _perimeter(rows))])
    return pd.DataFrame(found, columns=[column.name for column in GROWTH])


def _perimeter(rows: pd.DataFrame) -> float:
    """Return the mean perimeter (nm), that of circles where it is not known."""
    if "perimeter_nm" in rows:
        return float(rows["perimeter_nm"].mean())
    return float(2 * np.sqrt(np.pi * rows["area_nm2"].to_numpy(float)).mean())


def _growth_row(found: Growth, perimeter: float) -> list[object]:
    edge = (rate / perimeter for rate in found.area_rate)
    rates = (*found.area_rate, *found.radius_rate, *edge, *found.closing_s)
    return [found.law, found.delta_aic, *rates, found.frames, found.aside]


def steady_areas(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return the tracks with the column ``area_steady_nm2``: the area without flicker."""
    time = "t_s" if len(tracks) and np.isfinite(tracks["t_s"].to_numpy(float)).all() else "frame"
    pieces = [
        steady(rows[time].to_numpy(float), rows["area_nm2"].to_numpy(float)) for _, rows in tracks.groupby("track")
    ]
    return tracks.assign(area_steady_nm2=np.concatenate([np.empty(0), *pieces]))
