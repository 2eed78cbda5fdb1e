"""Endmembers and their shares as tables: place by place, and of the whole recording."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction

Array = NDArray[np.float64]

PLACES = (
    Column("frame", "", "number of the line, among those that were analysed"),
    Column("row", "", "line of the map"),
    Column("column", "", "place along the line"),
    Column("y_nm", "nm", "place down the map"),
    Column("x_nm", "nm", "place along the line"),
    Column("component", "", "number of the endmember, 1 the most abundant"),
    Column("counts", "", "counts of this endmember in the spectrum", sigma="counts_sigma"),
    Column("share", "", "its share of all counts there", sigma="share_sigma"),
)
LINES = (
    Column("count", "", "spectra in this line"),
    Column("mean_total", "", "mean counts of a spectrum"),
    Column("misfit", "", "mean chi-square a channel: 1 where the endmembers explain everything but noise"),
    Column("spikes", "", "values that were replaced because a cosmic ray hit there"),
)
MAPS = (
    Column("row", "", "line of the map"),
    Column("column", "", "place along the line"),
    Column("y_nm", "nm", "place down the map"),
    Column("x_nm", "nm", "place along the line"),
    Column("total", "", "counts of the spectrum"),
    Column("misfit", "", "chi-square a channel"),
)
SPECTRA = (
    Column("component", "", "number of the endmember, 1 the most abundant"),
    Column("channel", "", "number of the channel"),
    Column("energy", "", "energy in the recording's unit, or the channel where it is not known"),
    Column("value", "", "share of the endmember's counts in this channel", sigma="value_sigma"),
)
SINGULAR = (
    Column("component", "", "number of the singular value, of the counts with white noise"),
    Column("over_edge", "", "singular value over the largest that noise makes: above 1 it is signal"),
)
SUMMARY = (
    Column("spectra", "", "number of spectra"),
    Column("components", "", "number of endmembers"),
    Column("detected", "", "number of components that stand out of noise"),
    Column("gain", "", "variance of a value over its mean: 1 where values are counts"),
    Column("misfit", "", "mean chi-square a channel: 1 where the endmembers explain everything but noise"),
    Column("places_together", "", "spectra of so many by so many places were added to find the endmembers"),
    Column("channels_together", "", "so many channels were added to find their number"),
    Column("purest_share", "", "largest share that the least pure endmember has anywhere"),
)
_TABLES = {"maps": MAPS, "spectra": SPECTRA, "singular": SINGULAR, "summary": SUMMARY}


@dataclass(frozen=True)
class LineRows:
    """What the endmembers are in one line: one row a place and endmember."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'frames' (one row), and '_line' and '_ends' for the fold."""
        values = prediction.values
        counts, sigma, total = values["counts"], values["sigma"], values["total"]
        across, number = counts.shape
        row, spikes = values["place"]
        step = prediction.frame.calibration.step_nm
        step = np.nan if step is None else step
        column = np.repeat(np.arange(across), number)
        whole = np.where(np.isnan(counts).any(axis=1), np.nan, np.maximum(counts.sum(axis=1), 1e-12))[:, None]
        rows = {
            "frame": prediction.frame.index,
            "row": np.full(across * number, int(row)),
            "column": column,
            "y_nm": np.full(across * number, row * step),
            "x_nm": column * step,
            "component": np.tile(np.arange(1, number + 1), across),
            "counts": counts.ravel(),
            "counts_sigma": sigma.ravel(),
            "share": (counts / whole).ravel(),
            "share_sigma": (sigma / whole).ravel(),
        }
        misfit = values["misfit"]
        facts = {
            "frame": prediction.frame.index,
            "count": int(np.isfinite(misfit).sum()),
            "mean_total": float(total.mean()),
            "misfit": float(np.nanmean(misfit)) if np.isfinite(misfit).any() else np.nan,
            "spikes": int(spikes),
        }
        line = {"frame": prediction.frame.index, "row": int(row), "step_nm": step}
        packed = np.column_stack([counts, total, misfit]).astype(np.float32)
        return {
            "objects": pd.DataFrame(rows),
            "frames": pd.DataFrame([facts]),
            "_line": pd.DataFrame([line | {"across": across, "packed": packed.tobytes()}]),
            "_ends": pd.DataFrame([_packed_ends(prediction)]),
        }


