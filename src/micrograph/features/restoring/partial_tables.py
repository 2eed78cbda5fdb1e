"""Tables of completed partial scans: how much was visited, how sure the rest is, and where to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction

Image = NDArray[np.float32]

DOUBTFUL = (
    Column("y_px", "px", "middle of a doubtful area, row"),
    Column("x_px", "px", "middle of a doubtful area, column"),
    Column("area_px", "px", "pixels in it"),
    Column("mean_sigma", "", "mean 1-sigma in it, in the recording's units"),
    Column("mean_value", "", "mean completed value in it, in the recording's units"),
    Column("y_nm", "nm", "middle of it down the frame; NaN without a pixel size"),
    Column("x_nm", "nm", "middle of it along the frame's rows; NaN without a pixel size"),
)
SEEN = (
    Column("count", "", "doubtful areas"),
    Column("coverage", "", "share of the pixels that were visited"),
    Column("noise", "", "1-sigma of a recorded value, in the recording's units"),
    Column("mean_sigma", "", "root mean square of the completed image's 1-sigma, in the recording's units"),
    Column("largest_sigma", "", "largest 1-sigma of the completed image"),
    Column("relative_sigma", "", "that mean 1-sigma over the range of the completed image"),
)
SUMMARY = (
    Column("frames", "", "number of frames"),
    Column("coverage", "", "mean share of the pixels that were visited"),
    Column("noise", "", "mean 1-sigma of a recorded value"),
    Column("mean_sigma", "", "root mean square of the 1-sigma of all completed images"),
    Column("relative_sigma", "", "mean over the frames of the 1-sigma over the image's range"),
)


@dataclass(frozen=True)
class DoubtfulAreas:
    """Areas whose 1-sigma is `times` that of the median pixel, of at least `least_px` pixels: there to look again."""

    times: float = 2.0
    least_px: int = 16

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' and 'frames' of one frame."""
        image, sigma = prediction.maps["image"], prediction.sigma["image"]
        areas = self._areas(image, sigma, prediction.frame.calibration.pixel_nm)
        root, span = float(np.sqrt(np.mean(sigma.astype(float) ** 2))), float(np.ptp(image))
        row = {
            "count": len(areas),
            "coverage": float(prediction.values["coverage"][0]),
            "noise": float(prediction.values["noise"][0]),
            "mean_sigma": root,
            "largest_sigma": float(sigma.max()),
            "relative_sigma": root / span if span > 0 else np.nan,
        }
        return {"objects": areas, "frames": pd.DataFrame([row])}

    def _areas(self, image: Image, sigma: Image, pixel_nm: float | None) -> pd.DataFrame:
        from scipy.ndimage import center_of_mass, gaussian_filter, label, mean

        calm = gaussian_filter(sigma, 1.0)
        labels, number = label(calm > self.times * float(np.median(calm)))
        sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
        kept = np.flatnonzero(sizes >= self.least_px) + 1
        middles = np.array(center_of_mass(np.ones_like(labels), labels, kept), float).reshape(-1, 2)
        pixel = np.nan if pixel_nm is None else pixel_nm
        found = pd.DataFrame(
            {
                "y_px": middles[:, 0],
                "x_px": middles[:, 1],
                "area_px": sizes[kept - 1].astype(float),
                "mean_sigma": np.asarray(mean(sigma, labels, kept), float).reshape(-1),
                "mean_value": np.asarray(mean(image, labels, kept), float).reshape(-1),
                "y_nm": middles[:, 0] * pixel,
                "x_nm": middles[:, 1] * pixel,
            }
        )
        return found.sort_values("mean_sigma", ascending=False, ignore_index=True, kind="stable")


@dataclass(frozen=True)
class ScanSums:
    """Sums over the frames."""

    frames: int = 0
    coverage: float = 0.0
    noise: float = 0.0
    variance: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True)
class PartialSummary:
    """Fold of 'frames' into one row."""

    def start(self) -> ScanSums:
        """Return the state before the first frame."""
        return ScanSums()

    def step(self, state: ScanSums, tables: Mapping[str, pd.DataFrame]) -> ScanSums:
        """Return the state after one more frame."""
        row = tables["frames"].iloc[0]
        return ScanSums(
            state.frames + 1,
            state.coverage + float(row["coverage"]),
            state.noise + float(row["noise"]),
            state.variance + float(row["mean_sigma"]) ** 2,
            state.relative + float(row["relative_sigma"]),
        )

    def result(self, state: ScanSums) -> dict[str, pd.DataFrame]:
        """Return the table 'summary': one row, none before the first frame."""
        if not state.frames:
            empty = {column.name: pd.Series(dtype="float64") for column in SUMMARY}
            return {"summary": pd.DataFrame(empty | {"frames": pd.Series(dtype="int64")})}
        row = {
            "frames": state.frames,
            "coverage": state.coverage / state.frames,
            "noise": state.noise / state.frames,
            "mean_sigma": float(np.sqrt(state.variance / state.frames)),
            "relative_sigma": state.relative / state.frames,
        }
        return {"summary": pd.DataFrame([row])}
