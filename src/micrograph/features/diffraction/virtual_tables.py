"""What virtual detectors see, place by place, as tables; and maps and mean patterns of the whole scan."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction
from micrograph.features.diffraction.virtual import SUMS, centre_of_mass, descanned, field_of, least_curl_deg

Array = NDArray[np.float64]

PLACES = (
    Column("frame", "", "number of the lines that were read together"),
    Column("row", "", "line of the scan"),
    Column("column", "", "place along the line"),
    Column("y_nm", "nm", "place down the scan"),
    Column("x_nm", "nm", "place along the line"),
    Column("total", "", "counts of the pattern in all"),
    Column("bright_field", "", "counts in the direct beam's disc", sigma="bright_field_sigma"),
    Column("dark_field", "", "counts in the ring about the disc", sigma="dark_field_sigma"),
    Column("com_y_px", "px", "centre of mass from the disc's middle, down the detector", sigma="com_y_sigma_px"),
    Column("com_x_px", "px", "centre of mass from the disc's middle, along its rows", sigma="com_x_sigma_px"),
)
LINES = (
    Column("count", "", "patterns in these lines"),
    Column("mean_total", "", "mean counts of a pattern"),
    Column("disc_y_px", "px", "middle of the disc, row"),
    Column("disc_x_px", "px", "middle of the disc, column"),
    Column("radius_px", "px", "radius of the disc"),
)
MAPS = (
    Column("row", "", "line of the scan"),
    Column("column", "", "place along the line"),
    Column("y_nm", "nm", "place down the scan"),
    Column("x_nm", "nm", "place along the line"),
    Column("total", "", "counts of the pattern in all"),
    Column("bright_field", "", "counts in the direct beam's disc"),
    Column("dark_field", "", "counts in the ring about the disc"),
    Column("shift_y_px", "px", "centre of mass without the descan's part, down the detector"),
    Column("shift_x_px", "px", "centre of mass without the descan's part, along its rows"),
    Column("divergence_px", "px", "divergence of the shift, a step of the scan"),
    Column("curl_px", "px", "curl of the shift, a step of the scan"),
    Column("potential_px", "px", "potential whose slopes are the shifts, in steps of the scan (phase contrast)"),
)
MEANS = (
    Column("region", "", "'all', or the number of a region that was asked for"),
    Column("y_px", "px", "row of the detector"),
    Column("x_px", "px", "column of the detector"),
    Column("counts", "", "mean counts: the position-averaged pattern"),
)
SUMMARY = (
    Column("patterns", "", "number of patterns"),
    Column("bright_share", "", "share of the counts in the direct beam's disc"),
    Column("dark_share", "", "share of the counts in the ring about the disc"),
    Column("disc_y_px", "px", "middle of the disc, row"),
    Column("disc_x_px", "px", "middle of the disc, column"),
    Column("radius_px", "px", "radius of the disc"),
    Column("mrad_per_px", "mrad", "angle of a pixel, not known where it is missing"),
    Column("shift_spread_px", "px", "root mean square of the shift of the centre of mass"),
    Column("turn_deg", "deg", "turn of the shifts, counter-clockwise, that leaves the least curl (or 180 more)"),
)


@dataclass(frozen=True)
class PlaceRows:
    """What the detectors see along some lines of a scan: one row a place."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'frames' (one row), and '_patterns' for the fold."""
        values = prediction.values
        found, disc = values["sums"], values["disc"]
        mass = centre_of_mass(found)
        sums = dict(zip(SUMS, found.T, strict=True))
        known = prediction.frame.calibration.step_nm
        step = np.nan if known is None else known
        row, column = (values[name].astype(np.int64) for name in ("row", "column"))
        rows = {
            "frame": np.full(len(found), prediction.frame.index),
            "row": row,
            "column": column,
            "y_nm": row * step,
            "x_nm": column * step,
            "total": sums["total"],
            "bright_field": sums["bright_field"],
            "bright_field_sigma": np.sqrt(np.maximum(sums["bright_field"], 0)),
            "dark_field": sums["dark_field"],
            "dark_field_sigma": np.sqrt(np.maximum(sums["dark_field"], 0)),
            "com_y_px": mass.y_px,
            "com_y_sigma_px": mass.y_sigma_px,
            "com_x_px": mass.x_px,
            "com_x_sigma_px": mass.x_sigma_px,
        }
        facts = {
            "frame": prediction.frame.index,
            "count": len(found),
            "mean_total": float(found[:, 0].mean()),
            "disc_y_px": float(disc[0]),
            "disc_x_px": float(disc[1]),
            "radius_px": float(disc[2]),
            "mrad_per_px": float(disc[3]),
            "step_nm": step,
        }
        return {
            "objects": pd.DataFrame(rows),
            "frames": pd.DataFrame([facts]),
            "_patterns": _packed(prediction.frame.index, values["patterns"], values["counts"]),
        }


def _packed(frame: int, patterns: Array, counts: Array) -> pd.DataFrame:
    """Return sums of patterns (R, H, W), each of `counts` (R,) patterns, as bytes: one row a region."""
    height, width = patterns.shape[1:]
    held = [one.astype(np.float32).tobytes() for one in patterns]
    known = {"frame": frame, "region": np.arange(len(held)), "patterns": counts, "height": height, "width": width}
    return pd.DataFrame(known | {"sum": held})