_ENDS = ("endmembers", "endmembers_sigma", "energy", "singular", "facts")


def _packed_ends(prediction: Prediction) -> dict[str, object]:
    """Return what all lines share, as bytes."""
    kept: dict[str, object] = {name: prediction.values[name].astype(float).tobytes() for name in _ENDS}
    return {"frame": prediction.frame.index, "number": len(prediction.values["endmembers"])} | kept


@dataclass(frozen=True)
class Held:
    """What was seen so far: lines (row, (X, K + 2) counts, total, misfit), the step, and what all lines share."""

    lines: tuple[tuple[int, NDArray[np.float32]], ...] = ()
    step_nm: float = np.nan
    shared: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class UnmixedMaps:
    """Maps, endmembers and singular values of a whole recording; the state is a few numbers a place."""

    def start(self) -> Held:
        """Return the state before the first line."""
        return Held()

    def step(self, state: Held, tables: Mapping[str, pd.DataFrame]) -> Held:
        """Return the state after one more line."""
        if not len(tables["_line"]):
            return state
        line, ends = tables["_line"].iloc[0], tables["_ends"].iloc[0]
        shared = state.shared or {name: np.frombuffer(ends[name]) for name in _ENDS} | {
            "number": np.array([float(ends["number"])])
        }
        packed = np.frombuffer(line["packed"], np.float32).reshape(int(line["across"]), -1)
        return Held((*state.lines, (int(line["row"]), packed)), float(line["step_nm"]), shared)

    def result(self, state: Held) -> dict[str, pd.DataFrame]:
        """Return the tables 'maps', 'spectra', 'singular' and 'summary'."""
        if not state.lines:
            return dict(_nothing())
        rows = np.array([row for row, _ in state.lines])
        seen = np.stack([line for _, line in state.lines]).astype(float)
        number = int(state.shared["number"][0])
        return {
            "maps": _maps(rows, seen, number, state.step_nm),
            "spectra": _spectra(state.shared, number),
            "singular": pd.DataFrame(
                {
                    "component": np.arange(1, len(state.shared["singular"]) + 1),
                    "over_edge": state.shared["singular"],
                }
            ),
            "summary": _summary(seen, state.shared, number),
        }


@functools.cache
def _nothing() -> dict[str, pd.DataFrame]:
    """Return the tables over all lines, without rows."""
    return {
        name: pd.DataFrame({column.name: pd.Series(dtype="float64") for column in columns})
        for name, columns in _TABLES.items()
    }


def _maps(rows: NDArray[np.int_], seen: Array, number: int, step: float) -> pd.DataFrame:
    down, across, _ = seen.shape
    row, column = np.repeat(rows, across), np.tile(np.arange(across), down)
    flat = seen.reshape(down * across, -1)
    found = {"row": row, "column": column, "y_nm": row * step, "x_nm": column * step}
    found |= {"total": flat[:, number], "misfit": flat[:, number + 1]}
    whole = np.maximum(flat[:, :number].sum(axis=1), 1e-12)
    found |= {f"share_{k + 1}": flat[:, k] / whole for k in range(number)}
    return pd.DataFrame(found | {f"counts_{k + 1}": flat[:, k] for k in range(number)})


def _spectra(shared: Mapping[str, Array], number: int) -> pd.DataFrame:
    channels = len(shared["energy"])
    return pd.DataFrame(
        {
            "component": np.repeat(np.arange(1, number + 1), channels),
            "channel": np.tile(np.arange(channels), number),
            "energy": np.tile(shared["energy"], number),
            "value": shared["endmembers"],
            "value_sigma": shared["endmembers_sigma"],
        }
    )


def _summary(seen: Array, shared: Mapping[str, Array], number: int) -> pd.DataFrame:
    flat = seen.reshape(-1, seen.shape[2])
    alive = flat[np.isfinite(flat[:, -1])]
    counts = alive[:, :number]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    gain, places, channels, detected = shared["facts"][:4]
    row = {
        "spectra": len(alive),
        "components": number,
        "detected": int(detected),
        "gain": float(gain),
        "misfit": float(alive[:, -1].mean()) if len(alive) else np.nan,
        "places_together": int(places),
        "channels_together": int(channels),
        "purest_share": float(shares.max(axis=0).min()) if len(alive) else np.nan,
    }
    return pd.DataFrame([row])
