"""What a denoised recording of element maps says, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.core import Column, Prediction

ROWS = (
    Column("frame", "", "number of the frame"),
    Column("element", "", "element"),
    Column("counts", "", "counts of the map, as recorded and as denoised"),
    Column("peak", "", "highest expected counts of a pixel", sigma="peak_sigma"),
    Column("noise", "", "mean 1-sigma over the mean of the denoised map"),
    Column("misfit", "", "chi^2 over pixels: near 1, or somewhat below, where only counting noise was taken away"),
)
FRAMES = (
    Column("count", "", "elements"),
    Column("counts", "", "counts of all elements"),
    Column("misfit", "", "chi^2 over pixels, mean over elements"),
)
SUMMARY = (
    Column("element", "", "element"),
    Column("frames", "", "frames"),
    Column("counts", "", "counts of all frames"),
    Column("misfit", "", "chi^2 over pixels, mean over frames"),
)


@dataclass(frozen=True)
class MapRows:
    """One row an element of each frame."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' and 'frames'."""
        values, index = prediction.values, prediction.frame.index
        noise, peak = [], []
        for name, mean in prediction.maps.items():
            sigma = prediction.sigma.get(name)
            total = max(float(mean.mean()), 1e-30)
            noise.append(np.nan if sigma is None else float(sigma.mean()) / total)
            top = np.unravel_index(int(mean.argmax()), mean.shape)
            peak.append(np.nan if sigma is None else float(sigma[top]) / float(values["unit"][0]))
        rows = {
            "frame": index,
            "element": list(prediction.maps),
            "counts": values["counts"],
            "peak": values["peak"],
            "peak_sigma": peak,
            "noise": noise,
            "misfit": values["misfit"],
        }
        facts = {
            "frame": index,
            "count": len(prediction.maps),
            "counts": float(values["counts"].sum()),
            "misfit": float(values["misfit"].mean()),
        }
        return {"objects": pd.DataFrame(rows), "frames": pd.DataFrame([facts])}


@dataclass(frozen=True)
class Totals:
    """Frames, counts and misfits so far, by element."""

    frames: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    misfit: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MapSummary:
    """Totals by element over all frames."""

    def start(self) -> Totals:
        """Return the state before the first frame."""
        return Totals()

    def step(self, state: Totals, tables: Mapping[str, pd.DataFrame]) -> Totals:
        """Return the state after one more frame."""
        frames, counts, misfit = dict(state.frames), dict(state.counts), dict(state.misfit)
        for row in tables["objects"].to_dict("records"):
            name = str(row["element"])
            frames[name] = frames.get(name, 0) + 1
            counts[name] = counts.get(name, 0.0) + float(row["counts"])
            misfit[name] = misfit.get(name, 0.0) + float(row["misfit"])
        return Totals(frames, counts, misfit)

    def result(self, state: Totals) -> dict[str, pd.DataFrame]:
        """Return the table 'summary', one row an element."""
        rows = [
            {"element": name, "frames": number, "counts": state.counts[name], "misfit": state.misfit[name] / number}
            for name, number in state.frames.items()
        ]
        return {"summary": pd.DataFrame(rows, columns=[column.name for column in SUMMARY])}
