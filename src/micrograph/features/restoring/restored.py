"""Denoised frames as tables: what each stretch of a frame holds, what was taken away, and all frames together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction
from micrograph.features.columns.noise import NoiseModel

Image = NDArray[np.float32]
#: Side in pixels of the stretches of a frame that the table 'objects' holds.
SIDE = 64

STRETCHES = (
    Column("frame", "", "number of the frame"),
    Column("y_px", "px", "middle of the stretch, down the image"),
    Column("x_px", "px", "middle of the stretch, along the rows"),
    Column("counts", "", "mean of the denoised image in the stretch", sigma="counts_sigma"),
    Column("noise", "", "1-sigma of the noise of a pixel before"),
    Column("doubt", "", "1-sigma of a pixel afterwards, root mean square"),
    Column("residual_scatter", "", "scatter of what was taken away over that of noise: 1 is noise alone"),
)
RESTORED = (
    Column("count", "", "number of stretches"),
    Column("mean_before", "", "mean of the frame before"),
    Column("mean_after", "", "mean of the frame afterwards"),
    Column("noise", "", "1-sigma of the noise of a pixel before, root mean square"),
    Column("doubt", "", "1-sigma of a pixel afterwards, root mean square"),
    Column("gain_dB", "dB", "noise before over doubt afterwards"),
    Column("noise_gain", "", "counts by which the noise's variance grows with each count: 1 for single electrons"),
    Column("noise_at_zero", "", "variance of the noise where no counts are expected"),
    Column("residual_scatter", "", "scatter of what was taken away over that of noise: 1 is noise alone"),
    Column(
        "residual_likeness", "", "correlation of what was taken away with the detail of the image: 0 is noise alone"
    ),
    Column("residual_along_y", "", "correlation of what was taken away with the pixel below: 0 is noise alone"),
    Column("residual_along_x", "", "correlation of what was taken away with the pixel beside: 0 is noise alone"),
    Column("evenness", "", "weakest over strongest power of fine detail: 1 for noise that differs in every pixel"),
    Column("row_lines", "", "power of whole rows that jump over that of others: 1 for none"),
    Column("column_lines", "", "power of whole columns that jump over that of others: 1 for none"),
    Column("alike", "", "correlation of neighbouring frames without their noise; missing for one frame"),
    Column("mode", "", "what a pixel was foretold from: 'blind-spot' or 'frames'"),
)
_MEANS = ("mean_before", "mean_after", "noise", "doubt", "gain_dB", "residual_scatter", "residual_likeness")
SUMMARY = (
    Column("count", "", "number of frames"),
    *(column for column in RESTORED if column.name in _MEANS),
)


@dataclass(frozen=True)
class RestoredTables:
    """A denoised frame in stretches of 64 x 64 pixels, and what was taken away from it."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return 'objects' (one row a stretch) and 'frames' (one row)."""
        before = np.nan_to_num(prediction.frame.data, nan=float(np.nanmean(prediction.frame.data)))
        after, sigma = prediction.maps["denoised"], prediction.sigma["denoised"]
        values = prediction.values
        noise = NoiseModel(*map(float, values["noise"]))
        variance = noise.variance(after)
        square = (before - after) ** 2 / np.maximum(variance - sigma**2, 0.1 * variance)  # as it scatters by Bayes
        ys, xs, area = _middles(after.shape[0], after.shape[1])
        power, doubt = _means(variance), _means(sigma**2)
        rows = {
            "frame": prediction.frame.index,
            "y_px": ys,
            "x_px": xs,
            "counts": _means(after),
            "counts_sigma": np.sqrt(power / area),
            "noise": np.sqrt(power),
            "doubt": np.sqrt(doubt),
            "residual_scatter": np.sqrt(_means(square)),
        }
        return {"objects": pd.DataFrame(rows), "frames": pd.DataFrame([self._facts(prediction, before, variance, ys)])}

    def _facts(
        self, prediction: Prediction, before: Image, variance: Image, ys: NDArray[np.float64]
    ) -> dict[str, object]:
        values = prediction.values
        after, sigma = prediction.maps["denoised"], prediction.sigma["denoised"]
        noise, doubt = (float(np.sqrt(one.mean(dtype=np.float64))) for one in (variance, sigma**2))
        residual, white = values["residual"], values["white"]
        return {
            "frame": prediction.frame.index,
            "count": len(ys),
            "mean_before": float(before.mean(dtype=np.float64)),
            "mean_after": float(after.mean(dtype=np.float64)),
            "noise": noise,
            "doubt": doubt,
            "gain_dB": float(20 * np.log10(noise / max(doubt, 1e-30))),
            "noise_gain": float(values["noise"][0]),
            "noise_at_zero": float(values["noise"][1]),
            "residual_scatter": float(residual[0]),
            "residual_likeness": float(residual[1]),
            "residual_along_y": float(residual[2]),
            "residual_along_x": float(residual[3]),
            "evenness": float(white[0]),
            "row_lines": float(white[1]),
            "column_lines": float(white[2]),
            "alike": float(values["alike"]),
            "mode": "frames" if values["others"] > 0 else "blind-spot",
        }


def _middles(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles (N,) of the stretches and the pixels in each, row by row; narrow ones at the far ends too."""
    tops, lefts = (np.arange(0, n, SIDE) for n in (height, width))
    tall, wide = (np.minimum(SIDE, n - first) for n, first in ((height, tops), (width, lefts)))
    y, x = tops + (tall - 1) / 2, lefts + (wide - 1) / 2
    return np.repeat(y, len(x)), np.tile(x, len(y)), np.outer(tall, wide).ravel().astype(float)


def _means(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the means over the stretches, row by row."""
    tops, lefts = (np.arange(0, n, SIDE) for n in image.shape)
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), tops, axis=0), lefts, axis=1)
    return np.asarray(sums.ravel() / _middles(*image.shape)[2])


@dataclass(frozen=True)
class RestoredSummary:
    """Means over all frames; the state is their sums."""

    def start(self) -> dict[str, float]:
        """Return no sums."""
        return {"count": 0.0}

    def step(self, state: dict[str, float], tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
        """Return the sums after one more frame."""
        row = tables["frames"].iloc[0]
        sums = {name: state.get(name, 0.0) + float(row[name]) for name in _MEANS}
        return {"count": state["count"] + 1} | sums

    def result(self, state: dict[str, float]) -> dict[str, pd.DataFrame]:
        """Return the table 'summary', one row."""
        number = state["count"]
        means = {name: state[name] / number if number else np.nan for name in _MEANS}
        return {"summary": pd.DataFrame([{"count": int(number), **means}])}
