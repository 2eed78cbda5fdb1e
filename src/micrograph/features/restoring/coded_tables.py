"""Decoded frames of a coded movie as tables: how bright, how sure, how far from the mean of their block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import Column, Prediction

FRAMES = (
    Column("frame", "", "number of the frame in the movie"),
    Column("block", "", "number of the coded frame that holds it"),
    Column("place", "", "place of the frame in its block"),
    Column("mean", "", "mean of the decoded frame, in the units of the movie"),
    Column("contrast", "", "scatter of the decoded frame's pixels", sigma="sigma"),
    Column("change", "", "root mean square of the decoded frame less the mean image of its block"),
)
ROWS = (
    Column("count", "", "always 1: one row a frame"),
    Column("block", "", "number of the coded frame that holds it"),
)
SUMMARY = (
    Column("count", "", "number of decoded frames"),
    Column("blocks", "", "number of coded frames that were decoded"),
    Column("together", "", "frames in one coded frame"),
    Column("bytes_per_pixel", "", "size of the file over the pixels of the movie"),
    Column("times_smaller", "", "size of the movie's raw pixels over that of the file"),
    Column("mean", "", "mean of all decoded frames, in the units of the movie"),
    Column("sigma", "", "1-sigma of a decoded pixel, root mean square of what is stated"),
    Column("change", "", "root mean square of decoded frames less the mean image of their block"),
)


@dataclass(frozen=True)
class DecodedRows:
    """One row a decoded frame."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' and 'frames', one row each."""
        image, sigma = prediction.maps["image"], prediction.sigma["image"]
        block, place, together = (int(value) for value in prediction.values["block"])
        size, raw = (float(value) for value in prediction.values["bytes"])
        said = {
            "frame": prediction.frame.index,
            "block": block,
            "place": place,
            "mean": float(image.mean(dtype=np.float64)),
            "contrast": float(image.std(dtype=np.float64)),
            "sigma": _rms(sigma),
            "change": _rms(image - prediction.frame.data),
        }
        row = {"frame": prediction.frame.index, "count": 1, "block": block, "together": together}
        facts = {**row, "bytes_per_pixel": size, "raw_bytes": raw}
        return {"objects": pd.DataFrame([said]), "frames": pd.DataFrame([facts])}


def _rms(values: np.typing.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@dataclass(frozen=True)
class Sums:
    """Sums over the frames so far, and facts of the file."""

    count: int = 0
    blocks: int = 0
    last: int = -1
    mean: float = 0.0
    sigma: float = 0.0
    change: float = 0.0
    together: int = 0
    bytes_per_pixel: float = np.nan
    raw_bytes: float = np.nan


@dataclass(frozen=True)
class DecodedSummary:
    """One row on the movie: frames, size, mean, doubt, change."""

    def start(self) -> Sums:
        """Return nothing seen."""
        return Sums()

    def step(self, state: Sums, tables: Mapping[str, pd.DataFrame]) -> Sums:
        """Return the sums after one more frame."""
        one, row = tables["objects"].iloc[0], tables["frames"].iloc[0]
        block = int(one["block"])
        return Sums(
            state.count + 1,
            state.blocks + (block != state.last),
            block,
            state.mean + float(one["mean"]),
            state.sigma + float(one["sigma"]) ** 2,
            state.change + float(one["change"]) ** 2,
            int(row["together"]),
            float(row["bytes_per_pixel"]),
            float(row["raw_bytes"]),
        )

    def result(self, state: Sums) -> Mapping[str, pd.DataFrame]:
        """Return the table 'summary'."""
        number = max(state.count, 1) if state.count else np.nan
        row = {
            "count": state.count,
            "blocks": state.blocks,
            "together": state.together,
            "bytes_per_pixel": state.bytes_per_pixel,
            "times_smaller": state.raw_bytes / state.bytes_per_pixel,
            "mean": state.mean / number,
            "sigma": np.sqrt(state.sigma / number),
            "change": np.sqrt(state.change / number),
        }
        return {"summary": pd.DataFrame([row])}
