"""Fitted patterns as tables, and what all patterns of a recording say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction
from micrograph.features.diffraction.pattern_fit import PARAMETERS

Array = NDArray[np.float64]

#: Half-width of a 95 % interval in 1-sigma.
_Z95 = 1.96
PATTERNS = (
    Column("frame", "", "number of the pattern"),
    Column("thickness_nm", "nm", "thickness of the crystal", sigma="thickness_sigma_nm"),
    Column("thickness_low_nm", "nm", "lower end of its 95 % interval"),
    Column("thickness_high_nm", "nm", "upper end of its 95 % interval"),
    Column("tilt_y_mrad", "mrad", "tilt of the beam from the zone axis along the rows", sigma="tilt_y_sigma_mrad"),
    Column("tilt_x_mrad", "mrad", "tilt of the beam from the zone axis along the columns", sigma="tilt_x_sigma_mrad"),
    Column("tilt_mrad", "mrad", "length of the tilt", sigma="tilt_sigma_mrad"),
    Column(
        "rotation_deg", "deg", "turn of the crystal's x axis, counter-clockwise from +x", sigma="rotation_sigma_deg"
    ),
    Column("y_px", "px", "centre of the disc, row", sigma="y_sigma_px"),
    Column("x_px", "px", "centre of the disc, column", sigma="x_sigma_px"),
    Column("radius_px", "px", "radius of the disc", sigma="radius_sigma_px"),
    Column("mrad_per_px", "mrad", "angle of one pixel", sigma="mrad_per_px_sigma"),
    Column("elastic", "", "counts that the beam has in all, as the elastic pattern tells", sigma="elastic_sigma"),
    Column("misfit", "", "mean square of the residuals over the counts that are expected"),
    Column("unexplained", "", "share of the pattern's contrast that the model does not explain"),
)
FITTED = (Column("count", "", "patterns in the frame that were fitted"),)
SUMMARY = (
    Column("patterns", "", "number of patterns that were fitted"),
    Column("thickness_nm", "nm", "mean thickness", sigma="thickness_sigma_nm"),
    Column("thickness_spread_nm", "nm", "standard deviation of the thickness over the patterns"),
    Column("thickness_least_nm", "nm", "least thickness"),
    Column("thickness_most_nm", "nm", "greatest thickness"),
    Column("tilt_y_mrad", "mrad", "mean tilt along the rows", sigma="tilt_y_sigma_mrad"),
    Column("tilt_x_mrad", "mrad", "mean tilt along the columns", sigma="tilt_x_sigma_mrad"),
)


@dataclass(frozen=True)
class PatternRow:
    """What a fitted pattern says, as a row; turns that look the same count as one."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' (one row) and 'frames'."""
        values = prediction.values
        known = dict(zip(PARAMETERS, values["parameters"].tolist(), strict=True))
        sigma = dict(zip(PARAMETERS, np.sqrt(np.diag(values["covariance"])).tolist(), strict=True))
        tilt = np.array([known["tilt_y_mrad"], known["tilt_x_mrad"]])
        length = float(np.hypot(*tilt))
        along = tilt / max(length, 1e-9)
        pitch = float(np.exp(known["log_scale"]))
        radius = float(values["convergence_mrad"]) / pitch
        thickness, doubt = known["thickness_nm"], sigma["thickness_nm"]
        row = {
            "thickness_nm": thickness,
            "thickness_sigma_nm": doubt,
            "thickness_low_nm": max(0.0, thickness - _Z95 * doubt),
            "thickness_high_nm": thickness + _Z95 * doubt,
            "tilt_y_mrad": known["tilt_y_mrad"],
            "tilt_y_sigma_mrad": sigma["tilt_y_mrad"],
            "tilt_x_mrad": known["tilt_x_mrad"],
            "tilt_x_sigma_mrad": sigma["tilt_x_mrad"],
            "tilt_mrad": length,
            "tilt_sigma_mrad": float(np.sqrt(along @ values["covariance"][1:3, 1:3] @ along))
            or float(np.hypot(sigma["tilt_y_mrad"], sigma["tilt_x_mrad"])),
            "rotation_deg": float(np.mod(np.rad2deg(known["rotation"]), float(values["period_deg"]))),
            "rotation_sigma_deg": float(np.rad2deg(sigma["rotation"])),
            "y_px": known["y_px"],
            "y_sigma_px": sigma["y_px"],
            "x_px": known["x_px"],
            "x_sigma_px": sigma["x_px"],
            "radius_px": radius,
            "radius_sigma_px": radius * sigma["log_scale"],
            "mrad_per_px": pitch,
            "mrad_per_px_sigma": pitch * sigma["log_scale"],
            "elastic": known["elastic"],
            "elastic_sigma": sigma["elastic"],
            "misfit": float(values["misfit"]),
            "unexplained": float(values["unexplained"]),
        }
        return {"objects": pd.DataFrame([row]), "frames": pd.DataFrame([{"count": 1} | row])}


@dataclass(frozen=True)
class Moments:
    """Sums over patterns: their number, sums (3,) and sums of squares (3,) of thickness and tilts, and extremes."""

    count: int = 0
    total: Array = field(default_factory=lambda: np.zeros(3))
    squares: Array = field(default_factory=lambda: np.zeros(3))
    sigmas: Array = field(default_factory=lambda: np.zeros(3))
    least: float = np.inf
    most: float = -np.inf


@dataclass(frozen=True)
class PatternSummary:
    """Mean thickness and tilt of all patterns; the state is a few numbers however long the scan is."""

    def start(self) -> Moments:
        """Return the state before the first pattern."""
        return Moments()

    def step(self, state: Moments, tables: Mapping[str, pd.DataFrame]) -> Moments:
        """Return the state after one more pattern."""
        rows = tables["objects"]
        if not len(rows):
            return state
        values = rows[["thickness_nm", "tilt_y_mrad", "tilt_x_mrad"]].to_numpy(float)
        sigmas = rows[["thickness_sigma_nm", "tilt_y_sigma_mrad", "tilt_x_sigma_mrad"]].to_numpy(float)
        return Moments(
            state.count + len(values),
            state.total + values.sum(axis=0),
            state.squares + (values**2).sum(axis=0),
            state.sigmas + (sigmas**2).sum(axis=0),
            min(state.least, float(values[:, 0].min())),
            max(state.most, float(values[:, 0].max())),
        )

    def result(self, state: Moments) -> dict[str, pd.DataFrame]:
        """Return the table 'summary': means with the 1-sigma that the patterns' own sigmas or their spread give."""
        n = state.count
        mean = state.total / n if n else np.full(3, np.nan)
        spread = np.sqrt(np.maximum(state.squares / n - mean**2, 0) * n / (n - 1)) if n > 1 else np.full(3, np.nan)
        own = np.sqrt(state.sigmas) / n if n else np.full(3, np.nan)
        sigma = np.fmax(own, spread / np.sqrt(max(n, 1)))
        row = {
            "patterns": n,
            "thickness_nm": mean[0],
            "thickness_sigma_nm": sigma[0],
            "thickness_spread_nm": spread[0],
            "thickness_least_nm": state.least if n else np.nan,
            "thickness_most_nm": state.most if n else np.nan,
            "tilt_y_mrad": mean[1],
            "tilt_y_sigma_mrad": sigma[1],
            "tilt_x_mrad": mean[2],
            "tilt_x_sigma_mrad": sigma[2],
        }
        return {"summary": pd.DataFrame([row])}
