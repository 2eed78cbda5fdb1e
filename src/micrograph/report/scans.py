"""Pictures of diffraction patterns and of 4D-STEM scans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag, Prediction
from micrograph.draw.patterns import Disc, fitted_pattern_figure, pattern_figure
from micrograph.draw.scans import ScanMap, direction_figure, scan_maps_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Numbers of fitted patterns that are mapped over a scan: the title, the label of the colours, even about zero.
_FITTED = {
    "thickness_nm": ("thickness", "nm", False),
    "tilt_y_mrad": ("tilt, down the detector", "mrad", True),
    "tilt_x_mrad": ("tilt, along its rows", "mrad", True),
    "thickness_sigma_nm": ("1-sigma of the thickness", "nm", False),
}
#: Patterns with one of these flags are left out of the maps.
_DOUBTED = int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME | Flag.NO_FIT)


def scan_figures(prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of a fitted pattern, of fits over a scan, and of virtual detectors; {} where none fits."""
    found: dict[str, Figure] = {}
    if prediction is not None and "expected" in prediction.values:
        found["fitted-pattern"] = _fitted(prediction)
    frames = tables.get("frames")
    if frames is not None and {"scan_row", "scan_column", "thickness_nm"} <= set(frames) and len(frames) > 3:
        found["scan-thickness"] = _fits_over(frames)
    if {"maps", "patterns", "summary"} <= set(tables) and "bright_field" in tables["maps"] and len(tables["maps"]):
        found |= _virtual(tables["maps"], tables["patterns"], tables["summary"])
    return found


def _fitted(prediction: Prediction) -> Figure:
    values = prediction.values
    parameters, covariance = values["parameters"], values["covariance"]
    pitch = float(np.exp(parameters[5]))
    disc = Disc(float(parameters[3]), float(parameters[4]), float(values["convergence_mrad"]) / pitch, pitch)
    sigma = float(np.sqrt(covariance[0, 0]))
    length = float(np.hypot(*parameters[1:3]))
    title = f"Pattern {prediction.frame.index}: {parameters[0]:.1f} ± {sigma:.1f} nm, tilt {length:.2f} mrad"
    return fitted_pattern_figure(prediction.frame.data.astype(float), values["expected"], disc, title)


def _fits_over(frames: DataFrame) -> Figure:
    sure = frames[(frames["flags"].to_numpy(np.int64) & _DOUBTED) == 0]
    row, column = (sure[name].to_numpy(int) for name in ("scan_row", "scan_column"))
    shape = (int(frames["scan_row"].max()) + 1, int(frames["scan_column"].max()) + 1)
    maps = {}
    for name, (words, unit, even) in _FITTED.items():
        if name in sure:
            values = np.full(shape, np.nan)
            values[row, column] = sure[name].to_numpy(float)
            maps[words] = ScanMap(values, f"{words.split(',')[0]} ({unit})", "RdBu_r" if even else "viridis", even)
    step = _step(frames, "x_nm", "scan_column")
    return scan_maps_figure(maps, step, "Fitted patterns over the scan")


def _step(table: DataFrame, place: str, number: str) -> float | None:
    """Return the distance in nm of neighbouring places, ``None`` where it is not known."""
    if place not in table:
        return None
    some = table[table[number] > 0]
    ratio = float((some[place] / some[number]).median()) if len(some) else np.nan
    return ratio if np.isfinite(ratio) and ratio > 0 else None


def _virtual(maps: DataFrame, patterns: DataFrame, summary: DataFrame) -> dict[str, Figure]:
    shape = (maps["row"].nunique(), maps["column"].nunique())
    step, facts = _step(maps, "x_nm", "column"), summary.iloc[0]
    pitch = float(facts["mrad_per_px"]) if np.isfinite(facts["mrad_per_px"]) else None
    shown = {name: maps[name].to_numpy(float).reshape(shape) for name in maps.columns[4:]}
    found = {
        "virtual": scan_maps_figure(
            {
                "bright field": ScanMap(shown["bright_field"], "counts", "gray"),
                "annular dark field": ScanMap(shown["dark_field"], "counts", "gray"),
            },
            step,
            "What virtual detectors see",
        )
    }
    unit, factor = ("mrad", pitch) if pitch else ("px", 1.0)
    y, x = shown["shift_y_px"] * factor, shown["shift_x_px"] * factor
    if min(shape) > 1:
        found["centre-of-mass"] = direction_figure(y, x, step, "Shift of the centre of mass", unit)
        found["phase"] = scan_maps_figure(
            {
                "divergence": ScanMap(shown["divergence_px"] * factor, f"{unit} a step", "RdBu_r", True),
                "potential": ScanMap(shown["potential_px"] * factor, f"{unit} x step", "gray"),
            },
            step,
            "What the shifts come from",
        )
    disc = Disc(float(facts["disc_y_px"]), float(facts["disc_x_px"]), float(facts["radius_px"]), pitch)
    for number, (region, rows) in enumerate(patterns.groupby("region", sort=False)):
        mean = rows["counts"].to_numpy(float).reshape(int(rows["y_px"].max()) + 1, -1)
        words = "Mean pattern of all places" if number == 0 else f"Mean pattern of region {region}"
        found["mean-pattern" if number == 0 else f"mean-pattern-{region}"] = pattern_figure(mean, disc, words)
    return found