@dataclass(frozen=True)
class Gathered:
    """What was seen so far: numbers by line and place, sums of patterns by region with their numbers, and the disc.

    lines: for each stretch the first line and (lines, places, 5) numbers.
    """

    lines: tuple[tuple[int, NDArray[np.float32]], ...] = ()
    patterns: Array | None = None
    counts: Array = field(default_factory=lambda: np.zeros(1))
    facts: Mapping[str, float] = field(default_factory=dict)


_KEPT = ("total", "bright_field", "dark_field", "com_y_px", "com_x_px")


@dataclass(frozen=True)
class ScanMaps:
    """Maps and mean patterns of a whole scan; the state is a few numbers a place, and one pattern a region.

    descan: what is taken off the centre of mass: the 'plane' through it, its 'mean', or 'none'.
    """

    descan: Literal["plane", "mean", "none"] = "plane"

    def start(self) -> Gathered:
        """Return the state before the first line."""
        return Gathered()

    def step(self, state: Gathered, tables: Mapping[str, pd.DataFrame]) -> Gathered:
        """Return the state after some more lines."""
        rows, facts, packed = tables["objects"], tables["frames"], tables["_patterns"]
        if not len(rows) or not len(packed):
            return state
        shape = (len(packed), int(packed["height"].iloc[0]), int(packed["width"].iloc[0]))
        sums = np.frombuffer(b"".join(packed["sum"]), np.float32).reshape(shape).astype(float)
        across = int(rows["column"].max()) + 1
        line = (int(rows["row"].iloc[0]), rows[list(_KEPT)].to_numpy(np.float32).reshape(-1, across, len(_KEPT)))
        counts = packed["patterns"].to_numpy(float)
        known = state.patterns is not None
        return Gathered(
            (*state.lines, line),
            sums if state.patterns is None else state.patterns + sums,
            state.counts + counts if known else counts,
            {str(name): float(value) for name, value in facts.iloc[0].items() if name in _FACTS},
        )

    def result(self, state: Gathered) -> dict[str, pd.DataFrame]:
        """Return the tables 'maps', 'patterns' and 'summary'."""
        if state.patterns is None:
            return dict(_nothing())
        lines = np.concatenate([first + np.arange(len(values)) for first, values in state.lines])
        seen = np.concatenate([values for _, values in state.lines]).astype(float)
        total, bright, dark, y, x = np.moveaxis(seen, -1, 0)
        y, x = (descanned(one, self.descan) for one in (y, x))
        found = field_of(y, x)
        maps = [total, bright, dark, y, x, found.divergence, found.curl, found.potential]
        return {
            "maps": _places(lines, maps, state.facts["step_nm"]),
            "patterns": _means(state.patterns, state.counts),
            "summary": _summary(maps, state),
        }


_FACTS = ("disc_y_px", "disc_x_px", "radius_px", "mrad_per_px", "step_nm")
_TABLES = {"maps": MAPS, "patterns": MEANS, "summary": SUMMARY}


@functools.cache
def _nothing() -> dict[str, pd.DataFrame]:
    """Return the tables over all lines, without rows."""
    return {
        name: pd.DataFrame({column.name: pd.Series(dtype="float64") for column in columns})
        for name, columns in _TABLES.items()
    }


def _places(lines: NDArray[np.int_], maps: list[Array], step: float) -> pd.DataFrame:
    down, across = maps[0].shape
    row, column = np.repeat(lines, across), np.tile(np.arange(across), down)
    places = {"row": row, "column": column, "y_nm": row * step, "x_nm": column * step}
    names = [column.name for column in MAPS[4:]]
    return pd.DataFrame(places | {name: one.ravel() for name, one in zip(names, maps, strict=True)})


def _means(patterns: Array, counts: Array) -> pd.DataFrame:
    number, height, width = patterns.shape
    y, x = (axis.ravel() for axis in np.indices((height, width)))
    return pd.DataFrame(
        {
            "region": np.repeat(["all", *map(str, range(1, number))], height * width),
            "y_px": np.tile(y, number),
            "x_px": np.tile(x, number),
            "counts": (patterns / np.maximum(counts, 1)[:, None, None]).ravel(),
        }
    )


def _summary(maps: list[Array], state: Gathered) -> pd.DataFrame:
    total, bright, dark, y, x = maps[:5]
    whole = max(float(np.nansum(total)), 1e-30)
    facts = {name: state.facts[name] for name in ("disc_y_px", "disc_x_px", "radius_px", "mrad_per_px")}
    row = {
        "patterns": int(total.size),
        "bright_share": float(np.nansum(bright)) / whole,
        "dark_share": float(np.nansum(dark)) / whole,
        **facts,
        "shift_spread_px": float(np.sqrt(np.nanmean(y**2 + x**2))) if np.isfinite(y).any() else np.nan,
        "turn_deg": least_curl_deg(y, x),
    }
    return pd.DataFrame([row])
